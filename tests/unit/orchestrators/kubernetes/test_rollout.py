"""A rollout is watched also while its cluster does not answer."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.lib.kubernetes.requests import ClusterError
from tasks.lib.orchestrators.kubernetes import rollout
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


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_one_at_once(watched, cluster, status):
    cluster.error = ClusterError("prod/shop", "forbidden", status)
    with pytest.raises(ClusterError, match="forbidden"):
        watched.progress()
