"""Monitoring beside an environment on servers: added, looked at through SSH, alerts, removed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.testbed import prometheus, receivers
from tests.testbed.commands import docker, free_port, git, page, until
from tests.testbed.onehost import OneHost
from tests.testbed.prometheus import Prometheus, grafana, stand_ins
from tests.testbed.receivers import Receiver, titles
from tests.testbed.sites import Site

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.either]
APP, STEADY = ("app", "worker", "beat", "proxy"), ("app", "beat", "db", "proxy", "redis")
STACK, PASSWORD, OTHER = "myapp-monitoring", "METRICS_PASSWORD", "staging"
EXPORTERS = {"postgres-exporter", "redis-exporter"}
# Looks are quick, and jobs and locks are old soon.
QUICK = (("interval: 15s", "interval: 2s"), ("timeout: 10s", "timeout: 2s"))
OLD = (("_oldest_seconds) > 600", "_oldest_seconds) > 5"), ("_seconds) > 3600", "_seconds) > 1"))
SOON = (("group_wait: 30s", "group_wait: 1s"), ("group_interval: 5m", "group_interval: 2s"))
# All that docker says of containers and services.
KNOWN = "docker ps -aq | xargs docker inspect; docker service inspect $(docker service ls -q); true"
# What fails in the app's replica, and what waits for a worker.
FAILING = "[current_app.send_task('myapp.tasks.flush_clicks', args=[1]) for _ in range(30)]"
WAITING = "current_app.send_task('myapp.tasks.flush_clicks')"
# A job that holds the lock.
HOLDS = "import time; print('begun', flush=True); time.sleep(20)"
GREEDY = "python -c 'print(len(bytes(1) * (4 * 10**9)))' || true"
# Takes what is free of a server's disk, but for a quarter; others use that disk, too.
FILL = "fallocate -l $(($(stat -f -c '%a * %S' /var/lib/docker) * 3 / 4)) /var/lib/docker/full"


@pytest.fixture
def measured(site: Site, tmp_path: Path) -> Iterator[Site]:
    """The site, which serves metrics, and whose servers have the images of monitoring."""
    images = " ".join(stand_ins())
    for node in site.nodes.values():
        load = f"docker save {images} | docker exec --interactive {node} docker load"
        subprocess.run(["sh", "-euc", load], check=True, capture_output=True)
    content = yaml.safe_load(Path(site.lab["INVOKE_RUNTIME_CONFIG"]).read_text())
    content["monitoring"] = {"metrics": True}
    known = yaml.safe_load((site.root / "invoke.yaml").read_text())["deploy"]["secrets"]
    content.setdefault("deploy", {})["secrets"] = [*known, PASSWORD]
    # Their addresses lead to them from this machine only.
    for name in (site.env, OTHER):
        content["environments"][name]["public"] = False
    settings = tmp_path / "invoke.yaml"
    settings.write_text(yaml.safe_dump(content))
    made = replace(site, lab={**site.lab, "INVOKE_RUNTIME_CONFIG": str(settings)})
    made.must("secrets.set", f"--name={PASSWORD}", "--random")
    made.must("deploy", f"--ref={site.good}")
    folder = made.root / "compose/monitoring"
    rules = prometheus.quick((prometheus.FOLDER / "rules.yml").read_text(), 4)
    (folder / "rules.yml").write_text(replaced(rules, *OLD))
    text = (prometheus.FOLDER / "prometheus.yml").read_text()
    (folder / "prometheus.yml").write_text(replaced(text, *QUICK))
    text = (prometheus.FOLDER / "alertmanager.yml").read_text()
    (folder / "alertmanager.yml").write_text(replaced(text, *SOON))
    try:
        yield made
    finally:
        made.inv("monitor.down", "--volumes")
        git(made.root, "checkout", site.good, "--", "compose")
        site.must("deploy", f"--ref={site.good}")
        made.inv("secrets.remove", f"--name={PASSWORD}", "--yes")


@pytest.fixture
def beside(measured: Site) -> Iterator[Site]:
    """Another environment on the same servers, which serves metrics, too."""
    made = measured.at(OTHER)
    made.wipe()
    try:
        made.set_up()
        made.must("secrets.set", f"--name={PASSWORD}", "--random")
        made.must("deploy", f"--ref={measured.good}")
        yield made
    finally:
        # It is on the network.
        measured.inv("monitor.down", "--volumes")
        made.wipe()


@pytest.fixture
def chat(measured: Site) -> Iterator[Receiver]:
    """A chat on this machine, at an address that the site's servers reach."""
    gateway = "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}"
    with receivers.chat(docker("inspect", f"--format={gateway}", measured.nodes["node1"])) as there:
        yield there


def telling(site: Site, address: str) -> Site:
    """The site, whose alerts go to a chat at an address."""
    return replace(site, more={**site.more, "INVOKE_MESSAGES_SLACK": address})


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """A text with parts of it replaced, which have to be there."""
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


@contextmanager
def opened(site: Site) -> Iterator[Prometheus]:
    """Open the page with `inv monitor`, and end that with Ctrl-C."""
    port = free_port()
    run = site.begin("monitor", f"--port={port}")
    one = Prometheus(port)
    try:
        until(lambda: page(f"{one.url}/-/ready"), 60)
        yield one
    finally:
        os.killpg(run.process.pid, signal.SIGINT)
        assert run.wait().status == 0
    assert page(f"{one.url}/-/ready") == ""


def containers(site: Site) -> list[str]:
    """The containers of the monitoring stack on all servers, each with its ports."""
    script = "docker ps --format '{{.Names}} {{.Ports}}'"
    lines = "\n".join(site.on(node, script) for node in site.nodes).splitlines()
    return [line for line in lines if line.startswith(STACK)]


def seen(watched: Prometheus, query: str) -> set[str]:
    return {each["metric"].get("service", "") for each in watched.ask(query)}


def seen_elsewhere(site: Site) -> str:
    """What `inv status` of an environment on the second server alone writes on the first."""
    content = yaml.safe_load(Path(site.lab["INVOKE_RUNTIME_CONFIG"]).read_text())
    mine = content["environments"][site.env]
    content["environments"]["other"] = {**mine, "hosts": mine["hosts"][1:2]}
    settings = Path(site.lab["INVOKE_RUNTIME_CONFIG"]).with_name("other.yaml")
    settings.write_text(yaml.safe_dump(content))
    shown = site.at("other", INVOKE_RUNTIME_CONFIG=str(settings)).inv("status")
    assert "monitoring does not learn" not in shown.text, shown.text
    box = f"$(docker ps -q -f name={STACK}.prometheus)"
    return site.on("node1", f"docker exec {box} cat status/other.txt")


def stop(site: Site, service: str, back: bool, count: int = 1) -> None:
    """Stop all replicas of a service, or start them again: as many as there were."""
    if isinstance(site, OneHost):
        verb = "start" if back else "stop"
        site.on("node1", f"docker ps -aq {site.box(service)} | xargs docker {verb}")
    else:
        site.on("node1", f"docker service scale --detach {site.stack}_{service}={count * back}")


def test_one_command_adds_it_beside_the_app_and_one_removes_it(measured, chat):
    before, steady = measured.tasks(*STEADY, "worker"), measured.tasks(*STEADY)
    refused = measured.inv("monitor", f"--port={free_port()}")
    assert refused.status == 2
    assert "no Prometheus runs for lab - ./inv monitor.up --env=lab" in refused.verdict
    told = telling(measured, f"{chat.url}/services/t0ken-1")
    done = told.must("monitor.up")
    assert f"measures {measured.env}" in done.text
    assert "alerts go to the chat" in done.text and "t0ken" not in done.text
    assert measured.tasks(*STEADY, "worker") == before
    # Again, it changes nothing.
    there = containers(measured)
    assert len(there) == 3 + len(measured.nodes)
    told.must("monitor.up")
    assert containers(measured) == there
    assert not any("->" in each for each in there)
    told = telling(measured, f"{chat.url}/services/t0ken-2")
    told.must("monitor.up")
    other = {*containers(measured)} ^ {*there}
    assert len(other) == 2 and all("alertmanager" in each for each in other), other
    assert "t0ken" not in "".join(measured.on(node, KNOWN) for node in measured.nodes)
    refused = measured.inv("monitor.up")
    assert refused.status == 2
    assert "alerts use the chat now, which this run does not know" in refused.verdict
    told.must("monitor.try")
    until(lambda: f"[{measured.env}] critical: Test" in titles(chat), 60)

    if len(measured.nodes) > 1:
        assert "app_lock_seconds 0\n" in seen_elsewhere(measured)
    with opened(measured) as watched:
        mine = f'environment="{measured.env}"'
        until(lambda: seen(watched, f"up{{{mine}}} == 1") >= {*APP} | EXPORTERS, 120)
        assert [each["value"][1] for each in watched.ask("pg_up")] == ["1"]
        assert [each["value"][1] for each in watched.ask("redis_up")] == ["1"]
        assert watched.ask('pg_stat_user_tables_n_tup_ins{relname="django_migrations"}')
        (replicas,) = watched.ask(f'count(up{{{mine}, service="app"}} == 1)')
        assert replicas["value"][1] == "2"
        until(lambda: watched.ask(f"probe_success{{{mine}}} == 1"), 60)
        panels = [each.query for each in grafana.panels() if "caddy_" in each.query]
        assert panels
        until(lambda: page(measured.url) and all(map(watched.ask, panels)), 60)
        assert 0 < len(watched.ask('{__name__=~"caddy_.+"}')) < 200
        assert watched.ask('{__name__=~"caddy_.+", handler!="", handler!="subroute"}') == []
        alive = 'count(up{job="node"} == 1) == on () expected_servers'
        (nodes,) = until(lambda: watched.ask(alive), 60)
        assert nodes["value"][1] == str(len(measured.nodes))
        assert watched.ask('node_filesystem_avail_bytes{mountpoint="/disk"}')
        until(lambda: "All is well" in watched.page(), 120)
        assert measured.env in watched.page()

        stop(measured, "worker", back=False)
        until(lambda: {"NoWorker", "ServiceGone"} <= watched.firing(), 120)
        assert "Not well" in watched.page()
        until(lambda: f"[{measured.env}] critical: NoWorker" in titles(chat), 60)
        stop(measured, "worker", back=True)
        until(lambda: not {"NoWorker", "ServiceGone"} & watched.firing(), 180)
        until(lambda: f"[{measured.env}] cleared: NoWorker" in titles(chat), 60)
    assert chat.got[-1].path == "/services/t0ken-2"

    stop(replace(measured, env="monitoring"), "prometheus", back=False)
    silent = "monitoring does not run (prometheus): alerts are missing - ./inv monitor.up"
    until(lambda: silent in measured.inv("status").text, 60, 1)
    told.must("monitor.up")
    assert "monitoring does not run" not in measured.inv("status").text

    kept = measured.inv("destroy", "--yes")
    assert kept.status == 2
    assert f"monitoring measures {measured.env} - ./inv monitor.down" in kept.verdict
    measured.must("monitor.down", "--volumes")
    assert containers(measured) == []
    assert measured.tasks(*STEADY) == steady
    volumes = "docker volume ls -q -f name=" + STACK
    assert "".join(measured.on(node, volumes) for node in measured.nodes) == ""


def test_a_deploy_that_goes_well_fires_nothing(measured):
    # As they are for users: those that a deploy could raise wait for three minutes at most.
    rules = (prometheus.FOLDER / "rules.yml").read_text()
    (measured.root / "compose/monitoring/rules.yml").write_text(rules)
    assert "alerts are only on the page, and sent to no one" in measured.must("monitor.up").text
    with opened(measured) as watched:
        until(lambda: seen(watched, "up == 1") >= {*APP}, 120)
        until(lambda: not watched.firing(), 120)
        other = measured.build("another one, measured")
        run = measured.begin("deploy", f"--ref={other}")
        fired: set[str] = set()
        until(lambda: fired.update(watched.firing()) or run.ended, 300, 1)
        assert run.wait().status == 0
        later = time.monotonic() + 200
        until(lambda: fired.update(watched.firing()) or time.monotonic() > later, 300, 1)
        assert fired == set()
        releases = 'count by (release) (app_info{role="web"})'
        until(lambda: [each["metric"]["release"] for each in watched.ask(releases)] == [other], 60)


def test_two_environments_of_the_same_servers_are_measured_by_one(measured, beside):
    both = {measured.env, beside.env}
    done = measured.must("monitor.up")
    (measures,) = re.findall(r"measures (.+) - inv monitor", done.text)
    assert {*measures.split(", ")} == both
    assert len(containers(measured)) == 3 + len(measured.nodes)
    with opened(beside) as watched:
        for env in both:
            mine = f'environment="{env}"'
            up = f"up{{{mine}}} == 1"
            until(lambda up=up: seen(watched, up) >= {*APP} | EXPORTERS, 120)
            # Each has two replicas, and nothing of the other's.
            until(lambda mine=mine: watched.ask(f'count(up{{{mine}, service="app"}}) == 2'), 60)
        places = watched.ask('count by (instance) (up{service="app"})')
        assert [each["value"][1] for each in places] == ["1"] * 4
        fires(watched, measured, set())
        stop(beside, "worker", back=False)
        fires(watched, measured, {"NoWorker", "ServiceGone"})
        firing = watched.ask('ALERTS{alertstate="firing"}')
        assert {each["metric"].get("environment") for each in firing} == {beside.env}


def test_no_password_is_in_a_variable_or_an_argument(measured):
    names = "|".join(sorted(EXPORTERS))
    script = "docker ps -q | xargs docker inspect --format '{{.Name}} {{.Config.Env}} {{.Args}}'"
    lines = "\n".join(measured.on(node, script) for node in measured.nodes).splitlines()
    mine = [line for line in lines if measured.stack in line and re.search(names, line)]
    assert len(mine) == len(EXPORTERS)
    given = re.compile(r"(PASS|PASSWORD|DSN|DATA_SOURCE_NAME)=\S")
    assert not [line for line in mine if given.search(line)]


def pause(site: Site, service: str, back: bool) -> None:
    """Pause one container of a service, or let those go on that are paused."""
    status, verb = ("paused", "unpause") if back else ("running", "pause")
    listed = f"docker ps -aq {site.box(service)} -f status={status}"
    for node in site.nodes:
        if site.on(node, f"{listed} | head -1 | xargs -r docker {verb}") and not back:
            return


def fires(watched: Prometheus, site: Site, alerts: set[str]) -> None:
    """See that alerts fire while a client asks for pages; without any, that none does."""

    def so() -> bool:
        page(site.url)
        firing = watched.firing()
        return alerts <= firing if alerts else not firing

    try:
        until(so, 180, 1)
    except TimeoutError:
        raise AssertionError(f"{alerts}: {watched.firing()}") from None


def within(site: Site, script: str) -> None:
    """Run a script in one replica of the app."""
    for node in site.nodes:
        if box := site.on(node, f"docker ps -q {site.box('app')} | head -1").strip():
            site.on(node, f"docker exec -i {box} sh -s", script)
            return


def send(site: Site, code: str) -> None:
    """Send jobs from the app."""
    within(site, f'python manage.py shell -c "from celery import current_app; {code}"')


def a_server(site: Site, verb: str) -> None:
    """Pause a server, or what measures it where that would be Prometheus' own; or let it go on."""
    home, *others = site.nodes
    if others:
        docker(verb, site.nodes[others[-1]])
    else:
        site.on(home, f"docker ps -aq -f name={STACK}.node-exporter | xargs docker {verb}")


def change_by_hand(site: Site) -> None:
    """Stop one of the app's two replicas by hand, which `inv status` sees."""
    if isinstance(site, OneHost):
        site.on("node1", f"docker ps -q {site.box('app')} | head -1 | xargs docker stop")
    else:
        site.on("node1", f"docker service scale --detach {site.stack}_app=1")
    shown = site.inv("status")
    assert "from release" in shown.verdict, shown.text
    assert "monitoring does not learn" not in shown.text, shown.text


def hold_the_lock(site: Site) -> None:
    """Hold the lock with a job for some seconds, in which `inv status` looks."""
    run = site.begin("manage", f'shell -c "{HOLDS}"')
    run.until("begun")
    shown = site.inv("status")
    assert "manage" in shown.text and "lock: free" not in shown.text, shown.text


def see_it_free(site: Site) -> None:
    until(lambda: not site.lock, 90)
    site.inv("status")


def waits(site: Site) -> None:
    """Ask for a page as long as it takes the proxy to say that nobody answers."""
    words = ("curl", "-so", "/dev/null", "--max-time", "30", site.url)
    with ThreadPoolExecutor(8) as clients:
        list(clients.map(lambda _: subprocess.run(words, check=False), range(24)))


def nothing(site: Site) -> None:
    """It ends by itself."""


Change = Callable[[Site], object]
CAUSES: dict[str, tuple[set[str], Change, Change]] = {
    "Redis stops": (
        {"RedisDown", "BrokerDown"},
        lambda site: stop(site, "redis", back=False),
        lambda site: stop(site, "redis", back=True),
    ),
    "the database stops": (
        {"DatabaseDown", "ErrorRate", "SiteDown"},
        lambda site: stop(site, "db", back=False),
        lambda site: stop(site, "db", back=True),
    ),
    "no replica of the app is left": (
        {"ProxyErrors", "SiteDown", "ServiceGone"},
        lambda site: (stop(site, "app", back=False), waits(site)),
        lambda site: stop(site, "app", back=True, count=2),
    ),
    "the worker stops": (
        {"NoWorker", "ServiceGone", "QueueOld"},
        lambda site: (stop(site, "worker", back=False), send(site, WAITING)),
        lambda site: stop(site, "worker", back=True),
    ),
    "beat stops": (
        {"BeatSilent", "ServiceGone"},
        lambda site: stop(site, "beat", back=False),
        lambda site: stop(site, "beat", back=True),
    ),
    "a replica hangs": (
        {"ReplicaDown", "ReplicaMissing"},
        lambda site: pause(site, "app", back=False),
        lambda site: pause(site, "app", back=True),
    ),
    "a process needs more memory than there is": (
        {"MemoryKill", "ServerMemoryKill"}, lambda site: within(site, GREEDY), nothing
    ),
    "jobs fail": ({"JobsFail"}, lambda site: send(site, FAILING), nothing),
    "a replica is stopped by hand": (
        {"Drift"}, change_by_hand, lambda site: site.must("deploy", f"--ref={site.good}")
    ),
    "the lock is held for long": ({"LockOld"}, hold_the_lock, see_it_free),
    "a server does not answer": (
        {"NodeGone"},
        lambda site: a_server(site, "pause"),
        lambda site: a_server(site, "unpause"),
    ),
    "a disk is full": (
        {"DiskFull"},
        lambda site: site.on("node1", FILL),
        lambda site: site.on("node1", "rm -f /var/lib/docker/full"),
    ),
}  # fmt: skip


def test_each_alert_is_fired_by_what_it_is_about_and_ends(measured):
    folder = measured.root / "compose/monitoring"
    size, free = measured.on("node1", "stat -f -c '%b %a' /var/lib/docker").split()
    rules = (folder / "rules.yml").read_text()
    disk = f'squashfs"}} < {int(free) / int(size) / 2}'
    (folder / "rules.yml").write_text(replaced(rules, ('squashfs"} < 0.1', disk)))
    measured.must("monitor.up")
    with opened(measured) as watched:
        until(lambda: seen(watched, "up == 1") >= {*APP} | EXPORTERS, 120)
        for what, (alerts, cause, cure) in CAUSES.items():
            fires(watched, measured, set())
            print(what, time.strftime("%X"))
            cause(measured)
            try:
                fires(watched, measured, alerts)
            finally:
                cure(measured)
        fires(watched, measured, set())


def test_a_deploy_that_is_cut_off_is_told_half_done_and_failed(measured):
    measured.must("monitor.up")
    # Both releases run for longer than the alert waits.
    slow = {"myapp/settings/prod.py": "import time\ntime.sleep(10)"}
    other = measured.build("another one, which starts slowly", slow)
    with opened(measured) as watched:
        until(lambda: seen(watched, "up == 1") >= {*APP}, 120)
        fires(watched, measured, set())
        run = measured.begin("deploy", f"--ref={other}")
        try:
            until(lambda: "DeployHalfDone" in watched.firing() or run.ended, 300, 0.5)
            assert not run.ended
        finally:
            if not run.ended:
                os.killpg(run.process.pid, signal.SIGKILL)
        measured.inv("unlock", "--yes")
        measured.inv("status")
        until(lambda: "DeployFailed" in watched.firing(), 60)
        measured.must("deploy", f"--ref={other}")
        fires(watched, measured, set())
