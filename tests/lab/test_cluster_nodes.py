"""A node of a cluster that dies while a deploy rolls, and what clients of our proxy see of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.testbed.clients import CLIENTS
from tests.testbed.commands import until
from tests.testbed.load import SLOW as ASKING
from tests.testbed.load import UPLOADS, VISITORS
from tests.testbed.oncluster import OnCluster
from tests.testbed.sites import SLOW, Exports

from .conftest import quick
from .trouble import stopped

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.cluster]
DYING = "node3"


@pytest.fixture
def site(
    clustered: Exports, make_clone: Callable[[Path], Path], tmp_path: Path
) -> Iterator[OnCluster]:
    """A site with a proxy on each node, whose data is on others than the one that dies."""
    file = Path(quick(Path(clustered["INVOKE_RUNTIME_CONFIG"]), tmp_path / "invoke.yaml"))
    settings = yaml.safe_load(file.read_text())
    place = settings["environments"]["prod"]
    place["kubernetes"]["externaltraffic"] = "Local"
    place["values"] |= {"REPLICAS": 3, "PROXY_REPLICAS": 3}
    file.write_text(yaml.safe_dump(settings))
    lab = {**clustered, "INVOKE_RUNTIME_CONFIG": str(file)}
    site = OnCluster(make_clone(tmp_path / "clone"), lab, env="prod")
    site.write("myapp/urls.py", SLOW, add=True)
    site.set_up()
    site.good = site.build("the site")
    site.kubectl("cordon", DYING)
    try:
        site.must("deploy", f"--ref={site.good}")
    finally:
        site.kubectl("uncordon", DYING)
    yield site
    site.inv("destroy", "--volumes", "--yes")


def state(site: OnCluster) -> str:
    """What the cluster says of the node that dies: True, False or Unknown."""
    form = '--output=jsonpath={.status.conditions[?(@.type=="Ready")].status}'
    return site.kubectl("get", "node", DYING, form)


def nodes(site: OnCluster, service: str) -> list[str]:
    """Where the pods of a service are."""
    chosen = f"--selector=app.kubernetes.io/component={service}"
    form = "--output=jsonpath={.items[*].spec.nodeName}"
    return sorted(site.kubectl("get", "pod", chosen, form).split())


@pytest.mark.fault("a server dies while it rolls, and stays away in the next deploy")
def test_a_node_that_dies_takes_only_what_it_was_answering(site, fault):
    other = site.build("spreads")
    site.must("deploy", f"--ref={other}")
    site.good = other
    everywhere = sorted(site.nodes)
    until(lambda: nodes(site, "proxy") == nodes(site, "app") == everywhere, 60)
    assert DYING not in nodes(site, "db") + nodes(site, "redis")
    new, next_one = site.build("meets a node that dies"), site.build("does without it")
    with site.load("/", "/livez") as load:
        run = site.begin("deploy", f"--ref={new}")
        run.until(" old")
        with stopped(site, DYING):
            done = run.wait()
            print(done.text)
            assert done.status in (0, 1)
            fault(done, status=done.status, serves=site.good if done.status else new)
            until(lambda: state(site) == "Unknown", 120)
            site.must("deploy", f"--ref={next_one}")
            assert site.versions() == {next_one}
            print(load)
        until(lambda: state(site) == "True", 120)
    print(load, *load.failures, sep="\n")
    # Each client has lost one request at most: the one that the node had in hand.
    assert len(load.failures) <= CLIENTS + ASKING + UPLOADS + VISITORS
    assert load.total > 1000
    assert "drift: none" in site.must("status").text
