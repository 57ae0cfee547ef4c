"""A lab's cluster of Kubernetes, and what its API says to our objects and our requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.lib.environments import records
from tasks.lib.environments.history import History
from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.kubernetes import client, kubeconfig, objects
from tasks.lib.kubernetes.client import Cluster
from tasks.lib.kubernetes.requests import ClusterError
from tasks.lib.orchestrators.base import Job, Rollout
from tasks.lib.orchestrators.kubernetes import (
    connecting,
    leases,
    manifests,
    metrics,
    namespace,
    naming,
    pod_status,
    policies,
    rights,
    rollout,
    secrets,
)
from tasks.lib.orchestrators.kubernetes.orchestrator import KubernetesOrchestrator
from tasks.lib.orchestrators.kubernetes.place import Place
from tasks.lib.orchestrators.kubernetes.records import ClusterStore
from tasks.lib.orchestrators.stack import drift
from tasks.lib.project.places import Scaling
from tasks.lib.registry.credentials import Login
from tests.testbed.clusters import CONTEXT, scratch
from tests.testbed.commands import docker, free_port, inv, until
from tests.testbed.compose_files import IMAGE, SITE
from tests.testbed.kubernetes import admits, own_stack
from tests.testbed.labs import must
from tests.testbed.oncluster import OnCluster
from tests.testbed.sites import SLOW, Exports, Site

from .conftest import quick

BOOM = "#!/bin/sh\necho 'boom: no licence file' >&2\nexit 7\n"

# What is not slow among them, CI can run: .ci/run.
pytestmark = [pytest.mark.engine, pytest.mark.cluster]


@pytest.fixture(scope="module")
def lab(clustered: Exports) -> Exports:
    """The lab with a cluster."""
    return clustered


@pytest.fixture
def cluster(lab: Exports) -> Iterator[Cluster]:
    """A namespace of its own."""
    with scratch(kubeconfig.access(CONTEXT, lab)) as cluster:
        yield cluster


def test_three_servers_are_one_cluster_and_are_gone_with_the_lab(lab):
    text = must("lab.status", "--name", lab["LAB_NAME"])
    assert text.count("kubelet v1.") == 3
    assert text.count("healthy") == 4
    assert "unhealthy" not in text


@pytest.mark.slow
def test_a_server_that_was_restarted_is_ready_again(lab):
    name = f"-lab-{lab['LAB_NAME']}-node3"
    container = docker("ps", "--quiet", "--filter", f"name={name}").strip()
    docker("restart", "--time", "0", container)
    until(lambda: inv("lab.status", "--name", lab["LAB_NAME"]).returncode == 0, 120, 1)


@pytest.mark.slow
def test_a_volume_that_was_used_is_free_and_empty_when_the_lab_is_started_again(lab, cluster):
    nodes = docker("ps", "--format", "{{.Names}}", "--filter", f"name=-lab-{lab['LAB_NAME']}-node")
    server = min(nodes.splitlines())
    size = {"resources": {"requests": {"storage": "1Gi"}}, "accessModes": ["ReadWriteOnce"]}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "used"}}
    columns = "--output=custom-columns=:.metadata.name,:.status.phase"

    def volumes() -> dict[str, str]:
        shown = docker("exec", server, "kubectl", "get", "pv", "--no-headers", columns)
        return dict(line.split() for line in shown.splitlines())

    free = (name for name, phase in volumes().items() if phase == "Available")
    volume = next(name for name in free if name.startswith("node1-"))
    folder = f"/var/lib/kubelet/volumes/{volume.rpartition('-')[2]}"
    docker("exec", server, "touch", f"{folder}/file")
    # A claim that names its volume needs no pod to be bound.
    cluster.apply({**claim, "spec": {**size, "storageClassName": "lab", "volumeName": volume}})
    until(lambda: volumes()[volume] == "Bound", 60)
    cluster.delete("PersistentVolumeClaim", "used")
    until(lambda: volumes()[volume] == "Released", 60)
    must("lab.up", "--name", lab["LAB_NAME"])
    assert volumes()[volume] == "Available"
    assert docker("exec", server, "ls", folder) == ""


def test_the_cluster_takes_every_object_of_our_own_compose_files(cluster):
    scaled = {"app": Scaling(2, 4, "500m")}
    place = Place(cluster.namespace, SITE, "LoadBalancer", ingress="any", scaling=scaled)
    made = manifests.objects(own_stack(METRICS="9464"), replace(place, prometheus="monitoring"))
    assert len(made) > 20
    assert metrics.NAME in {each["metadata"]["name"] for each in made}
    refused = []
    for each in made:
        try:
            assert cluster.apply(each, dry=True)["kind"] == each["kind"]
        except ClusterError as error:
            refused.append(str(error))
    assert refused == []


def test_the_namespace_takes_a_pod_of_each_role(cluster):
    for each in manifests.workloads(own_stack()):
        template = each["spec"]["template"]
        meta = {**template["metadata"], "name": f"try-{each['metadata']['name']}"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}
        assert cluster.create(pod, dry=True)


def test_what_is_applied_twice_is_the_same_and_a_foreign_field_is_known(cluster):
    place = Place(cluster.namespace, SITE)
    (app,) = (each for each in manifests.objects(own_stack(), place) if each["kind"] == "Deployment"
              and each["metadata"]["name"] == "worker")  # fmt: skip
    first, again = cluster.apply(app), cluster.apply(app)
    assert first["metadata"]["generation"] == again["metadata"]["generation"] == 1
    cluster.delete("Deployment", "worker")
    cluster.delete("Deployment", "worker")
    until(lambda: cluster.get("Deployment", "worker") is None)


def test_of_several_that_want_the_lock_one_gets_it(cluster):
    mine, other = (leases.Leases(cluster, "shop-prod") for _ in range(2))
    assert mine.newest() is None
    first = mine.take(None, "mine")
    assert first and first.number == 1
    # An answer that was lost: the same is asked again.
    assert mine.take(None, "mine") == first
    assert other.take(None, "other") is None
    found = other.newest()
    assert found == first
    assert 0 <= found.age < 10
    second = mine.take(first, "mine")
    assert second and second.number == 2
    assert other.take(first, "other") is None
    mine.drop("somebody else's")
    assert mine.newest() == second
    mine.drop("mine")
    assert mine.newest() is None
    assert other.take(None, "other")


def test_a_secret_has_versions_that_nobody_changes(cluster):
    known = secrets.Secrets(cluster, "shop-prod")
    value = "s3cret $HOME #1 \"'\\ ü\n"
    for _ in range(10):
        known.set("SECRET_KEY", value)
    known.set("SECRET_KEY", "last")
    known.set("PASSWORD", value)
    versions = known.versions()
    assert versions["SECRET_KEY"][:3] == [f"shop-prod_SECRET_KEY_v{n}" for n in (11, 10, 9)]
    assert known.values() == {"SECRET_KEY": "last", "PASSWORD": value}
    stored = cluster.get("Secret", "secret-key-v11")
    with pytest.raises(ClusterError, match="immutable"):
        cluster.replace({**stored, "data": {"value": "eA=="}})
    known.remove(versions["SECRET_KEY"])
    assert [*known.versions()] == ["PASSWORD"]


def test_a_stored_login_is_replaced_when_the_namespace_is_set_up_again(cluster):
    def stack(password: str) -> KubernetesOrchestrator:
        auth = Login("registry:5000", "ann", password, "the test").header
        return KubernetesOrchestrator(cluster, "shop-prod", Place("a", "http://a"), auth)

    first, second = stack("battery staple"), stack("correct horse")
    assert [*first.set_up()] == []
    assert first.pull_login() == ""
    first._sign_in()
    assert [*first.set_up()] == []
    assert [*second.set_up()] == [f"{cluster.name}: the login to the registry"]
    assert first.pull_login() == second._auth
    assert [*second.set_up()] == []


def test_the_history_is_in_the_namespace(cluster):
    history = History(ClusterStore(cluster, "shop-prod"))
    assert (history.read(), history.problems()) == ([], [])
    made = [
        history.begin(records.new_deploy(n, IMAGE, "c0ffee", "", True), own_stack())
        for n in (9, 10)
    ]
    history.write_applied(made[0], {"app": {"replicas": 2}})
    assert history.read() == made[::-1]
    assert history.stack(made[0], "shop-prod").content == own_stack().content
    assert history.applied(made[0]) == {"app": {"replicas": 2}}
    assert "shop-prod_SECRET_KEY_v1" in history.versions()
    assert history.place == f"namespace {cluster.namespace}"
    with pytest.raises(TaskError, match=r"10/applied\.json is missing"):
        history.applied(made[1])
    history.forget(made[:1])
    assert history.read() == made[1:]


def test_the_audit_log_is_in_the_namespace_and_stays_when_the_stack_is_removed(cluster):
    store = ClusterStore(cluster, "shop-prod")
    assert store.logged(9) == []
    for number in range(3):
        store.log(f'{{"what": "deploys {number}"}}')
    assert store.logged(2) == ['{"what": "deploys 1"}', '{"what": "deploys 2"}']
    KubernetesOrchestrator(cluster, "shop-prod", Place("a", "http://a")).remove(volumes=True)
    assert len(store.logged(9)) == 3


def rolled_out(cluster: Cluster) -> tuple[KubernetesOrchestrator, dict[str, Any]]:
    """What was applied of our own stack, whose images no server has."""
    orchestrator = KubernetesOrchestrator(cluster, "shop-prod", Place(cluster.namespace, SITE))
    return orchestrator, orchestrator.rollout(own_stack()).apply()


def drifted(orchestrator: KubernetesOrchestrator, applied: dict[str, Any]) -> list[str]:
    """What differs from what was applied."""
    return drift(applied, {name: each.spec for name, each in orchestrator.services().items()})


def test_what_others_change_is_seen_and_repaired_also_what_they_add(cluster, monkeypatch):
    monkeypatch.setattr(rollout, "AHEAD", 0.1)
    orchestrator, applied = rolled_out(cluster)
    assert drifted(orchestrator, applied) == []
    assert orchestrator.running().services == own_stack().services
    worker = cluster.get("Deployment", "worker")
    (container,) = worker["spec"]["template"]["spec"]["containers"]
    container["env"].append({"name": "EXTRA", "value": "hello"})
    container["image"] = "other:1"
    worker["spec"]["replicas"] = 3
    with monkeypatch.context() as others:
        others.setattr(client, "MANAGER", "kubectl-edit")
        assert cluster.replace(worker)
    assert "kubectl-edit at 20" in orchestrator.services()["worker"].changed
    assert orchestrator.services()["app"].changed == ""
    lines = drifted(orchestrator, applied)
    assert "~ worker.replicas: 1 -> 3" in lines
    assert "+ worker.pod.containers.worker.environment.EXTRA" in lines
    assert not any("hello" in line for line in lines)
    orchestrator.rollout(own_stack()).apply()
    assert drifted(orchestrator, applied) == []
    assert orchestrator.services()["worker"].changed == ""


def test_how_many_replicas_run_is_left_to_the_cluster(cluster, monkeypatch):
    monkeypatch.setattr(rollout, "AHEAD", 0.1)
    place = Place(cluster.namespace, SITE, scaling={"worker": Scaling(1, 4, "500m")})
    orchestrator = KubernetesOrchestrator(cluster, "shop-prod", place)
    applied = orchestrator.rollout(own_stack()).apply()
    assert drifted(orchestrator, applied) == []
    assert cluster.get("HorizontalPodAutoscaler", "worker")
    worker = cluster.get("Deployment", "worker")
    worker["spec"]["replicas"] = 3
    assert cluster.replace(worker)
    assert drifted(orchestrator, applied) == []
    orchestrator.rollout(own_stack()).apply()
    assert cluster.get("Deployment", "worker")["spec"]["replicas"] == 3
    plain = KubernetesOrchestrator(cluster, "shop-prod", Place(cluster.namespace, SITE))
    assert drifted(plain, plain.rollout(own_stack()).apply()) == []
    assert cluster.get("Deployment", "worker")["spec"]["replicas"] == 1
    assert cluster.get("HorizontalPodAutoscaler", "worker") is None


# As much of what a cluster may have as it needs to keep objects of a kind.
KNOWS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: {plural}.{group}
  annotations: {{api-approved.kubernetes.io: unapproved}}
spec:
  group: {group}
  names: {{kind: {kind}, plural: {plural}, singular: {singular}, listKind: {kind}List}}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
"""


@contextmanager
def known_to(lab: Exports, kind: str) -> Iterator[None]:
    """Let the cluster know a kind that it lacks, and forget it."""
    group, _, plural = objects.OTHERS[kind]
    text = KNOWS.format(kind=kind, group=group, plural=plural, singular=kind.lower())
    first = docker("ps", "--quiet", "--filter", f"name=-lab-{lab['LAB_NAME']}-node1").strip()
    kubectl = ("exec", "--interactive", first, "kubectl")
    docker(*kubectl, "apply", "--filename=-", text=text)
    try:
        yield
    finally:
        docker(*kubectl, "delete", "--filename=-", text=text)


@pytest.mark.slow
def test_a_route_is_there_as_long_as_a_gateway_is_named(cluster, lab, monkeypatch):
    monkeypatch.setattr(rollout, "AHEAD", 0.1)
    place = Place(cluster.namespace, SITE, gateway="infra/public")
    orchestrator = KubernetesOrchestrator(cluster, "shop-prod", place)
    assert any("the cluster has no Gateway API" in line for line in orchestrator.problems())
    with known_to(lab, "HTTPRoute"):
        until(lambda: orchestrator.problems() == [])
        orchestrator.rollout(own_stack()).apply()
        route = cluster.get("HTTPRoute", "proxy")
        assert route["spec"]["parentRefs"] == [{"name": "public", "namespace": "infra"}]
        KubernetesOrchestrator(cluster, "shop-prod", Place(cluster.namespace, SITE)).rollout(
            own_stack()
        ).apply()
        assert cluster.get("HTTPRoute", "proxy") is None


@pytest.mark.slow
def test_a_pod_monitor_is_there_as_long_as_its_labels_are_named(cluster, lab, monkeypatch):
    monkeypatch.setattr(rollout, "AHEAD", 0.1)
    plain = Place(cluster.namespace, SITE)
    place = replace(plain, podmonitor={"release": "prometheus"})
    orchestrator = KubernetesOrchestrator(cluster, "shop-prod", place)
    assert any("the cluster has no PodMonitor" in line for line in orchestrator.problems())
    with known_to(lab, "PodMonitor"):
        until(lambda: orchestrator.problems() == [])
        made = own_stack(METRICS="9464")
        assert orchestrator.misfits(made, "") == []
        applied = orchestrator.rollout(made).apply()
        assert drifted(orchestrator, applied) == []
        found = cluster.get("PodMonitor", metrics.NAME)
        assert found["metadata"]["labels"]["release"] == "prometheus"
        assert found["spec"]["podMetricsEndpoints"][0]["port"] == "metrics"
        KubernetesOrchestrator(cluster, "shop-prod", plain).rollout(made).apply()
        assert cluster.get("PodMonitor", metrics.NAME) is None
        orchestrator.rollout(made).apply()
        assert orchestrator.remove(volumes=False) == []
        assert cluster.get("PodMonitor", metrics.NAME) is None


def test_pods_and_jobs_that_the_cluster_refuses_say_so_at_once(cluster, monkeypatch):
    monkeypatch.setattr(rollout, "AHEAD", 0.1)
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}}
    cluster.apply({**quota, "spec": {"hard": {"pods": "0"}}})
    until(lambda: (cluster.get("ResourceQuota", "few") or {}).get("status"))
    orchestrator, _ = rolled_out(cluster)
    until(lambda: "exceeded quota" in orchestrator.services()["worker"].progress.given_up)
    with pytest.raises(TaskError, match=r"migrate failed: .* exceeded quota"):
        orchestrator.run_jobs(own_stack(), [Job("migrate", ["migrate"])], 20, Unlocked())


def cluster_image(cluster: Cluster) -> str:
    """An image that servers have: that of the cluster's own DNS."""
    system = Cluster(cluster.access, "kube-system")
    first, *_ = system.list("Pod", {"k8s-app": "kube-dns"})
    return str(first["spec"]["containers"][0]["image"])


# Prints the process of the API server.
API_SERVER = (
    "for each in /proc/[0-9]*; do "
    '[ "$(cat "$each/comm" 2>/dev/null)" != kube-apiserver ] || echo "${each#/proc/}"; done'
)
# A migration that fails.
FAILS = """
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("myapp", "{newest}")]
    operations = [migrations.RunSQL("SELECT 1 / 0")]
"""


def newest(site: Site) -> str:
    """The newest migration of a site's app."""
    return max(file.stem for file in (site.root / "myapp/migrations").glob("0*.py"))


class Unlocked:
    """The lock of a test, which nothing takes."""

    lost = False

    def check(self) -> None: ...

    def confirm(self) -> None: ...


def uid(cluster: Cluster, name: str) -> str:
    """The UID of a namespace."""
    return str(cluster.get("Namespace", name)["metadata"]["uid"])  # type: ignore[index]


@pytest.mark.slow
def test_a_database_whose_image_was_wrong_starts_once_it_is_corrected(cluster, monkeypatch):
    monkeypatch.setattr(rollout, "AHEAD", 0.1)
    right = cluster_image(cluster)
    orchestrator = KubernetesOrchestrator(cluster, "shop-prod", Place(cluster.namespace, SITE))

    def rolled(image: str) -> Rollout:
        made = own_stack().only(["db"])
        bare = {"secrets": [], "healthcheck": {"disable": True}}
        made.services["db"] |= {**bare, "image": image}
        begun = orchestrator.rollout(made)
        begun.apply()
        return begun

    def image() -> str:
        """The image of the pod that there is."""
        found = cluster.list("Pod", {naming.SERVICE: "db"})
        return str(found[0]["spec"]["containers"][0]["image"]) if found else ""

    def pulls() -> bool:
        """Whether the pod waits for its image."""
        found = cluster.list("Pod", {naming.SERVICE: "db"})
        return bool(found and "mage" in pod_status.waits(found[0]))

    rolled(f"{right.rpartition(':')[0]}:none")
    until(pulls, 90)
    second = rolled(right)
    until(lambda: (second.progress(), image() == right)[1], 60)


@pytest.mark.slow
def test_a_namespace_that_cannot_go_says_what_keeps_it(cluster, monkeypatch):
    monkeypatch.setattr(namespace, "LONGEST", 15)
    own = Cluster(cluster.access, f"{cluster.namespace}-kept")
    orchestrator = KubernetesOrchestrator(own, "shop-prod", Place(own.namespace, "http://a"))
    assert [*orchestrator.set_up()]
    meta = {
        "name": "kept",
        "finalizers": ["example.com/stay"],
        "labels": naming.labels("shop-prod"),
    }
    kept = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}
    own.apply(kept)
    try:
        (line,) = orchestrator.remove(volumes=True)
        assert "the namespace is not gone after 15 s" in line and "example.com/stay" in line
    finally:
        own.apply({**kept, "metadata": {"name": "kept", "finalizers": []}})
    until(lambda: own.get("Namespace", own.namespace) is None, 60)


def test_a_job_finds_the_configs_of_its_stack(cluster):
    made = own_stack()
    with suppress(TaskError):
        orchestrator = KubernetesOrchestrator(cluster, "shop-prod", Place(cluster.namespace, SITE))
        orchestrator.run_jobs(made, [Job("check", ["check"])], 1, Unlocked())
    (name,) = (naming.version("shop-prod", each) for each in made.configs)
    assert cluster.get("ConfigMap", name)


def test_another_cluster_is_refused_and_an_unnamed_one_is_shown(cluster):
    known = uid(cluster, "kube-system")
    for wanted in (known, uid(cluster, cluster.namespace)):
        connecting.require(cluster, wanted)
    refused = {
        "": f"leads to the cluster {known}, and invoke.yaml names none",
        "0123abcd-0000-1111-2222-0123456789ab": f"leads to the cluster {known}, and not to 0123",
    }
    for wanted, why in refused.items():
        with pytest.raises(TaskError, match=why) as caught:
            connecting.require(cluster, wanted)
        assert caught.value.code == ExitCode.REFUSED


def test_a_namespace_is_made_once_and_goes_with_its_stack(cluster):
    own = Cluster(cluster.access, f"{cluster.namespace}-own")
    assert [*namespace.make(own, "shop-prod")] == [f"{own.name}: a new namespace"]
    assert [*namespace.make(own, "shop-prod")] == []
    assert KubernetesOrchestrator(own, "shop-prod", Place("a", "http://a")).unmade() == []
    assert (
        own.get("Namespace", own.namespace)["metadata"]["labels"].items()
        >= {"pod-security.kubernetes.io/enforce": "restricted"}.items()
    )
    orchestrator = KubernetesOrchestrator(own, "shop-prod", Place(own.namespace, "http://a"))
    orchestrator.set_secret("SECRET_KEY", "a")
    ClusterStore(own, "shop-prod").log('{"what": "removes it"}')
    assert orchestrator.remove(volumes=False) == []
    assert orchestrator.secrets() == {"SECRET_KEY": ["shop-prod_SECRET_KEY_v1"]}
    assert orchestrator.remove(volumes=True) == []
    assert own.get("Namespace", own.namespace) is None
    ClusterStore(own, "shop-prod").log('{"state": "done"}')
    assert orchestrator.problems() == [f"{own.name}: there is no such namespace - "]
    assert orchestrator.unmade() == [f"namespace {own.namespace}"]
    assert (orchestrator.services(), ClusterStore(own, "shop-prod").read()[1]) == ({}, {})
    with pytest.raises(ClusterError, match=r"inv server\.setup makes the namespace"):
        orchestrator.set_secret("SECRET_KEY", "a")


def test_what_others_have_in_a_namespace_stays_and_is_in_nobodys_way(cluster, capfd):
    own = Cluster(cluster.access, f"{cluster.namespace}-shared")
    orchestrator = KubernetesOrchestrator(own, "shop-prod", Place(own.namespace, "http://a"))
    assert [*orchestrator.set_up()]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db"}}
    other = {**service, "spec": {"type": "ExternalName", "externalName": "db.example.com"}}
    own.create(other)
    assert orchestrator.misfits(own_stack(), "") == [
        f"{own.name}: Service db is not of shop-prod - remove it, or set kubernetes.namespace in "
        "invoke.yaml to one of its own"
    ]
    assert orchestrator.remove(volumes=True) == []
    assert "the namespace stays, since it has Service db" in capfd.readouterr().err
    assert own.get("Service", "db")
    # One that was not made for the stack stays in any case.
    cluster.delete("Namespace", own.namespace)
    assert KubernetesOrchestrator(cluster, "x", Place("a", "http://a")).remove(volumes=True) == []
    assert cluster.get("Namespace", cluster.namespace)


def test_what_a_deploy_would_lack_is_known_before_it_changes_anything(cluster):
    place = Place(cluster.namespace, SITE, ingress="none")
    orchestrator = KubernetesOrchestrator(cluster, "shop-prod", place)
    assert orchestrator.problems() == [f"{cluster.name}: no ingress class none - known: none"]
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}}
    cluster.apply({**quota, "spec": {"hard": {"pods": "3", "limits.memory": "1Ti"}}})
    until(lambda: (cluster.get("ResourceQuota", "few") or {}).get("status"))
    (line,) = orchestrator.misfits(own_stack(), "")
    assert "quota few: pods has 3 of 3 left, and the rollout needs" in line
    cluster.delete("ResourceQuota", "few")
    assert orchestrator.misfits(own_stack(), "") == []
    other = dict(own_stack().content["volumes"]["db"]["labels"], **{"deploy.storageclass": "fast"})
    changed = own_stack()
    changed.content["volumes"]["db"]["labels"] = other
    (line,) = orchestrator.misfits(changed, "")
    assert "no storage class fast for the volume db" in line
    assert orchestrator.services() == {}


# What asks somebody about each Deployment of a namespace who is not there.
WEBHOOK = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {{name: {namespace}}}
webhooks:
  - name: gone.example.com
    admissionReviewVersions: [v1]
    sideEffects: None
    timeoutSeconds: 1
    clientConfig: {{service: {{namespace: {namespace}, name: gone}}}}
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}
    rules:
      - apiGroups: [apps]
        apiVersions: [v1]
        operations: [CREATE, UPDATE]
        resources: [deployments]
"""


@pytest.mark.slow
def test_a_webhook_that_is_away_is_named_before_anything_is_changed(cluster, lab):
    orchestrator = KubernetesOrchestrator(cluster, "shop-prod", Place(cluster.namespace, SITE))
    first = docker("ps", "--quiet", "--filter", f"name=-lab-{lab['LAB_NAME']}-node1").strip()
    kubectl = ("exec", "--interactive", first, "kubectl")
    text = WEBHOOK.format(namespace=cluster.namespace)
    docker(*kubectl, "apply", "--filename=-", text=text)
    try:
        # The API server reads what it is to ask a moment later.
        lines = until(lambda: orchestrator.misfits(own_stack(), ""), 60)
    finally:
        docker(*kubectl, "delete", "--filename=-", text=text)
    assert all('failed calling webhook "gone.example.com"' in each for each in lines)
    assert any(each.startswith("Deployment app: ") for each in lines)
    assert orchestrator.services() == {}
    until(lambda: orchestrator.misfits(own_stack(), "") == [], 60)


def test_a_dry_run_is_checked_by_the_cluster_and_changes_nothing(cluster, capfd):
    dry = Cluster(cluster.access, cluster.namespace, dry=True)
    orchestrator = KubernetesOrchestrator(dry, "shop-prod", Place(cluster.namespace, "http://a"))
    orchestrator.set_secret("SECRET_KEY", "s3cret")
    lease = orchestrator.take_lease(None, "ann")
    assert orchestrator.take_lease(lease, "ann")
    assert orchestrator.secrets() == {}
    shown = capfd.readouterr().err
    assert f"kubernetes {cluster.name}: create Secret secret-key-v1" in shown
    assert "s3cret" not in shown


def test_every_right_that_is_missing_is_named(cluster, lab):
    place = Place(cluster.namespace, SITE, ingress="any")
    assert rights.problems(cluster, place) == []
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}}
    cluster.apply(account)
    first = docker("ps", "--quiet", "--filter", f"name=-lab-{lab['LAB_NAME']}-node1").strip()
    words = ("kubectl", "--namespace", cluster.namespace, "create", "token", "reader")
    token = docker("exec", first, *words).strip()
    config = yaml.safe_load(Path(lab["KUBECONFIG"]).read_text())
    config["users"][0]["user"] = {"token": token}
    access = kubeconfig.access(CONTEXT, {"KUBECONFIG": yaml.safe_dump(config)})
    reader = Cluster(access, cluster.namespace)
    found = rights.problems(reader, place)
    assert len(found) == len(rights.NEEDED) + 1
    assert any(
        "may not get, list, create, patch, delete, update deployments.apps" in each
        for each in found
    )
    with pytest.raises(ClusterError, match="forbidden") as caught:
        reader.list("Secret", {})
    assert "let the user do that in this namespace" in str(caught.value)
    # A token that nobody knows is another thing.
    config["users"][0]["user"] = {"token": "nonsense"}
    access = kubeconfig.access(CONTEXT, {"KUBECONFIG": yaml.safe_dump(config)})
    with pytest.raises(ClusterError, match="sign in again"):
        Cluster(access, cluster.namespace).list("Secret", {})


def test_a_cluster_that_does_not_answer_is_named(lab):
    config = yaml.safe_load(Path(lab["KUBECONFIG"]).read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free_port()}"
    access = kubeconfig.access(CONTEXT, {"KUBECONFIG": yaml.safe_dump(config)})
    with pytest.raises(ClusterError, match=r"no answer from https://127\.0\.0\.1:"):
        Cluster(access, "default").get("Secret", "any")


@pytest.mark.slow
def test_nothing_is_rehearsed_on_a_cluster():
    done = inv("rehearse", "--orchestrator=kubernetes", "--name=test-none")
    assert done.returncode == 2
    assert "nothing is rehearsed on Kubernetes" in done.stderr


@pytest.fixture(scope="module")
def site(
    lab: Exports, tmp_path_factory: pytest.TempPathFactory, make_clone: Callable[[Path], Path]
) -> Iterator[Site]:
    """A clone whose environment `prod` is a namespace of the lab's cluster; gone at the end."""
    folder = tmp_path_factory.mktemp("site")
    mine = quick(Path(lab["INVOKE_RUNTIME_CONFIG"]), folder / "invoke.yaml")
    own = {**lab, "INVOKE_RUNTIME_CONFIG": mine}
    made = OnCluster(make_clone(folder / "clone"), own, env="prod")
    made.write("myapp/urls.py", SLOW, add=True)
    yield made
    made.inv("destroy", "--volumes", "--yes")


def test_the_verbs_are_the_same_from_the_first_deploy_to_the_removal(site):
    good, other = site.build("one"), site.build("two")
    bad = site.build("bad", {"=docker/web": BOOM})
    assert "release 1 runs" in site.must("deploy", f"--ref={good}").text
    assert site.versions() == {good}
    assert "nothing to do" in site.must("deploy", f"--ref={good}").text
    assert "release 2 runs" in site.must("deploy", f"--ref={other}").text
    assert site.versions() == {other}
    failed = site.inv("deploy", f"--ref={bad}")
    assert failed.status == 1
    assert "boom: no licence file" in failed.text
    assert "rolled back: release 2" in failed.verdict
    assert site.versions() == {other}
    shown = site.must("deploy", f"--ref={good}", "--plan", "--show=manifests")
    assert "~ services.app.image" in shown.text
    assert "kind: NetworkPolicy" in shown.text
    site.must("rollback")
    assert site.versions() == {good}
    assert "[X] 0001_initial" in site.must("manage", "showmigrations").text
    refused = site.inv("manage", "no_such_command")
    assert refused.status == 1
    assert "Unknown command" in refused.text
    status = site.must("status").text
    assert "drift: none" in status and "lock: free" in status
    assert site.must("history").text.count("undone") == 1
    assert "celery" in site.must("jobs").text
    site.must("preflight")
    logged = site.must("logs", "--service=app", "--tail=3").text
    assert logged.count("app-") >= 1
    follow = site.begin("logs", "--service=proxy", "--follow", "--tail=0")
    try:
        until(lambda: site.get("/here-i-am") and follow.at("/here-i-am"), 60)
    finally:
        follow.end()
    site.must("destroy", "--yes")
    assert site.versions() == {"nothing"}
    assert "SECRET_KEY_v1" in site.must("secrets.list").text
    site.must("destroy", "--volumes", "--yes")
    gone = site.inv("secrets.list").text
    assert "missing" in gone and "_v1" not in gone


@pytest.mark.slow
def test_another_cluster_is_never_touched(site, tmp_path):
    known = yaml.safe_load(Path(site.lab["INVOKE_RUNTIME_CONFIG"]).read_text())
    place = known["environments"]["prod"]["kubernetes"]
    for wrong, why in (("0123abcd-0000-1111-2222-0123456789ab", "and not to"), ("", "names none")):
        place["cluster"] = wrong
        (tmp_path / "invoke.yaml").write_text(yaml.safe_dump(known))
        file = str(tmp_path / "invoke.yaml")
        for words in (["status"], ["deploy"], ["destroy", "--yes"], ["secrets.set", "--random"]):
            done = site.inv(*words, INVOKE_RUNTIME_CONFIG=file)
            assert (done.status, why in done.verdict) == (2, True)


@pytest.fixture
def serving(site: Site) -> Iterator[Cluster]:
    """The namespace of the site, which serves."""
    if not site.good:
        site.set_up()
        site.good = site.build("serves")
    site.must("deploy", f"--ref={site.good}")
    place = site.settings["environments"]["prod"]["kubernetes"]
    cluster = Cluster(kubeconfig.access(CONTEXT, site.lab), place.get("namespace") or site.stack)
    yield cluster
    cluster.close()


def ready(cluster: Cluster, service: str) -> int:
    """How many pods of a service are ready."""
    found = cluster.list("Pod", {naming.SERVICE: service})
    return sum(pod_status.is_ready(each) for each in found)


@pytest.mark.slow
def test_what_was_left_of_a_failed_deploy_is_shown_when_its_pods_are_gone(site, serving):
    bad = site.build("leaves something", {"=docker/web": BOOM})
    assert site.inv("deploy", f"--ref={bad}").status == 1
    shown = site.must("history.show").text
    assert "deploy, undone" in shown and bad in shown
    assert "    boom: no licence file" in shown
    migration = {"=myapp/migrations/9000_trial.py": FAILS.format(newest=newest(site))}
    bad = site.build("leaves something of a job", migration)
    assert site.inv("deploy", f"--ref={bad}").status == 1
    assert "division by zero" in site.must("history.show").text.partition("last lines")[2]


@pytest.mark.slow
def test_deploys_and_a_rollback_under_load_lose_no_request(site, serving):
    other = site.build("another one")
    with site.load("/", "/livez", pause=0.01) as load:
        site.must("deploy", f"--ref={other}")
        site.must("rollback")
    print(load)
    assert load.failures == []
    assert load.versions.keys() == {site.good, other}
    assert load.done["upload"] and load.total > 1000


CACHE = "        cache 30\n"


@contextmanager
def cached(site: Site) -> Iterator[None]:
    """The cluster's DNS answers for 30 s what it was asked before, as NodeLocal DNSCache does."""

    def kubectl(*words: str, text: str = "") -> str:
        return site.kubectl(*words, text=text, namespace="kube-system")

    def become(text: str) -> None:
        kubectl("replace", "--filename=-", text=text)
        kubectl("rollout", "restart", "deployment/coredns")
        kubectl("rollout", "status", "deployment/coredns", "--timeout=120s")

    known = yaml.safe_load(kubectl("get", "configmap/coredns", "--output=yaml"))
    del known["metadata"]["resourceVersion"]
    # A test that was killed has left it so.
    file = known["data"]["Corefile"].replace(CACHE, "")
    keeps = file.replace("ttl 2\n", "ttl 30\n").replace(
        "        loadbalance\n", CACHE + "        loadbalance\n"
    )
    assert CACHE in keeps
    try:
        become(yaml.safe_dump({**known, "data": {"Corefile": keeps}}))
        yield
    finally:
        become(yaml.safe_dump({**known, "data": {"Corefile": file}}))


def gone_but_named(site: Site, cluster: Cluster) -> set[str]:
    """The addresses that the DNS gives for the app, of which there is no pod."""
    shown = site.kubectl("exec", "statefulset/db", "--", "getent", "ahostsv4", "app")
    named = {line.split()[0] for line in shown.splitlines()}
    pods = cluster.list("Pod", {naming.SERVICE: "app"})
    return named - {each["status"].get("podIP", "") for each in pods}


@pytest.mark.slow
def test_names_that_are_kept_for_a_while_lead_no_request_to_what_is_gone(site, serving, tmp_path):
    known = yaml.safe_load(Path(site.lab["INVOKE_RUNTIME_CONFIG"]).read_text())
    del known["environments"]["prod"]["values"]["APP_DRAIN"]
    own = tmp_path / "invoke.yaml"
    own.write_text(yaml.safe_dump(known))
    other = site.build("behind a cache")
    site.must("deploy", f"--ref={site.good}", INVOKE_RUNTIME_CONFIG=str(own))
    lost = set[str]()
    with cached(site), site.load("/", "/livez", pause=0.01) as load:
        for words in (("deploy", f"--ref={other}"), ("rollback",)):
            run = site.begin(*words, INVOKE_RUNTIME_CONFIG=str(own))
            # Longer than what was replaced goes on.
            while not run.ended or time.time() < run.ended + 45:
                lost |= gone_but_named(site, serving)
            assert run.wait().status == 0, run.text
    print(load)
    assert lost == set()
    assert load.failures == []
    assert load.versions.keys() == {site.good, other}
    assert load.total > 1000


@pytest.mark.slow
@pytest.mark.fault("a server is drained while it rolls")
def test_a_server_is_drained_amid_a_deploy_without_a_lost_request(site, serving, fault):
    other = site.build("meets a drain")
    pods = serving.list("Pod", {naming.SERVICE: "app"})
    node = str(pods[0]["spec"]["nodeName"])
    number = f"-lab-{site.lab['LAB_NAME']}-node1"
    first = docker("ps", "--quiet", "--filter", f"name={number}").strip()
    with site.load("/", "/livez") as load:
        run = site.begin("deploy", f"--ref={other}")
        run.until("starting")
        # What keeps data has one replica, whose budget is none: it moves, too.
        words = ("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=240s")
        only = f"--pod-selector={naming.SERVICE} in (app,proxy,worker)"
        try:
            docker("exec", first, "kubectl", *words, only)
            done = run.wait()
        finally:
            docker("exec", first, "kubectl", "uncordon", node)
    fault(done, status=0, serves=other)
    assert load.failures == []
    site.must("deploy", f"--ref={site.good}")


@pytest.mark.slow
@pytest.mark.fault("the API server restarts while it rolls")
def test_an_api_server_that_restarts_amid_a_deploy_is_waited_for(site, serving, fault):
    other = site.build("meets a restart of the API server")
    first = site.nodes["node1"]
    with site.load("/", "/livez") as load:
        run = site.begin("deploy", f"--ref={other}")
        run.until(" old")
        before = docker("exec", first, "sh", "-c", API_SERVER).strip()
        docker("exec", first, "sh", "-c", f"kill -KILL {before}")
        done = run.wait()
    fault(done, status=0, serves=other)
    assert load.failures == []
    # It really was another one afterwards, and knows what was done.
    assert docker("exec", first, "sh", "-c", API_SERVER).strip() not in ("", before)
    assert "drift: none" in site.must("status").text
    site.must("deploy", f"--ref={site.good}")


@pytest.mark.slow
def test_a_database_that_is_away_takes_no_replica_out_of_use_and_ends_none(site, serving):
    count = ready(serving, "app")
    before = {each["metadata"]["uid"] for each in serving.list("Pod", {naming.SERVICE: "app"})}
    db = serving.get("StatefulSet", "db")
    db["spec"]["replicas"] = 0
    assert serving.replace(db)
    until(lambda: ready(serving, "db") == 0, 60)
    until(lambda: site.get("/readyz")[0] != 200)
    # As long as three checks in a row, and more.
    time.sleep(45)
    assert ready(serving, "app") == count > 0
    assert site.versions() == {site.good}
    site.must("deploy", f"--ref={site.good}")
    pods = serving.list("Pod", {naming.SERVICE: "app"})
    assert {each["metadata"]["uid"] for each in pods} == before
    assert not any(each["status"]["containerStatuses"][0]["restartCount"] for each in pods)


@pytest.mark.slow
def test_many_slow_requests_take_no_replica_out_of_use_and_end_none(site, serving):
    count = ready(serving, "app")
    # More than all threads of all replicas have at once, so that a probe waits behind others.
    clients, end = count * 8 * 2, time.monotonic() + 60

    def ask() -> list[int]:
        found = []
        while time.monotonic() < end:
            found.append(site.get("/slow", timeout=60)[0])
        return found

    with ThreadPoolExecutor(clients) as pool:
        asked, seen = [pool.submit(ask) for _ in range(clients)], set[int]()
        while time.monotonic() < end:
            seen.add(ready(serving, "app"))
            time.sleep(1)
    assert seen == {count}
    assert {status for each in asked for status in each.result()} == {200}
    pods = serving.list("Pod", {naming.SERVICE: "app"})
    assert not any(each["status"]["containerStatuses"][0]["restartCount"] for each in pods)


# What a program asks an address for.
ASK = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=20).read().decode())"


def asked(cluster: Cluster, like: dict[str, Any], address: str) -> str:
    """What a pod of another namespace gets from an address; it has the image of a pod."""
    spec = like["spec"]
    (container,) = spec["containers"]
    words = {"name": "asks", "command": ["python", "-c", ASK, address]}
    words |= {key: container[key] for key in ("image", "securityContext")}
    kept = {key: spec[key] for key in ("imagePullSecrets", "securityContext")}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "asks"},
        "spec": {**kept, "containers": [words], "restartPolicy": "Never"},
    }

    def phase() -> str:
        return str((cluster.get("Pod", "asks") or {"status": {}})["status"].get("phase", ""))

    assert cluster.create(pod)
    try:
        until(lambda: phase() in ("Succeeded", "Failed"), 60)
        text = "\n".join(cluster.log("asks", "asks"))
        assert phase() == "Succeeded", text
        return text
    finally:
        cluster.delete("Pod", "asks", grace=1)
        until(lambda: cluster.get("Pod", "asks") is None, 60)


@pytest.mark.slow
def test_metrics_are_served_to_the_namespace_that_is_named_and_are_no_drift(
    site, serving, tmp_path
):
    content = yaml.safe_load(Path(site.lab["INVOKE_RUNTIME_CONFIG"]).read_text())

    def given(name: str) -> Site:
        (file := tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
        return replace(site, lab={**site.lab, "INVOKE_RUNTIME_CONFIG": str(file)})

    content["monitoring"] = {"metrics": True}
    roles = {"app": "web", "worker": "worker", "beat": "beat"}
    deploy = ("deploy", f"--ref={site.good}")
    try:
        given("measured").must(*deploy)
        assert serving.get("NetworkPolicy", metrics.NAME) is None
        before = site.tasks(*roles)
        with scratch(kubeconfig.access(CONTEXT, site.lab)) as watcher:
            content["environments"]["prod"]["kubernetes"]["prometheus"] = watcher.namespace
            admitted = given("admitted")
            shown = admitted.must(*deploy, "--plan", "--show=manifests").text
            assert f"+ kubernetes.prometheus: {watcher.namespace}" in shown
            assert f"{policies.NAMESPACE}: {watcher.namespace}" in shown
            assert "nothing to do" not in admitted.must(*deploy).text
            assert site.tasks(*roles) == before
            assert "nothing to do" in admitted.must(*deploy).text
            assert "drift: none" in admitted.must("status").text
            watcher.apply(secrets.login("watch", secrets.stored_login(serving)))
            applied = serving.list("NetworkPolicy", {})
            for service, role in roles.items():
                pods = serving.list("Pod", {naming.SERVICE: service})
                pod = next(each for each in pods if pod_status.is_ready(each))
                text = asked(watcher, pod, f"http://{pod['status']['podIP']}:9464/metrics")
                assert f'role="{role}"' in text and site.good in text
                # The lab's network enforces no policies: what the API has of them is what counts.
                labels = pod["metadata"]["labels"]
                assert admits(applied, labels, 9464, watcher.namespace)
                assert not admits(applied, labels, 9464, "default")
                assert not admits(applied, labels, 8000, watcher.namespace)
            proxy = next(iter(serving.list("Pod", {naming.SERVICE: "proxy"})))
            text = asked(watcher, pod, f"http://{proxy['status']['podIP']}:9464/metrics")
            assert 'caddy_http_requests_total{handler="subroute"' in text
            assert admits(applied, proxy["metadata"]["labels"], 9464, watcher.namespace)
            assert not admits(applied, proxy["metadata"]["labels"], 9464, "default")
            # By this label of the cluster's own the namespace is known.
            known = watcher.get("Namespace", watcher.namespace)["metadata"]["labels"]
            assert known[policies.NAMESPACE] == watcher.namespace
    finally:
        site.must(*deploy)
    assert serving.get("NetworkPolicy", metrics.NAME) is None
