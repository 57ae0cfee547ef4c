"""Any failure is one line that says what to do, and the right exit status."""

from __future__ import annotations

import os
import subprocess

import pytest

from tasks.lib import console, errors
from tasks.lib.docker.cli import DockerError
from tests.testbed.commands import ROOT, environment


def docker(stderr: str, *words: str) -> DockerError:
    return DockerError(["docker", *words], 17, stderr)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.TaskError("no such thing", "make one"), "no such thing - make one"),
        (errors.TaskError("no such thing"), "no such thing"),
        (
            docker("Cannot connect to the Docker daemon at unix:///x.", "compose", "up"),
            "docker up: Cannot connect to the Docker daemon at unix:///x. - start Docker",
        ),
        (docker("write: no space left on device", "build"), "docker system prune"),
        (
            docker("no non-overlapping IPv4 address pool left"),
            "network prune",
        ),
        (docker("", "compose", "run"), "exit status 17 - see its output above"),
        (
            subprocess.CalledProcessError(2, ["/x/.venv/bin/uv", "pip"]),
            "uv failed with status 2 - see above",
        ),
        (FileNotFoundError(2, "No such file", "x.yml"), "x.yml not found - check the path"),
        (PermissionError(13, "x", "/x/log"), "/x/log: permission denied - use a checkout that you"),
        (OSError(30, "x", "/x/log"), "/x/log: read-only file system - use a checkout that you may"),
        (OSError(28, "x", "/x/log"), "/x/log: no space left on device - free some disk space"),
        (ValueError("two\nlines"), "ValueError: two lines - retry with inv --debug"),
        (
            DockerError(
                ["docker", "run"],
                125,
                "docker: no way\n\nRun 'docker run --help' for more information\n",
            ),
            "docker run: docker: no way",
        ),
    ],
)
def test_an_exception_is_explained_in_one_line(error, expected):
    line = errors.explain(error)
    assert expected in line
    assert "\n" not in line


def test_an_unknown_engine_is_refused(inv):
    done = inv("test", "--engine", "dokcer")
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "inv: unknown engine 'dokcer' - use --engine=docker or --engine=host"
    )


def test_an_unknown_task_is_one_line(inv):
    done = inv("depoly")
    assert done.returncode == 1
    assert done.stderr.strip() == "No idea what 'depoly' is!"


def test_a_missing_engine_is_one_line_with_what_to_do(inv):
    done = inv("dev", "--engine", "docker", DOCKER_HOST="unix:///nowhere.sock")
    assert done.returncode == 2
    assert "no Docker engine answers - start Docker" in done.stderr


def test_in_ci_there_is_no_falling_back_to_the_host(inv):
    done = inv("test", CI="true", DOCKER_HOST="unix:///nowhere.sock")
    assert done.returncode == 2
    assert "CI=true: no fallback to this machine's Python" in done.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["test", "--engine", "dokcer"], "inv: unknown engine 'dokcer' - use --engine=docker or"),
        (["dev", "--port", "abc"], "inv: --port: 'abc' is not a number - give a whole number"),
    ],
)
def test_debug_shows_the_traceback_and_then_the_line(inv, words, line):
    done = inv("--debug", *words)
    assert done.returncode == (2 if "dokcer" in words else 1)
    assert "Traceback" in done.stderr
    assert f"\n{line}" in done.stderr


@pytest.mark.parametrize(
    ("words", "env", "line"),
    [
        (["dev", "--port=abc"], {}, "--port: 'abc' is not a number - give a whole number"),
        (["dev", "-p", "8k"], {}, "-p: '8k' is not a number - give a whole number"),
        (["dev", "-p8k"], {}, "-p: '8k' is not a number - give a whole number"),
        (["logs", "--tail", ""], {}, "--tail: '' is not a number - give a whole number"),
        (["down"], {"INVOKE_DEV_PORT": "x"}, "INVOKE_DEV_PORT: 'x' is not a number - set it to"),
        (["down"], {"INVOKE_DEPLOY_KEEP": ""}, "INVOKE_DEPLOY_KEEP: '' is not a number - set it"),
    ],
)
def test_what_is_no_number_is_named_with_its_option_or_variable(inv, words, env, line):
    done = inv(*words, **env)
    assert done.returncode == 1
    assert f"inv: {line}" in done.stderr


DOCKER = {
    "permission denied while trying to connect to the Docker daemon socket at unix:///x.": (
        "join the docker group (sudo usermod -aG docker USER) and log in again"
    ),
    'unable to resolve docker endpoint: context "nope": context not found: open /x': (
        "see docker context ls; set or unset DOCKER_CONTEXT"
    ),
    "unable to resolve docker endpoint: open /x/ca.pem: no such file": (
        "correct DOCKER_HOST, DOCKER_CONTEXT, DOCKER_CERT_PATH"
    ),
}


@pytest.mark.parametrize("message", DOCKER)
def test_an_engine_that_cannot_be_used_is_named_and_sqlite_does_not_take_over(
    inv, tmp_path, message
):
    (tmp_path / "docker").write_text(f"#!/bin/sh\necho '{message}' >&2\nexit 1\n")
    (tmp_path / "docker").chmod(0o755)
    done = inv("migrations", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert done.returncode == 2
    assert done.stderr.strip() == f"inv: docker: {message} - {DOCKER[message]}"
    found = inv("doctor", PATH=f"{tmp_path}:{os.environ['PATH']}").stdout
    assert message in found
    assert DOCKER[message] in found


def test_a_missing_path_is_named(inv):
    done = inv("test", "--engine", "host", "--path", "myapp/nope.py")
    assert done.returncode == 2
    assert "no such test file or folder: myapp/nope.py" in done.stderr


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        ("/x/invoke/__main__.py", "no lab - ./inv lab.up, or `./inv --debug`; not /bin/inv dev"),
        ("/x/.venv/bin/inv", "no lab - inv lab.up, or `inv --debug`; not /bin/inv dev"),
    ],
)
def test_commands_are_shown_as_they_are_typed(monkeypatch, program, shown):
    monkeypatch.setattr("sys.argv", [program])
    assert console.as_typed("no lab - inv lab.up, or `inv --debug`; not /bin/inv dev") == shown


def test_what_others_have_written_is_shown_as_it_is(monkeypatch, capfd):
    monkeypatch.setattr("sys.argv", ["/x/invoke/__main__.py"])
    console.say("Make inv deploy faster")
    console.result("complete -F _inv inv invoke")
    assert capfd.readouterr() == ("complete -F _inv inv invoke\n", "Make inv deploy faster\n")
    console.warn("old - inv deploy makes it anew")
    assert "./inv deploy" in capfd.readouterr().err


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ["--list", "--help dev", "completion"])
def test_nothing_is_said_when_nobody_reads_on(words, unbuffered):
    script, env = f"./inv {words} | true", environment(PYTHONUNBUFFERED=unbuffered)
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.stderr == ""
