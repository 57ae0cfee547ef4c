"""Secrets: set, listed, removed, and nowhere to be read but where they are used."""

from __future__ import annotations

import json
import secrets
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.testbed.commands import docker, until
from tests.testbed.sites import Site

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


@contextmanager
def arguments() -> Iterator[set[bytes]]:
    """The command lines of all processes, here and on the servers, while it lasts."""
    seen: set[bytes] = set()
    end = threading.Event()

    def look() -> None:
        while not end.wait(0.01):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(file.read_bytes())
                except OSError:
                    continue

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        end.set()
        thread.join()


def found(site: Site, value: str, folder: Path) -> list[str]:
    """Files here and on the servers that have a value, and logs."""
    (first, *_) = value.splitlines()
    places = [str(file) for file in folder.rglob("*") if file.is_file()]
    here = [place for place in places if first in Path(place).read_text(errors="replace")]
    homes = "/home /root /tmp /var/tmp /var/log /run/docker/containerd"
    for node in site.nodes:
        script = f"grep -rlF -f - {homes} 2>/dev/null || true"
        here += site.on(node, script, first).splitlines()
        here += [node] if first in docker("logs", site.nodes[node]) else []
    return here


def test_a_secret_of_several_lines_is_nowhere_to_be_read(knows, tmp_path):
    first = secrets.token_hex(20)
    value = f"{first}\n  second 'line' $HOME \"\\\n"
    folder = tmp_path / "tmp"
    folder.mkdir()
    assert [NAME, "missing"] in [line.split() for _, line in knows.must("secrets.list").lines]
    refused = knows.inv("preflight")
    assert refused.status == 2
    assert f"secret {NAME} is missing - " in refused.verdict

    with arguments() as seen:
        done = knows.must(
            "--echo", "secrets.set", f"--name={NAME}", **{NAME: value, "TMPDIR": str(folder)}
        )
    assert f"stored as {knows.stack}_{NAME}_v1" in done.text
    assert "secret create" in done.text
    assert len(seen) > 10
    assert [line for line in seen if first.encode() in line] == []
    assert first not in done.text
    assert found(knows, value, folder) == []

    # As a service gets it.
    name, image = (
        f"{knows.stack}_{NAME}_v1",
        knows.registry.image.at(knows.registry.digest(knows.good)),
    )
    service = "docker service create -d --name reads --restart-condition none"
    knows.on(
        "node1", f"{service} --no-resolve-image --secret {name} {image} cat /run/secrets/{name}"
    )
    try:
        read = until(lambda: knows.on("node1", "docker service logs --raw reads"), 60)
    finally:
        knows.on("node1", "docker service rm reads")
    assert read == value.strip()


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


def test_secrets_leave_and_enter_as_a_file_that_only_a_key_opens(site, tmp_path):
    import pyrage

    made = pyrage.x25519.Identity.generate()
    key, file, folder = tmp_path / "key.txt", tmp_path / "lab.age", tmp_path / "tmp"
    key.write_text(f"{made}\n")
    folder.mkdir()
    words = ("secrets.export", f"--to={file}", f"--recipient={made.to_public()}")
    with arguments() as seen:
        done = site.must("--echo", *words, TMPDIR=str(folder))
    assert f"{file} has " in done.text
    values = json.loads(pyrage.decrypt(file.read_bytes(), [made]))
    assert {*values} == {
        *yaml.safe_load((site.root / "invoke.yaml").read_text())["deploy"]["secrets"]
    }
    script = f"docker exec $(docker ps -q {site.box('redis')}) cat /run/secrets/REDIS_PASSWORD"
    assert site.on("node1", script) == values["REDIS_PASSWORD"]
    assert file.stat().st_mode & 0o777 == 0o600
    for value in values.values():
        assert [line for line in seen if value.encode() in line] == []
        assert value not in done.text
        assert found(site, value, folder) == []
    assert f"{site.stack}_jobs_" not in site.on("node1", "docker service ls")
    again = site.inv(*words)
    assert again.status == 2 and f"{file} exists" in again.verdict

    way = ("secrets.import", f"--from={file}", f"--identity={key}")
    same = site.must(*way).text
    assert same.count(" is the same") == len(values) and "stored as" not in same
    other = site.at("prod")
    before = other.on("node1", f"docker secret ls -q -f label=deploy.stack={other.stack}").split()
    with arguments() as seen:
        stored = other.must(*way)
    assert stored.text.count("stored as") == len(values)
    for value in values.values():
        assert [line for line in seen if value.encode() in line] == []
    after = other.on("node1", f"docker secret ls -q -f label=deploy.stack={other.stack}").split()
    assert len(after) == len(before) + len(values)
    wrong = tmp_path / "other.txt"
    wrong.write_text(f"{pyrage.x25519.Identity.generate()}\n")
    refused = site.inv("secrets.import", f"--from={file}", f"--identity={wrong}")
    assert refused.status == 2 and "cannot be decrypted" in refused.verdict
