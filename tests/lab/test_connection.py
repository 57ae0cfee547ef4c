"""The way to the servers: wrong keys, a server that is down, a connection that is cut."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import pytest
import yaml
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.testbed.commands import docker, git, until
from tests.testbed.sites import Site

from .trouble import another, blocked, clock, cut, settled

pytestmark = pytest.mark.engine


def refused(
    site: Site,
    fault,
    says: str,
    where: Site | None = None,
    mended: Callable[[], object] = str,
    **env: str,
) -> None:
    """See that a deploy is refused before anything is changed, and that the next one works."""
    history = site.history()
    try:
        done = (where or site).inv("deploy", f"--ref={site.good}", **env)
    finally:
        mended()
    fault(done, status=2, serves=site.good)
    assert says in done.verdict
    assert site.history() == history
    assert "nothing to do" in site.must("deploy", f"--ref={site.good}").text


@pytest.mark.fault("the environment is unknown")
def test_an_unknown_environment_is_refused_with_the_nearest_name(site, fault):
    refused(site, fault, "prod", site.at("prodd"))


@pytest.mark.fault("a server has another host key")
def test_a_server_with_another_host_key_is_refused(site, fault):
    lines = site.lab["SSH_KNOWN_HOSTS"].splitlines()
    swapped = [f"{lines[0].split()[0]} {lines[1].split(' ', 1)[1]}", *lines[1:]]
    known = "\n".join(swapped) + "\n"
    refused(site, fault, "host key mismatch: ssh-ed25519 SHA256:", SSH_KNOWN_HOSTS=known)


@pytest.mark.fault("a server's host key is not known")
def test_a_server_whose_host_key_is_not_known_is_refused(site, fault):
    known = "\n".join(site.lab["SSH_KNOWN_HOSTS"].splitlines()[:-1]) + "\n"
    refused(site, fault, "is not known: ssh-ed25519 SHA256:", SSH_KNOWN_HOSTS=known)


@pytest.mark.fault("the SSH key is a wrong one")
def test_a_wrong_key_is_refused(site, fault):
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
    refused(site, fault, "SSH authentication failed", SSH_PRIVATE_KEY=text.decode())


@pytest.mark.slow
@pytest.mark.fault("the first server does not answer")
def test_a_first_server_that_does_not_answer_is_refused(site, fault):
    new, history = another(site), site.history()
    docker("pause", site.nodes["node1"])
    try:
        done = site.inv("deploy", f"--ref={site.good}")
    finally:
        docker("unpause", site.nodes["node1"])
    until(lambda: site.versions() == {site.good}, 60)
    fault(done, status=2, serves=site.good)
    assert "SSH timed out" in done.verdict
    assert site.history() == history
    # The Swarm has missed it too, elects, and starts the database anew.
    site.must("deploy", f"--ref={new}")


@pytest.mark.fault("the server with the database takes no tasks")
def test_a_first_server_that_takes_no_tasks_is_refused(site, fault):
    update = "docker node update --availability"
    site.on("node1", f"{update}=pause node1")
    takes = partial(site.on, "node1", f"{update}=active node1")
    refused(site, fault, "accepts no tasks (pause) - on a manager: docker node", mended=takes)


@pytest.mark.fault("a secret is missing")
def test_a_missing_secret_is_refused(site, fault, tmp_path):
    settings = {**site.settings, "deploy": {"secrets": ["SECRET_KEY", "API_KEY"]}}
    file = tmp_path / "invoke.yaml"
    file.write_text(yaml.safe_dump(settings))
    says = "secret API_KEY is missing - "
    refused(site, fault, says, INVOKE_RUNTIME_CONFIG=str(file))


@pytest.mark.fault("the servers take no plain HTTP from the registry")
def test_a_registry_that_the_servers_do_not_pull_from_is_refused(site, fault, tmp_path):
    registry = site.nodes["node1"].replace("-node1", "-registry")
    shown = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    host = docker("inspect", "--format", shown, registry) + ":5000"
    settings = copy.deepcopy(site.settings)
    settings["registry"] |= {"image": f"{host}/myapp", "insecure": True}
    file = tmp_path / "invoke.yaml"
    file.write_text(yaml.safe_dump(settings))
    says = f" - add {host} to insecure-registries in its daemon.json"
    refused(site, fault, says, INVOKE_RUNTIME_CONFIG=str(file), CI_REGISTRY=host)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(
            "\nnetworks: [\n", "docker config: ",
            marks=pytest.mark.fault("the Compose file is not YAML"),
        ),
        pytest.param(
            "\nvolumes: {backups: {}}\n", "docker config: ",
            marks=pytest.mark.fault("the Compose file says a thing twice"),
        ),
    ],
)  # fmt: skip
def test_a_bad_compose_file_is_refused(site, fault, text, says):
    site.write("compose/server.yml", text, add=True)
    refused(site, fault, says, mended=lambda: git(site.root, "checkout", "compose"))


@pytest.mark.slow
def test_a_user_who_may_not_use_docker_is_refused(site):
    site.on("node1", "gpasswd --delete deploy docker")
    try:
        done = site.inv("preflight")
    finally:
        site.on("node1", "gpasswd --add deploy docker")
    says = "add deploy to the group docker there: sudo usermod -aG docker deploy, then log in again"
    assert done.status == 2 and says in done.verdict
    assert "nothing to do" in site.must("deploy", f"--ref={site.good}").text


@pytest.mark.slow
def test_a_user_whose_shell_is_another_one_deploys(site):
    site.on("node1", "apt-get -q update && apt-get -qy install --no-install-recommends fish tcsh")
    try:
        for shell in ("fish", "tcsh"):
            site.on("node1", f"usermod --shell $(which {shell}) deploy")
            site.must("preflight")
            assert "nothing to do" in site.must("deploy", f"--ref={site.good}").text
    finally:
        site.on("node1", "usermod --shell /bin/bash deploy")


@pytest.mark.slow
def test_a_first_deploy_before_name_and_certificate_are_there(site, tmp_path):
    settings = copy.deepcopy(site.settings)
    settings["environments"]["staging"]["url"] = "https://site.internal"
    file = tmp_path / "invoke.yaml"
    file.write_text(yaml.safe_dump(settings))
    first = site.at("staging", INVOKE_RUNTIME_CONFIG=str(file))
    first.wipe()
    try:
        first.set_up()
        done = first.inv("deploy", f"--ref={site.good}")
        assert done.status == 2
        assert "site.internal does not resolve - create its DNS record, or add --no" in done.verdict
        assert first.services() == []
        done = first.must("deploy", f"--ref={site.good}", "--no-verify-url")
        assert "https://site.internal answers on its server (the proxy)" in done.text
        assert "not verified from outside since release 1" in first.must("status").text
        assert first.history()[0]["url_verified"] is False
    finally:
        first.wipe()


@pytest.mark.slow
def test_a_jump_host_of_the_users_ssh_config_is_gone_through(site, tmp_path):
    hosts = site.settings["environments"]["lab"]["hosts"]
    config = tmp_path / "ssh_config"
    # The name of a server that only the other servers know.
    config.write_text(f"Host inside\n  HostName node1\n  ProxyJump {hosts[1]}\n")
    key = site.lab["SSH_KNOWN_HOSTS"].splitlines()[0].partition(" ")[2]
    settings = copy.deepcopy(site.settings)
    settings["environments"]["lab"]["hosts"] = ["deploy@inside", *hosts[1:]]
    file = tmp_path / "invoke.yaml"
    more = {"SSH_CONFIG": str(config), "INVOKE_RUNTIME_CONFIG": str(file)}
    file.write_text(yaml.safe_dump(settings))
    known = f"{site.lab['SSH_KNOWN_HOSTS']}node1 {key}\n"

    unknown = site.inv("deploy", f"--ref={site.good}", **more)
    assert "host key of node1 is not known" in unknown.verdict
    new = another(site)
    site.must("deploy", f"--ref={new}", SSH_KNOWN_HOSTS=known, **more)
    site.serves(new)


@pytest.mark.slow
@pytest.mark.either
@pytest.mark.fault("the connection is cut while it rolls")
def test_a_connection_that_is_cut_is_opened_again(site, fault):
    new = another(site)
    before = site.logins()
    run = site.begin("deploy", f"--ref={new}")
    run.until("checking the image")
    cut(site)
    run.until("rolling out")
    cut(site)
    done = run.wait()
    fault(done, status=0, serves=new)
    # One for each server, and one after each cut.
    assert len(site.nodes) < site.logins() - before <= 10
    assert site.history()[0]["state"] == "succeeded"
    site.must("deploy", f"--ref={site.good}")
    site.serves(site.good)


@pytest.mark.slow
@pytest.mark.fault("the connection is cut while the image is checked, and stays so")
def test_a_connection_that_stays_cut_before_the_roll_leaves_all_as_it_was(site, fault, tmp_path):
    new = another(site)
    run = site.begin("deploy", f"--ref={new}")
    run.until("checking the image")
    with blocked(site, "node1", "INPUT", "22", "DROP"):
        done = run.wait()
    fault(done, status=1, serves=site.good, locked=True)
    assert "SSH timed out" in done.verdict
    assert "no replica of the app was touched" in done.verdict
    again = site.must("deploy", f"--ref={new}", **clock(tmp_path, "+1 minute"))
    assert "was cut off" in again.text
    site.serves(new)


@pytest.mark.slow
@pytest.mark.fault("the connection is cut while it rolls, and stays so")
def test_a_connection_that_stays_cut_in_the_roll_needs_a_person(site, fault, tmp_path):
    new = another(site)
    run = site.begin("deploy", f"--ref={new}")
    run.until(" old")
    with blocked(site, "node1", "INPUT", "22", "DROP"):
        done = run.wait()
    (serves,) = settled(site)
    fault(done, status=3, serves=serves, locked=True)
    assert "automatic rollback also failed" in done.verdict
    assert "SSH timed out" in done.verdict
    again = site.must("deploy", f"--ref={new}", **clock(tmp_path, "+1 minute"))
    assert "was cut off" in again.text
    site.serves(new)


@pytest.mark.slow
def test_a_deploy_makes_one_connection_to_each_server(site):
    before = site.logins()
    site.must("deploy", f"--ref={another(site)}")
    assert site.logins() - before == len(site.nodes)
