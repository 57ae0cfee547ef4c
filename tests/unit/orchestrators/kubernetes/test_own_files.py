"""The project's own Compose files as objects of a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.lib.data import tools
from tasks.lib.orchestrators.base import Job
from tasks.lib.orchestrators.kubernetes import manifests, naming, workloads
from tasks.lib.orchestrators.kubernetes.place import Place
from tasks.lib.project.app_settings import Services
from tests.testbed.commands import ROOT
from tests.testbed.compose_files import IMAGE, SITE
from tests.testbed.kubernetes import complaints, own_stack, pods, unknown

pytestmark = pytest.mark.engine
HEADERS = [
    {"name": "Host", "value": "shop.example.com"},
    {"name": "X-Forwarded-Proto", "value": "https"},
]


def pod(name: str, *more: str, **values: str) -> dict[str, Any]:
    """The pod of a service."""
    made = workloads.workload(own_stack(*more, **values), name)
    return dict(made["spec"]["template"]["spec"])


def container(name: str, *more: str, **values: str) -> dict[str, Any]:
    """The container of a service."""
    (found,) = pod(name, *more, **values)["containers"]
    return dict(found)


def test_every_object_has_only_fields_of_its_kind_and_every_pod_is_restricted():
    made = manifests.objects(own_stack(), Place("shop", SITE, ingress="any"))
    assert {each["metadata"]["name"]: unknown(each) for each in made if unknown(each)} == {}
    assert [complaints(each) for each in pods(made)] == [[]] * 6


def test_the_app_is_asked_by_the_node_under_the_name_of_its_site():
    app = container("app")
    start, ready, live = (app[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness"))
    assert start["httpGet"] == {"path": "/readyz", "port": 8000, "httpHeaders": HEADERS}
    # A request would wait behind others, and the more there is to do, the fewer would do it.
    assert ready["tcpSocket"] == {"port": 8000}
    assert "exec" not in start | ready
    assert live["exec"]["command"] == ["/app/docker/healthcheck", "live"]
    assert (start["periodSeconds"], ready["periodSeconds"], live["periodSeconds"]) == (1, 10, 10)


def test_without_probes_the_page_is_asked_for():
    app = container("app", APP_READY="", APP_LIVE="", APP_PAGE="/en/")
    assert app["startupProbe"]["httpGet"]["path"] == "/en/"


@pytest.mark.parametrize("name", ["worker", "beat", "proxy", "db", "redis"])
def test_what_is_no_web_server_of_the_app_is_asked_by_its_own_check(name):
    found = container(name)
    assert {*found["startupProbe"]} & {"exec", "httpGet"} == {"exec"}
    assert "lifecycle" not in found or name == "proxy"


def test_the_app_goes_on_serving_when_it_is_stopped_and_then_has_its_time():
    found = pod("app")
    (app,) = found["containers"]
    assert app["lifecycle"] == {"preStop": {"sleep": {"seconds": 35}}}
    assert found["terminationGracePeriodSeconds"] == 35 + 35
    assert "WEB_DRAIN" not in {each["name"] for each in app["env"]}


def test_a_proxy_goes_on_as_long_as_what_is_in_front_may_send_it_requests():
    found = pod("proxy", PROXY_DRAIN="30")
    (proxy,) = found["containers"]
    assert proxy["lifecycle"] == {"preStop": {"sleep": {"seconds": 30}}}
    assert found["terminationGracePeriodSeconds"] == 35 + 30
    assert {"name": "PROXY_IDLE", "value": "10m"} in proxy["env"]
    none = pod("proxy", PROXY_DRAIN="0")
    assert "lifecycle" not in none["containers"][0]


def test_a_name_of_elsewhere_is_asked_for_as_it_is():
    assert pod("app")["dnsConfig"] == {"options": [{"name": "ndots", "value": "2"}]}


def test_a_record_is_far_smaller_than_what_a_secret_may_have():
    stack = own_stack()
    objects = manifests.text(manifests.objects(stack, Place("shop", SITE)))
    # Its files: the stack, and what was made of it.
    assert len(stack.text()) + len(objects) < 100_000


BACKUP = {
    "DATA_IMAGE": IMAGE.replace("app@", "app/data@"),
    "BACKUP_USER": "app_admin_v1",
    "BACKUP_EVERY": "86400",
    "BACKUP_KEEP": "7",
    "BACKUP_DAYS": "30",
    "BACKUP_RECIPIENTS": "a",
}


def nodes(pod: dict[str, Any]) -> list[dict[str, str]]:
    """The pods beside which a pod must run."""
    rules = pod["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return [each["labelSelector"]["matchLabels"] for each in rules]


def test_backups_are_made_beside_the_database_by_its_user():
    stack = own_stack("backup", "backup-kubernetes", **BACKUP)
    made = {each["metadata"]["name"]: each for each in manifests.workloads(stack)}
    assert made["backup"]["kind"] == made["db"]["kind"] == "StatefulSet"
    pod, db = (made[name]["spec"]["template"]["spec"] for name in ("backup", "db"))
    assert complaints(pod) == [] and unknown(made["backup"]) == []
    users = [each["securityContext"]["runAsUser"] for each in (pod, db)]
    assert users == [999, 999]
    # A volume is on one server at a time: the one of the database's pod.
    assert nodes(pod) == [naming.labels("shop-prod", "db")]
    assert "affinity" not in db and "initContainers" not in pod
    (backup,) = pod["containers"]
    paths = {each["mountPath"] for each in backup["volumeMounts"]}
    assert paths == {"/backups", "/run/secrets", "/srv/static", "/tmp"}
    job = workloads.job(stack, tools.job(stack, "dump"), "x", 300)
    assert nodes(job["spec"]["template"]["spec"]) == [naming.labels("shop-prod", "db")]
    assert complaints(job["spec"]["template"]["spec"]) == []
    # A restore marks the site as closed there.
    (made,) = job["spec"]["template"]["spec"]["containers"]
    assert {"/srv/static", "/tmp"} <= {each["mountPath"] for each in made["volumeMounts"]}
    migrate = workloads.job(stack, Job("migrate", ["migrate"]), "x", 300)
    assert "affinity" not in migrate["spec"]["template"]["spec"]


def test_backups_of_an_external_database_run_where_the_service_of_backups_does():
    more = ("external", "backup", "backup-external", "backup-kubernetes")
    stack = own_stack(*more, **BACKUP, DATABASE_SECRET="DATABASE_URL")
    assert "affinity" not in workloads.workload(stack, "backup")["spec"]["template"]["spec"]
    job = workloads.job(stack, tools.job(stack, "dump"), "x", 300)
    assert nodes(job["spec"]["template"]["spec"]) == [naming.labels("shop-prod", "backup")]


def test_a_release_of_before_is_asked_as_it_was():
    stack = own_stack()
    del stack.services["app"]["deploy"]["labels"]["deploy.ready"]
    (app,) = workloads.workload(stack, "app")["spec"]["template"]["spec"]["containers"]
    for kind in ("startup", "readiness", "liveness"):
        assert app[f"{kind}Probe"]["exec"]["command"] == ["/app/docker/healthcheck"]


@pytest.mark.parametrize("number", [17, 18])
def test_the_data_of_postgresql_are_below_a_volume_that_has_their_size(number):
    files = Services(postgres=number).overlays(ROOT, "server", "kubernetes")
    more, volume = [file.stem for file in files], "db18" if number == 18 else "db"
    stack = own_stack(*more, DB_SIZE="20Gi", STORAGE_CLASS="fast")
    (db,) = workloads.workload(stack, "db")["spec"]["template"]["spec"]["containers"]
    (mount,) = (each for each in db["volumeMounts"] if each["name"] == f"data-{volume}")
    known = {each["name"]: each["value"] for each in db["env"]}
    # The folder of a volume itself is root's, and often has another one in it.
    assert known["PGDATA"] == f"{mount['mountPath']}/pgdata"
    claims = {
        each["metadata"]["name"]: each["spec"]
        for each in manifests.objects(stack, Place("shop", SITE))
        if each["kind"] == "PersistentVolumeClaim"
    }
    assert claims.keys() == {volume, "redis", "backups"}
    assert claims[volume]["resources"]["requests"]["storage"] == "20Gi"
    assert claims[volume]["storageClassName"] == "fast"


def test_the_data_of_valkey_have_a_size():
    more = [file.stem for file in Services(broker="valkey").overlays(ROOT, "server", "kubernetes")]
    stack = own_stack(*more, REDIS_SIZE="3Gi")
    assert stack.content["volumes"]["valkey"]["labels"]["deploy.size"] == "3Gi"
