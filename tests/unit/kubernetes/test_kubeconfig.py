"""A cluster is reached by a context that is named, with whatever a kubeconfig says of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.kubernetes import kubeconfig, sign_in


def config(context: str, **user: Any) -> dict[str, Any]:
    """A kubeconfig whose current context is another one."""
    cluster = {
        "server": f"https://{context}:6443",
        "tls-server-name": "api",
        "proxy-url": "http://p",
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "elsewhere",
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "clusters": [{"name": context, "cluster": cluster}],
        "users": [{"name": context, "user": user or {"token": "t0ken"}}],
    }


def refused(context: str, given: str) -> str:
    """Why a context cannot be used."""
    with pytest.raises(TaskError) as caught:
        kubeconfig.access(context, {"KUBECONFIG": given})
    assert caught.value.code == ExitCode.REFUSED
    return str(caught.value)


def test_a_kubeconfig_is_a_file_or_a_text(tmp_path):
    text = yaml.safe_dump(config("prod"))
    (tmp_path / "config").write_text(text)
    for given in (text, json.dumps(config("prod")), str(tmp_path / "config")):
        found = kubeconfig.access("prod", {"KUBECONFIG": given})
        assert (found.cluster["server"], found.user["token"]) == ("https://prod:6443", "t0ken")
        assert (found.server_name, found.proxy) == ("api", "http://p")
    # What is relative in a file starts at its folder.
    assert kubeconfig.access("prod", {"KUBECONFIG": str(tmp_path / "config")}).folder == tmp_path


def test_of_several_files_the_first_that_has_a_name_has_it(tmp_path):
    for folder, token in (("one", "first"), ("two", "second")):
        (tmp_path / folder).mkdir()
        text = yaml.safe_dump(config("prod", token=token))
        (tmp_path / folder / "config").write_text(text)
    (tmp_path / "three").write_text(yaml.safe_dump(config("review")))
    given = f"{tmp_path}/one/config:{tmp_path}/two/config:{tmp_path}/three"
    assert kubeconfig.access("prod", {"KUBECONFIG": given}).user["token"] == "first"
    assert kubeconfig.access("review", {"KUBECONFIG": given}).folder == tmp_path


def test_the_current_context_is_never_taken_for_the_named_one():
    text = yaml.safe_dump(config("prod") | {"current-context": "prod"})
    assert refused("production", text).endswith("has no context 'production' - known: prod")
    assert refused("", text)


@pytest.mark.parametrize("kind", ["clusters", "users"])
def test_a_context_without_its_parts_is_refused(kind):
    text = yaml.safe_dump(config("prod") | {kind: []})
    assert f"context prod: the kubeconfig has no {kind[:-1]} 'prod'" in refused("prod", text)


@pytest.mark.parametrize(
    "text", ["apiVersion: v1\n\ttoken: s3cret", "apiVersion: 's3cret", "[apiVersion:, s3cret]"]
)
def test_a_text_that_is_no_kubeconfig_is_refused_without_a_word_of_it(text):
    message = refused("prod", text)
    assert "no YAML" in message
    assert "s3cret" not in message


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert refused("prod", str(tmp_path / "config")).startswith(f"{tmp_path}/config: No such file")


def program(folder: Path, script: str, version: str = "v1", **more: Any) -> kubeconfig.Access:
    """Access by a program that gives credentials."""
    file = folder / "give"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    name = f"client.authentication.k8s.io/{version}"
    given = {"apiVersion": name, "command": str(file), "args": ["token"], **more}
    text = yaml.safe_dump(config("prod", exec=given))
    return kubeconfig.access("prod", {"KUBECONFIG": text})


STATUS = '{"kind": "ExecCredential", "status": {"token": "'


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_program_gives_the_token_and_learns_of_which_cluster_it_is(tmp_path, version):
    script = f'echo "$KUBERNETES_EXEC_INFO" >{tmp_path}/info; echo \'{STATUS}\'"$1-$WHO"\'"}}}}\''
    env = [{"name": "WHO", "value": "ann"}]
    access = program(tmp_path, script, version, env=env, provideClusterInfo=True)
    assert sign_in.credentials(access) == {"token": "token-ann"}
    info = json.loads((tmp_path / "info").read_text())
    assert info["spec"]["interactive"] is False
    assert info["spec"]["cluster"]["server"] == "https://prod:6443"


def test_a_program_may_give_a_certificate(tmp_path):
    status = {"clientCertificateData": "-----BEGIN C", "clientKeyData": "-----BEGIN K"}
    (tmp_path / "answer").write_text(json.dumps({"status": status}))
    found = sign_in.credentials(program(tmp_path, f"cat {tmp_path}/answer"))
    assert found == {
        "client-certificate-data": "-----BEGIN C",
        "client-key-data": "-----BEGIN K",
    }


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'sign in first' >&2; exit 3", "sign in first"),
        ("exit 3", "exit status 3"),
        ("echo hello", "printed no credentials"),
        ("echo '{}'", "printed no credentials"),
    ],
)
def test_a_program_that_fails_says_why(tmp_path, script, reason):
    with pytest.raises(TaskError, match=reason) as caught:
        sign_in.credentials(program(tmp_path, script))
    assert caught.value.code == ExitCode.REFUSED


def test_a_program_that_is_not_there_is_named_with_its_own_hint(tmp_path):
    access = program(tmp_path, "", installHint="see https://example.com\n to install it")
    Path(access.user["exec"]["command"]).unlink()
    with pytest.raises(TaskError, match=r"give not found - see https://example\.com to install it"):
        sign_in.credentials(access)


def test_a_program_of_an_interface_that_is_gone_is_refused(tmp_path):
    with pytest.raises(TaskError, match=r"speaks client\.authentication\.k8s\.io/v1alpha1"):
        sign_in.credentials(program(tmp_path, "", "v1alpha1"))


def test_no_task_loads_the_library_that_does_not_use_it():
    code = (
        "import sys; from tasks.lib.kubernetes import client, kubeconfig, sign_in\n"
        "print({'lightkube', 'httpx2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
