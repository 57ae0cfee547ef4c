"""Services that the cluster scales: a deploy leaves their number, and sees no drift in it."""

from __future__ import annotations

import pytest

from tasks.lib.orchestrators.kubernetes import manifests, rights, scaling
from tasks.lib.orchestrators.kubernetes.place import Place
from tasks.lib.orchestrators.kubernetes.spec import spec
from tasks.lib.orchestrators.stack import drift
from tasks.lib.project.places import Scaling
from tests.testbed.compose_files import SITE
from tests.testbed.kubernetes import own_stack, unknown

pytestmark = pytest.mark.engine
PLACE = Place("shop", SITE, scaling={"app": Scaling(2, 9, "500m"), "worker": Scaling(1, 3, "0.5")})


def objects(place: Place = PLACE, **running: int) -> dict[tuple[str, str], dict]:
    """The objects of our own stack, where so many replicas run."""
    made = manifests.objects(own_stack(), place, running=running)
    return {(each["kind"], each["metadata"]["name"]): each for each in made}


@pytest.mark.parametrize(
    ("running", "count"), [(None, 2), (0, 2), (1, 2), (2, 2), (7, 7), (9, 9), (12, 9)]
)
def test_a_deploy_begins_with_as_many_replicas_as_run_within_the_limits(running, count):
    found = objects(**({} if running is None else {"app": running}))
    assert found["Deployment", "app"]["spec"]["replicas"] == count


def test_what_scales_has_the_limits_of_its_service():
    found = objects()
    app = found["HorizontalPodAutoscaler", "app"]
    assert unknown(app) == []
    assert app["spec"]["scaleTargetRef"]["name"] == "app"
    assert (app["spec"]["minReplicas"], app["spec"]["maxReplicas"]) == (2, 9)
    (metric,) = app["spec"]["metrics"]
    # A part of what is reserved would be nothing, where nothing is reserved.
    used = {"type": "AverageValue", "averageValue": "500m"}
    assert metric["resource"] == {"name": "cpu", "target": used}
    budgets = {name for kind, name in found if kind == "PodDisruptionBudget"}
    assert budgets == {"app", "proxy"}


def test_how_many_run_is_no_drift_and_all_else_is():
    before = objects(app=2)["Deployment", "app"]
    applied = {"app": spec(before)}
    scaled = objects(app=7)["Deployment", "app"]
    assert drift(applied, {"app": spec(scaled)}) == []
    scaled["spec"]["revisionHistoryLimit"] = 7
    assert drift(applied, {"app": spec(scaled)}) == ["~ app.revisionHistoryLimit: 2 -> 7"]
    plain = objects(Place("shop", SITE))["Deployment", "app"]
    assert spec(plain)["replicas"] == 2
    assert "HorizontalPodAutoscaler" not in {kind for kind, _ in objects(Place("shop", SITE))}


def test_what_may_run_only_once_or_is_not_there_cannot_be_scaled():
    limits = dict.fromkeys(("app", "beat", "db", "nothing"), Scaling(1, 2, "1"))
    found = [*scaling.problems(own_stack(), Place("shop", SITE, scaling=limits))]
    assert [line.split(":")[0].rpartition(".")[2] for line in found] == ["beat", "db", "nothing"]
    assert "no such service - known: app, beat, db" in found[2]
    assert [*scaling.problems(own_stack(), PLACE)] == []


def test_a_route_leads_from_a_gateway_of_others_to_the_proxy():
    found = objects(Place("shop", SITE, gateway="infra/public"))
    assert "Ingress" not in {kind for kind, _ in found}
    route = found["HTTPRoute", "proxy"]["spec"]
    assert route["parentRefs"] == [{"name": "public", "namespace": "infra"}]
    assert route["hostnames"] == ["shop.example.com"]
    assert route["rules"][0]["backendRefs"] == [{"name": "proxy", "port": 80}]
    assert found["Service", "proxy"]["spec"]["type"] == "ClusterIP"


@pytest.mark.parametrize(
    ("place", "kinds"),
    [
        (Place("shop", SITE), set()),
        (Place("shop", SITE, ingress="any"), {rights.INGRESS}),
        (Place("shop", SITE, gateway="infra/public"), {rights.GATEWAY}),
        (PLACE, {rights.SCALING}),
        (Place("shop", SITE, prometheus="any"), set()),
        (Place("shop", SITE, podmonitor={"release": "any"}), {rights.MONITOR}),
    ],
)
def test_rights_are_needed_for_what_is_used_alone(place, kinds):
    class Nobody:
        """A user who may do nothing."""

        name = "prod/shop"

        def allowed(self, *_: str) -> bool:
            return False

    found = rights.problems(Nobody(), place)  # type: ignore[arg-type]
    assert len(found) == len(rights.NEEDED) + len(kinds)
    assert all(any(kind[1] in line for line in found) for kind in kinds)
