"""An environment is on servers or in a namespace of its own, and invoke.yaml says which."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tasks.lib.project.places import Environment, Kubernetes, Scaling, problems

UID = "0123abcd-0000-1111-2222-0123456789ab"


def environment(**more: Any) -> Environment:
    """An environment on Kubernetes, unless said otherwise."""
    place = Kubernetes(context="prod", namespace="shop")
    known = {"url": "http://a", "values": {}, "orchestrator": "kubernetes", "kubernetes": place}
    return Environment(**{**known, **more})


def found(**environments: Environment) -> list[tuple[str, str]]:
    """What is wrong, by keys; `_all` at the end of a name stands for /*."""
    named = {name.replace("_all", "/*"): each for name, each in environments.items()}
    return [(".".join(path), what) for path, what in problems(named)]


def test_a_place_in_a_cluster_needs_no_servers_and_a_server_needs_no_cluster():
    docker = environment(orchestrator="swarm", hosts=["a@b"], kubernetes=Kubernetes())
    assert found(prod=environment(), staging=docker) == []
    # Who moves an environment leaves both there.
    assert found(prod=environment(hosts=["a@b"])) == []
    assert environment(hosts=["a@b"]).servers == []
    assert docker.servers == ["a@b"]


@pytest.mark.parametrize("kind", ["swarm", "compose"])
def test_an_environment_without_servers_is_refused(kind):
    ((where, what),) = found(prod=environment(orchestrator=kind))
    assert (where, what.partition(" - ")[0]) == ("environments.prod.hosts", "missing")


def test_the_context_is_never_guessed():
    ((where, what),) = found(prod=environment(kubernetes=Kubernetes()))
    assert (where, what.partition(" - ")[0]) == ("environments.prod.kubernetes.context", "missing")


def test_two_environments_never_share_a_namespace():
    other = environment(kubernetes=Kubernetes(context="other", namespace="shop"))
    assert found(prod=environment(), staging=other) == []
    ((where, what),) = found(prod=environment(), staging=environment())
    assert where == "environments.staging.kubernetes.namespace"
    assert what == "prod has shop - every environment needs its own"
    # Without one, each has the name of its stack.
    bare = environment(kubernetes=Kubernetes(context="prod"))
    assert found(prod=bare, staging=bare) == []


def test_dynamic_environments_have_a_namespace_each():
    ((where, _),) = found(review_all=environment())
    assert where == "environments.review/*.kubernetes.namespace"


def test_one_thing_is_in_front_and_limits_have_room():
    both = Kubernetes(context="prod", ingress="traefik", gateway="infra/public")
    ((where, what),) = found(prod=environment(kubernetes=both))
    assert where == "environments.prod.kubernetes.gateway"
    assert "an Ingress is in front of the proxy" in what
    local = Kubernetes(context="prod", ingress="traefik", externaltraffic="Local")
    ((where, _),) = found(prod=environment(kubernetes=local))
    assert where == "environments.prod.kubernetes.externaltraffic"
    few = {"app": Scaling(least=3, most=2, cpu="500m"), "worker": Scaling(2, 2, "1")}
    ((where, what),) = found(prod=environment(kubernetes=Kubernetes("prod", scaling=few)))
    assert where == "environments.prod.kubernetes.scaling.app.least"
    assert what == "3 replicas are more than 2, the most - correct it"


def test_nobody_is_let_in_for_metrics_that_are_not_served():
    place = Kubernetes("prod", prometheus="monitoring", podmonitor={"release": "prometheus"})
    known = {"prod": environment(kubernetes=place)}
    wrong = [(path[-1], what.partition(" - ")[0]) for path, what in problems(known, False)]
    assert wrong == [(key, "the app serves no metrics") for key in ("prometheus", "podmonitor")]
    assert [*problems(known, True)] == [*problems({"prod": environment()}, False)] == []


@pytest.mark.parametrize(
    "wrong",
    [
        *({"cluster": "kube"}, {"namespace": "Shop"}, {"port": 65536}, {"service": "Ingress"}),
        *({"gateway": "public"}, {"gateway": "infra/"}, {"scaling": {"app": {"least": 0}}}),
        {"scaling": {"app": {"least": 1, "most": 2, "cpu": "50%"}}},
        *({"prometheus": "monitoring/prometheus"}, {"podmonitor": {"release": True}}),
    ],
)
def test_a_wrong_value_is_refused(wrong):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"context": "prod", **wrong}, Kubernetes)
    assert msgspec.convert({"context": "prod", "cluster": UID}, Kubernetes).cluster == UID
