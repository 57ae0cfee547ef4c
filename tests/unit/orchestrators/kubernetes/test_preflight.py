"""What a deploy needs of quotas and of the login to the registry; and which lines are wanted."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from tasks.lib.errors import TaskError
from tasks.lib.kubernetes import kubeconfig
from tasks.lib.orchestrators.kubernetes import preflight, quota, secrets
from tasks.lib.orchestrators.kubernetes.connecting import placed
from tasks.lib.orchestrators.kubernetes.logs import since
from tasks.lib.orchestrators.kubernetes.place import Place
from tasks.lib.project.places import Kubernetes
from tasks.lib.registry import credentials
from tasks.lib.registry.credentials import Login


def workload(name: str, replicas: int = 2, surge: int = 1, init: str = "1Mi") -> dict[str, Any]:
    """A Deployment whose pods have 512 MiB."""
    memory = {"limits": {"memory": "512Mi"}, "requests": {"memory": "512Mi"}}
    first = {"limits": {"memory": init}}
    pod = {"containers": [{"resources": memory}], "initContainers": [{"resources": first}]}
    strategy = {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": 0}}
    spec = {"replicas": replicas, "strategy": strategy, "template": {"spec": pod}}
    return {"metadata": {"name": name}, "spec": spec}


def lacking(hard: dict[str, str], used: dict[str, str], running: list[str], **more: Any) -> str:
    """What is said of a quota, for two services; empty if it has room."""
    known = {"metadata": {"name": "few"}, "status": {"hard": hard, "used": used}}
    works = [workload("app", **more), workload("worker", **more)]
    return " ".join(quota.problems([known], works, running))


def test_a_first_deploy_needs_room_for_all_and_another_one_for_what_starts_beside():
    hard, none = {"pods": "4", "limits.memory": "2Gi"}, {"pods": "0"}
    assert lacking(hard, none, []) == ""
    assert "pods has 3 of 4 left, and the rollout needs 4" in lacking(hard, {"pods": "1"}, [])
    both, four = ["app", "worker"], {"pods": "4", "limits.memory": "2Gi"}
    assert lacking({"pods": "6"}, four, both) == ""
    assert "needs 2" in lacking({"pods": "5"}, four, both)
    assert "limits.memory has 0 of 2Gi left, and the rollout needs 1Gi" in lacking(hard, four, both)


def test_what_is_never_beside_itself_needs_no_room():
    assert lacking({"pods": "4"}, {"pods": "4"}, ["app", "worker"], surge=0) == ""
    # Never more beside the old ones than there are.
    full = {"pods": "4"}
    assert "needs 2 " in lacking(full, full, ["app", "worker"], replicas=1, surge=3)


def test_a_quota_of_memory_is_of_requests_and_a_container_before_counts():
    assert "memory has 1Gi of 1Gi left" in lacking({"memory": "1Gi"}, {}, [])
    assert lacking({"memory": "2Gi"}, {}, []) == ""
    assert "needs 4Gi" in lacking({"limits.memory": "3Gi"}, {}, [], init="1Gi")
    # What the pods do not have is no matter.
    assert lacking({"requests.nvidia.com/gpu": "0"}, {}, []) == ""


@pytest.mark.parametrize(
    ("text", "number"), [("500m", 0.5), ("2", 2), ("1.5", 1.5), ("1k", 1000), ("1Ki", 1024)]
)
def test_an_amount_is_read_as_the_cluster_writes_it(text, number):
    assert quota.amount(text) == number


@pytest.mark.parametrize(
    ("login", "why"),
    [
        (Login("r", "gitlab-ci-token", "x", "a"), "ends with this job"),
        (Login("r", "ann", "ghs_x", "a"), "ends with this job"),
        (Login("r", "", "x", "a", token=True), "an identity token"),
        (Login("r", "ann", "x", "a"), ""),
    ],
)
def test_a_login_that_does_not_last_is_refused(login, why):
    assert why in "".join(secrets.problems(login.header))
    assert bool(why) == bool([*secrets.problems(login.header)])


def test_a_stored_login_is_read_as_it_was_given():
    given = Login("r:5000", "ann", "correct: horse", "a").header
    known: list[dict[str, Any] | None] = [secrets.login("shop-prod", given), None]
    cluster: Any = SimpleNamespace(get=lambda kind, name: known.pop(0))
    assert secrets.stored_login(cluster) == given
    assert secrets.stored_login(cluster) == ""


def test_without_a_login_nothing_is_wrong_with_it():
    assert [*secrets.problems("")] == []


def test_a_deploy_token_lasts_longer_than_the_login_of_a_job():
    env = {"CI_REGISTRY": "r", "CI_REGISTRY_USER": "gitlab-ci-token", "CI_REGISTRY_PASSWORD": "x"}
    both = {**env, "CI_DEPLOY_USER": "gitlab+deploy-token-1", "CI_DEPLOY_PASSWORD": "y"}
    assert credentials.find("r", both).user == "gitlab-ci-token"
    assert credentials.find("r", both, lasting=True).user == "gitlab+deploy-token-1"
    assert credentials.find("r", env, lasting=True).user == "gitlab-ci-token"


def test_lines_are_wanted_since_a_time_or_some_time_ago():
    assert since("") == {}
    assert since("10m") == {"sinceSeconds": "600"}
    assert since("1h30m") == {"sinceSeconds": "5400"}
    (moment,) = since("2026-01-31T12:00:00").values()
    assert moment.startswith("2026-01-31T12:00:00") and len(moment) > 19
    with pytest.raises(TaskError, match="--since=yesterday is no time"):
        since("yesterday")


def certificate(days: float) -> str:
    """A certificate that ends in so many days."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days))
    text = made.sign(key, SHA256()).public_bytes(Encoding.PEM)
    return b64encode(text).decode()


@pytest.mark.parametrize(
    ("days", "apart", "said"),
    [
        (3.5, 0, "the certificate of context prod ends in 3 days - ask"),
        (20, 0, ""),
        (None, 0, ""),
        (None, 120, "s apart - set"),
        (None, -120, "s apart - set"),
    ],
)
def test_a_certificate_that_ends_and_a_clock_that_is_wrong_are_told(days, apart, said, capfd):
    user = {"client-certificate-data": certificate(days)} if days else {}
    clock = format_datetime(datetime.now(UTC) - timedelta(seconds=apart), usegmt=True)
    access = kubeconfig.Access("prod", {}, user)
    preflight._warn(SimpleNamespace(access=access, clock=clock))  # type: ignore[arg-type]
    shown = capfd.readouterr().err
    assert said in shown and bool(said) == bool(shown)


@pytest.mark.parametrize(
    ("wanted", "line", "warned"),
    [
        ("traefik", "", ""),
        ("nginx", "", "ingress-nginx, which was retired in March 2026 - move to"),
        ("none", "no ingress class none - known: nginx, traefik", ""),
        ("", "", ""),
    ],
)
def test_a_class_that_is_not_there_is_refused_and_a_retired_one_told(wanted, line, warned, capfd):
    controllers = {"traefik": "traefik.io/ingress-controller", "nginx": "k8s.io/ingress-nginx"}
    known = [
        {"metadata": {"name": name}, "spec": {"controller": each}}
        for name, each in controllers.items()
    ]
    cluster = SimpleNamespace(name="prod/shop", list=lambda kind, labels: known)
    found = "".join(preflight._ingress(cluster, wanted))  # type: ignore[arg-type]
    assert line in found and bool(line) == bool(found)
    shown = capfd.readouterr().err
    assert warned in shown and bool(warned) == bool(shown)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({}, "LoadBalancer"),
        ({"ingress": "traefik"}, "ClusterIP"),
        ({"gateway": "infra/public"}, "ClusterIP"),
        ({"service": "NodePort", "port": 30080}, "NodePort"),
        ({"service": "NodePort", "ingress": "traefik"}, "NodePort"),
    ],
)
def test_requests_come_by_an_ingress_or_by_a_service_that_is_open(given, kind):
    assert placed(Kubernetes(context="prod", **given), "shop", "https://a").service == kind


@pytest.mark.parametrize(
    ("place", "line", "warned"),
    [
        ({"podmonitor": {"release": "any"}}, "the cluster has no PodMonitor", ""),
        ({"prometheus": "nowhere"}, "", "there is no namespace nowhere yet"),
        ({"prometheus": "monitoring"}, "", ""),
        ({}, "", ""),
    ],
)
def test_an_operator_that_is_not_there_is_refused_and_a_namespace_told(place, line, warned, capfd):
    namespaces = {"monitoring": {"kind": "Namespace"}}
    cluster: Any = SimpleNamespace(
        name="prod/shop",
        serves=lambda group: group != "monitoring.coreos.com/v1",
        get=lambda kind, name: namespaces.get(name),
    )
    found = "".join(preflight._measured(cluster, Place("shop", "https://a", **place)))
    assert line in found and bool(line) == bool(found)
    shown = capfd.readouterr().err
    assert warned in shown and bool(warned) == bool(shown)
