"""Backups and restores of a site in a lab, with S3-compatible storage beside it."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import shutil
import signal
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest
import yaml

from tests.testbed.commands import ROOT, docker, output, until
from tests.testbed.labs import started
from tests.testbed.onehost import OneHost
from tests.testbed.runs import Run
from tests.testbed.sites import SLOW, Site

from .conftest import quick
from .test_external import ROLE, postgres
from .test_truth import other_settings

pytestmark = [pytest.mark.engine, pytest.mark.slow]
# The label of a container that Compose has made, with the folder of its files.
FOLDER = "com.docker.compose.project.working_dir"
ACCESS, SECRET = "an-access-key", "a-secret-key"
SECRETS = {"BACKUP_ACCESS_KEY_ID": ACCESS, "BACKUP_SECRET_ACCESS_KEY": SECRET}
LINKS = "SELECT count(*) FROM myapp_link WHERE code LIKE 'data-%';"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
IMAGE = (
    "from django.core.files.base import ContentFile; from myapp.models import Link; "
    f"link = Link.objects.get(code='data-1'); link.image = ContentFile({PNG!r}, 'a.png'); "
    "link.save()"
)
MADE = """
from django.db import migrations

class Migration(migrations.Migration):
    dependencies = [("myapp", "%s")]
    operations = [migrations.RunSQL("CREATE TABLE made (id int)", "DROP TABLE made")]
"""


class Data(Site):
    """A site with backups, whose readers' keys are in files, and their storage."""

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

    def identity(self) -> str:
        return f"--identity={self.more['IDENTITY']}"

    def backup(self) -> str:
        """Make a backup; returns its name."""
        return self.must("backup").lines[-1][1]

    def newest(self) -> str:
        """The newest backup that the list shows."""
        return re.findall(r"^\d{8}T\d{6}Z", self.must("backup.list").text, re.MULTILINE)[0]

    def back(self, name: str) -> Run:
        """Restore a backup."""
        return self.must("restore", f"--from={name}", self.identity(), "--yes")

    def volume(self, name: str) -> str:
        """The folder of a volume on its server."""
        return f"/var/lib/docker/volumes/{self.stack}_{name}/_data"


class OnSwarm(Data):
    """On a Swarm of one server."""


class OnHost(Data, OneHost):
    """On one server without a Swarm."""


@contextmanager
def storage(node: str) -> Iterator[tuple[str, str]]:
    """An S3 server on a server's network; gives its address, and its container."""
    name = f"s3-{uuid.uuid4().hex[:8]}"
    image = docker("build", "--quiet", "--file=docker/data.Dockerfile", ROOT)
    form = "--format={{json .NetworkSettings.Networks}}"
    network = next(iter(json.loads(docker("inspect", form, node))))
    serve = f"rclone serve s3 --dir-cache-time=1s --addr :9000 --auth-key {ACCESS},{SECRET} /s3"
    words = ["run", "--detach", f"--name={name}", f"--network={network}", "--entrypoint=sh"]
    docker(*words, image, "-c", f"mkdir -p /s3/bucket; exec {serve}")
    try:
        address = json.loads(docker("inspect", form, name))[network]["IPAddress"]
        yield f"http://{address}:9000", name
    finally:
        docker("rm", "--force", "--volumes", name)


@contextmanager
def deployed_data(
    folder: Path, make_clone: Callable[[Path], Path], kind: type[Data], orchestrator: str
) -> Iterator[Data]:
    """The app with uploads, deployed with backups in a lab of one server."""
    mine, other, third = (pyrage.x25519.Identity.generate() for _ in range(3))
    (folder / "key.txt").write_text(f"{mine}\n")
    (folder / "other.txt").write_text(f"{other}\n")
    with started(folder / "lab", nodes=1, orchestrator=orchestrator) as lab:
        file = Path(quick(Path(lab["INVOKE_RUNTIME_CONFIG"]), folder / "invoke.yaml"))
        node = docker("ps", "--quiet", f"--filter=name=-lab-{lab['LAB_NAME']}-node1")
        with storage(node) as (endpoint, server):
            settings = yaml.safe_load(file.read_text())
            known = yaml.safe_load((ROOT / "invoke.yaml").read_text())["deploy"]["secrets"]
            settings["deploy"] |= {
                "recipients": [str(each.to_public()) for each in (mine, third)],
                "secrets": [*known, *SECRETS],
            }
            settings["app"] = {"media": "media"}
            place = {"storage": "s3://bucket/backups", "endpoint": endpoint}
            settings["backup"] = {"every": 24, **place}
            file.write_text(yaml.safe_dump(settings))
            made = kind(
                make_clone(folder / "clone"), {**lab, "INVOKE_RUNTIME_CONFIG": str(file)},
                more={"IDENTITY": str(folder / "key.txt"), "S3": server, **SECRETS},
            )  # fmt: skip
            made.set_up()
            made.write("myapp/urls.py", SLOW, add=True)
            made.good = made.build("the site")
            made.first = made.must("deploy", f"--ref={made.good}")
            yield made


@pytest.fixture(scope="module")
def on_host(
    tmp_path_factory: pytest.TempPathFactory, make_clone: Callable[[Path], Path]
) -> Iterator[Data]:
    """The site on one Docker host."""
    folder = tmp_path_factory.mktemp("data")
    with deployed_data(folder, make_clone, OnHost, "compose") as made:
        yield made


@pytest.fixture(scope="module")
def on_swarm(
    tmp_path_factory: pytest.TempPathFactory, make_clone: Callable[[Path], Path]
) -> Iterator[Data]:
    """The site on a Swarm."""
    folder = tmp_path_factory.mktemp("data")
    with deployed_data(folder, make_clone, OnSwarm, "swarm") as made:
        yield made


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Data:
    """The site, with 300 links of ours; on one Docker host unless a test is marked `either`."""
    kind = "on_swarm" if getattr(request, "param", "") == "deployed" else "on_host"
    made: Data = request.getfixturevalue(kind)
    if made.versions() != {made.good} or made.lock:
        made.must("unlock", "--yes")
        made.must("deploy", f"--ref={made.good}")
    made.fill(300)
    return made


@pytest.mark.either
def test_a_restore_brings_the_rows_back_and_can_be_undone(site):
    name = site.backup()
    assert site.newest() == name
    shared = f"docker exec $(docker ps -q {site.box('db')}) df --output=size /dev/shm"
    assert site.on("node1", shared).split()[-1] == "262144"
    noted = json.loads(site.on("node1", f"cat {site.volume('backups')}/release.json"))
    assert (noted["revision"], noted["why"]) == (site.good, "schedule")
    site.fill(2)
    with site.load("/livez") as load:
        done = site.back(name)
    assert site.sql(LINKS) == "300"
    assert all("503" in each for each in load.failures), load.failures[:3]
    assert "the site was closed for" in done.text
    site.serves(site.good)
    (kept,) = re.findall(r"; (\w+) is kept", done.text)
    (line,) = (each for each in site.must("status").text.splitlines() if kept in each)
    assert f"inv restore --env={site.env} --undo swaps it back; " in line
    site.must("restore", "--undo", "--yes")
    assert kept not in site.must("status").text
    assert site.sql(LINKS) == "2"
    site.serves(site.good)


def with_image(site: Data) -> str:
    """Store an image of a link, as the admin does; returns its path."""
    site.must("manage", f"shell --command {shlex.quote(IMAGE)}")
    return site.sql("SELECT '/media/' || image FROM myapp_link WHERE code = 'data-1'")


def has_image(site: Data, path: str) -> bool:
    """Whether the proxy serves an image, and as nothing that a browser runs."""
    with suppress(OSError), urllib.request.urlopen(f"{site.url}{path}", timeout=20) as answer:
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Type"] == "image/png"
        return answer.read() == PNG
    return False


@pytest.mark.either
def test_everything_is_restored_from_the_storage_on_a_fresh_server(site):
    path = with_image(site)
    assert has_image(site, path) and path in site.get("/?page=15")[2]
    name = site.backup()
    site.must("destroy", "--volumes", "--yes")
    site.set_up()
    site.must("deploy", f"--ref={site.good}")
    assert site.sql(LINKS) == "0" and not has_image(site, path)
    done = site.back(name)
    assert "1 were missing; 0 are newer, and stay" in done.text
    assert site.sql(LINKS) == "300" and has_image(site, path)
    site.serves(site.good)


def test_a_database_that_was_dropped_is_restored(site):
    name = site.backup()
    psql = f"docker exec $(docker ps -q {site.box('db')}) psql -U app -d postgres -qAtc"
    site.on("node1", f"{psql} 'DROP DATABASE app WITH (FORCE)'")
    until(lambda: not reads(site))
    site.back(name)
    assert site.sql(LINKS) == "300"
    assert reads(site)
    site.serves(site.good)
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database();"
    assert site.sql(owner) == "app_owner"


def test_a_backup_that_was_fetched_by_hand_is_restored_without_the_storage(site, tmp_path):
    name = site.backup()
    packed = site.on("node1", f"tar -C {site.volume('backups')} -cz {name} | base64")
    file = tmp_path / "fetched.tar.gz"
    file.write_bytes(base64.b64decode(packed))
    site.on("node1", f"rm -r {site.volume('backups')}/{name}")
    docker("exec", site.more["S3"], "rm", "-r", f"/s3/bucket/backups/{site.stack}/{name}")
    assert name not in site.must("backup.list").text
    site.fill(2)
    site.back(str(file))
    assert site.sql(LINKS) == "300"
    # A folder, whose dump was cut off on its way.
    shutil.unpack_archive(file, tmp_path)
    site.must("restore.drill", f"--from={tmp_path / name}", site.identity())
    os.truncate(tmp_path / name / "database.dump.age", 5000)
    done = site.inv("restore", f"--from={tmp_path / name}", site.identity(), "--yes")
    assert done.status == 2
    assert "database.dump.age has 5000 of" in done.verdict


@pytest.mark.either
def test_one_restore_at_a_time_and_none_while_somebody_deploys(site):
    name = site.backup()
    words = ("restore", f"--from={name}", site.identity(), "--yes")
    site.fill(2)
    run = site.begin(*words)
    run.until("restoring ")
    others = (words, ("deploy", f"--ref={site.good}"), ("backup",))
    for done in [site.begin(*other) for other in others]:
        assert done.wait().status == 4, done.text
        assert "restores a backup" in done.verdict
    run.succeed()
    assert site.sql(LINKS) == "300"
    deploy = site.begin("deploy", f"--ref={site.build('another one')}")
    deploy.until("checking the image")
    assert site.inv(*words).status == 4
    deploy.succeed()


def test_a_site_that_does_not_answer_with_the_restored_database_gets_the_old_one_back(site):
    # Its owner can read what the app cannot: only the site notices.
    site.sql("REVOKE ALL ON myapp_link FROM app_user;")
    name = site.backup()
    site.sql("GRANT SELECT, INSERT, UPDATE, DELETE ON myapp_link TO app_user;")
    site.fill(7)
    done = site.inv("restore", f"--from={name}", site.identity(), "--yes")
    assert done.status == 1
    assert "does not answer with the restored database" in done.verdict
    assert "the old one is back" in done.verdict
    assert site.sql(LINKS) == "7"
    site.serves(site.good)


def test_a_backup_is_migrated_to_the_release_that_runs_and_a_newer_one_is_refused(site):
    old = site.backup()
    newest = max(each.stem for each in (ROOT / "myapp/migrations").glob("0*.py"))
    made = site.build("one more table", {"=myapp/migrations/9200_made.py": MADE % newest})
    site.must("deploy", f"--ref={made}")
    newer = site.backup()
    table = "SELECT to_regclass('made') IS NOT NULL;"
    site.fill(4)
    assert "migrating it: myapp.9200_made" in site.back(old).text
    assert (site.sql(LINKS), site.sql(table)) == ("300", "t")
    site.must("restore", "--undo", "--yes")
    site.must("rollback")
    site.back(old)
    assert site.sql(table) == "f"
    done = site.inv("restore", f"--from={newer}", site.identity(), "--yes")
    assert done.status == 2
    assert "has migrations that this release lacks: myapp.9200_made" in done.verdict
    assert f"deploy the release that wrote it: {made}" in done.verdict
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


@pytest.mark.parametrize("sign", ["restoring ", "checking the app on it", "swapping the databases"])
def test_a_killed_restore_leaves_a_whole_database_and_can_be_done_again(site, sign):
    name = site.backup()
    site.fill(5)
    run = site.begin("restore", f"--from={name}", site.identity(), "--yes")
    run.until(sign)
    os.killpg(run.process.pid, signal.SIGKILL)
    run.wait()
    # A swap that has begun ends by itself.
    until(lambda: site.versions() == {site.good} and reads(site), 60)
    assert site.sql(LINKS) in ({"5", "300"} if "swapping" in sign else {"5"})
    site.must("unlock", "--yes")
    site.back(name)
    assert site.sql(LINKS) == "300"


def reads(site: Data) -> bool:
    """Whether the page, which reads the database, is there."""
    return site.get("/")[0] == 200


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
    site.back(name)
    assert site.sql(LINKS) == "300"
    site.serves(site.good)


def test_a_scrubbed_copy_is_loaded_into_the_app_here(site, tmp_path):
    (tmp_path / "scrub.sql").write_text("UPDATE myapp_link SET target = 'https://example.org/'")
    columns = tmp_path / "columns.yaml"
    columns.write_text("myapp_link: [id, code]\n")
    site.sql("UPDATE myapp_link SET target = 'https://secret.example.com/';")
    rows = site.sql("SELECT count(*) FROM myapp_link;")
    rules = {"SCRUB": str(tmp_path / "scrub.sql"), "COLUMNS": str(columns)}
    copied = site.at(site.env, **{f"INVOKE_BACKUP_{key}": name for key, name in rules.items()})
    refused = copied.inv("db.pull")
    assert refused.status == 2
    assert "have data and are not in backup.columns" in refused.verdict
    lines = [line for _, line in refused.lines if re.match(r"\w+: \[", line)]
    assert "myapp_link: [target, created_at, clicks, image]" in lines
    # What is printed is what somebody may add.
    columns.write_text("\n".join(lines).replace("[target", "[id, code, target"))
    try:
        copied.must("db.pull")
        name = docker("ps", "--quiet", f"--filter=label={FOLDER}={site.root}/compose")
        asked = "SELECT count(*), min(target), max(target) FROM myapp_link"
        shown = docker("exec", name, "psql", "-U", "app", "-d", "app", "-qAtc", asked)
        assert shown == f"{rows}|https://example.org/|https://example.org/"
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


# What a provider gives: a database, and a role that owns it; and what the owner does for the app's.
PROVIDER = "CREATE ROLE boss LOGIN PASSWORD 'boss'; CREATE DATABASE shop OWNER boss;"
NINE = (
    "INSERT INTO myapp_link (code, target, created_at) "
    "SELECT 'data-' || n, 'https://example.com', now() FROM generate_series(1, 9) n"
)
OWN = ["SECRET_KEY", "DATABASE_URL", "OWNER_URL", "REDIS_PASSWORD"]


def test_an_external_database_is_restored_once_its_role_has_the_rights(site, tmp_path):
    settings = yaml.safe_load(Path(site.lab["INVOKE_RUNTIME_CONFIG"]).read_text())
    settings["deploy"]["secrets"] = [*OWN, *SECRETS]
    file = tmp_path / "external.yaml"
    file.write_text(yaml.safe_dump(settings))
    with postgres(site.nodes["node1"]) as (address, container):
        psql = ["exec", "--interactive", container, "psql", "-U", "postgres", "-qAtv",
                "ON_ERROR_STOP=1", "-d"]  # fmt: skip
        docker(*psql, "postgres", text=PROVIDER)
        docker(*psql, "shop", text=ROLE.replace("'web';", "'web'; SET ROLE boss;"))
        place = address.partition("@")[2].replace("/postgres", "/shop")
        urls = {
            "DATABASE_URL": f"postgres://web:web@{place}",
            "OWNER_URL": f"postgres://boss:boss@{place}?sslmode=prefer",
        }
        other = site.at("staging", INVOKE_RUNTIME_CONFIG=str(file), **urls)
        other.must("server.setup")
        other.must("secrets.set", "--random")
        for name in (*urls, *SECRETS):
            other.must("secrets.set", f"--name={name}")
        other.must("deploy", f"--ref={site.good}")
        links = "SELECT count(*) FROM myapp_link"
        docker(*psql, "shop", text=NINE)
        name = other.backup()
        for statement in ("ALTER ROLE boss CREATEDB", "GRANT pg_signal_backend TO boss"):
            done = other.inv("restore", f"--from={name}", other.identity(), "--yes")
            assert done.status == 1
            assert f"its operator has to run: {statement}" in done.verdict
            docker(*psql, "postgres", text=statement)
        other.must("restore.drill", other.identity())
        docker(*psql, "shop", text="DELETE FROM myapp_link")
        other.back(name)
        assert docker(*psql, "shop", text=links) == "9"
        assert other.versions() == {site.good}
        other.must("restore", "--undo", "--yes")
        assert docker(*psql, "shop", text=links) == "0"
        other.must("destroy", "--volumes", "--yes")
