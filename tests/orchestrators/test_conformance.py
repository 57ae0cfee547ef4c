"""What every orchestrator passes: first deploy, change, failure at each step, rollback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tasks.lib.environments import releases, status, storage, teardown
from tasks.lib.environments.connection import Target
from tasks.lib.environments.lock import LockLost, Terms
from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.images import deployed, tags
from tasks.lib.registry.client import Manifest
from tests.testbed.commands import until

from .world import Killed, World


def fails(world: World, *words: str, code: int = ExitCode.FAILED, **deploy) -> str:
    """See that a deploy fails, with these words and this exit status; returns its message."""
    with pytest.raises(TaskError) as caught:
        world.deploy(**deploy)
    assert caught.value.code == code
    for text in words:
        assert text in str(caught.value)
    return str(caught.value)


def test_a_first_deploy_serves(world):
    image = world.image()
    world.deploy(image)
    assert world.serves() == image.revision
    (record,) = world.records()
    assert (record.number, record.state, record.kind) == (1, "succeeded", "deploy")
    assert record.revision == image.revision
    assert not world.target.holder()


def test_a_change_replaces_what_serves(world):
    world.deploy(world.image())
    image = world.image()
    world.deploy(image)
    assert world.serves() == image.revision
    assert [record.number for record in world.records()] == [2, 1]
    services = world.target.orchestrator.services()
    assert {service.release for service in services.values()} == {"2"}


def test_what_runs_is_not_deployed_again(world, capfd):
    image = world.image()
    world.deploy(image)
    world.deploy(image)
    assert "release 1 runs already: nothing to do" in capfd.readouterr().err
    assert len(world.records()) == 1


def test_an_image_that_exits_is_rolled_back(world, capfd):
    good = world.image()
    world.deploy(good)
    bad = world.image(exits=True)
    message = fails(world, "rolled back: release 1 (", "is running again", image=bad)
    assert world.serves() == good.revision
    newest = world.records()[0]
    assert (newest.state, newest.revision) == ("undone", bad.revision)
    assert newest.why in message
    assert "its last lines:" in capfd.readouterr().err
    assert message.endswith(f"--number={newest.number} shows more")
    left = releases.show(world.target, str(newest.number)).evidence
    assert left and left.node and any(line.strip() for line in left.lines)
    world.deploy(good)
    assert "nothing to do" in capfd.readouterr().err


def test_a_first_deploy_that_fails_leaves_nothing_of_the_app(world):
    bad = world.image(exits=True)
    fails(world, "nothing of the app runs, as before", image=bad)
    assert world.serves() == "nothing"
    assert not {"app", "worker", "beat"} & set(world.target.orchestrator.services())
    good = world.image()
    world.deploy(good)
    assert world.serves() == good.revision


def test_a_check_that_fails_touches_no_replica(world):
    good = world.image()
    world.deploy(good)
    fails(world, "no replica of the app was touched", image=world.image(check="no licence"))
    assert world.serves() == good.revision
    assert world.records()[0].state == "failed"


def test_a_page_that_fails_is_rolled_back(world):
    good = world.image()
    world.deploy(good)
    fails(world, "answers 500", "rolled back: release 1", image=world.image(page=500))
    assert world.serves() == good.revision


# Nothing listens there.
NOWHERE = "http://127.0.0.1:9"


def test_a_site_that_is_not_reached_is_verified_on_its_server_if_that_is_wanted(world, capfd):
    world.set_url(NOWHERE)
    image = world.image()
    names = ("has not reached the site - correct it, or add --no-verify-url", "as before")
    fails(world, "Connection refused", *names, image=image)
    world.target.verify_url = False
    world.deploy(image)
    assert world.serves() == image.revision
    said = capfd.readouterr().err
    assert "answers on its server (the proxy); not verified from outside - ./inv status" in said
    found = status.read(world.target)
    text, wrong = found.text(), found.problems
    assert "not verified from outside since release 2 - ./inv deploy --env=prod" in text
    assert "URL not verified from outside" in text and wrong == []
    fails(
        world, "on its server: / answers 500", "rolled back: release 2", image=world.image(page=500)
    )
    assert world.serves() == image.revision
    world.rollback(to="2")
    assert not world.records()[0].url_verified
    world.target.verify_url = True
    fails(world, "has not reached the site", image=image)
    world.set_url(world.url)
    world.deploy(image)
    assert "not verified" not in status.read(world.target).text().partition("release  ")[0]
    assert world.records()[0].url_verified


def test_a_site_that_is_not_reached_any_more_is_brought_back(world):
    good = world.image()
    world.deploy(good)
    world.set_url(NOWHERE)
    fails(world, "has not reached the site", "rolled back: release 1", image=world.image())
    assert world.serves() == good.revision
    assert [record.url_verified for record in world.records()] == [False, True]


def test_what_was_applied_and_cannot_be_recorded_is_a_warning_and_repaired(world, capfd):
    world.deploy(world.image())
    image = world.image()
    world.orchestrator.after["apply"] = lambda: world.store.before.update(write=no_space)
    world.deploy(image)
    assert "drift is not known before the next deploy: no space" in capfd.readouterr().err
    assert world.serves() == image.revision
    assert "drift: not known" in status.read(world.target).text()
    world.deploy(image)
    assert "drift: none" in status.read(world.target).text()


def no_space() -> None:
    """A disk is full."""
    raise TaskError("no space")


def test_migrations_are_recorded_with_the_backup_before(world):
    world.deploy(world.image())
    both = ("myapp.9001_one", "myapp.9002_two")
    world.deploy(world.image(migrations=both, final=both[1:]))
    newest = world.records()[0]
    assert newest.migrations == ["myapp.9001_one", "myapp.9002_two"]
    assert newest.final == ["myapp.9002_two"]
    assert newest.backup


def test_a_migration_that_fails_touches_no_replica_and_is_not_recorded(world):
    good = world.image()
    world.deploy(good)
    bad = world.image(migrations=("myapp.9001_one", "myapp.9002_two"), broken="myapp.9002_two")
    fails(world, "myapp.9002_two", "no replica of the app was touched", image=bad)
    assert world.serves() == good.revision
    assert world.records()[0].migrations == ["myapp.9001_one"]
    assert "myapp.9002_two" in releases.show(world.target, "2").text().partition("last lines")[2]


def dumps(world: World) -> int:
    """How many dumps of the database there are: real apps have migrations from the start."""
    shown = storage.backups(world.target, world.target.orchestrator.services()).summary
    return 0 if shown == "none" else int(shown.partition(",")[0])


def test_images_and_dumps_of_deploys_are_counted(world):
    world.deploy(world.image())
    before = dumps(world)
    world.deploy(world.image(migrations=("myapp.9001_one",)))
    stored = world.target.orchestrator.stored_images(world.target.registry.image.name)
    # A cluster takes care of the images on its nodes itself.
    assert len(stored) == len(world.target.hosts)
    assert all(server.images >= 2 and server.size for server in stored)
    assert dumps(world) == before + 1
    (data,) = (each for each in world.target.orchestrator.volumes() if each.name == "db")
    assert data.made < time.time() and "db" in data.remove
    assert status.read(world.target).spare == []


def test_everything_that_is_removed_leaves_nothing(world):
    world.deploy(world.image())
    assert world.target.orchestrator.remove(volumes=True) == []
    assert world.target.orchestrator.services() == {}


def test_a_rollback_serves_what_was_before(world):
    first, second = world.image(), world.image()
    world.deploy(first)
    world.deploy(second)
    world.rollback()
    assert world.serves() == first.revision
    newest = world.records()[0]
    assert (newest.kind, newest.state, newest.why) == ("rollback", "succeeded", "to release 1")


def test_a_rollback_across_an_irreversible_migration_wants_a_reason(world):
    first = world.image()
    world.deploy(first)
    one = ("myapp.9001_one",)
    world.deploy(world.image(migrations=one, final=one))
    with pytest.raises(TaskError, match="9001_one cannot be reversed since release 1") as caught:
        world.rollback()
    assert caught.value.code == ExitCode.REFUSED
    world.rollback(force="the table was empty")
    assert world.serves() == first.revision


def test_a_rollback_to_a_deleted_image_is_refused(world):
    first, second = world.image(), world.image()
    world.deploy(first)
    world.deploy(second)
    world.target.registry.delete(first.manifest.digest)
    with pytest.raises(TaskError, match="the image of release 1 is gone") as caught:
        world.rollback()
    assert caught.value.code == ExitCode.REFUSED
    assert world.serves() == second.revision


def denying(name: str, put: Callable[[str, Manifest], None]) -> Callable[[str, Manifest], None]:
    """A registry's put that is denied for one tag."""

    def deny(tag: str, manifest: Manifest) -> None:
        if tag == name:
            raise TaskError("denied")
        put(tag, manifest)

    return deny


def test_a_prune_keeps_what_runs_what_is_released_and_every_remembered_deploy(world):
    registry, deployed = world.target.registry, [world.image() for _ in range(3)]
    for image in deployed:
        world.deploy(image)
    world.rollback("1")
    other = world.image()
    world.prune()
    assert all(registry.digest(image.digest) for image in deployed)
    assert not registry.digest(other.digest)
    world.rollback("2")
    assert world.serves() == deployed[1].revision


def test_a_forgotten_deploy_and_a_removed_environment_leave_no_tag(world):
    registry, images = world.target.registry, [world.image() for _ in range(5)]
    for image in images:
        world.deploy(image)
    remembered = {tags.deployed("prod", record.number) for record in world.records()}
    found = {tag for tag in registry.tags() if tags.deployed_to(tag)}
    assert remembered <= found
    assert found == remembered
    world.prune()
    kept = [bool(registry.digest(image.digest)) for image in images]
    assert kept == [tags.deployed("prod", number) in remembered for number in range(1, 6)]
    teardown.remove(world.target, volumes=False)
    assert not any(map(tags.deployed_to, registry.tags()))
    assert registry.digest("prod") == images[-1].digest


def test_a_version_of_before_the_tags_gets_one_by_the_next_deploy(world):
    first = world.image()
    world.deploy(first)
    deployed.forget(world.target.registry, "prod", [1])
    world.deploy(world.image())
    assert world.target.registry.digest("deployed-prod-1") == first.digest


def test_a_failed_deploy_leaves_the_tags_of_both(world):
    good, bad = world.image(), world.image(exits=True)
    world.deploy(good)
    fails(world, "rolled back", image=bad)
    world.prune()
    assert world.target.registry.digest(good.digest)
    assert world.target.registry.digest("deployed-prod-2") == bad.digest


def test_a_registry_that_takes_no_tag_of_a_deploy_is_a_warning(world, monkeypatch, capfd):
    image, put = world.image(), world.target.registry.put
    monkeypatch.setattr(world.target.registry, "put", denying("deployed-prod-1", put))
    world.deploy(image)
    assert world.serves() == image.revision
    assert "warning: no tag deployed-prod-1" in capfd.readouterr().err


def test_after_a_rollback_a_deploy_changes_nothing(world, capfd):
    first, second = world.image(), world.image()
    world.deploy(first)
    world.deploy(second)
    world.rollback()
    assert f"released for prod: {first}, instead of {second}" in capfd.readouterr().err
    world.deploy()
    assert "release 3 runs already: nothing to do" in capfd.readouterr().err
    assert world.serves() == first.revision


def test_a_rollback_that_cannot_be_released_wants_a_person(world, monkeypatch):
    first = world.image()
    world.deploy(first)
    world.deploy(world.image())
    put = world.target.registry.put
    monkeypatch.setattr(world.target.registry, "put", denying("prod", put))
    with pytest.raises(TaskError, match="then inv release --env=prod --ref=sha256:") as caught:
        world.rollback()
    assert caught.value.code == ExitCode.PERSON
    assert world.serves() == first.revision


@pytest.mark.parametrize("step", ["services", "rollout", "apply", "progress"])
def test_an_interruption_leaves_the_version_before(world, step):
    good = world.image()
    world.deploy(good)

    def interrupt() -> None:
        raise KeyboardInterrupt

    world.orchestrator.before[step] = interrupt
    with pytest.raises((TaskError, KeyboardInterrupt)):
        world.deploy(world.image())
    assert world.serves() == good.revision
    assert not world.target.holder()
    image = world.image()
    world.deploy(image)
    assert world.serves() == image.revision


@pytest.mark.parametrize("step", ["run_jobs", "rollout", "apply", "progress", "tidy"])
def test_a_killed_deployer_is_followed_by_a_good_deploy(world, step):
    world.deploy(world.image())
    world.orchestrator.before[step] = world.kill
    with pytest.raises(Killed):
        world.deploy(world.image())
    world.restart()
    image = world.image()
    world.deploy(image)
    assert world.serves() == image.revision
    states = [record.state for record in world.records()]
    assert states[0] == "succeeded" and "running" not in states


@pytest.mark.parametrize("step", ["run_jobs", "rollout"])
def test_a_lost_lock_stops_without_rolling_back(world, step):
    world.deploy(world.image())
    world.orchestrator.before[step] = world.take_lock
    with pytest.raises(TaskError, match="deploy lock lost") as caught:
        world.deploy(world.image())
        raise LockLost("the deploy went on")
    assert "deploy lock lost" in str(caught.value)
    assert caught.value.code == ExitCode.PERSON
    assert world.records()[0].state == "running"
    assert "ann" in str(world.target.holder())


def test_a_held_lock_is_refused(world):
    world.deploy(world.image())
    world.take_lock()
    fails(world, "locked by ann", code=ExitCode.LOCKED, image=world.image())


def test_a_lock_excludes_who_deploys_with_another_folder_and_first_server(world):
    other = world.other("elsewhere")
    assert other.path != world.target.path
    with other.locked("rolls back"):
        assert "rolls back since" in str(world.target.holder())
        fails(world, "locked by", "rolls back since", code=ExitCode.LOCKED, image=world.image())
    with (
        world.target.locked("deploys"),
        pytest.raises(TaskError, match="deploys since"),
        other.locked("rolls back"),
    ):
        pass
    assert not other.holder()


def test_who_waits_for_the_lock_gets_it_in_the_order_of_arrival(world):
    got: list[str] = []
    others = [replace(world.target, wait=120, terms=Terms(poll=0.05)) for _ in range(3)]

    def work(name: str, target: Target) -> None:
        with target.locked(name) as lock:
            got.append(name)
            lock.confirm()

    def waiters() -> int:
        lease = world.target.orchestrator.waiting().newest()
        return len(json.loads(lease.text)) if lease else 0

    threads = []
    with world.target.locked("deploys"):
        for number, target in enumerate(others, 1):
            threads.append(threading.Thread(target=work, args=(str(number), target)))
            threads[-1].start()
            until(lambda number=number: waiters() == number)
        with (
            pytest.raises(TaskError, match=r"locked by .* deploys since"),
            world.target.locked("x"),
        ):
            pass
    for each in threads:
        each.join(60)
    assert got == ["1", "2", "3"]
    assert waiters() == 0
    assert not world.target.holder(expired=True)


@pytest.mark.parametrize("clock", [60, -3600])
def test_a_dead_owners_lock_is_taken_over_whatever_the_clock_shows(world, clock, capfd):
    world.take_lock()
    world.pass_by(clock, watch=1)
    assert not world.target.holder()
    with world.target.locked("deploys"):
        assert "took over the lock of ann, deploys since now" in capfd.readouterr().err
    assert not world.target.holder(expired=True)


@pytest.mark.parametrize("clock", [60, -3600])
def test_a_live_owners_lock_is_not_taken_over_whatever_the_clock_shows(world, clock):
    world.pass_by(clock, watch=4)
    with world.target.locked("deploys") as held:
        with pytest.raises(TaskError, match="locked by") as caught, world.target.locked("removes"):
            pass
        assert caught.value.code == ExitCode.LOCKED
        held.confirm()


def test_of_several_that_take_the_lock_at_once_one_succeeds(world):
    take = world.target.orchestrator.inner.take_lease
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda text: take(None, text), "abcd"))
    (mine,) = filter(None, taken)
    assert world.target.orchestrator.lease() == mine


def test_a_lease_is_renewed_by_its_owner_only(world):
    orchestrator = world.target.orchestrator
    first = orchestrator.take_lease(None, "ann")
    second = orchestrator.take_lease(first, "ann")
    # The answer was lost: it is asked again.
    assert orchestrator.take_lease(first, "ann") == second
    third = orchestrator.take_lease(second, "bo")
    assert orchestrator.take_lease(second, "ann") is None
    orchestrator.drop_lease("ann")
    assert orchestrator.lease() == third
    orchestrator.drop_lease("bo")
    assert orchestrator.take_lease(second, "ann") is None
    assert orchestrator.lease() is None


def test_an_undo_that_fails_wants_a_person(world):
    world.deploy(world.image())
    bad = world.image(exits=True)

    def break_undo() -> None:
        world.orchestrator.before["rollout"] = fail

    def fail() -> None:
        raise TaskError("no leader")

    world.orchestrator.after["rollout"] = break_undo
    fails(world, "automatic rollback also failed (no leader)", code=ExitCode.PERSON, image=bad)
    assert world.records()[0].state == "failed"


def test_an_untested_image_is_refused_unless_forced(world):
    image = world.image(tested=False)
    fails(world, "is not tested", code=ExitCode.REFUSED, image=image)
    world.deploy(image, force="a hotfix")
    assert world.serves() == image.revision
    assert world.records()[0].why == "a hotfix"
    world.deploy(image)


def test_a_pipeline_of_an_earlier_commit_does_not_win_by_coming_late(world, monkeypatch):
    earlier, later = world.image(), world.image()
    world.deploy(later)
    monkeypatch.setenv("CI_COMMIT_SHA", earlier.revision)
    fails(world, "this pipeline comes too late", code=ExitCode.REFUSED, image=earlier)
    assert world.serves() == later.revision
    assert [record.revision for record in world.records()] == [later.revision]
    world.deploy(earlier, force="the later one sells nothing")
    assert world.serves() == earlier.revision
    # The pipeline of what was left goes on; and a person goes back as they like.
    monkeypatch.setenv("CI_COMMIT_SHA", later.revision)
    world.deploy(later)
    monkeypatch.delenv("CI_COMMIT_SHA")
    world.deploy(earlier)
    assert world.serves() == earlier.revision


def test_a_missing_secret_is_refused(world):
    world.target.orchestrator.remove_secret("SECRET_KEY")
    fails(world, "secret SECRET_KEY is missing", code=ExitCode.REFUSED, image=world.image())
