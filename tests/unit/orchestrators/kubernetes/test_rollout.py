"""A rollout is watched also while its cluster does not answer."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.lib.kubernetes.requests import DENIED, MISSING, ClusterError
from tasks.lib.orchestrators.kubernetes import inventory, rollout
from tasks.lib.orchestrators.kubernetes.place import Place
from tasks.lib.orchestrators.kubernetes.rollout import KubernetesRollout
from tasks.lib.orchestrators.stack import Stack


class Away:
    """A cluster that has nothing, and refuses to answer with an error."""

    error: ClusterError | None = None

    def list(self, *_: object) -> list[dict[str, Any]]:
        if self.error:
            raise self.error
        return []


@pytest.fixture
def cluster() -> Away:
    """A cluster that answers until it has an error."""
    return Away()


@pytest.fixture
def watched(cluster: Away) -> KubernetesRollout:
    """A rollout of nothing there."""
    stack = Stack("shop-prod", "app", {"services": {}})
    return KubernetesRollout(cluster, Place("shop", "http://a"), stack, False, True)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [0, 500, 503])
def test_a_cluster_that_does_not_answer_for_a_while_is_no_failure(
    watched, cluster, monkeypatch, status
):
    assert watched.progress() == []
    cluster.error = ClusterError("prod/shop", "no answer", status)
    assert watched.progress() is watched.progress() is None
    cluster.error = None
    assert watched.progress() is None
    cluster.error = ClusterError("prod/shop", "no answer", status)
    monkeypatch.setattr(rollout, "SILENCE", -1)
    with pytest.raises(ClusterError, match="no answer"):
        watched.progress()


class Limited(Away):
    """A cluster with some objects, of which the user may not list some kinds."""

    def __init__(self, denied: set[str], **names: list[str]) -> None:
        self.denied, self.names, self.deleted = denied, names, list[tuple[str, str]]()

    def list(self, *words: object) -> list[dict[str, Any]]:
        if (kind := str(words[0])) in self.denied:
            raise ClusterError("prod/shop", "forbidden", DENIED)
        if kind == "HTTPRoute":
            raise ClusterError("prod/shop", "the server could not find it", MISSING)
        return [{"metadata": {"name": name}} for name in self.names.get(kind, [])]

    def delete(self, kind: str, name: str) -> None:
        self.deleted.append((kind, name))


def test_what_is_wanted_no_longer_goes_and_no_right_is_needed_for_what_never_was():
    names = {"PodDisruptionBudget": ["app", "proxy"], "Ingress": ["proxy"], "Service": ["app"]}
    made = [
        {"kind": kind, "metadata": {"name": "app"}} for kind in ("PodDisruptionBudget", "Service")
    ]
    cluster = Limited({"HorizontalPodAutoscaler"}, **names)
    inventory.prune(cluster, "shop-prod", made)  # type: ignore[arg-type]
    assert cluster.deleted == [("PodDisruptionBudget", "proxy"), ("Ingress", "proxy")]
    other = Limited({"Ingress", "HorizontalPodAutoscaler"}, **names)
    inventory.prune(other, "shop-prod", made)  # type: ignore[arg-type]
    assert other.deleted == [("PodDisruptionBudget", "proxy")]
    # What every stack has is not passed over in silence.
    with pytest.raises(ClusterError, match="forbidden"):
        inventory.prune(Limited({"Service"}), "shop-prod", made)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_one_at_once(watched, cluster, status):
    cluster.error = ClusterError("prod/shop", "forbidden", status)
    with pytest.raises(ClusterError, match="forbidden"):
        watched.progress()
