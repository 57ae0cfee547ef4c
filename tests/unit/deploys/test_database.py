"""The roles of the stack's own database: when they are set up, and what jobs get."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from tasks.lib.deploys import database, predeploy, rendering, rotation
from tasks.lib.environments import one_off
from tasks.lib.environments.records import GOOD
from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.orchestrators.stack import Stack
from tasks.lib.project import contract

WANTED = ["app_user_v2", "app_owner_v1"]
KNOWN = ["app_user_v2", "app_user_v1", "app_owner_v1"]
FIRST = ["app_user_v1", "app_owner_v1", "app_admin_v1"]
STEP = "setting up the database's roles"


def test_roles_are_set_up_once_and_again_for_a_new_password(world, capfd):
    world.deploy(world.image())
    assert STEP in capfd.readouterr().err
    assert world.target.orchestrator.inner.cluster.roles == FIRST
    world.deploy(world.image())
    assert STEP not in capfd.readouterr().err
    for name in (contract.LOGIN, "POSTGRES_PASSWORD"):
        world.target.orchestrator.set_secret(name, "another value")
        world.deploy(world.image())
        assert STEP in capfd.readouterr().err
    roles = world.target.orchestrator.inner.cluster.roles
    assert {*roles} == {*FIRST, "app_user_v2", "app_admin_v2"}
    world.deploy(world.image())
    capfd.readouterr()
    world.rollback()
    assert STEP not in capfd.readouterr().err


def test_a_role_for_metrics_is_there_as_long_as_it_is_wanted(world, capfd):
    world.deploy(world.image())
    capfd.readouterr()
    before = world.target.settings
    secrets = [*before.deploy.secrets, contract.METRICS_LOGIN]
    deploy = msgspec.structs.replace(before.deploy, secrets=secrets)
    world.target.orchestrator.set_secret(contract.METRICS_LOGIN, "a value")
    for settings, wanted in (
        (msgspec.structs.replace(before, deploy=deploy), [*FIRST, "app_metrics_v1"]),
        (before, FIRST),
    ):
        world.target.settings = settings
        world.deploy(world.image())
        assert {*world.target.orchestrator.inner.cluster.roles} == {*wanted}
        assert STEP in capfd.readouterr().err
        world.deploy(world.image())
        assert STEP not in capfd.readouterr().err


def test_the_first_password_of_the_superuser_ends_with_the_deploy_after_its_rotation(world):
    world.deploy(world.image())
    roles = world.target.orchestrator.inner.cluster
    world.target.orchestrator.set_secret("POSTGRES_PASSWORD", "another value")
    for expected in ({"app_admin_v1", "app_admin_v2"}, {"app_admin_v2"}):
        world.deploy(world.image())
        assert {each for each in roles.roles if "admin" in each} == expected
    versions = ["s_POSTGRES_PASSWORD_v3", "s_POSTGRES_PASSWORD_v2", "s_POSTGRES_PASSWORD_v1"]
    assert database.admins(versions, {versions[0]}) == ["app_admin_v3", "app_admin_v2"]
    assert database.admins(versions[2:], {""}) == ["app_admin_v1"]


def test_the_database_keeps_the_password_that_it_was_created_with(world):
    world.deploy(world.image())
    world.target.orchestrator.set_secret("POSTGRES_PASSWORD", "another value")
    found = rendering.newest(world.target)
    assert found[database.SUPERUSER].endswith("_v2")
    assert found[database.FIRST].endswith("_v1")
    assert database.admin(found) == "app_admin_v2"
    assert database.admin({database.SUPERUSER: "s_POSTGRES_PASSWORD_v2"}) == "app"


def running(use: dict[str, str], **named: str) -> Stack:
    db = {"image": "db", "secrets": [use]}
    secrets = {key: {"name": version} for key, version in named.items()}
    return Stack("s", "x", {"services": {"db": db}, "secrets": secrets})


def test_what_runs_says_which_password_of_its_beginning_the_database_has():
    versions = ["s_POSTGRES_PASSWORD_v3", "s_POSTGRES_PASSWORD_v2", "s_POSTGRES_PASSWORD_v1"]
    # As earlier deploys made it: with the newest one of then.
    old = running({"source": "POSTGRES_PASSWORD"}, POSTGRES_PASSWORD=versions[1])
    assert database.first(versions, old) == versions[1]
    use = {"source": database.FIRST, "target": "POSTGRES_PASSWORD"}
    newer = running(use, POSTGRES_PASSWORD=versions[0], POSTGRES_PASSWORD_FIRST=versions[1])
    assert database.first(versions, newer) == versions[1]
    assert database.first(versions[:1], newer) == versions[0]
    assert database.first(versions, None) == versions[2]
    assert database.first([], None) == ""


def test_after_a_rollback_over_several_releases_the_backups_can_log_in(world, capfd):
    world.deploy(world.image())
    world.target.orchestrator.set_secret("POSTGRES_PASSWORD", "another value")
    for _ in range(2):
        world.deploy(world.image())
    roles = world.target.orchestrator.inner.cluster
    assert "app_admin_v1" not in roles.roles
    world.rollback("1")
    assert {"app_admin_v1", "app_admin_v2"} <= {*roles.roles}
    assert STEP in capfd.readouterr().err
    world.deploy(world.image())
    world.deploy(world.image())
    assert "app_admin_v1" not in roles.roles


def test_roles_that_cannot_be_set_up_stop_no_rollback(world, capfd):
    world.deploy(world.image())
    world.target.orchestrator.set_secret("POSTGRES_PASSWORD", "another value")
    world.deploy(world.image())
    world.target.orchestrator.before["run_jobs"] = refuse
    world.rollback()
    assert "backups cannot log in before the next deploy: no room" in capfd.readouterr().err
    assert world.records()[0].state == GOOD


def refuse(*_: object) -> None:
    raise TaskError("no room")


def test_a_rotation_deploys_what_runs_with_a_new_password(world, capfd):
    image = world.image()
    world.deploy(image)
    with world.target.locked("rotates") as lock:
        rotation.run(world.target, "POSTGRES_PASSWORD", lock)
    newest, before = world.records()[:2]
    assert (newest.state, newest.digest) == (GOOD, before.digest)
    secrets = world.target.history.stack(newest, "s").content["secrets"]
    assert secrets["POSTGRES_PASSWORD"]["name"].endswith("_v2")
    assert STEP in capfd.readouterr().err


@pytest.mark.parametrize("name", ["", "SECRET_KEY", "REDIS_PASSWORD", "BACKUP_ACCESS_KEY_ID"])
def test_what_is_no_password_of_the_database_is_not_rotated(name):
    with pytest.raises(TaskError, match="is no password of the database") as caught:
        rotation.known(name)
    assert caught.value.code == ExitCode.REFUSED


def test_nothing_is_stored_where_nothing_runs(world):
    before = world.target.orchestrator.secrets()
    refused = pytest.raises(TaskError, match="nothing runs yet")
    with world.target.locked("rotates") as lock, refused:
        rotation.run(world.target, "POSTGRES_PASSWORD", lock)
    assert world.target.orchestrator.secrets() == before


def test_a_password_that_the_project_does_not_have_is_not_rotated(world):
    deploy = msgspec.structs.replace(world.target.settings.deploy, secrets=["DATABASE_URL"])
    world.target.settings = msgspec.structs.replace(world.target.settings, deploy=deploy)
    refused = pytest.raises(TaskError, match="POSTGRES_PASSWORD is not in")
    with world.target.locked("rotates") as lock, refused:
        rotation.run(world.target, "POSTGRES_PASSWORD", lock)


def test_what_the_database_has_is_as_wanted_or_not():
    assert database.as_wanted("app_owner_v1 app_user_v2\n0", WANTED, KNOWN)
    assert database.as_wanted("app_owner_v1 app_user_v1 app_user_v2\n0", WANTED, KNOWN)
    assert not database.as_wanted("app_owner_v1 app_user_v2\n1", WANTED, KNOWN)
    assert not database.as_wanted("app_owner_v1\n0", WANTED, KNOWN)
    assert not database.as_wanted("app_owner_v1 app_user_v2 app_user_v7\n0", WANTED, KNOWN)
    assert not database.as_wanted("\n0", WANTED, KNOWN)
    assert not database.as_wanted("", WANTED, KNOWN)


def stack(secrets: list[str], environment: dict[str, str], uses: list[dict[str, str]]) -> Stack:
    app = {"image": "x", "environment": environment, "secrets": uses}
    named = {key: {"name": f"s_{key}_v1"} for key in secrets}
    return Stack("s", "x", {"services": {"app": app}, "secrets": named})


def test_a_job_that_changes_the_schema_gets_the_owners_login():
    uses = [{"source": "SECRET_KEY"}, {"source": "DATABASE_PASSWORD", "uid": "1"}]
    environment = {
        "A": "b",
        "DATABASE_URL": "postgres://app_user_v3@db:5432/app",
        "DATABASE_OWNER": "app_owner_v1",
    }
    made = one_off.as_owner(stack(["DATABASE_PASSWORD", "OWNER_PASSWORD"], environment, uses))
    assert made["environment"]["DATABASE_URL"] == "postgres://app_owner_v1@db:5432/app"
    assert made["environment"]["A"] == "b"
    owners = {"source": "OWNER_PASSWORD", "target": "DATABASE_PASSWORD", "uid": "1"}
    assert made["secrets"] == [{"source": "SECRET_KEY", "target": "SECRET_KEY"}, owners]


def test_an_external_database_may_have_a_second_address_and_an_older_stack_has_one_role():
    uses = [{"source": "DATABASE_URL"}]
    both = one_off.as_owner(stack(["DATABASE_URL", "OWNER_URL"], {}, uses))
    assert both["secrets"] == [{"source": "OWNER_URL", "target": "DATABASE_URL"}]
    one = one_off.as_owner(stack(["DATABASE_URL"], {}, uses))
    assert one["secrets"] == [{"source": "DATABASE_URL", "target": "DATABASE_URL"}]
    uses = [{"source": "POSTGRES_PASSWORD", "target": "DATABASE_PASSWORD"}]
    environment = {"DATABASE_URL": "postgres://app@db:5432/app"}
    old = one_off.as_owner(stack(["POSTGRES_PASSWORD"], environment, uses))
    assert old == {"secrets": uses, "environment": environment}


def test_jobs_before_the_rollout_have_the_password_of_the_redis_that_runs():
    new = stack(["REDIS_PASSWORD", "SECRET_KEY"], {}, [])
    secrets = {"REDIS_PASSWORD": {"name": "s_REDIS_PASSWORD_v0"}, "SECRET_KEY": {"name": "other"}}
    old = replace(new, content={**new.content, "secrets": secrets})
    mixed = predeploy.with_running(new, old, "REDIS_PASSWORD").content["secrets"]
    assert mixed["REDIS_PASSWORD"] == {"name": "s_REDIS_PASSWORD_v0"}
    assert mixed["SECRET_KEY"] == {"name": "s_SECRET_KEY_v1"}
    assert predeploy.with_running(new, None, "REDIS_PASSWORD") == new
