"""The door to docker: what a command returns, how it fails, and what --echo and --dry do."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from invoke import Config, Context

from tasks.lib.docker import cli, client, retry
from tasks.lib.docker.cli import DockerError

SCRIPT = """\
#!/bin/sh
echo "$HOST_OF: $*"
echo noise >&2
case "$*" in *early*) exit 8;; esac
cat
case "$*" in *fail*) echo "Error: EOF" >&2; exit 7;; esac
"""


@pytest.fixture(autouse=True)
def docker(tmp_path: Path, monkeypatch) -> None:
    """A docker that prints its words, then its stdin, and fails if asked to."""
    (tmp_path / "docker").write_text(SCRIPT)
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def context(**run: bool) -> Context:
    return Context(Config(overrides={"run": run}))


def test_a_command_returns_what_it_writes_to_stdout():
    found = cli.run(context(), "tag", "a", "b", env={"HOST_OF": "x"}, text="read\n")
    assert found == "x: tag a b\nread"
    assert cli.run(context(), "logs", env={"HOST_OF": "x"}, merged=True) == "x: logs\nnoise"


def test_a_command_that_fails_raises_its_status_and_stderr():
    with pytest.raises(DockerError) as caught:
        cli.run(context(), "service", "fail")
    assert caught.value.status == 7
    assert caught.value.stderr == "noise\nError: EOF\n"
    assert caught.value.reason == "Error: EOF"
    assert str(caught.value) == "docker service: Error: EOF"


def test_the_reason_is_what_docker_says_before_its_exit_status():
    said = "Error response from daemon: network x has active endpoints\nexit status 1\n"
    found = DockerError(["docker", "network", "rm"], 1, said)
    assert found.reason == "Error response from daemon: network x has active endpoints"
    assert "has active endpoints" in str(found)
    assert DockerError(["docker", "network"], 1, "exit status 1\n").reason == "exit status 1"


def test_what_is_written_piece_by_piece_is_read():
    def write(output):
        output.write(b"one, ")
        output.write(b"two")

    assert cli.feed(context(), "exec", write=write, env={"HOST_OF": "x"}) == "x: exec\none, two"
    with pytest.raises(DockerError) as caught:
        cli.feed(context(), "fail", write=write)
    assert (caught.value.status, caught.value.reason) == (7, "Error: EOF")


def test_a_command_that_ends_before_all_is_written_says_why():
    with pytest.raises(DockerError) as caught:
        cli.feed(context(), "early", write=lambda output: output.write(bytes(1 << 20)))
    assert (caught.value.status, caught.value.reason) == (8, "noise")


def test_what_fails_while_it_is_written_ends_the_command():
    def write(output):
        raise OSError("the file is gone")

    with pytest.raises(OSError, match="the file is gone"):
        cli.feed(context(), "exec", write=write)


def test_python_on_whales_fails_in_the_same_way():
    with pytest.raises(DockerError) as caught, client.connect(context()) as docker:
        docker.image.remove("fail")
    assert caught.value.stderr == "noise\nError: EOF\n"


def test_echo_prints_a_command_and_runs_it(capsys):
    assert cli.run(context(echo=True), "tag", "a b") == ": tag a b"
    assert capsys.readouterr().err == "docker tag 'a b'\n"


def test_dry_prints_a_command_that_changes_something_and_does_not_run_it(capsys):
    assert cli.run(context(dry=True), "rm", "a", env={"A": "b"}) == ""
    assert cli.stream(context(dry=True), "rm", "fail") == 0
    assert cli.popen(context(dry=True), "push", stdout=subprocess.DEVNULL).wait() == 0
    assert capsys.readouterr().err == "env A=b docker rm a\ndocker rm fail\ndocker push\n"


def test_dry_runs_a_command_that_reads_without_printing_it(capsys):
    assert cli.run(context(dry=True), "exec", "a", "cat", reads=True) == ": exec a cat"
    assert cli.run(context(dry=True), "image", "ls") == ": image ls"
    assert capsys.readouterr().err == ""


def test_a_missing_docker_is_one_line(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Exception, match="docker not found - install Docker"):
        cli.run(context(), "ps")
    assert client.version(context()) == ""
    assert client.plugin(context(), "compose") == ""


@pytest.mark.parametrize(
    "message",
    [
        "Cannot connect to the Docker daemon at unix:///x.",
        "failed to connect to the docker API at unix:///x; check if the daemon is running",
        "error during connect: lookup nowhere: no such host",
    ],
)
def test_where_no_engine_runs_there_is_no_version(tmp_path, message):
    (tmp_path / "docker").write_text(f"#!/bin/sh\necho '{message}' >&2\nexit 1\n")
    assert client.version(context()) == ""


def test_an_error_that_may_pass_is_retried():
    messages = iter(["unexpected EOF", "rpc error: no LEADER"])

    def work() -> str:
        for message in messages:
            raise DockerError(["docker", "info"], 1, message)
        return "done"

    assert retry.again(work) == "done"


def test_an_error_that_does_not_pass_is_raised_at_once():
    tries = []

    def work() -> None:
        tries.append(1)
        raise DockerError(["docker", "info"], 1, "no such service")

    with pytest.raises(DockerError):
        retry.again(work)
    assert tries == [1]
