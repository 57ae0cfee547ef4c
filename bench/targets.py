"""What Prometheus asks on servers, each for real on this machine, while visitors use the app."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from glob import glob
from pathlib import Path

from bench.visitors import SETTINGS, Visitors, variables
from tests.testbed.commands import ROOT, free_port, output, page, until, works
from tests.testbed.measured import environment, served
from tests.testbed.runs import Run

# Programs of Debian's packages of the same names.
EXPORTERS = [f"prometheus-{name}-exporter" for name in ("node", "postgres", "redis", "blackbox")]
PROGRAMS = ("prometheus", "redis-server", *EXPORTERS)
POSTGRES = "/usr/lib/postgresql/*/bin"
# What containers of other projects add to this machine is not on a server's container.
NODE = (
    "--collector.filesystem.mount-points-exclude=^/(dev|proc|sys|run|var/lib/docker)($|/)",
    "--collector.netdev.device-exclude=^(veth|br-|docker).*",
    "--collector.netclass.ignored-devices=^(veth|br-|docker).*",
)
# What docker/entrypoint tells Celery.
WORKER = ("--without-gossip", "--without-mingle", "--concurrency=2", "--include=worker")
BEAT = ("--scheduler=beat:Alone", "--pidfile=")
# Rounds of visits before anything is recorded.
WARM = 3


def missing() -> list[str]:
    """Return the packages of Debian that are to be installed before."""
    found = [name for name in PROGRAMS if not shutil.which(name)]
    return found if glob(POSTGRES) else [*found, "postgresql"]


@contextmanager
def ran(folder: Path, *words: str | Path, **env: str) -> Iterator[Run]:
    """Run a program until the end."""
    run = Run(words, folder, {**os.environ, **env})
    try:
        yield run
    finally:
        run.end()


@contextmanager
def database(folder: Path) -> Iterator[str]:
    """Run PostgreSQL, with an empty database; give its address."""
    programs, port = Path(sorted(glob(POSTGRES))[-1]), free_port()
    # It runs as anybody but root.
    other = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    other = other if os.geteuid() == 0 else []
    folder.mkdir()
    output(["chown", "nobody" if other else str(os.geteuid()), str(folder)])
    data = str(folder / "data")
    words = [programs / "initdb", "--auth=trust", "--username=app", "--no-sync", data]
    output([*other, *words], folder)
    listen = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
    with ran(folder, *other, programs / "postgres", "-D", data, "-p", str(port), *listen):
        create = [programs / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "app", "app"]
        until(works(lambda: output(create)))
        yield f"127.0.0.1:{port}/app"


@contextmanager
def celery(folder: Path, env: dict[str, str], role: str, *words: str) -> Iterator[int]:
    """Run a worker or beat as docker/entrypoint does; give the port of its metrics."""
    port = free_port()
    folder.mkdir()
    given = environment(folder, SETTINGS, METRICS=str(port), **env) | {"ROLE": role}
    given["PYTHONPATH"] += f"{os.pathsep}{ROOT}/docker"
    start = f'. "{ROOT}/docker/metrics/start.sh"; "$@" & wait $!'
    command = ["sh", "-euc", start, "sh", "celery", "-A", env["APP_CELERY"], role, *words]
    with ran(folder, *command, **given):
        yield port


@contextmanager
def exporter(folder: Path, program: str, *words: str, **env: str) -> Iterator[int]:
    """Run an exporter; give its port."""
    port = free_port()
    listen = f"--web.listen-address=127.0.0.1:{port}"
    with ran(folder, program, listen, *words, **env):
        yield port


@contextmanager
def real(folder: Path) -> Iterator[tuple[dict[str, str], Visitors]]:
    """Run all that is asked; give the addresses of metrics, by service, and visitors of the app."""
    with ExitStack() as stack:
        run = stack.enter_context
        address, redis = run(database(folder / "db")), free_port()
        run(ran(folder, "redis-server", "--bind", "127.0.0.1", "--port", str(redis), "--save", ""))
        more = {"REDIS_URL": f"redis://127.0.0.1:{redis}/0", "APP_CELERY": "myapp"}
        env = variables(folder, f"postgres://app@{address}", **more)
        (folder / "app").mkdir()
        site = run(served(folder / "app", settings=SETTINGS, **env))
        ports = {
            "app": site.metrics_port,
            "worker": run(celery(folder / "worker", env, "worker", *WORKER)),
            "beat": run(celery(folder / "beat", env, "beat", *BEAT)),
        }  # fmt: skip
        probes = f"--config.file={ROOT}/compose/monitoring/blackbox.yml"
        given = {
            "DATA_SOURCE_NAME": f"postgresql://app@{address}?sslmode=disable",
            "REDIS_ADDR": more["REDIS_URL"],
            "REDIS_EXPORTER_CONFIG_COMMAND": "-",
        }
        for program, words in zip(EXPORTERS, (NODE, (), (), (probes,)), strict=True):
            name = program.removeprefix("prometheus-")
            ports[name] = run(exporter(folder, program, *words, **given))
        urls = {name: f"http://127.0.0.1:{port}/metrics" for name, port in ports.items()}
        asked = urls["blackbox-exporter"].removesuffix("metrics")
        urls["blackbox-exporter"] = f"{asked}probe?module=site&target=http://127.0.0.1:{site.port}/"
        until(lambda: all(map(page, urls.values())), 60)
        yield urls, Visitors(site.port)


def record(folder: Path, rounds: int) -> dict[str, list[str]]:
    """Return what each service answers again and again, while visitors use the app."""
    texts: dict[str, list[str]] = {}
    with real(folder) as (urls, visitors):
        for number in range(-WARM, rounds):
            visitors.browse(number + WARM)
            time.sleep(1)
            for name, url in urls.items() if number >= 0 else ():
                texts.setdefault(name, []).append(page(url))
    return texts
