"""Secrets: set, listed, removed; the registry's login is kept in no file."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .support import Site

pytestmark = [pytest.mark.engine, pytest.mark.slow]
NAME = "API_KEY"


@pytest.fixture
def knows(site: Site, tmp_path: Path) -> Iterator[Site]:
    """The site, of whose secrets one more is known, that nothing uses."""
    content = site.settings
    names = [*yaml.safe_load((site.root / "invoke.yaml").read_text())["deploy"]["secrets"], NAME]
    file = tmp_path / "invoke.yaml"
    file.write_text(yaml.safe_dump({**content, "deploy": {"secrets": names}}))
    yield site.at(site.env, INVOKE_RUNTIME_CONFIG=str(file))
    own = f"docker secret ls --format '{{{{.Name}}}}' | grep ^{site.stack}_{NAME}_"
    site.on("node1", f"{own} | xargs -r docker secret rm")


def test_a_secret_has_versions_and_goes_with_all_of_them(knows):
    knows.must("secrets.set", f"--name={NAME}", "--random")
    knows.must("secrets.set", f"--name={NAME}", **{NAME: "second"})
    assert f"{knows.stack}_{NAME}_v2" in knows.must("secrets.list").text
    unsure = knows.inv("secrets.remove", f"--name={NAME}")
    assert unsure.status == 2
    done = knows.must("secrets.remove", f"--name={NAME}", "--yes")
    assert f"deleted {knows.stack}_{NAME}_v2, {knows.stack}_{NAME}_v1" in done.text
    gone = knows.inv("secrets.remove", f"--name={NAME}", "--yes")
    assert gone.status == 2
    assert f"has no secret '{NAME}'" in gone.verdict


@pytest.mark.parametrize(
    ("words", "says"),
    [(["--name=SECRETKEY"], "no secret is called"), (["--name=SECRET_KEY"], "SECRET_KEY is empty")],
)
def test_a_secret_that_cannot_be_set_is_refused(site, words, says):
    done = site.inv("secrets.set", *words, SECRET_KEY="")
    assert done.status == 2
    assert says in done.verdict
    assert site.lock == ""


def test_the_login_to_the_registry_is_in_no_file_of_a_server(site):
    user, password = site.lab["CI_REGISTRY_USER"], site.lab["CI_REGISTRY_PASSWORD"]
    pair = b64encode(f"{user}:{password}".encode()).decode()
    script = "grep -rlF -f - /home /root /tmp /var/tmp /etc 2>/dev/null || true"
    for node in site.nodes:
        assert site.on(node, script, f"{password}\n{pair}") == ""
        assert site.on(node, "ls -d /home/deploy/.docker /root/.docker 2>/dev/null || true") == ""
