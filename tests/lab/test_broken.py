"""An image that does not work: the old version serves on, and the user is told why at once."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest

from tests.testbed.commands import git
from tests.testbed.oncluster import OnCluster
from tests.testbed.runs import Run
from tests.testbed.sites import Site

pytestmark = pytest.mark.engine
ROOT = Path(__file__).resolve().parents[2]
WEB = (ROOT / "docker/web").read_text()
BOOM = "#!/bin/sh\necho 'boom: no licence file' >&2\nexit 7\n"
# Once the health check has found it healthy.
DIE = "(until [ -e /tmp/ready ]; do sleep 0.1; done; sleep 1; echo 'out of luck'; kill -9 $$) &\n"
PORT = (ROOT / "docker/uwsgi.ini").read_text().replace("http-socket = :8000", "http-socket = :9000")
UNREADY = """

def ready():
    return _answer("unavailable", {}, "Not ready (licence expired)")
"""
RAISE = """

def home(request):
    raise ValueError("the price is not known")
"""
# In the server that serves, not where the page is tried before.
RAISE_IN_SERVER = """
whole = home


def home(request):
    import sys
    if "uwsgi" in sys.modules:
        raise ValueError("the price is not known")
    return whole(request)
"""
# In place of runc: it does not start the first web server, as if the kernel were busy.
BUSY = """\
#!/bin/sh
for word in "$@"; do
    case $last in --log) log=$word ;; --bundle) bundle=$word ;; esac
    last=$word
done
case " $* " in
*" create "*)
    if [ ! -e /run/busy ] && grep -q '"web"' "$bundle/config.json"; then
        touch /run/busy
        echo '{"level": "error", "msg": "mount tmpfs: device or resource busy"}' >>"$log"
        exit 1
    fi
    ;;
esac
exec "$0.real" "$@"
"""


def died(site: Site, service: str, code: int) -> float:
    """When the first container of a service died with this exit code, by its engine's word."""
    mine = f"-f label=com.docker.swarm.service.name={site.stack}_{service} -f exited={code}"
    script = f"docker ps -aq {mine} | xargs -r docker inspect -f '{{{{.State.FinishedAt}}}}'"
    times = " ".join(site.on(node, script) for node in site.nodes).split()
    return min(
        datetime.fromisoformat(re.sub(r"\.\d+Z", "+00:00", each)).timestamp() for each in times
    )


def broken(
    site: Site, what: str, files: dict[str, str], but: tuple[str, ...] = ()
) -> tuple[str, Run]:
    """Deploy an image that does not work, and see that the load notices nothing.

    Args:
        but: the kinds of requests that may fail.
    """
    bad = site.build(what, files)
    with site.load() as load:
        done = site.inv("deploy", f"--ref={bad}")
    assert [each for each in load.failures if each.split(": ")[1] not in but] == []
    assert load.total > 50
    return bad, done


def undone(site: Site, done: Run, bad: str, left: str = "its last lines:") -> None:
    """See that a deploy tells, and records, that it was undone; and that the next one works.

    Args:
        left: what the command prints that it names: of a replica that failed; empty without one.
    """
    number = next(each["number"] for each in site.history() if each["state"] == "succeeded")
    assert f"rolled back: release {number} (" in done.verdict
    newest = site.history()[0]
    more = ["history.show", f"--env={site.env}", f"--number={newest['number']}"]
    if not left:
        more = ["logs", f"--env={site.env}"]
    assert done.verdict.endswith(f"inv {' '.join(more)} shows more")
    assert left in site.must(more[0], *more[2:]).text
    assert (newest["state"], newest["revision"]) == ("undone", bad)
    assert newest["why"].split(" - ")[0] in done.verdict
    again = site.must("deploy", f"--ref={site.good}")
    assert "nothing to do" in again.text


@pytest.mark.either("cluster")
@pytest.mark.fault("the app exits when it starts")
def test_a_container_that_exits_at_boot_is_told_within_five_seconds(site, fault):
    bad, done = broken(site, "exits at boot", {"=docker/web": BOOM})
    fault(done, status=1, serves=site.good)
    told = done.at("warning: app: replica")
    # A cluster's replica is gone by now, and when it died.
    assert isinstance(site, OnCluster) or told - died(site, "app", 7) <= 5
    assert site.exited.format(7) in done.verdict
    assert "    boom: no licence file" in done.text
    undone(site, done, bad, left="    boom: no licence file")
    other = site.build("works")
    site.must("deploy", f"--ref={other}")
    site.serves(other)


@pytest.mark.slow
@pytest.mark.either("compose", "cluster")
@pytest.mark.fault("the app never gets healthy")
def test_an_app_that_never_gets_healthy_is_told_with_its_probe(site, fault):
    bad, done = broken(site, "never healthy", {"myapp/probes.py": UNREADY})
    fault(done, status=1, serves=site.good)
    assert site.unready in done.verdict
    undone(site, done, bad)


@pytest.mark.slow
@pytest.mark.either("compose", "cluster")
@pytest.mark.fault("the app listens on the wrong port")
def test_an_app_that_listens_on_another_port_is_told_with_its_probe(site, fault):
    bad, done = broken(site, "wrong port", {"=docker/uwsgi.ini": PORT})
    fault(done, status=1, serves=site.good)
    assert site.unheard in done.verdict
    undone(site, done, bad)


@pytest.mark.slow
@pytest.mark.fault("an engine cannot start a container, for a reason that passes")
def test_what_an_engine_could_not_start_is_started_once_more(site, fault):
    other = site.build("started once more")
    runc = site.on("node1", "command -v runc").strip()
    install = f"rm -f /run/busy; mv {runc} {runc}.real; cat >{runc}; chmod +x {runc}"
    site.on("node1", install, BUSY)
    try:
        done = site.inv("deploy", f"--ref={other}")
    finally:
        site.on("node1", f"mv {runc}.real {runc}")
    fault(done, status=0, serves=other)
    assert "device or resource busy" in done.text and "this may pass: once more" in done.text
    site.on("node1", "ls /run/busy")
    site.must("deploy", f"--ref={site.good}")


@pytest.mark.slow
@pytest.mark.fault("the app gets healthy, then dies")
def test_an_app_that_dies_while_it_is_watched_is_undone(site, fault):
    files = {"=docker/web": WEB.replace("set -eu\n", f"set -eu\n{DIE}", 1)}
    # What takes seconds, and was with a replica when that died, cannot be answered any more.
    bad, done = broken(site, "dies", files, but=("slow", "upload"))
    fault(done, status=1, serves=site.good)
    assert site.exited.format(137) in done.verdict
    assert "    out of luck" in done.text
    undone(site, done, bad, left="    out of luck")


@pytest.mark.either("compose", "cluster")
@pytest.mark.fault("the new version's home page fails")
def test_a_page_that_fails_is_found_before_anything_is_rolled(site, fault):
    bad, done = broken(site, "home page fails", {"myapp/views.py": RAISE})
    fault(done, status=1, serves=site.good)
    assert f"{site.url}/ would fail: ValueError: the price is not known" in done.verdict
    assert "rolling out" not in done.text
    newest = site.history()[0]
    assert (newest["state"], newest["revision"]) == ("failed", bad)
    assert "nothing to do" in site.must("deploy", f"--ref={site.good}").text


@pytest.mark.slow
@pytest.mark.either("compose", "cluster")
@pytest.mark.fault("the home page fails, but only once it serves")
def test_a_page_that_fails_where_it_serves_is_undone(site, fault):
    bad = site.build("home page fails in the server", {"myapp/views.py": RAISE_IN_SERVER})
    # What this version is asked for, it answers with 500: others must go on.
    with site.load("/livez") as load:
        done = site.inv("deploy", f"--ref={bad}")
    fault(done, status=1, serves=site.good)
    assert f"{site.url}/ answers 500" in done.verdict
    assert [each for each in load.failures if ": /livez: " in each or ": slow: " in each] == []
    undone(site, done, bad, left="")


@pytest.mark.slow
@pytest.mark.fault("the very first deploy is broken")
def test_a_first_deploy_that_is_broken_leaves_nothing_of_the_app_and_the_next_works(site, fault):
    first = site.at("staging")
    first.wipe()
    try:
        first.set_up()
        bad = site.build("exits at boot, first", {"=docker/web": BOOM})
        done = first.inv("deploy", f"--ref={bad}")
        fault(done, status=1, serves="nothing", where=first)
        assert "failed: task: non-zero exit (7); nothing of the app runs, as before" in done.verdict
        assert not {"app", "worker", "beat"} & set(first.services())
        first.must("deploy", f"--ref={site.good}")
        first.serves(site.good)
    finally:
        first.wipe()
    site.serves(site.good)


@pytest.mark.slow
def test_a_typo_in_the_proxys_configuration_is_refused(site):
    site.write("docker/Caddyfile", "\nnonsense.example {\n\trespnd hello\n}\n", add=True)
    try:
        done = site.inv("deploy", f"--ref={site.good}")
    finally:
        git(site.root, "checkout", "docker")
    assert done.status == 2
    assert "unrecognized directive: respnd - correct its configuration" in done.verdict
    site.serves(site.good)
