"""What Compose renders becomes a stack that Swarm takes; what it cannot take is told."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from tasks.lib.errors import TaskError
from tasks.lib.orchestrators import stack
from tasks.lib.orchestrators.base import Job
from tasks.lib.orchestrators.swarm import rendering

IMAGE = "registry.example.com/app@sha256:" + "a" * 64
SECRETS = {"KEY": "site_KEY_v3"}


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    """What `docker compose config` gives for a small project."""
    file = tmp_path / "proxy.conf"
    file.write_text("one")
    dnsrr = {"endpoint_mode": "dnsrr"}
    return {
        "name": "site",
        "services": {
            "app": {
                "image": IMAGE,
                "command": None,
                "depends_on": {"db": {"condition": "service_healthy"}},
                "environment": {"A": "x", "DEBUG": True, "EMPTY": "", "UNSET": None},
                "tmpfs": ["/tmp:size=64m"],
                "secrets": [{"source": "KEY", "target": "KEY", "uid": "1", "mode": "0400"}],
                "volumes": [{"type": "volume", "source": "files", "target": "/files"}],
                "deploy": {**dnsrr, "resources": {"limits": {"cpus": 1.5, "memory": "1000"}}},
            },
            "proxy": {
                "image": "proxy:1",
                "configs": [{"source": "conf", "target": "/conf"}],
                "ports": [{"mode": "host", "target": 80, "published": "8080"}],
                "deploy": dict(dnsrr),
            },
        },
        "networks": {"default": {"name": "site_default", "driver": "overlay", "ipam": {}}},
        "volumes": {"files": {"name": "site_files"}},
        "configs": {"conf": {"name": "site_conf", "file": str(file)}},
        "secrets": {"KEY": {"name": "KEY", "external": True}},
    }


def render(config: dict[str, Any]) -> stack.Stack:
    return rendering.render(config, "site", IMAGE, SECRETS)


def refused(config: dict[str, Any], **service: Any) -> str:
    """Why a stack is refused whose app has some more keys."""
    config["services"]["app"] |= service
    with pytest.raises(TaskError) as caught:
        render(config)
    assert caught.value.code == 2
    return str(caught.value)


def test_what_swarm_does_not_take_is_translated_or_left_out(config):
    app = render(config).content["services"]["app"]
    assert not {"depends_on", "tmpfs", "command"} & set(app)
    assert app["environment"] == {"A": "x", "DEBUG": "true"}
    assert {"type": "tmpfs", "target": "/tmp", "tmpfs": {"size": 64 << 20}} in app["volumes"]
    assert app["secrets"] == [{"source": "KEY", "target": "KEY", "uid": "1", "mode": 0o400}]
    assert app["deploy"]["resources"]["limits"]["cpus"] == "1.5"


def test_a_published_port_is_a_number(config):
    assert render(config).content["services"]["proxy"]["ports"][0]["published"] == 8080


def test_secrets_are_the_versions_that_the_swarm_has(config):
    assert render(config).content["secrets"]["KEY"] == {"external": True, "name": "site_KEY_v3"}


def test_a_config_is_called_by_its_content(config):
    before = render(config).content["configs"]["conf"]["name"]
    assert render(config).content["configs"]["conf"]["name"] == before
    Path(config["configs"]["conf"]["file"]).write_text("two")
    after = render(config)
    assert after.content["configs"]["conf"]["name"] != before
    assert after.configs == {after.content["configs"]["conf"]["name"]: "two"}


def test_a_tag_is_never_deployed(config):
    with pytest.raises(TaskError, match="give a digest"):
        rendering.render(config, "site", "registry.example.com/app:main", SECRETS)


def test_everything_that_cannot_be_deployed_is_told_at_once(config):
    app, proxy = config["services"]["app"], config["services"]["proxy"]
    app["volumes"].append({"type": "bind", "source": "/home/me", "target": "/x"})
    app["mem_limit"] = "1g"
    proxy["ports"][0]["mode"] = "ingress"
    del proxy["deploy"]["endpoint_mode"]
    config["secrets"]["OTHER"] = {}
    with pytest.raises(TaskError) as caught:
        render(config)
    for part in ("/home/me", "mem_limit", "mode: host", "dnsrr", "secrets.OTHER"):
        assert part in str(caught.value)
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("security_opt", ["no-new-privileges:true"], "daemon.json"),
        ("privileged", True, "a stack cannot do it"),
        ("devices", [{"source": "/dev/kvm"}], "a stack cannot do it"),
        ("pid", "host", "a stack cannot do it"),
        ("pids_limit", 100, "deploy.resources"),
        ("platform", "linux/arm64", "deploy.placement"),
        ("restart", "no", "deploy.restart_policy"),
        ("a_key_of_a_later_compose", "x", "a stack cannot do it"),
    ],
)
def test_what_a_stack_cannot_do_is_never_left_out_in_silence(config, key, value, says):
    line = next(line for line in refused(config, **{key: value}).splitlines() if key in line)
    assert says in line
    # What a Compose file takes back with !reset was not said.
    config["services"]["app"][key] = [] if isinstance(value, list) else None
    render(config)


def test_a_tmpfs_has_a_size_and_no_option_that_would_be_lost(config):
    assert "tmpfs: /tmp counts as memory" in refused(config, tmpfs=["/tmp"])
    assert "tmpfs: /tmp counts as memory" in refused(config, tmpfs=["/tmp:size=50%"])
    assert "tmpfs: /tmp:uid: a stack cannot do it" in refused(config, tmpfs=["/tmp:size=1g,uid=1"])
    long = {"type": "tmpfs", "target": "/run", "tmpfs": {"size": "1024"}}
    config["services"]["app"] |= {"tmpfs": [], "volumes": [long]}
    assert render(config).content["services"]["app"]["volumes"][0]["tmpfs"] == {"size": 1024}
    assert "/run counts as memory" in refused(config, volumes=[long | {"tmpfs": {}}])


def test_an_address_on_the_network_is_not_left_out_either(config):
    said = refused(config, networks={"default": {"aliases": ["x"], "ipv4_address": "10.0.0.7"}})
    assert "services.app.networks.default.ipv4_address: a stack cannot do it" in said


def test_a_job_has_what_the_app_has_and_runs_once(config):
    # What a job prints is read by a task, wherever the app's log goes.
    config["services"]["app"]["logging"] = {"driver": "syslog", "options": {"mode": "non-blocking"}}
    job = rendering.render_jobs(render(config), [Job("check", ["sh", "-c", "echo $HOME"])])
    service = job.content["services"]["check"]
    assert service["image"] == IMAGE
    assert service["command"] == ["sh", "-c", "echo $$HOME"]
    assert service["deploy"]["mode"] == "replicated"
    assert service["logging"] == {"driver": "local"}
    assert service["deploy"]["restart_policy"] == {"condition": "none"}
    assert job.content["networks"]["default"] == {"external": True, "name": "site_default"}
    assert job.content["secrets"] == {"KEY": {"external": True, "name": "site_KEY_v3"}}
    assert job.content["volumes"] == {"files": {"external": True, "name": "site_files"}}


def test_the_number_of_a_release_is_no_difference(config):
    made = render(config)
    assert stack.difference(made.labelled(1, "place"), made.labelled(2, "here")) == []
    assert made.content == render(config).content


def test_a_difference_names_each_value_by_its_path(config):
    old = render(config)
    other = copy.deepcopy(config)
    other["services"]["app"]["environment"]["A"] = "y"
    del other["services"]["app"]["environment"]["DEBUG"]
    other["services"]["proxy"]["image"] = "proxy:2"
    assert stack.difference(old, render(other)) == [
        "- services.app.environment.DEBUG: true",
        "~ services.app.environment.A: x -> y",
        "~ services.proxy.image: proxy:1 -> proxy:2",
    ]


def test_a_recorded_stack_is_the_same_again(config):
    made = render(config).labelled(7, "place")
    assert stack.load("site", IMAGE, made.text()).content == made.content


def test_only_some_services_leave_the_rest_as_it_is(config):
    made = render(config)
    assert list(made.only(["proxy"]).content["services"]) == ["proxy"]
    assert list(made.content["services"]) == ["app", "proxy"]
    assert made.ours == ["app"]


def test_services_and_jobs_stay_on_the_servers_of_the_stack(config):
    home = ["node.labels.site == home"]
    config["services"]["proxy"]["deploy"]["placement"] = {"constraints": home}
    made = render(config)
    placed = {name: each["deploy"]["placement"] for name, each in made.services.items()}
    own = {"constraints": ["node.labels.site.server == yes"]}
    assert placed == {"app": own, "proxy": {"constraints": home}}
    jobs = [Job("check", ["check"]), Job("static", ["static"], everywhere=True)]
    for job in rendering.render_jobs(made, jobs).services.values():
        assert job["deploy"]["placement"] == own


def test_jobs_of_a_stack_from_before_the_labels_run_anywhere(config):
    made = render(config)
    del made.content["services"]["app"]["deploy"]["placement"]
    (job,) = rendering.render_jobs(made, [Job("check", ["check"])]).services.values()
    assert "placement" not in job["deploy"]


@pytest.mark.parametrize("kind", ["services", "networks", "configs"])
def test_a_name_that_is_too_long_is_refused(config, kind):
    config[kind]["x" * 64] = next(iter(config[kind].values()))
    with pytest.raises(TaskError, match=f"{kind[:-1]} site_xxx.* at most 6"):
        render(config)


def test_a_secret_that_only_jobs_use_is_part_of_the_stack(config):
    known = {**SECRETS, "OWNER": "site_OWNER_v1", "NONE": ""}
    made = rendering.render(config, "site", IMAGE, known)
    assert made.versions("secrets") == {"site_KEY_v3", "site_OWNER_v1"}
    assert "OWNER" not in {use["source"] for use in made.services["app"]["secrets"]}


def test_an_option_of_a_network_that_is_empty_is_left_out(config):
    config["networks"]["default"]["driver_opts"] = {"encrypted": ""}
    assert "driver_opts" not in render(config).content["networks"]["default"]
    config["networks"]["default"]["driver_opts"] = {"encrypted": "true"}
    wanted = {"encrypted": "true"}
    assert render(config).content["networks"]["default"]["driver_opts"] == wanted
