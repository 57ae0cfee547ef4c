"""A lab for the tests: a real registry, and a real Swarm of servers with SSH."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
import yaml

from tests.testbed.labs import started
from tests.testbed.oncluster import OnCluster
from tests.testbed.onehost import OneHost
from tests.testbed.runs import Run
from tests.testbed.sites import JOBS, SLOW, Exports, Site

from . import faults


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exports]:
    """A lab of three servers; see started."""
    with started(tmp_path_factory.mktemp("lab")) as exports:
        yield exports


def quick(settings: Path, mine: Path) -> str:
    """Write a lab's settings with less patience for replicas and jobs; returns the file."""
    content = yaml.safe_load(settings.read_text())
    content.setdefault("deploy", {})["joblimit"] = 70
    for place in content["environments"].values():
        place["values"] |= {"START_PERIOD": "10s", "HEALTH_INTERVAL": "2s"}
        # The lab's DNS keeps no name.
        place["values"] |= {"APP_DRAIN": 5} if "kubernetes" in place else {}
    mine.write_text(yaml.safe_dump(content))
    return str(mine)


@pytest.fixture(scope="session")
def deployed(
    tmp_path_factory: pytest.TempPathFactory, make_clone: Callable[[Path], Path]
) -> Iterator[Site]:
    """The app, deployed from a clone in a lab of its own.

    LAB=NAME takes the lab of that name, and leaves it for the next run.
    """
    folder, name = tmp_path_factory.mktemp("site"), os.environ.get("LAB", "")
    with started(folder / "lab", name, keep=bool(name)) as exports:
        settings = quick(Path(exports["INVOKE_RUNTIME_CONFIG"]), folder / "invoke.yaml")
        made = Site(make_clone(folder / "clone"), {**exports, "INVOKE_RUNTIME_CONFIG": settings})
        made.wipe()
        made.set_up()
        made.write("myapp/urls.py", SLOW, add=True)
        made.write("myapp/tasks.py", JOBS, add=True)
        made.good = made.build("the site")
        made.first = made.must("deploy", f"--ref={made.good}")
        (made.record,) = made.history()[-1:]
        yield made


@pytest.fixture(scope="session")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exports]:
    """A lab with a cluster; CLUSTER names one that is there, and stays."""
    folder, name = tmp_path_factory.mktemp("cluster"), os.environ.get("CLUSTER", "")
    with started(folder, name, keep=bool(name), orchestrator="kubernetes") as lab:
        yield lab


@pytest.fixture(scope="session")
def one_host(
    tmp_path_factory: pytest.TempPathFactory, make_clone: Callable[[Path], Path]
) -> Iterator[OneHost]:
    """The app, deployed in a lab of one server without a Swarm."""
    folder = tmp_path_factory.mktemp("onehost")
    with started(folder / "lab", orchestrator="compose") as lab:
        settings = quick(Path(lab["INVOKE_RUNTIME_CONFIG"]), folder / "invoke.yaml")
        made = OneHost(make_clone(folder / "clone"), {**lab, "INVOKE_RUNTIME_CONFIG": settings})
        made.set_up()
        made.write("myapp/urls.py", SLOW, add=True)
        made.good = made.build("the site")
        made.first = made.must("deploy", f"--ref={made.good}")
        yield made


@pytest.fixture(scope="session")
def on_cluster(
    clustered: Exports,
    tmp_path_factory: pytest.TempPathFactory,
    make_clone: Callable[[Path], Path],
) -> Iterator[OnCluster]:
    """The app, deployed in a lab with a cluster; gone at the end."""
    folder = tmp_path_factory.mktemp("oncluster")
    settings = quick(Path(clustered["INVOKE_RUNTIME_CONFIG"]), folder / "invoke.yaml")
    lab = {**clustered, "INVOKE_RUNTIME_CONFIG": settings}
    made = OnCluster(make_clone(folder / "clone"), lab)
    made.wipe()
    made.set_up()
    made.write("myapp/urls.py", SLOW, add=True)
    made.good = made.build("the site")
    made.first = made.must("deploy", f"--ref={made.good}")
    yield made
    made.wipe()


# The sites of what is marked "either", and how their tests are marked.
SITES = {
    "swarm": ("deployed", []),
    "compose": ("one_host", [pytest.mark.slow]),
    "cluster": ("on_cluster", [pytest.mark.slow, pytest.mark.cluster]),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked "either" on a Swarm and with the orchestrators that the mark names.

    Without a name, that is one Docker host.
    """
    if mark := metafunc.definition.get_closest_marker("either"):
        names = [name for name in ("place", "site") if name in metafunc.fixturenames]
        params = [
            pytest.param(*[SITES[kind][0]] * len(names), id=kind, marks=SITES[kind][1])
            for kind in ("swarm", *(mark.args or ("compose",)))
        ]
        metafunc.parametrize(names, params, indirect=True)


@pytest.fixture
def site(request: pytest.FixtureRequest) -> Site:
    """The app, deployed in a lab, of which site.good serves; site.first was its first deploy.

    The lab is another than that of the fixture lab: only tests of the site touch its servers.
    """
    made: Site = request.getfixturevalue(getattr(request, "param", "deployed"))
    if made.versions() != {made.good} or made.lock:
        made.must("unlock", "--yes")
        made.must("deploy", f"--ref={made.good}")
    return made


@pytest.fixture
def fault(request: pytest.FixtureRequest, site: Site) -> Callable[..., None]:
    """Sees how a task ended that met a fault, and what serves afterwards; see faults.py.

    The fault's name is that of the test's mark: @pytest.mark.fault("a host is down").

    Args:
        serves: the commit that answers, or "nothing".
        where: another environment than the site's own.
        but: what is not as it should be then.
        locked: whether the lock could not be left, and ends by itself.
    """

    def judge(
        run: Run,
        status: int,
        serves: str,
        where: Site | None = None,
        but: str = "",
        locked: bool = False,
    ) -> None:
        place = where or site
        assert run.status == status, run.text
        assert run.verdict.startswith("inv: ") or not status, run.text
        assert "Traceback" not in run.verdict
        assert place.versions() == {serves}, run.text
        assert bool(place.lock) == locked
        mark = request.node.get_closest_marker("fault")
        what = faults.served(serves, site.good)
        seen = f"{what}, but {but}" if but else what
        faults.record(mark.args[0], run, seen, place.column)

    return judge


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Take the row of a fault back whose test fails."""
    report = yield
    if report.failed and (mark := item.get_closest_marker("fault")):
        faults.forget(mark.args[0])
    return report


def pytest_sessionfinish() -> None:
    """Write the table of faults, where FAULTS names a file for it."""
    if file := os.environ.get("FAULTS"):
        faults.write(Path(file))
