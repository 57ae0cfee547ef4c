"""Continuous archiving of a site in a lab: turned on by a deploy, restored to a second, rotated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest
import yaml

from tests.testbed.commands import ROOT, until
from tests.testbed.labs import started
from tests.testbed.sites import SLOW

from .conftest import quick
from .test_data import LINKS, Data, OnHost

pytestmark = [pytest.mark.engine, pytest.mark.slow]
NOW = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00';"
# What the site's own clients write is not counted.
FORM = "count(*) || ' ' || sum(clicks) || ' ' || max(code)"
ROWS = f"SELECT {FORM} FROM myapp_link WHERE code LIKE 'data-%';"


@pytest.fixture(scope="module")
def lab_site(
    tmp_path_factory: pytest.TempPathFactory, make_clone: Callable[[Path], Path]
) -> Iterator[OnHost]:
    """The app, deployed with backups, but without an archive, in a lab of one server."""
    folder = tmp_path_factory.mktemp("archive")
    reader = pyrage.x25519.Identity.generate()
    with started(folder / "lab", orchestrator="compose") as lab:
        file = Path(quick(Path(lab["INVOKE_RUNTIME_CONFIG"]), folder / "invoke.yaml"))
        settings = yaml.safe_load(file.read_text())
        known = yaml.safe_load((ROOT / "invoke.yaml").read_text())["deploy"]["secrets"]
        both = {"recipients": [str(reader.to_public())], "secrets": [*known, "ARCHIVE_KEY"]}
        settings["deploy"] |= both
        settings["backup"] = {"every": 24, "pitr": False}
        file.write_text(yaml.safe_dump(settings))
        made = OnHost(
            make_clone(folder / "clone"), {**lab, "INVOKE_RUNTIME_CONFIG": str(file)},
            more={"ARCHIVE_KEY": "a-key-of-the-archive"},
        )  # fmt: skip
        super(Data, made).set_up()
        made.must("secrets.set", "--name=ARCHIVE_KEY")
        made.write("myapp/urls.py", SLOW, add=True)
        made.good = made.build("the site")
        made.first = made.must("deploy", f"--ref={made.good}")
        made.fill(300)
        assert "no archive" in made.inv("restore", "--at=latest", "--yes").verdict
        settings["backup"]["pitr"] = True
        file.write_text(yaml.safe_dump(settings))
        yield made


@pytest.fixture(scope="module")
def archived(lab_site: OnHost) -> OnHost:
    """The site with an archive, which a planned deploy has turned on."""
    assert "the registry lacks the database" in lab_site.inv("deploy", "--plan").verdict
    lab_site.good = lab_site.build("with an archive")
    shown = lab_site.must("deploy", "--plan", f"--ref={lab_site.good}").text
    assert "db changes: it stops before the new one starts" in shown
    lab_site.must("deploy", f"--ref={lab_site.good}")
    assert lab_site.sql(LINKS) == "300"
    until(lambda: "archive: from 2" in lab_site.inv("status").text, 240, 2)
    return lab_site


def test_a_site_is_restored_to_the_second_before_a_delete_and_back(archived):
    archived.fill(300)
    with archived.load("/") as load:
        until(lambda: load.done.total() > 20)
        rows, second = archived.sql(ROWS), archived.sql(NOW)
        archived.sql("DELETE FROM myapp_link;")
        assert archived.sql(LINKS) == "0"
        done = archived.must("restore", f"--at={second}", "--yes")
    assert archived.sql(ROWS) == rows
    assert "its last transaction: " in done.text
    assert "the site was closed for" in done.text
    archived.serves(archived.good)
    archived.must("restore", "--undo", "--yes")
    assert archived.sql(LINKS) == "0"
    archived.serves(archived.good)


def test_a_point_that_is_none_changes_nothing(archived):
    for at, why in (("2026-11-26 14:03:05", "no time zone"), ("2099-01-01Z", "no time")):
        done = archived.inv("restore", f"--at={at}", "--yes")
        assert done.status == 2
        assert why in done.verdict
    done = archived.inv("restore", "--at=2001-01-01T00:00:00Z", "--yes")
    assert "the archive begins at" in done.verdict
    archived.serves(archived.good)


def test_a_drill_proves_a_point_in_time_and_status_shows_it(archived):
    archived.must("restore.drill", "--at=latest")
    assert "drill: 0 min ago" in archived.must("status").text


def test_the_superusers_password_is_rotated_without_a_failed_request(archived):
    database = archived.tasks("db")
    with archived.load("/livez") as load:
        done = archived.must("secrets.rotate", "--name=POSTGRES_PASSWORD")
    assert "setting up the database's roles" in done.text
    assert load.failures == []
    assert archived.tasks("db") == database
    archived.backup()
    archived.must("restore.drill", "--at=latest")
    archived.must("rollback")
    archived.backup()
