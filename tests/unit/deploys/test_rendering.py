"""What the Compose files are filled in with for an environment."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from tasks.lib.deploys import rendering
from tasks.lib.docker.compose import NEEDED
from tasks.lib.errors import TaskError
from tasks.lib.images import data
from tasks.lib.project import contract
from tasks.lib.project.settings import Monitoring

# What a Compose file takes from outside: ${NAME...}, or NAME: without a value.
VARIABLE = re.compile(r"\$\{?([A-Z][A-Z_]+)|^\s+([A-Z][A-Z_]+):\s*$", re.MULTILINE)


def test_https_is_for_a_name_and_http_for_any():
    assert rendering.address("https://example.com") == "example.com"
    assert rendering.address("https://example.com:8443") == "example.com"
    assert rendering.address("http://127.0.0.1:8080") == ":80"


@pytest.mark.parametrize(
    ("replicas", "servers", "at_a_time"),
    [(1, 1, 2), (2, 1, 2), (16, 1, 4), (2, 3, 1), (3, 3, 1), (8, 3, 2), (16, 3, 4)],
)
def test_few_replicas_on_several_servers_are_replaced_one_by_one(replicas, servers, at_a_time):
    assert rendering.at_a_time(replicas, servers) == at_a_time


def test_a_worker_may_stop_later_than_its_jobs_must_end(world):
    deploy = msgspec.structs.replace(world.target.settings.deploy, joblimit=60)
    world.target.settings = msgspec.structs.replace(world.target.settings, deploy=deploy)
    filled = rendering.variables(world.target, "image", {})
    assert (filled["JOB_SECONDS"], filled["JOB_GRACE"]) == ("60", "90s")


@pytest.mark.parametrize(
    ("orchestrator", "url", "trusted"),
    [
        ("kubernetes", "https://a.example", "private_ranges"),
        ("kubernetes", "http://a.example", None),
        ("swarm", "https://a.example", None),
    ],
)
def test_on_a_cluster_https_ends_in_front_of_the_proxy(world, orchestrator, url, trusted):
    known = world.target.environment
    changed = {"orchestrator": orchestrator, "url": url}
    world.target.environment = msgspec.structs.replace(known, **changed)
    assert rendering.variables(world.target, "image", {}).get("TRUSTED_PROXIES") == trusted


@pytest.mark.parametrize(("on", "port"), [(True, str(contract.METRICS)), (False, None)])
def test_the_app_serves_metrics_if_the_setting_says_so(world, on, port):
    known = world.target.settings
    world.target.settings = msgspec.structs.replace(known, monitoring=Monitoring(metrics=on))
    assert rendering.variables(world.target, "image", {}).get("METRICS") == port


def test_backups_are_of_postgresql_only(world):
    known = world.target.settings
    world.target.settings = msgspec.structs.replace(
        known,
        services=msgspec.structs.replace(known.services, database="mariadb"),
        backup=msgspec.structs.replace(known.backup, every=24),
        deploy=msgspec.structs.replace(known.deploy, secrets=["DATABASE_URL"]),
    )
    with pytest.raises(TaskError, match=r"backup\.every: backups are of PostgreSQL"):
        rendering.render(world.target, world.image())


@pytest.mark.parametrize(
    ("recipients", "storage", "secrets", "why"),
    [
        ([], "", [], "backups have no readers - .*deploy.recipients"),
        (["age1a"], "s3://bucket", [], "add BACKUP_ACCESS_KEY_ID and BACKUP_SECRET_ACCESS_KEY"),
        (["age1a"], "s3://bucket", ["BACKUP_ACCESS_KEY_ID"], "add BACKUP_SECRET_ACCESS_KEY to"),
    ],
)
def test_backups_without_readers_or_keys_of_their_storage_are_refused(
    world, recipients, storage, secrets, why
):
    known = world.target.settings
    world.target.settings = msgspec.structs.replace(
        known,
        backup=msgspec.structs.replace(known.backup, every=24, storage=storage),
        deploy=msgspec.structs.replace(known.deploy, recipients=recipients, secrets=secrets),
    )
    with pytest.raises(TaskError, match=why):
        rendering.backups(world.target, {})


def variables(root: Path) -> set[str]:
    """The variables that the Compose files name."""
    texts = [file.read_text() for file in (root / "compose").glob("*.yml")]
    return {name for text in texts for found in VARIABLE.findall(text) for name in found if name}


def test_the_compose_files_name_nothing_that_docker_gets_from_this_shell(clone):
    assert {"LOG_LEVEL", "SECRET_KEY", "WORKERS"} <= variables(clone)
    assert not variables(clone) & {*NEEDED}


@pytest.mark.engine
@pytest.mark.parametrize("secrets", [["SECRET_KEY", "POSTGRES_PASSWORD"], ["DATABASE_URL"]])
def test_a_stack_is_the_same_whoever_deploys(world, clone, monkeypatch, secrets):
    monkeypatch.setattr(rendering, "ROOT", clone)
    monkeypatch.chdir(clone)
    deploy = msgspec.structs.replace(world.target.settings.deploy, secrets=secrets)
    world.target.settings = msgspec.structs.replace(world.target.settings, deploy=deploy)
    image = world.image()
    before = rendering.render(world.target, image)
    hostile = {name: "7" for name in variables(clone)} | {
        "COMPOSE_FILE": "/nowhere.yml",
        "COMPOSE_PROFILES": "never",
        "DOCKER_DEFAULT_PLATFORM": "linux/s390x",
        "COMPOSE_ENV_FILES": str(clone / "hostile.env"),
    }
    lines = "".join(f"{name}=8\n" for name in variables(clone))
    for file in ("hostile.env", ".env", "compose/.env"):
        (clone / file).write_text(lines)
    for name, value in hostile.items():
        monkeypatch.setenv(name, value)
    assert rendering.render(world.target, image) == before


@pytest.mark.engine
def test_a_value_for_one_run_is_in_the_stack(world):
    image = world.image()
    values = {**world.target.environment.values, "WORKERS": 3}
    environment = msgspec.structs.replace(world.target.environment, values=values)
    world.target.environment = environment
    stack = rendering.render(world.target, image)
    assert stack.services["worker"]["deploy"]["replicas"] == 3
    assert stack.metrics == {} and not stack.services["proxy"]["environment"]["PROXY_METRICS"]


@pytest.mark.engine
@pytest.mark.parametrize(
    ("broker", "more", "exporters"),
    [
        ("redis", ["METRICS_PASSWORD"], {"postgres-exporter", "redis-exporter"}),
        ("none", ["METRICS_PASSWORD"], {"postgres-exporter"}),
        ("redis", [], set()),
        ("redis", ["METRICS_PASSWORD", "DATABASE_URL"], set()),
    ],
)
def test_exporters_come_with_their_password(world, broker, more, exporters):
    known = world.target.settings
    deploy = msgspec.structs.replace(known.deploy, secrets=[*known.deploy.secrets, *more])
    services = msgspec.structs.replace(known.services, broker=broker)
    processes = {} if broker == "none" else known.processes
    world.target.settings = msgspec.structs.replace(
        *(known,), deploy=deploy, services=services, processes=processes,
        monitoring=Monitoring(metrics=True),
    )  # fmt: skip
    for name in more:
        world.target.orchestrator.set_secret(name, "a value")
    stack = rendering.render(world.target, world.image())
    made = stack.services
    assert {name for name in made if name.endswith("-exporter")} == exporters
    assert {*stack.metrics} == exporters | {"app", "proxy", *processes}
    assert made["proxy"]["environment"]["PROXY_METRICS"] == "metrics"
    if exporters:
        database = made["postgres-exporter"]
        assert database["environment"]["DATA_SOURCE_USER"] == "app_metrics_v1"
        assert [use["source"] for use in database["secrets"]] == ["METRICS_PASSWORD"]
    others = [str(each) for name, each in made.items() if name not in exporters]
    assert not any("METRICS_PASSWORD" in each for each in others)


@pytest.mark.engine
def test_the_stack_reports_what_is_on(world):
    known, secrets = world.target.settings, [*contract.REPORTS.values()]
    deploy = msgspec.structs.replace(known.deploy, secrets=[*known.deploy.secrets, *secrets])
    on = Monitoring(errors=True, traces=0.5, logs="syslog://192.0.2.7:514")
    world.target.settings = msgspec.structs.replace(known, deploy=deploy, monitoring=on)
    for name in secrets:
        world.target.orchestrator.set_secret(name, "a value")
    made = rendering.render(world.target, world.image()).services
    for name in ("app", "worker", "beat"):
        assert {*secrets} <= {use["source"] for use in made[name]["secrets"]}
        given = made[name]["environment"]
        assert (given["ERRORS"], given["TRACES"]) == ("1", "0.5")
        assert made[name]["logging"]["driver"] == "syslog"
    assert made["db"]["logging"]["driver"] == "local"
    assert not {"ERRORS", "TRACES"} & made["db"]["environment"].keys()


STORED = ["BACKUP_ACCESS_KEY_ID", "BACKUP_SECRET_ACCESS_KEY"]
OURS = ["SECRET_KEY", "POSTGRES_PASSWORD", "DATABASE_PASSWORD", "OWNER_PASSWORD"]


@pytest.mark.engine
@pytest.mark.parametrize("storage", ["", "s3://bucket"])
@pytest.mark.parametrize(
    ("secrets", "source", "target"),
    [
        (OURS, "POSTGRES_PASSWORD", "/run/secrets/POSTGRES_PASSWORD"),
        (["SECRET_KEY", "DATABASE_URL"], "DATABASE_URL", "DATABASE_URL"),
        (["SECRET_KEY", "DATABASE_URL", "OWNER_URL"], "OWNER_URL", "DATABASE_URL"),
    ],
)
def test_backups_have_the_address_of_the_database_and_the_media(
    world, secrets, source, target, storage
):
    known, image = world.target.settings, world.image()
    world.target.registry.put(data.tag(known.services), image.manifest)
    secrets = [*secrets, "REDIS_PASSWORD", *(STORED if storage else [])]
    world.target.settings = msgspec.structs.replace(
        known,
        app=msgspec.structs.replace(known.app, media="media"),
        backup=msgspec.structs.replace(known.backup, every=24, storage=storage),
        deploy=msgspec.structs.replace(known.deploy, secrets=secrets, recipients=["age1a"]),
    )
    for name in secrets:
        world.target.orchestrator.set_secret(name, "a value")
    made = rendering.render(world.target, image)
    service = made.services["backup"]
    uses = {use["source"]: use.get("target") for use in service["secrets"]}
    assert uses.pop(source) == target
    assert sorted(uses) == (STORED if storage else [])
    assert {"CHOWN", "DAC_OVERRIDE", "FOWNER"} == {*service["cap_add"]}
    mounts = {each.get("source"): each["target"] for each in service["volumes"]}
    assert mounts["media"] == "/srv/media"
    assert not {"BACKUP_SECRET_ACCESS_KEY", "OWNER_URL", "OWNER_PASSWORD"} & {
        use["source"] for use in made.services["app"]["secrets"]
    }


@pytest.mark.engine
@pytest.mark.parametrize(("orchestrator", "user"), [("swarm", "0:0"), ("kubernetes", "999:999")])
def test_on_a_cluster_backups_are_made_by_the_user_of_the_database(world, orchestrator, user):
    known, image = world.target.settings, world.image()
    world.target.registry.put(data.tag(known.services), image.manifest)
    world.target.settings = msgspec.structs.replace(
        known,
        backup=msgspec.structs.replace(known.backup, every=24),
        deploy=msgspec.structs.replace(known.deploy, recipients=["age1a"]),
    )
    place = msgspec.structs.replace(world.target.environment, orchestrator=orchestrator)
    world.target.environment = place
    assert rendering.render(world.target, image).services["backup"]["user"] == user
