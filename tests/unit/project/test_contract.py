"""What tasks/ relies on is what the image, the Compose files and the app have."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
import yaml

from tasks.lib.deploys import database
from tasks.lib.project import contract
from tasks.lib.project.app_settings import Frontend
from tests.testbed.commands import ROOT
from tests.testbed.project import APP

ROLES = (contract.MANAGE, contract.STATIC, contract.WAIT)
JOBS = (contract.CHECK, contract.PENDING, contract.MIGRATE, contract.JOBS)
# The pipeline's files: the same in every project. The others are the project's own, or tests of it.
PIPELINE = ("inv", "tasks", "docker", "Dockerfile", "compose", "lab", ".ci", ".github")
FILES = (".gitlab-ci.yml", ".dockerignore", ".yamllint", "pyproject.toml", "requirements/tasks.in")


FRONTEND = Frontend("frontend", "node", "npm run build", "dist")


class Loader(yaml.SafeLoader):
    """Reads Compose files, whose own tags do not matter here."""


Loader.add_multi_constructor("!", lambda *_: None)


def text(name: str) -> str:
    return (ROOT / name).read_text()


def compose(name: str) -> dict[str, Any]:
    return dict(yaml.load(text(f"compose/{name}.yml"), Loader))


def test_no_file_of_the_pipeline_names_the_project():
    words = ["git", "grep", "-n", "-i", "-w", "-E", f"{'|'.join(APP.packages)}"]
    found = subprocess.run(
        [*words, "--", *PIPELINE, *FILES], cwd=ROOT, capture_output=True, text=True
    )
    assert found.stdout == ""
    assert subprocess.run([*words, "--", "invoke.yaml"], cwd=ROOT, capture_output=True).stdout


def test_the_image_starts_with_the_entrypoint():
    assert f'"{contract.ENTRYPOINT}"]' in text("Dockerfile")
    assert (ROOT / contract.ENTRYPOINT.removeprefix("/app/")).is_file()


@pytest.mark.parametrize("role", [*ROLES, *JOBS])
def test_the_entrypoint_has_the_role(role):
    assert f"\n{role})\n" in text("docker/entrypoint")


def test_the_services_are_those_of_the_compose_files():
    services = {contract.APP, contract.WORKER, contract.DATABASE, contract.REDIS}
    assert services <= set(compose("base")["services"])


def test_no_file_publishes_the_port_of_metrics_and_no_proxy_asks_it():
    for file in sorted((ROOT / "compose").glob("*.yml")):
        services = dict(yaml.load(file.read_text(), Loader)).get("services") or {}
        ports = [port for each in services.values() for port in (each or {}).get("ports") or []]
        assert str(contract.METRICS) not in str(ports)
    assert str(contract.METRICS) not in text("docker/Caddyfile") + text("Dockerfile")


def test_the_volumes_are_where_a_deploy_writes_to_them():
    services = compose("server")["services"]
    static = f"{contract.STATIC_FILES}:{contract.STATIC_FOLDER}:ro"
    assert static in services["proxy"]["volumes"]
    backups = f"{contract.BACKUPS}:{contract.BACKUPS_FOLDER}"
    assert backups in services[contract.DATABASE]["volumes"]


def test_the_owner_of_the_schema_has_a_secret_that_no_service_of_the_stack_gets():
    settings, server = yaml.safe_load(text("invoke.yaml")), text("compose/server.yml")
    app = compose("server")["services"]["app"]
    sources = [use["source"] for use in app["secrets"]]
    assert contract.LOGIN in sources and contract.REDIS_LOGIN not in contract.OTHERS
    assert {contract.URL, contract.OWNER} <= app["environment"].keys()
    owner = contract.OWNERS[contract.LOGIN]
    assert {owner, database.SUPERUSER} <= contract.OTHERS
    assert owner in settings["deploy"]["secrets"]
    assert f"source: {owner}" not in server and "source: POSTGRES_PASSWORD, target" not in server
    for kind in database.KINDS.values():
        assert f"GRANT {kind} TO" in text("docker/roles.sql")


def test_what_is_on_disk_stays_on_the_node_with_the_label():
    services = compose("server")["services"]
    for name in ("proxy", contract.DATABASE, contract.REDIS):
        (constraint,) = services[name]["deploy"]["placement"]["constraints"]
        assert constraint.endswith(f" == {contract.HOME}")


def test_the_dockerfile_and_the_compose_files_take_every_name():
    names = {*APP.variables(), *FRONTEND.variables()}
    taken = {name for line in re.findall(r"^ARG (.+)", text("Dockerfile"), re.M)
             for name in re.findall(r"\b(?:APP_\w+|PYTHON_VERSION)", line)}  # fmt: skip
    assert taken == names
    assert set(compose("build")["services"]["app"]["build"]["args"]) == names


def test_what_docker_reads_of_the_app_is_in_the_image():
    baked = set(re.findall(r"^(?:ENV)? +(APP_\w+)=", text("Dockerfile"), re.M))
    read = set()
    for file in (ROOT / "docker").iterdir():
        if file.name != "sources" and file.is_file():
            read |= set(re.findall(r"\bAPP_[A-Z_]+", file.read_text()))
    assert read and read <= baked | set(re.findall(r"^ENV (APP_\w+)=", text("Dockerfile"), re.M))


@pytest.mark.parametrize("probe", [APP.probes.live, APP.probes.ready])
def test_the_probes_are_those_that_the_app_answers(probe):
    assert f'"{probe}"' in text(f"{APP.paths[0]}/probes.py")
