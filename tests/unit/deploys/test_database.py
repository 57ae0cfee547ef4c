"""The roles of the stack's own database: when they are set up, and what jobs get."""

from __future__ import annotations

from dataclasses import replace

from tasks.lib.deploys import database, predeploy
from tasks.lib.environments import one_off
from tasks.lib.orchestrators.stack import Stack
from tasks.lib.project import contract

WANTED = ["app_user_v2", "app_owner_v1"]
KNOWN = ["app_user_v2", "app_user_v1", "app_owner_v1"]
STEP = "setting up the database's roles"


def test_roles_are_set_up_once_and_again_for_a_new_password(world, capfd):
    world.deploy(world.image())
    assert STEP in capfd.readouterr().err
    assert world.target.orchestrator.inner.cluster.roles == ["app_user_v1", "app_owner_v1"]
    world.deploy(world.image())
    assert STEP not in capfd.readouterr().err
    for name in (contract.LOGIN, "POSTGRES_PASSWORD"):
        world.target.orchestrator.set_secret(name, "another value")
        world.deploy(world.image())
        assert STEP in capfd.readouterr().err
    roles = world.target.orchestrator.inner.cluster.roles
    assert {*roles} == {"app_user_v1", "app_user_v2", "app_owner_v1"}
    world.rollback()
    assert STEP not in capfd.readouterr().err


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
