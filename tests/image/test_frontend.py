"""A front-end is built in an image of its own, and its files become static files of the app."""

from __future__ import annotations

import uuid
from pathlib import Path

import msgspec
import pytest

from tasks.lib.project.app_settings import Frontend
from tests.testbed.commands import docker
from tests.testbed.project import APP

pytestmark = pytest.mark.engine
# Any image can build a front-end; this one is here.
BASE = "python:3.13-slim-trixie"
COMMAND = "mkdir dist && sed s/red/blue/ site.css >dist/built.css"


@pytest.mark.parametrize("folder", ["frontend", "."])
def test_what_the_command_writes_is_collected(clone: Path, folder: str):
    (clone / folder).mkdir(exist_ok=True)
    (clone / folder / "site.css").write_text("a { color: red }")
    with (clone / f"{APP.packages[0]}/settings/base.py").open("a") as settings:
        settings.write(f'\nSTATICFILES_DIRS = [BASE_DIR / "{folder}/dist"]\n')
    app = msgspec.structs.replace(APP, frontend=Frontend(folder, BASE, COMMAND, "dist"))
    arguments = [f"--build-arg={name}={value}" for name, value in app.variables().items()]
    tag = f"frontend-test-{uuid.uuid4().hex[:8]}"
    try:
        docker("build", "--quiet", f"--tag={tag}", *arguments, clone)
        shown = docker(
            "run", "--rm", "--entrypoint=sh", tag, "-c", "cat static/built.????????????.css"
        )
        assert shown == "a { color: blue }"
    finally:
        docker("image", "rm", "--force", tag)
