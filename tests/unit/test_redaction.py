"""No value of a secret reaches an output, whatever goes wrong, and wherever."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
import urllib.parse

import invoke
import pytest

from tasks.lib import console, errors, executor, redaction
from tasks.lib.registry.credentials import find
from tests.testbed.commands import ROOT, environment

LINES = ("b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ", "QyNTUxOQAAACBdpZxVUUOpGdrPX4-secret")
# The two lines keep secret scanners away from this file.
HEAD, TAIL = (f"-----{word} OPENSSH PRIVATE KEY-----" for word in ("BEGIN", "END"))
KEY = "\n".join((HEAD, *LINES, TAIL, ""))
SECRETS = {
    "SSH_PRIVATE_KEY": KEY,
    "CI_REGISTRY_PASSWORD": "p/ss 'w\"rd",  # pragma: allowlist secret
    "CI_DEPLOY_PASSWORD": "deploy-passw0rd",  # pragma: allowlist secret
    "CI_JOB_TOKEN": "glcbt-64_aBcDeFgH",  # pragma: allowlist secret
    "SECRET_KEY": "django-secret",  # pragma: allowlist secret
    "POSTGRES_PASSWORD": "räksmörgås\t1",  # pragma: allowlist secret
    "DATABASE_URL": "postgres://u:pw-of-it@db/x",  # pragma: allowlist secret
    "STRIPE": "one of deploy.secrets",  # pragma: allowlist secret
}


@pytest.fixture(params=SECRETS)
def secret(request, monkeypatch) -> str:
    """The value of each variable that is a secret."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(redaction, "OWN", {"STRIPE"})
    return SECRETS[request.param]


def clean(text: str, secret: str) -> bool:
    """Whether a text has nothing of a secret."""
    lines = [line for line in secret.splitlines() if not line.startswith("-----")]
    encoded = (repr(secret)[1:-1], json.dumps(secret)[1:-1], urllib.parse.quote(secret, safe=""))
    return not any(form in text for form in (secret, *lines, *encoded, " ".join(secret.split())))


ERRORS = {
    "a task's error": lambda secret: errors.TaskError(f"no {secret}", f"not {secret}"),
    "any error": lambda secret: ValueError(f"bad value: {secret}"),
    "any error with a repr": lambda secret: ValueError(f"bad value: {secret!r}"),
    "any error with JSON": lambda secret: ValueError(json.dumps({"a": secret})),
    "any error with an address": lambda secret: ValueError(urllib.parse.quote(secret, safe="")),
    "a command on a server": lambda secret: errors.RemoteCommandError("web1", 1, f"x\n{secret}"),
    "a command": lambda secret: subprocess.CalledProcessError(1, [secret]),
    "a file": lambda secret: FileNotFoundError(2, "No such file", secret),
    "a number": lambda secret: ValueError(f"invalid literal for int() with base 10: {secret!r}"),
    "a key": KeyError,
    "one that begins": lambda secret: errors.TaskError(secret[: max(len(secret) - 9, 16)]),
}


@pytest.fixture(params=ERRORS)
def error(request, secret) -> Exception:
    """An error of each kind with a secret in its text."""
    return ERRORS[request.param](secret)


def raising(error: BaseException):
    """A task that fails."""

    @invoke.task
    def broken(ctx):
        raise error

    return broken


def test_the_rim_shows_no_secret(secret, error, capsys):
    tasks = invoke.Collection(broken=raising(error))
    with pytest.raises(invoke.Exit):
        executor.Executor(tasks, invoke.Config()).execute("broken")
    assert clean(capsys.readouterr().err, secret)


def test_what_fails_before_the_first_task_shows_no_secret(secret, error, capsys, monkeypatch):
    for words in (["inv"], ["inv", "--debug"]):
        monkeypatch.setattr(sys, "argv", words)
        executor.excepthook(type(error), error, None)
    shown = capsys.readouterr().err
    assert "Error" in shown and clean(shown, secret)


def test_a_refusal_and_a_note_show_no_secret(secret, error):
    with pytest.raises(errors.TaskError) as raised, errors.refusing():
        raise error
    assert clean(errors.explain(raised.value), secret)


def test_a_thread_that_fails_shows_no_secret(secret, error, capsys, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    executor.install()
    threading.excepthook(threading.ExceptHookArgs((type(error), error, None, None)))
    shown = capsys.readouterr().err
    assert "Error" in shown and clean(shown, secret)


@pytest.mark.parametrize("show", [console.say, console.warn, console.step, console.result])
def test_no_line_shows_a_secret(secret, capsys, show):
    show(f"before {secret} after")
    shown = "".join(capsys.readouterr())
    assert "before [" in shown and "after" in shown and clean(shown, secret)


def test_a_secret_that_is_its_own_result_is_printed(secret, capsys):
    console.result(secret, masked=False)
    assert secret in capsys.readouterr().out


def test_the_password_of_dockers_configuration_is_masked(tmp_path):
    auth = base64.b64encode(b"me:of-the-config").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"r:5000": {"auth": auth}}}))
    assert find("r:5000", {"DOCKER_CONFIG": str(tmp_path)})
    assert redaction.redact("x of-the-config y", {}) == "x [password] y"
    shown = redaction.redact(f"x {auth} y", {"DOCKER_AUTH_CONFIG": json.dumps({"auth": auth})})
    assert shown == "x [DOCKER_AUTH_CONFIG] y"


def test_what_a_file_holds_is_masked_and_its_name_is_not(tmp_path):
    (tmp_path / "key").write_text(KEY)
    env = {"SSH_PRIVATE_KEY": str(tmp_path / "key")}
    assert clean(redaction.redact(f"x {KEY}", env), KEY)
    assert redaction.redact(f"{tmp_path}/key not found", env) == f"{tmp_path}/key not found"


def test_words_and_short_values_stay():
    env = {"CI_JOB_TOKEN": "app", "SSH_KNOWN_HOSTS": "a long value", "A_TOKEN": ""}
    text = "the app has a long value"
    assert redaction.redact(text, env) == text


def test_a_task_that_fails_shows_no_secret_of_its_variables():
    env = environment(**SECRETS, INVOKE_DEV_PORT=SECRETS["CI_JOB_TOKEN"])
    for words in (["dev"], ["--debug", "dev"]):
        done = subprocess.run(["./inv", *words], cwd=ROOT, env=env, capture_output=True, text=True)
        assert done.returncode and done.stderr
        assert all(clean(done.stdout + done.stderr, value) for value in SECRETS.values())
