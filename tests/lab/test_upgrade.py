"""A database's move to PostgreSQL 18, of a site in a lab of one server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest
import yaml

from tests.testbed import postgres
from tests.testbed.commands import ROOT
from tests.testbed.labs import started
from tests.testbed.sites import SLOW

from .conftest import quick
from .test_data import LINKS, Data, OnHost

pytestmark = [pytest.mark.engine, pytest.mark.slow]
VERSION = "SHOW server_version;"


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, make_clone: Callable[[Path], Path]
) -> Iterator[OnHost]:
    """The app, deployed with PostgreSQL 17; its settings say 18 now."""
    folder = tmp_path_factory.mktemp("upgrade")
    postgres.ensure(folder)
    clone, reader = make_clone(folder / "clone"), pyrage.x25519.Identity.generate()
    settings = clone / "invoke.yaml"
    text = settings.read_text()
    # The lab's mirror of Docker Hub has the images of both versions.
    settings.write_text(text.replace("  postgres: 17\n", "  postgres: 18\n"))
    with started(folder / "lab", orchestrator="compose", root=clone) as lab:
        settings.write_text(text)
        file = Path(quick(Path(lab["INVOKE_RUNTIME_CONFIG"]), folder / "invoke.yaml"))
        mine = yaml.safe_load(file.read_text())
        known = yaml.safe_load((ROOT / "invoke.yaml").read_text())["deploy"]["secrets"]
        mine["deploy"] |= {"recipients": [str(reader.to_public())], "secrets": known}
        mine |= {"backup": {"every": 24}, "services": {"postgres": 17}}
        file.write_text(yaml.safe_dump(mine))
        made = OnHost(clone, {**lab, "INVOKE_RUNTIME_CONFIG": str(file)})
        super(Data, made).set_up()
        made.write("myapp/urls.py", SLOW, add=True)
        made.good = made.build("the site")
        made.first = made.must("deploy", f"--ref={made.good}")
        made.fill(300)
        mine["services"] = {"postgres": 18}
        file.write_text(yaml.safe_dump(mine))
        yield made


def test_a_database_is_upgraded_and_a_person_can_go_back(site):
    refused = site.inv("deploy", f"--ref={site.good}")
    assert refused.status == 2
    assert "PostgreSQL 17 runs, and services.postgres in invoke.yaml is 18" in refused.verdict
    assert "the registry lacks the tools for backups" in site.inv("db.upgrade", "--yes").verdict
    assert site.sql(VERSION).startswith("17")
    site.must("build", "--push")
    with site.load("/livez") as load:
        done = site.must("db.upgrade", "--yes")
    assert [each for each in load.failures if "503" not in each] == []
    assert "rehearsing" in done.text
    assert site.sql(VERSION).startswith("18")
    assert site.sql(LINKS) == "300"
    site.serves(site.good)
    assert f"docker volume rm {site.stack}_db on " in site.must("status").text
    site.fill(320)
    assert "nothing to do" in site.must("deploy", f"--ref={site.good}").text
    volumes = site.on("node1", "docker volume ls --format '{{.Name}}'").split()
    assert {f"{site.stack}_db", f"{site.stack}_db18"} <= {*volumes}
    inspected = json.loads(site.on("node1", f"docker inspect $(docker ps -q {site.box('db')})"))
    mounts = {each["Name"] for each in inspected[0]["Mounts"] if each["Type"] == "volume"}
    assert f"{site.stack}_db18" in mounts
    site.backup()
    # Back to the old server, with the data of then: only on purpose.
    assert site.inv("rollback").status == 2
    site.must("rollback", "--force=18 is slower")
    assert site.sql(VERSION).startswith("17")
    assert site.sql(LINKS) == "300"
    assert f"docker volume rm {site.stack}_db18 on " in site.inv("status").text
    site.serves(site.good)
