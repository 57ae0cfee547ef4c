"""Backups and restores of a site in a lab, with S3-compatible storage beside it."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest
import yaml

from tests.testbed.commands import ROOT, docker, output
from tests.testbed.labs import started
from tests.testbed.sites import SLOW

from .conftest import quick
from .test_onehost import OneHost
from .test_truth import other_settings

pytestmark = [pytest.mark.engine, pytest.mark.slow]
# The label of a container that Compose has made, with the folder of its files.
FOLDER = "com.docker.compose.project.working_dir"
ACCESS, SECRET = "an-access-key", "a-secret-key"
SECRETS = {"BACKUP_ACCESS_KEY_ID": ACCESS, "BACKUP_SECRET_ACCESS_KEY": SECRET}
LINKS = "SELECT count(*) FROM myapp_link WHERE code LIKE 'data-%';"


class DataSite(OneHost):
    """A site with backups, whose readers' keys are in files."""

    def set_up(self) -> None:
        super().set_up()
        for name in SECRETS:
            self.must("secrets.set", f"--name={name}")

    def fill(self, rows: int) -> None:
        """Have so many links of ours."""
        self.sql(
            "DELETE FROM myapp_link WHERE code LIKE 'data-%'; INSERT INTO myapp_link "
            "(code, target, created_at, clicks) SELECT 'data-' || n, 'https://example.com/' || n, "
            f"now(), n FROM generate_series(1, {rows}) n;"
        )

    def sql(self, text: str) -> str:
        chosen = f"-f label=deploy.stack={self.stack} -f label=deploy.service=db"
        inner = f"docker exec -i $(docker ps -q {chosen})"
        return self.on("node1", f"{inner} psql -U app -d app -qAtv ON_ERROR_STOP=1", text)

    def identity(self) -> str:
        return f"--identity={self.more['IDENTITY']}"

    def backup(self) -> str:
        """Make a backup; returns its name."""
        return self.must("backup").lines[-1][1]

    def newest(self) -> str:
        """The newest backup that the list shows."""
        return re.findall(r"^\d{8}T\d{6}Z", self.must("backup.list").text, re.MULTILINE)[0]


@contextmanager
def storage(node: str) -> Iterator[str]:
    """An S3 server on a server's network; gives its address."""
    name = f"s3-{uuid.uuid4().hex[:8]}"
    image = docker("build", "--quiet", "--file=docker/data.Dockerfile", ROOT)
    form = "--format={{json .NetworkSettings.Networks}}"
    network = next(iter(json.loads(docker("inspect", form, node))))
    serve = f"rclone serve s3 --addr :9000 --auth-key {ACCESS},{SECRET} /s3"
    words = ["run", "--detach", f"--name={name}", f"--network={network}", "--entrypoint=sh"]
    docker(*words, image, "-c", f"mkdir -p /s3/bucket; exec {serve}")
    try:
        yield f"http://{json.loads(docker('inspect', form, name))[network]['IPAddress']}:9000"
    finally:
        docker("rm", "--force", "--volumes", name)


@pytest.fixture(scope="module")
def lab_site(
    tmp_path_factory: pytest.TempPathFactory, make_clone: Callable[[Path], Path]
) -> Iterator[DataSite]:
    """The app, deployed with backups in a lab of one server without a Swarm."""
    folder = tmp_path_factory.mktemp("data")
    mine, other = (pyrage.x25519.Identity.generate() for _ in range(2))
    (folder / "key.txt").write_text(f"{mine}\n")
    (folder / "other.txt").write_text(f"{other}\n")
    with started(folder / "lab", orchestrator="compose") as lab:
        file = Path(quick(Path(lab["INVOKE_RUNTIME_CONFIG"]), folder / "invoke.yaml"))
        node = docker("ps", "--quiet", f"--filter=name=-lab-{lab['LAB_NAME']}-node1")
        with storage(node) as endpoint:
            settings = yaml.safe_load(file.read_text())
            known = yaml.safe_load((ROOT / "invoke.yaml").read_text())["deploy"]["secrets"]
            third = pyrage.x25519.Identity.generate()
            settings["deploy"] |= {
                "recipients": [str(each.to_public()) for each in (mine, third)],
                "secrets": [*known, *SECRETS],
            }
            place = {"storage": "s3://bucket/backups", "endpoint": endpoint}
            settings["backup"] = {"every": 24, **place}
            file.write_text(yaml.safe_dump(settings))
            made = DataSite(
                make_clone(folder / "clone"), {**lab, "INVOKE_RUNTIME_CONFIG": str(file)},
                more={"IDENTITY": str(folder / "key.txt"), **SECRETS},
            )  # fmt: skip
            made.set_up()
            made.write("myapp/urls.py", SLOW, add=True)
            made.good = made.build("the site")
            made.first = made.must("deploy", f"--ref={made.good}")
            yield made


@pytest.fixture
def site(lab_site: DataSite) -> DataSite:
    """The site, with 300 links of ours."""
    lab_site.fill(300)
    return lab_site


def test_a_restore_brings_the_rows_back_and_can_be_undone(site):
    name = site.backup()
    assert site.newest() == name
    site.fill(2)
    with site.load("/livez") as load:
        done = site.must("restore", f"--from={name}", site.identity(), "--yes")
    assert site.sql(LINKS) == "300"
    assert all("503" in each for each in load.failures), load.failures[:3]
    assert "the site was closed for" in done.text
    site.serves(site.good)
    site.must("restore", "--undo", "--yes")
    assert site.sql(LINKS) == "2"
    site.serves(site.good)


def test_everything_is_restored_from_the_storage_on_a_fresh_server(site):
    name = site.backup()
    site.must("destroy", "--volumes", "--yes")
    site.set_up()
    site.must("deploy", f"--ref={site.good}")
    assert site.sql(LINKS) == "0"
    site.must("restore", f"--from={name}", site.identity(), "--yes")
    assert site.sql(LINKS) == "300"
    site.serves(site.good)


def test_a_drill_proves_the_newest_backup_and_status_shows_it(site):
    name = site.backup()
    done = site.must("restore.drill", site.identity())
    assert f"{name}: " in done.text
    assert f"{name} was restored in a drill" in site.must("status").text


def test_a_key_that_does_not_open_it_changes_nothing(site):
    site.must("backup")
    wrong = site.more["IDENTITY"].replace("key.txt", "other.txt")
    done = site.inv("restore", "--from=latest", f"--identity={wrong}", "--yes")
    assert done.status == 2
    assert "does not open backup" in done.verdict
    assert site.sql(LINKS) == "300"


def test_a_killed_restore_leaves_the_site_as_it_was(site):
    name = site.backup()
    site.fill(5)
    run = site.begin("restore", f"--from={name}", site.identity(), "--yes")
    run.until("checking the app on it")
    run.process.kill()
    run.wait()
    assert site.sql(LINKS) == "5"
    site.must("unlock", "--yes")
    site.must("restore", f"--from={name}", site.identity(), "--yes")
    assert site.sql(LINKS) == "300"


def test_the_backup_of_a_migration_is_a_backup_like_others(site):
    file = "=myapp/migrations/9100_trial.py"
    newest = max(each.stem for each in (ROOT / "myapp/migrations").glob("0*.py"))
    text = (
        "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n"
        f'    dependencies = [("myapp", "{newest}")]\n'
        "    operations = [migrations.RunSQL('DELETE FROM myapp_link')]\n"
    )
    bad = site.build("a migration that deletes", {file: text})
    site.must("deploy", f"--ref={bad}")
    assert site.sql(LINKS) == "0"
    name = site.newest()
    site.must("rollback", "--force=the links are restored next")
    site.must("restore", f"--from={name}", site.identity(), "--yes")
    assert site.sql(LINKS) == "300"
    site.serves(site.good)


def test_a_scrubbed_copy_is_loaded_into_the_app_here(site, tmp_path):
    (tmp_path / "scrub.sql").write_text("UPDATE myapp_link SET target = 'https://example.org/'")
    site.sql("UPDATE myapp_link SET target = 'https://secret.example.com/';")
    copied = site.at(site.env, INVOKE_BACKUP_SCRUB=str(tmp_path / "scrub.sql"))
    try:
        copied.must("db.pull")
        name = docker("ps", "--quiet", f"--filter=label={FOLDER}={site.root}/compose")
        asked = "SELECT count(*), min(target), max(target) FROM myapp_link"
        shown = docker("exec", name, "psql", "-U", "app", "-d", "app", "-qAtc", asked)
        assert shown == "300|https://example.org/|https://example.org/"
    finally:
        output(["./inv", "down", "--volumes", "--yes"], site.root)
    live = site.sql("SELECT DISTINCT target FROM myapp_link;")
    assert live == "https://secret.example.com/"
    left = site.on("node1", "ls /var/lib/docker/volumes/*_backups/_data")
    assert ".copy" not in left


def test_a_protected_environment_asks_for_its_name(site, tmp_path):
    site.backup()
    guarded = other_settings(site, tmp_path, {"protected": True})
    words = ("restore", "--from=latest", site.identity(), "--yes")
    done = guarded.inv(*words)
    assert done.status == 2
    assert "is protected: add --confirm=lab" in done.verdict
    assert guarded.inv("destroy", "--volumes", "--yes").status == 2
    assert "no copy as it is" in guarded.inv("db.pull").verdict
    guarded.must(*words, "--confirm=lab")
