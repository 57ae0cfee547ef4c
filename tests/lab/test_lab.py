"""`inv lab.up`, `lab.status`, `lab.down`: a registry with a login and a Swarm of real servers."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from tests.testbed.commands import ROOT, docker, inv, until
from tests.testbed.labs import must, new_name, variables
from tests.testbed.registries import client
from tests.testbed.sites import Exports

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def hosts(lab: Exports) -> list[str]:
    """The servers, as the settings of the lab name them."""
    settings = yaml.safe_load(Path(lab["INVOKE_RUNTIME_CONFIG"]).read_text())
    return settings["environments"]["lab"]["hosts"]


def ssh(lab: Exports, host: str, command: str, text: str = "") -> tuple[int, str]:
    """Run a command on a server whose key must be known; its status, and all that it prints."""
    address, _, port = host.rpartition(":")
    with TemporaryDirectory() as folder:
        for name in ("SSH_PRIVATE_KEY", "SSH_KNOWN_HOSTS"):
            Path(folder, name).touch(0o600)
            Path(folder, name).write_text(lab[name])
        options = {
            "UserKnownHostsFile": f"{folder}/SSH_KNOWN_HOSTS",
            "GlobalKnownHostsFile": "none",
        }
        options |= {"IdentityFile": f"{folder}/SSH_PRIVATE_KEY", "IdentityAgent": "none"}
        options |= {"BatchMode": "yes", "StrictHostKeyChecking": "yes", "LogLevel": "ERROR"}
        words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        done = subprocess.run(
            ["ssh", "-F", "none", *words, "-p", port, address, f"exec 2>&1; {command}"],
            input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    return done.returncode, done.stdout.strip()


def containers(name: str) -> dict[str, str]:
    """The containers of a lab: their names' last parts, and whole."""
    shown = docker("ps", "--all", "--format", "{{.Names}}", "--filter", f"name=-lab-{name}-")
    return {whole.rpartition("-")[2]: whole for whole in shown.splitlines()}


@pytest.fixture
def name() -> Iterator[str]:
    """A name for a lab of the test's own, which is gone afterwards."""
    fresh = new_name()
    yield fresh
    must("lab.down", "--name", fresh)


def test_the_servers_are_one_swarm_and_let_the_user_deploy_in_by_known_keys(lab):
    seen = [ssh(lab, host, "id -un; docker info -f '{{.Name}}'")[1] for host in hosts(lab)]
    assert seen == ["deploy\nnode1", "deploy\nnode2", "deploy\nnode3"]
    shown = ssh(lab, hosts(lab)[0], "docker node ls -f role=manager --format '{{.Status}}'")
    assert shown == (0, "Ready\nReady\nReady")


def test_a_server_with_another_key_is_not_let_in(lab):
    first, second = hosts(lab)[:2]
    lines = lab["SSH_KNOWN_HOSTS"].splitlines()
    swapped = f"{lines[0].split()[0]} {lines[1].split(' ', 1)[1]}\n"
    refused = [ssh({**lab, "SSH_KNOWN_HOSTS": swapped}, host, "true") for host in (first, second)]
    assert [status for status, _ in refused] == [255, 255]
    assert "IDENTIFICATION HAS CHANGED" in refused[0][1]
    assert "Host key verification failed" in refused[1][1]


def test_an_image_pushed_here_is_pulled_by_the_same_name_on_every_server(lab):
    image = f"{lab['CI_REGISTRY']}/group/thing:1"
    login = ["login", "--username", lab["CI_REGISTRY_USER"], "--password-stdin"]
    docker(*login, lab["CI_REGISTRY"], text=lab["CI_REGISTRY_PASSWORD"], env=lab)
    docker("tag", "redis:8-trixie", image)
    docker("push", "--quiet", image, env=lab)
    docker("restart", "--time", "0", containers(lab["LAB_NAME"])["registry"])
    until(lambda: inv("login", **lab).returncode == 0)

    refused = ssh(lab, hosts(lab)[0], f"docker pull --quiet {image}")
    assert refused[0] != 0 and "no basic auth credentials" in refused[1]
    pull = f"docker {' '.join(login)} {lab['CI_REGISTRY']} && docker pull --quiet {image}"
    pull += f"; status=$?; docker logout {lab['CI_REGISTRY']}; exit $status"
    with ThreadPoolExecutor() as pool:
        done = list(
            pool.map(lambda host: ssh(lab, host, pull, lab["CI_REGISTRY_PASSWORD"]), hosts(lab))
        )
    assert [status for status, _ in done] == [0, 0, 0], done
    assert all(image in output for _, output in done)


def test_a_wrong_password_is_refused(lab):
    done = inv("login", **{**lab, "CI_REGISTRY_PASSWORD": "wrong"})
    assert done.returncode == 1
    assert must("login", env=lab) == ""


def test_the_servers_get_images_of_docker_hub_from_the_mirror(lab):
    facts = json.loads((ROOT / ".lab" / lab["LAB_NAME"] / "lab.json").read_text())
    digest = client(f"localhost:{facts['mirror']}/library/redis").digest("8-trixie")
    command = "docker pull -q redis:8-trixie && docker inspect -f '{{.RepoDigests}}' redis:8-trixie"
    status, output = ssh(lab, hosts(lab)[1], command)
    assert status == 0
    assert f"redis@{digest}" in output


def test_every_environment_of_the_project_is_in_the_lab(lab):
    settings = yaml.safe_load(Path(lab["INVOKE_RUNTIME_CONFIG"]).read_text())
    own = yaml.safe_load((ROOT / "invoke.yaml").read_text())["environments"]
    assert set(settings["environments"]) == {"lab", *own}
    ports = [each["values"]["HTTP_PORT"] for each in settings["environments"].values()]
    assert ports == list(range(80, 80 + len(ports)))
    node = containers(lab["LAB_NAME"])["node1"]
    for port, each in zip(ports, settings["environments"].values(), strict=True):
        assert each["url"] == f"http://{docker('port', node, str(port))}"


def test_servers_that_stopped_are_started_by_up_which_prints_the_same_again(lab):
    here = containers(lab["LAB_NAME"])
    assert "unhealthy" not in must("lab.status", "--name", lab["LAB_NAME"])
    # Started in this order, each would get the other's address, were it not its own.
    docker("stop", "--time", "0", here["node1"], here["node2"])
    docker("start", here["node2"])
    sick = inv("lab.status", "--name", lab["LAB_NAME"])
    assert sick.returncode == 1
    assert "inv: unhealthy: node1" in sick.stderr

    again = variables(must("lab.up", "--name", lab["LAB_NAME"]))

    assert again == {key: lab[key] for key in again}
    assert "unhealthy" not in must("lab.status", "--name", lab["LAB_NAME"])


def test_a_server_that_was_removed_is_recreated_and_takes_its_place(lab):
    docker("rm", "--force", "--volumes", containers(lab["LAB_NAME"])["node1"])
    lab.update(variables(must("lab.up", "--name", lab["LAB_NAME"])))
    shown = ssh(lab, hosts(lab)[0], "docker node ls --format '{{.Hostname}} {{.Status}}'")
    assert shown[1].splitlines() == ["node1 Ready", "node2 Ready", "node3 Ready"]


def test_a_terminal_shows_what_to_type_and_no_secret(lab):
    ours, theirs = pty.openpty()
    command = ["./inv", "lab.up", "--name", lab["LAB_NAME"]]
    done = subprocess.run(command, cwd=ROOT, stdout=theirs, stderr=subprocess.PIPE, text=True)
    os.close(theirs)
    try:
        printed = os.read(ours, 65536)
    except OSError:
        printed = b""
    os.close(ours)
    assert f'eval "$(./inv lab.up --name {lab["LAB_NAME"]})"' in done.stderr
    assert printed == b""


def test_another_number_of_servers_is_refused(lab):
    done = inv("lab.up", "--name", lab["LAB_NAME"], "--nodes", "2")
    assert done.returncode == 2
    assert "has 3 servers, not 2 - ./inv lab.down" in done.stderr


def test_two_labs_are_side_by_side_and_down_leaves_nothing_of_one(lab, name):
    other = variables(must("lab.up", "--name", name, "--nodes", "1"))
    assert ssh(other, hosts(other)[0], "docker node ls --format '{{.Hostname}}'") == (0, "node1")
    assert "unhealthy" not in must("lab.status", "--name", name)
    docker("tag", "redis:8-trixie", f"{other['CI_REGISTRY']}/thing:1")
    here = containers(name).values()
    shown = "{{range .Mounts}}{{if .Name}}{{.Name}} {{end}}{{end}}"
    volumes = set(docker("inspect", "--format", shown, *here).split())
    assert len(here) == len(volumes) == 3

    assert f"lab {name}: removed" in inv("lab.down", "--name", name).stderr

    assert containers(name) == {}
    assert volumes & set(docker("volume", "ls", "--quiet").split()) == set()
    assert docker("network", "ls", "--quiet", "--filter", f"name=-lab-{name}") == ""
    assert docker("images", "--quiet", f"{other['CI_REGISTRY']}/thing") == ""
    assert not (ROOT / ".lab" / name).exists()
    assert f"lab {name}: not found" in inv("lab.down", "--name", name).stderr
    assert inv("lab.status", "--name", name).returncode == 1
    assert "unhealthy" not in must("lab.status", "--name", lab["LAB_NAME"])


def test_a_lab_being_made_is_left_alone_and_an_interrupted_one_is_removed(name):
    command = ["./inv", "lab.up", "--name", name, "--nodes", "1"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as up:
        until(lambda: "node1" in containers(name), 120)
        second = inv("lab.up", "--name", name)
        up.send_signal(signal.SIGINT)
        output = up.communicate(timeout=30)[1]
    assert second.returncode == 2
    assert f"lab {name} is locked by another task" in second.stderr
    assert up.returncode == 130
    assert output.splitlines()[-1] == "inv: interrupted"
    shutil.rmtree(ROOT / ".lab" / name)
    assert f"lab {name}: removed" in inv("lab.down", "--name", name).stderr
    assert containers(name) == {}


def test_dry_removes_nothing_and_prints_what_it_would(lab):
    here = containers(lab["LAB_NAME"])
    done = inv("--dry", "lab.down", "--name", lab["LAB_NAME"])
    assert done.returncode == 0, done.stderr
    assert "docker container rm --force --volumes" in done.stderr
    assert containers(lab["LAB_NAME"]) == here
    assert "unhealthy" not in must("lab.status", "--name", lab["LAB_NAME"])


def test_echo_prints_what_it_runs(lab):
    done = inv("--echo", "lab.status", "--name", lab["LAB_NAME"])
    assert f"docker exec {containers(lab['LAB_NAME'])['node1']} " in done.stderr


def test_dry_starts_nothing(name):
    done = inv("--dry", "lab.up", "--name", name)
    assert done.returncode == 0, done.stderr
    assert "up --detach" in done.stderr
    assert done.stdout.strip() == ""
    assert containers(name) == {}
    assert not (ROOT / ".lab" / name).exists()


@pytest.mark.parametrize("nodes", ["-1", "21"])
def test_a_number_of_servers_that_cannot_be_is_refused_before_anything_is_made(nodes, name):
    done = inv("lab.up", "--name", name, "--nodes", nodes)
    assert done.returncode == 2
    assert f"inv: invalid number of servers: {nodes} - use 1 to 20" in done.stderr
    assert not (ROOT / ".lab" / name).exists()


def test_a_name_that_cannot_be_is_refused():
    done = inv("lab.up", "--name", "../up")
    assert done.returncode == 2
    assert "inv: invalid lab name '../up' - use up to 30 of a-z, 0-9 and hyphens" in done.stderr
