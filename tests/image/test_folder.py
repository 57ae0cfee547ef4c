"""The image of a project whose manage.py is in a folder of the repository."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.image.conftest import starter
from tests.image.engine import LABELS
from tests.testbed.clones import into_folder
from tests.testbed.commands import docker
from tests.testbed.project import APP

pytestmark = pytest.mark.engine


@pytest.fixture
def image(clone: Path) -> Iterator[str]:
    """The image of the moved project."""
    tag, root = f"folder-test-{uuid.uuid4().hex[:8]}", into_folder(clone, APP.packages, "backend")
    app = msgspec.structs.replace(APP, folder="backend")
    given = app.variables() | {name.upper(): value for name, value in LABELS.items()}
    arguments = [f"--build-arg={name}={value}" for name, value in given.items()]
    docker("build", "--quiet", f"--tag={tag}", *arguments, root)
    yield tag
    docker("image", "rm", "--force", tag)


def test_its_image_serves_and_has_its_static_files(image):
    for start in starter(image, image):
        web = start()
        web.serves()
        assert web.execute("sh", "-c", "cd /app; ls").split() == ["backend", "docker"]
        web.execute("/app/docker/entrypoint", "manage", "migrate", "--verbosity=0")
        web.becomes("healthy")
        web.execute("/app/docker/entrypoint", "static", "/tmp/files")
        assert "error.html" in web.execute("ls", "/tmp/files")
