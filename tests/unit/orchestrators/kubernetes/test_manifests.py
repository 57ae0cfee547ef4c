"""The objects of a stack on Kubernetes: what must hold for each of them."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.orchestrators.base import Job
from tasks.lib.orchestrators.kubernetes import manifests, naming, rendering, workloads
from tasks.lib.orchestrators.kubernetes.connecting import placed
from tasks.lib.orchestrators.kubernetes.place import Place
from tasks.lib.orchestrators.stack import Stack
from tasks.lib.project.places import Kubernetes
from tests.testbed.kubernetes import complaints, pods, unknown

IMAGE = f"registry.example.com/app@sha256:{'a' * 64}"
FORMER = f"registry.example.com/app@sha256:{'b' * 64}"
SECRETS = {"SECRET_KEY": "shop-prod_SECRET_KEY_v3", "PASSWORD": "shop-prod_PASSWORD_v12"}
PLACE = Place("shop", "https://shop.example.com", ingress="public")


def use(source: str, owner: str = "10001", **more: Any) -> dict[str, Any]:
    """The use of a secret."""
    return {"source": source, "uid": owner, "gid": owner, "mode": "0400", **more}


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    """What `docker compose config` prints, in short."""
    (tmp_path / "Caddyfile").write_text("one")
    pace = {"update_config": {"parallelism": 2}}
    limits = {"resources": {"limits": {"memory": "1000", "pids": 256, "cpus": 0.5}}}
    ours = {
        "image": IMAGE,
        "environment": {"B": "$$x", "A": 1, "EMPTY": None},
        "secrets": [use("SECRET_KEY", target="/run/secrets/SECRET_KEY")],
        "tmpfs": ["/tmp:size=64m"],
        "read_only": True,
        "cap_drop": ["ALL"],
        "stop_grace_period": "35s",
        "healthcheck": {"interval": "10s", "start_period": "1m0s", "start_interval": "500ms"},
        "networks": {"default": None},
        "depends_on": {"db": {"condition": "service_healthy"}},
        "logging": {"driver": "local"},
    }
    static = {"type": "volume", "source": "static", "target": "/srv/static", "read_only": True}
    proxy = {
        "image": "caddy:2",
        "user": "10001:10001",
        "cap_add": ["NET_BIND_SERVICE"],
        "ports": [{"target": 80, "published": "80", "protocol": "tcp"}],
        "configs": [{"source": "caddyfile", "target": "/etc/caddy/Caddyfile"}],
        "volumes": [static],
        "healthcheck": {"test": ["CMD", "wget", "http://127.0.0.1:2019/config/"]},
        "stop_grace_period": "35s",
        "deploy": {"replicas": 2},
    }
    db = {
        "image": "postgres:17",
        "user": "999:999",
        "secrets": [use("PASSWORD", "999")],
        "cap_add": ["CHOWN", "SETUID"],
        "volumes": [{"type": "volume", "source": "db", "target": "/data"}],
        "healthcheck": {"test": ["CMD-SHELL", "psql $$DB"], "interval": "5s"},
    }
    return {
        "services": {
            "proxy": proxy,
            "app": {**ours, "deploy": {"replicas": 3, **pace, **limits}},
            "worker": {**ours, "command": ["worker"], "stop_grace_period": "5m30s"},
            "beat": {**ours, "command": ["beat"]},
            "db": db,
        },
        "networks": {"default": {"name": "shop-prod_default"}},
        "volumes": {
            "static": {"name": "shop-prod_static"},
            "db": {"name": "shop-prod_db", "labels": {"deploy.size": "5Gi"}},
        },
        "configs": {"caddyfile": {"file": str(tmp_path / "Caddyfile")}},
        "secrets": {"SECRET_KEY": {"external": True}, "PASSWORD": {"external": True}},
    }  # fmt: skip


@pytest.fixture
def stack(config: dict[str, Any]) -> Stack:
    """The stack of that configuration, as a release."""
    made = rendering.render(config, "shop-prod", IMAGE, SECRETS)
    return made.labelled(7, "/home/deploy/shop/prod/releases")


Found = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture
def found(stack: Stack) -> Found:
    """Its objects, by kind and name."""
    made = manifests.objects(stack, PLACE)
    assert len({(each["kind"], each["metadata"]["name"]) for each in made}) == len(made)
    return {(each["kind"], each["metadata"]["name"]): each for each in made}


def jobs(stack: Stack) -> list[dict[str, Any]]:
    """Jobs as tasks make them: of the app, as root on a server, and beside the database."""
    db = {key: stack.services["db"][key] for key in ("image", "secrets")}
    root = {"user": "0:0", "volumes": [], "read_only": False, "cap_add": ["CHOWN"]}
    some = [
        Job("migrate", ["migrate", "db"]),
        Job("static", ["static", "/srv/static"], everywhere=True, overrides={"user": "0:0"}),
        Job("backup", ["sh", "-c", "echo $HOME"], overrides={**db, **root}),
    ]
    return [workloads.job(stack, job, "7-abc", 300) for job in some]


def test_every_pod_fits_the_restricted_profile(stack, found):
    made = [*pods([*found.values(), *jobs(stack)])]
    assert len(made) == 8
    assert [complaints(pod) for pod in made] == [[]] * 8
    assert all(pod["securityContext"]["runAsUser"] for pod in made)


def test_no_pod_has_a_token_or_variables_of_services(stack, found):
    for pod in pods([*found.values(), *jobs(stack)]):
        assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)


def test_every_field_is_one_that_kubernetes_has(stack, found):
    made = [*found.values(), *jobs(stack)]
    assert [(each["metadata"]["name"], unknown(each)) for each in made if unknown(each)] == []
    wrong = copy.deepcopy(found["Deployment", "app"])
    wrong["spec"]["template"]["spec"]["terminationGracePeriod"] = 3
    assert unknown(wrong) == [".spec.template.spec.terminationGracePeriod"]


def test_the_same_stack_gives_the_same_bytes_in_whatever_order_it_is_written(config, stack):
    def backwards(part: Any) -> Any:
        if not isinstance(part, dict):
            return part
        return {key: backwards(each) for key, each in reversed(part.items())}

    other = rendering.render(backwards(config), "shop-prod", IMAGE, SECRETS)
    other = other.labelled(7, "/home/deploy/shop/prod/releases")
    texts = [manifests.text(manifests.objects(each, PLACE)) for each in (stack, other)]
    assert texts[0] == texts[1]
    assert [*yaml.safe_load_all(texts[0])] == manifests.objects(stack, PLACE)


def test_another_release_of_the_same_replaces_no_pod(stack):
    one, two = (manifests.objects(stack.labelled(number, "there"), PLACE) for number in (7, 8))
    assert one != two
    assert [*pods(one)] == [*pods(two)]


def test_all_objects_are_in_the_namespace_and_bear_the_stack(found):
    assert {each["metadata"]["namespace"] for each in found.values()} == {"shop"}
    assert {each["metadata"]["labels"][naming.STACK] for each in found.values()} == {"shop-prod"}


def test_pods_are_selected_by_what_never_changes(config, stack):
    def selectors(some: Stack) -> dict[str, Any]:
        made = manifests.workloads(some)
        return {each["metadata"]["name"]: each["spec"]["selector"] for each in made}

    for name in ("app", "worker", "beat"):
        config["services"][name] |= {"image": FORMER, "environment": {"OTHER": "x"}}
    other = rendering.render(config, "shop-prod", FORMER, SECRETS).labelled(9, "elsewhere")
    assert selectors(other) == selectors(stack)


def test_new_replicas_start_first(found):
    app = found["Deployment", "app"]["spec"]
    assert app["replicas"] == 3
    assert app["strategy"]["rollingUpdate"] == {"maxSurge": 2, "maxUnavailable": 0}
    # One whose node is away never ends, and must not keep the next one from starting.
    assert found["Deployment", "beat"]["spec"]["strategy"]["type"] == "RollingUpdate"
    assert found["StatefulSet", "db"]["spec"]["replicas"] == 1


def test_a_budget_lets_a_node_be_drained(found):
    assert {name for kind, name in found if kind == "PodDisruptionBudget"} == {"app", "proxy"}
    assert found["PodDisruptionBudget", "app"]["spec"]["maxUnavailable"] == 1


def test_each_role_has_the_time_that_it_needs_to_stop(found):
    def grace(name: str) -> int:
        spec = found["Deployment", name]["spec"]["template"]["spec"]
        return int(spec["terminationGracePeriodSeconds"])

    # What serves goes on for a while, since the nodes and the proxy learn late that it stops.
    assert (grace("app"), grace("worker"), grace("proxy")) == (40, 330, 40)
    (proxy,) = found["Deployment", "proxy"]["spec"]["template"]["spec"]["containers"]
    assert proxy["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}


def test_the_app_is_asked_for_more_until_it_is_ready_once(found):
    (app,) = found["Deployment", "app"]["spec"]["template"]["spec"]["containers"]
    assert app["startupProbe"]["exec"] == {"command": ["/app/docker/healthcheck"]}
    start, live = app["startupProbe"], app["livenessProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] == 90
    assert (live["periodSeconds"], live["failureThreshold"]) == (10, 3)


def test_a_database_is_never_ended_by_a_check(found):
    (db,) = found["StatefulSet", "db"]["spec"]["template"]["spec"]["containers"]
    assert "livenessProbe" not in db
    # A shell reads the command of a check; Kubernetes writes nothing for $$ in it.
    assert db["readinessProbe"]["exec"]["command"] == ["sh", "-c", "psql $DB"]


def test_words_and_variables_keep_their_escapes_which_kubernetes_shares(stack, found):
    (app,) = found["Deployment", "app"]["spec"]["template"]["spec"]["containers"]
    assert app["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "$$x"}]
    backup = jobs(stack)[2]["spec"]["template"]["spec"]["containers"][0]
    assert backup["args"] == ["sh", "-c", "echo $$HOME"]


def test_memory_is_reserved_as_far_as_it_is_limited(found):
    (app,) = found["Deployment", "app"]["spec"]["template"]["spec"]["containers"]
    assert app["resources"] == {
        "limits": {"cpu": "0.5", "memory": "1000"},
        "requests": {"memory": "1000"},
    }


def test_a_secret_is_a_file_of_the_version_that_the_stack_names(found):
    spec = found["Deployment", "app"]["spec"]["template"]["spec"]
    (volume,) = (each for each in spec["volumes"] if each["name"] == "secrets")
    (source,) = volume["projected"]["sources"]
    assert source["secret"]["name"] == "secret-key-v3"
    # Its group reads it: the owner of such a file is root.
    assert source["secret"]["items"] == [{"key": "value", "path": "SECRET_KEY", "mode": 0o440}]
    assert spec["securityContext"]["fsGroup"] == 10001
    assert spec["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
    (mount,) = (m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "secrets")
    assert mount["mountPath"] == "/run/secrets"


def test_a_config_is_immutable_and_named_by_its_content(config, stack, tmp_path):
    (tmp_path / "Caddyfile").write_text("two")
    other = rendering.render(config, "shop-prod", IMAGE, SECRETS)
    (one,), (two,) = (tuple(manifests.configs(each)) for each in (stack, other))
    assert one["immutable"] and two["immutable"]
    assert (one["data"], two["data"]) == ({"value": "one"}, {"value": "two"})
    assert one["metadata"]["name"] != two["metadata"]["name"]
    assert one["metadata"]["name"].startswith("caddyfile-")


def test_pages_of_the_former_version_find_their_static_files(stack):
    def laid(former: str) -> list[str]:
        made = workloads.workload(stack, "proxy", [former, IMAGE] if former else [IMAGE])
        return [each["image"] for each in made["spec"]["template"]["spec"]["initContainers"]]

    assert laid("") == [IMAGE]
    assert laid(FORMER) == [FORMER, IMAGE]


def test_what_keeps_data_is_applied_first_and_the_app_last(stack):
    kinds = [(each["kind"], each["metadata"]["name"]) for each in manifests.workloads(stack)]
    assert kinds[:2] == [("StatefulSet", "db"), ("Deployment", "proxy")]


def test_data_has_the_size_that_is_asked_for_and_static_files_are_no_data(found):
    assert {name for kind, name in found if kind == "PersistentVolumeClaim"} == {"db"}
    claim = found["PersistentVolumeClaim", "db"]["spec"]
    assert claim["resources"]["requests"]["storage"] == "5Gi"
    assert "storageClassName" not in claim


def test_replicas_are_named_each_and_only_the_proxy_is_for_everybody(found):
    assert found["Service", "app"]["spec"]["clusterIP"] == "None"
    assert found["Service", "db"]["spec"]["clusterIP"] == "None"
    assert found["Service", "proxy"]["spec"]["type"] == "ClusterIP"
    assert {name for kind, name in found if kind == "NetworkPolicy"} == {"inside", "proxy"}
    (rule,) = found["NetworkPolicy", "inside"]["spec"]["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": {naming.STACK: "shop-prod"}}}]


def test_the_certificate_is_the_stacks_own_or_the_controllers(stack):
    def tls(place: Place) -> Any:
        made = manifests.objects(stack, place)
        return next(each["spec"].get("tls") for each in made if each["kind"] == "Ingress")

    own = [{"hosts": ["shop.example.com"], "secretName": f"{stack.name}-tls"}]
    assert tls(PLACE) == own
    assert tls(replace(PLACE, wildcard=True)) == [{"hosts": ["shop.example.com"]}]
    assert tls(replace(PLACE, url="http://shop.example.com")) is None
    chosen = Kubernetes(context="c", ingress="public", wildcard=True)
    assert placed(chosen, "shop", PLACE.url) == replace(PLACE, wildcard=True)


def test_an_ingress_is_there_if_its_class_is_named(stack, found):
    spec = found["Ingress", "proxy"]["spec"]
    assert (spec["ingressClassName"], spec["rules"][0]["host"]) == ("public", "shop.example.com")
    assert spec["tls"][0]["hosts"] == ["shop.example.com"]
    bare = manifests.objects(stack, Place("shop", PLACE.url, "NodePort", 30080))
    assert "Ingress" not in {each["kind"] for each in bare}
    (door,) = (each for each in bare if each["kind"] == "Service" and "type" in each["spec"])
    assert door["spec"]["ports"] == [{"name": "http", "port": 80, "nodePort": 30080}]
    assert door["spec"]["externalTrafficPolicy"] == "Cluster"


@pytest.mark.parametrize("service", ["NodePort", "LoadBalancer"])
def test_a_node_gives_requests_to_its_own_proxies_only_if_that_is_set(stack, service):
    chosen = Kubernetes(context="c", service=service, externaltraffic="Local")
    made = manifests.objects(stack, placed(chosen, "shop", PLACE.url))
    specs = [each["spec"] for each in made if each["kind"] == "Service"]
    doors = [spec for spec in specs if spec.get("type") == service]
    assert [each["externalTrafficPolicy"] for each in doors] == ["Local"]
    behind = manifests.objects(stack, replace(PLACE, traffic="Local"))
    assert not [each for each in behind if "externalTrafficPolicy" in each.get("spec", {})]


def test_a_job_runs_once_and_ends(stack):
    for made in jobs(stack):
        assert made["spec"]["backoffLimit"] == 0
        assert made["spec"]["activeDeadlineSeconds"] == 300
        assert made["spec"]["template"]["spec"]["restartPolicy"] == "Never"
        assert made["metadata"]["name"].endswith("-7-abc")
    users = [job["spec"]["template"]["spec"]["securityContext"]["runAsUser"] for job in jobs(stack)]
    assert users == [10001, 10001, 999]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"privileged": True}, "services.app.privileged: a pod cannot do it"),
        ({"network_mode": "host"}, "services.app.network_mode: a pod cannot do it"),
        ({"cap_add": ["SYS_ADMIN"]}, "services.app.cap_add: no pod may have SYS_ADMIN"),
        ({"user": "root"}, "services.app.user: no pod may be root's"),
        ({"user": "0:0"}, "services.app.user: no pod may be root's"),
        ({"volumes": [{"type": "bind", "source": "/srv", "target": "/srv"}]}, "/srv is a folder"),
        ({"secrets": [use("PASSWORD", target="/etc/pw")]}, "its file must be in /run/secrets"),
    ],
)
def test_what_no_pod_can_do_is_refused(config, change, line):
    config["services"]["app"] |= change
    with pytest.raises(TaskError, match=r"services\.app") as caught:
        rendering.render(config, "shop-prod", IMAGE, SECRETS)
    assert line in str(caught.value)
    assert caught.value.code == ExitCode.REFUSED


@pytest.mark.parametrize("name", ["Mail", "mail_out", "mail.out", "9mail", "mail-", "m" * 64])
def test_a_name_that_no_host_can_have_is_refused(config, name):
    config["services"][name] = config["services"]["worker"]
    with pytest.raises(TaskError, match=rf"services\.{name}: use up to 63 of a-z"):
        rendering.render(config, "shop-prod", IMAGE, SECRETS)
