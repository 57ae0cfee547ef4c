"""A small Django project that is served on this machine as the image does it, with metrics."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

from tests.testbed import commands
from tests.testbed.commands import ROOT, free_port, until

PYTHON = ROOT / ".inv/app/bin/python"
SITE = ROOT / "tests/testbed/small_site.py"
PROCESSES = 2
# What docker/uwsgi.ini says about processes, and nothing that needs the image.
UWSGI = (
    "--master --single-interpreter --enable-threads --need-app --thunder-lock --die-on-term "
    f"--processes={PROCESSES} --threads=2 --disable-logging"
).split()
SERIES = re.compile(r"^(\w+(?:\{.*\})?) (\S+)$", re.M)


def environment(folder: Path, settings: str = "small_site", **env: str) -> dict[str, str]:
    """Return the variables that the image would have."""
    if not PYTHON.exists():
        commands.inv("manage", "version", "--engine=host")
    paths = [SITE.parent, ROOT / "docker/metrics", ROOT]
    python = Path(env.pop("PYTHON", PYTHON))
    return commands.environment(
        PATH=f"{python.parent}:{os.environ['PATH']}",
        PYTHONPATH=os.pathsep.join(map(str, paths)),
        TMPDIR=str(folder),
        DJANGO_SETTINGS_MODULE=settings,
        ROLE="web",
        VERSION=env.pop("VERSION", "abc"),
        APP_SERVER="uwsgi",
        **env,
    )


class Served:
    """A project that is served, at `port`; its metrics at `metrics_port`."""

    def __init__(
        self, folder: Path, metrics: bool, settings: str, module: str, **more: str
    ) -> None:
        self.folder, self.port, self.metrics_port = folder, free_port(), free_port()
        env = environment(folder, settings, WEB_PORT=str(self.port), **more)
        options = [f"--stats={folder}/metrics/uwsgi.stats"] * metrics
        options += ["--py-call-uwsgi-fork-hooks"] * ("ERRORS" in more or "TRACES" in more)
        env |= {"METRICS": str(self.metrics_port)} if metrics else {}
        words = [
            "uwsgi",
            *UWSGI,
            *options,
            f"--module={module}",
            f"--http-socket=127.0.0.1:{self.port}",
        ]
        start = f'. "{ROOT}/docker/metrics/start.sh"; "$@" & wait $!'
        command = ["sh", "-euc", start, "sh", *words]
        self.process = subprocess.Popen(
            command, cwd=folder, env=env, start_new_session=True, stderr=subprocess.STDOUT,
            stdout=(folder / "log").open("w"),
        )  # fmt: skip
        self.metrics = metrics

    def answers(self) -> None:
        """Wait until it answers. Raises RuntimeError with its log if it ends instead."""
        log = self.folder / "log"
        try:
            until(commands.works(self.get))
            until(lambda: self.series() or not self.metrics)
        except TimeoutError:
            raise RuntimeError(f"no answer: {log.read_text()}") from None

    def get(
        self, path: str = "/", method: str = "GET", body: str = "", **headers: str
    ) -> tuple[int, str]:
        """Return the status and the text of an answer; a body is a form."""
        form = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body or None, {**form, **headers})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def series(self, name: str = "") -> dict[str, float]:
        """Return all series whose names begin so, as NAME{LABELS}, with their values."""
        text = commands.page(f"http://127.0.0.1:{self.metrics_port}/metrics")
        return {key: float(n) for key, n in SERIES.findall(text) if key.startswith(name)}

    def total(self, name: str, *labels: str) -> float:
        """Return the sum of the series of a name that have all these labels."""
        found = self.series(f"{name}{{" if labels else name)
        return sum(n for key, n in found.items() if all(each in key for each in labels))

    def files(self) -> list[str]:
        """Return the names of the files that the processes count in."""
        return sorted(path.name for path in (self.folder / "metrics").iterdir())

    def children(self) -> set[int]:
        """Return the processes of its session."""
        words = ["ps", "--no-headers", "-o", "pid", "--sid", str(self.process.pid)]
        return {int(pid) for pid in commands.output(words).split()}


@contextmanager
def served(
    folder: Path,
    metrics: bool = True,
    settings: str = "small_site",
    module: str = "django.core.wsgi:get_wsgi_application()",
    **env: str,
) -> Iterator[Served]:
    """Serve a project, with files in a folder; end all of it at the end."""
    one = Served(folder, metrics, settings, module, **env)
    try:
        one.answers()
        yield one
    finally:
        with suppress(ProcessLookupError):
            os.killpg(one.process.pid, signal.SIGKILL)
        one.process.wait()
