"""Each page of docs/recipes is done to a new project, and its commands are run there."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tasks.lib.app import contract_check
from tasks.lib.deploys import rendering
from tasks.lib.errors import TaskError
from tasks.lib.orchestrators.compose import rendering as onehost
from tasks.lib.orchestrators.stack import Stack
from tasks.lib.orchestrators.swarm import rendering as swarm
from tests.orchestrators.world import World, memory_world
from tests.testbed import recipes
from tests.testbed.commands import ROOT, environment, git
from tests.testbed.projects import NOWHERE


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with memory_world(tmp_path) as made:
        yield made


@pytest.fixture
def stack(world: World, project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Stack]:
    """Renders the stack of the project for an environment, on a Swarm and on one host alike."""
    monkeypatch.setattr(rendering, "ROOT", project)
    target, image = world.target, world.image()

    def render(name: str = "staging", **changed: Any) -> Stack:
        own = recipes.settings(project)
        deploy = msgspec.structs.replace(own.deploy, **changed)
        target.settings = msgspec.structs.replace(own, deploy=deploy)
        target.environment = own.environment(name)
        for each in deploy.secrets:
            target.orchestrator.set_secret(each, "a value")
        made = []
        for kind in (swarm, onehost):
            render = partial(named, kind.render)
            monkeypatch.setattr(target.orchestrator, "render", render)
            made.append(rendering.render(target, image))
        assert given(made[0]) == given(made[1])
        return made[0]

    return render


def named(render: Callable[..., Stack], config: Any, image: str, secrets: Any) -> Stack:
    return render(config, "shop-staging", image, secrets)


def given(stack: Stack) -> dict[str, Any]:
    """What the services have that is the same whatever runs them."""
    keys = ("image", "command", "environment", "secrets")
    return {name: [each.get(key) for key in keys] for name, each in stack.services.items()}


@pytest.mark.parametrize("page", [page.stem for page in recipes.PAGES])
def test_a_page_fits_a_new_project_which_keeps_its_contract(project, page):
    recipes.done_to(project, page)
    found = contract_check.check(recipes.settings(project), project)
    assert [each for each in found if "requirements/" not in each.key] == []


@pytest.mark.slow
@pytest.mark.parametrize("page", [page.stem for page in recipes.PAGES])
def test_the_commands_of_a_page_end_well(project, page):
    lines = recipes.done_to(project, page)
    if "./inv requirements" in lines:
        # An environment of its own: what is lent here keeps its packages.
        shutil.rmtree(project / ".inv/app")
    for line in lines:
        words = ["sh", "-euc", line]
        env = environment(**NOWHERE)
        done = subprocess.run(words, cwd=project, env=env, capture_output=True, text=True)
        assert done.returncode == 0 or line == "./inv doctor", line + done.stdout + done.stderr
        assert "app  " not in done.stdout or re.search(r"^ok +app ", done.stdout, re.M), done.stdout
    assert git(project, "log", "-1", "--format=%s") == page


def test_a_hunk_that_does_not_fit_is_noticed():
    assert recipes.changed("a\nb\nc\n", " a\n-b\n+d\n@@\n c\n+e\n") == "a\nd\nc\ne\n"
    with pytest.raises(AssertionError, match="0 times"):
        recipes.changed("a\n", "-b\n")


@pytest.mark.engine
def test_a_variable_has_the_value_of_its_environment(project, stack):
    recipes.done_to(project, "variable")
    for name, host in (("staging", "smtp.example.com"), ("prod", "localhost")):
        services = stack(name).services
        for each in ("app", "worker", "beat"):
            assert services[each]["environment"]["EMAIL_HOST"] == host
            assert services[each]["environment"]["WEB_PROCESSES"] == "4"


EXTERNAL = ["SECRET_KEY", "DATABASE_URL", "OWNER_URL", "REDIS_PASSWORD", "API_KEY"]


@pytest.mark.engine
@pytest.mark.parametrize("secrets", [None, EXTERNAL])
def test_a_secret_reaches_the_app_whatever_the_database(project, stack, secrets):
    recipes.done_to(project, "secret")
    made = stack(**({"secrets": secrets} if secrets else {}))
    ours = {"SECRET_KEY", "DATABASE_URL" if secrets else "DATABASE_PASSWORD"}
    for each in ("app", "worker", "beat"):
        uses = {use["source"]: use for use in made.services[each]["secrets"]}
        assert {*uses} == {*ours, "REDIS_PASSWORD", "API_KEY"}
        assert uses["API_KEY"] == {**uses["SECRET_KEY"], "source": "API_KEY",
                                   "target": "/run/secrets/API_KEY"}  # fmt: skip
    assert ("db" in made.services) is not bool(secrets)
    assert made.content["secrets"]["API_KEY"]["name"]


@pytest.mark.engine
def test_a_second_queue_has_workers_of_its_own(project, stack):
    recipes.done_to(project, "second-queue")
    services = stack().services
    assert services["mail"]["environment"]["WORKER_QUEUES"] == "mail"
    assert services["mail"]["deploy"]["replicas"] == 2
    assert "WORKER_QUEUES" not in services["worker"]["environment"]


@pytest.mark.engine
@pytest.mark.parametrize("secrets", [None, ["SECRET_KEY", "DATABASE_URL"]])
def test_without_redis_neither_it_nor_its_password_is_in_the_stack(project, stack, secrets):
    recipes.done_to(project, "no-redis")
    made = stack(**({"secrets": secrets} if secrets else {}))
    assert {*made.services} == {"proxy", "app"} | ({"db"} if not secrets else set())
    assert "REDIS" not in made.text()


@pytest.mark.engine
def test_a_process_that_sleeps_keeps_its_command(project, stack):
    page = (ROOT / "docs/recipes/cron.md").read_text()
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.M | re.S)
    recipes.done_to(project, "no-redis")
    file = project / "invoke.yaml"
    file.write_text(file.read_text().replace("processes: {}\n", block))
    command = stack().services["sessions"]["command"]
    assert command == [
        "sh", "-c", "while sleep 86400; do docker/entrypoint manage clearsessions; done"
    ]  # fmt: skip


@pytest.mark.engine
def test_media_are_on_a_volume_that_the_proxy_serves(project, stack):
    recipes.done_to(project, "media")
    services = stack().services
    mounts = {
        name: (each["target"], bool(each.get("read_only")))
        for name in services
        for each in services[name]["volumes"]
        if each.get("source") == "media"
    }
    own = dict.fromkeys(("app", "worker", "beat"), ("/app/media", False))
    assert mounts == {**own, "proxy": ("/srv/media", True)}
    with pytest.raises(TaskError, match="prod has several servers"):
        stack("prod")


@pytest.mark.slow
def test_a_front_end_has_the_styles_that_templates_name(project):
    lines = [line for line in recipes.done_to(project, "frontend") if line.startswith("npm ")]
    for line in lines:
        subprocess.run(line.split(), cwd=project, check=True, capture_output=True)
    assert ".antialiased" in (project / "dist/tailwind.css").read_text()
    frontend = recipes.settings(project).app.frontend
    assert frontend and (project / frontend.folder / frontend.output).samefile(project / "dist")


@pytest.mark.engine
def test_valkey_is_where_redis_was_with_a_volume_of_its_own(project, stack):
    before = stack().services
    recipes.done_to(project, "valkey")
    services = stack().services
    assert {*services} == {*before}
    assert services["redis"]["image"].startswith("valkey/valkey:")
    assert services["redis"]["environment"] == {"REDIS": "valkey"}
    assert [each["source"] for each in services["redis"]["volumes"] if "source" in each] == [
        "valkey"
    ]
    same = ("command", "secrets", "healthcheck")
    assert [services["redis"][key] for key in same] == [before["redis"][key] for key in same]
    url = "redis://default@redis:6379/0"
    assert services["app"]["environment"]["REDIS_URL"] == url


@pytest.mark.engine
def test_mysql_is_external_on_servers_or_refused(project, stack):
    recipes.done_to(project, "mysql")
    made = stack()
    assert {*made.services} == {"proxy", "app", "worker", "beat", "redis"}
    for each in ("app", "worker", "beat"):
        assert not made.services[each]["environment"].get("DATABASE_URL")
        sources = [use["source"] for use in made.services[each]["secrets"]]
        assert sources == ["SECRET_KEY", "DATABASE_URL", "REDIS_PASSWORD"]
    assert "OWNER_URL" in made.content["secrets"]
    with pytest.raises(TaskError, match="no server runs MariaDB"):
        stack(secrets=["SECRET_KEY", "REDIS_PASSWORD"])


@pytest.mark.engine
def test_rabbitmq_stands_beside_redis_with_a_password_of_its_own(project, stack):
    before = {*stack().services}
    recipes.done_to(project, "rabbitmq")
    services = stack().services
    assert {*services} == before | {"rabbitmq"}
    for each in ("app", "worker", "beat"):
        assert services[each]["environment"]["AMQP_URL"] == "amqp://app@rabbitmq:5672//"
        sources = {use["source"] for use in services[each]["secrets"]}
        assert {"REDIS_PASSWORD", "RABBITMQ_PASSWORD"} <= sources
    assert [use["source"] for use in services["rabbitmq"]["secrets"]] == ["RABBITMQ_PASSWORD"]
    assert services["rabbitmq"]["environment"] == {}
