"""What there is of a stack in its namespace, beside what its services run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tasks.lib.orchestrators.kubernetes import inventory, naming
from tasks.lib.orchestrators.stack import Stack
from tasks.lib.orchestrators.status import Volume


def test_the_claims_of_a_stack_are_known_with_what_removes_them():
    claim = {"metadata": {"name": "db18", "creationTimestamp": "2026-11-27T09:00:00Z"}}
    asked: list[Any] = []
    cluster = SimpleNamespace(namespace="shop", list=lambda *words: asked.append(words) or [claim])
    removes = "kubectl --namespace=shop delete pvc db18"
    found = inventory.volumes(cluster, "shop-prod")  # type: ignore[arg-type]
    assert found == [Volume("db18", 1795770000, removes)]
    assert asked == [("PersistentVolumeClaim", naming.labels("shop-prod"))]


def test_versions_of_secrets_and_configs_that_are_gone_are_named():
    content = {
        "secrets": {"KEY": {"external": True, "name": "shop-prod_KEY_v2"}},
        "configs": {"Caddyfile": {"name": "shop-prod_Caddyfile_1"}},
        "services": {},
    }
    there = {naming.version("shop-prod", "shop-prod_KEY_v2")}
    cluster = SimpleNamespace(get=lambda kind, name: {} if name in there else None)
    lost = inventory.missing(cluster, Stack("shop-prod", "image", content))  # type: ignore[arg-type]
    assert lost == ["config shop-prod_Caddyfile_1"]
