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
import yaml

from tasks.lib.app import contract_check
from tasks.lib.deploys import rendering
from tasks.lib.errors import TaskError
from tasks.lib.orchestrators.compose import rendering as onehost
from tasks.lib.orchestrators.stack import Stack
from tasks.lib.orchestrators.swarm import rendering as swarm
from tasks.lib.project.settings import INVOKE, Settings
from tests.orchestrators.world import World, memory_world
from tests.testbed import clones, projects
from tests.testbed.commands import ROOT, environment, git
from tests.testbed.projects import NOWHERE

PAGES = sorted((ROOT / "docs/recipes").glob("[a-z]*.md"))
# A line that only names a file, and the block after it: a change of that file, or its text.
BLOCK = re.compile(r"^`([\w./-]+)`:\n\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Tasks that need neither servers nor an engine.
HERE = {"doctor", "format", "lint", "manage", "migrations", "requirements", "test", "types"}


def done_to(root: Path, page: str) -> list[str]:
    """Change a project as a page says. Returns the page's commands that can be run here."""
    text = (ROOT / f"docs/recipes/{page}.md").read_text("utf-8")
    lines = "".join(SHELL.findall(text)).splitlines()
    for line in (line for line in lines if not line.startswith("./inv ")):
        subprocess.run(line, shell=True, cwd=root, check=True)
    for name, kind, block in BLOCK.findall(text):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if kind == "diff":
            file.write_text(changed(file.read_text("utf-8"), block), "utf-8")
        else:
            assert not file.exists(), f"{name} is here already"
            file.write_text(block, "utf-8")
    clones.commit(root, page)
    return [line for line in lines if re.match(rf"\./inv ({'|'.join(HERE)})\b", line)]


def changed(text: str, block: str) -> str:
    """Return a text with the hunks of a diff, each of which must fit in one place."""
    for hunk in block.split("@@\n"):
        old, new = ("".join(each[1:] for each in hunk.splitlines(keepends=True)
                            if each[0] in signs) for signs in (" -", " +"))  # fmt: skip
        assert text.count(old) == 1, f"{text.count(old)} times in the file: {old}"
        text = text.replace(old, new)
    return text


def settings(root: Path) -> Settings:
    known = yaml.safe_load((root / "invoke.yaml").read_text("utf-8"))
    return msgspec.convert({key: v for key, v in known.items() if key not in INVOKE}, Settings)


@pytest.fixture(scope="session")
def shop(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new project, as it is."""
    return projects.new(template, tmp_path_factory.mktemp("recipes") / "shop")


@pytest.fixture
def project(shop: Path, tmp_path: Path) -> Path:
    """A new project to change."""
    root = tmp_path / "shop"
    shutil.copytree(shop, root, symlinks=True, ignore=shutil.ignore_patterns(".inv"))
    clones.lend_venv(root)
    return root


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
        own = settings(project)
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


@pytest.mark.parametrize("page", [page.stem for page in PAGES])
def test_a_page_fits_a_new_project_which_keeps_its_contract(project, page):
    done_to(project, page)
    found = contract_check.check(settings(project), project)
    assert [each for each in found if "requirements/" not in each.key] == []


@pytest.mark.slow
@pytest.mark.parametrize("page", [page.stem for page in PAGES])
def test_the_commands_of_a_page_end_well(project, page):
    for line in done_to(project, page):
        words = ["sh", "-euc", line]
        env = environment(**NOWHERE)
        done = subprocess.run(words, cwd=project, env=env, capture_output=True, text=True)
        assert done.returncode == 0 or line == "./inv doctor", line + done.stdout + done.stderr
        assert "app  " not in done.stdout or re.search(r"^ok +app ", done.stdout, re.M), done.stdout
    assert git(project, "log", "-1", "--format=%s") == page


def test_a_hunk_that_does_not_fit_is_noticed():
    assert changed("a\nb\nc\n", " a\n-b\n+d\n@@\n c\n+e\n") == "a\nd\nc\ne\n"
    with pytest.raises(AssertionError, match="0 times"):
        changed("a\n", "-b\n")


@pytest.mark.engine
def test_a_variable_has_the_value_of_its_environment(project, stack):
    done_to(project, "variable")
    for name, host in (("staging", "smtp.example.com"), ("prod", "localhost")):
        services = stack(name).services
        for each in ("app", "worker", "beat"):
            assert services[each]["environment"]["EMAIL_HOST"] == host
            assert services[each]["environment"]["WEB_PROCESSES"] == "4"


EXTERNAL = ["SECRET_KEY", "DATABASE_URL", "OWNER_URL", "REDIS_PASSWORD", "API_KEY"]


@pytest.mark.engine
@pytest.mark.parametrize("secrets", [None, EXTERNAL])
def test_a_secret_reaches_the_app_whatever_the_database(project, stack, secrets):
    done_to(project, "secret")
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
    done_to(project, "second-queue")
    services = stack().services
    assert services["mail"]["environment"]["WORKER_QUEUES"] == "mail"
    assert services["mail"]["deploy"]["replicas"] == 2
    assert "WORKER_QUEUES" not in services["worker"]["environment"]


@pytest.mark.engine
@pytest.mark.parametrize("secrets", [None, ["SECRET_KEY", "DATABASE_URL"]])
def test_without_redis_neither_it_nor_its_password_is_in_the_stack(project, stack, secrets):
    done_to(project, "no-redis")
    made = stack(**({"secrets": secrets} if secrets else {}))
    assert {*made.services} == {"proxy", "app"} | ({"db"} if not secrets else set())
    assert "REDIS" not in made.text()


@pytest.mark.engine
def test_a_process_that_sleeps_keeps_its_command(project, stack):
    page = (ROOT / "docs/recipes/cron.md").read_text()
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.M | re.S)
    done_to(project, "no-redis")
    file = project / "invoke.yaml"
    file.write_text(file.read_text().replace("processes: {}\n", block))
    command = stack().services["sessions"]["command"]
    assert command == [
        "sh", "-c", "while sleep 86400; do docker/entrypoint manage clearsessions; done"
    ]  # fmt: skip


@pytest.mark.engine
def test_media_are_on_a_volume_that_the_proxy_serves(project, stack):
    done_to(project, "media")
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
