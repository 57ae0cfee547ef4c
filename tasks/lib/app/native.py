"""The app on this machine's Python, without Docker: SQLite, in-process cache and tasks."""

import os
import shlex
import signal
import subprocess
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from invoke import Context

from .. import console, files, process
from ..errors import ExitCode, TaskError
from ..project.settings import REPORTS, ROOT, Settings
from . import python
from .base import Asked, Running, claim

STATE = ROOT / ".dev"
LOG, PID = STATE / "log", STATE / "pid"


@dataclass(frozen=True)
class NativeBackend:
    """The app as a process on this machine, its log in .dev/log, its process id in .dev/pid."""

    ctx: Context
    settings: Settings
    sqlite: ClassVar[bool] = True

    def up(self, running: Running, fresh: bool) -> None:
        """Migrate, start the development server, wait until it is ready."""
        if running.monitoring:
            hint = "start Docker (bare Debian: lab/engine up), or leave out --with"
            raise TaskError("monitoring runs in Docker only", hint, ExitCode.REFUSED)
        self.down(volumes=fresh)
        claim(running.port)
        if self.manage(["migrate", "--verbosity", "0"]):
            raise TaskError("the migrations failed: see above", "fix them, then run inv dev again")
        names = ["test", "dev"] if running.debugger else ["test"]
        app = python.interpreter(self.ctx, *names)
        manager = self.settings.app.manager
        command = [app, manager, "runserver", f"127.0.0.1:{running.port}"]
        if running.debugger:
            command[1:1] = ["-m", "debugpy", "--listen", f"127.0.0.1:{running.debugport}"]
        if self.ctx.config.run.dry or self.ctx.config.run.echo:
            console.say(console.colour(shlex.join(command), 1))
        if self.ctx.config.run.dry:
            return
        server = _start(command, self._variables)
        try:
            self._wait_until_ready(server, running.port)
        except BaseException:
            self.down()
            raise

    def _wait_until_ready(self, server: subprocess.Popen[bytes], port: int) -> None:
        seconds, why = self.settings.dev.timeout, ""
        try:
            ended = lambda: server.poll() is not None or self._is_ready(port)  # noqa: E731
            process.wait_until(ended, seconds, 0.1)
        except TimeoutError:
            why = f"the app is not ready after {seconds} s"
        if server.poll() is not None:
            why = f"the app exited with {server.returncode}"
        if why:
            console.say(LOG.read_text(errors="replace"))
            raise TaskError(f"{why}: see its log above")

    @property
    def _variables(self) -> dict[str, str]:
        app = self.settings.app
        return app.environment(app.settings.dev, ROOT)

    def _is_ready(self, port: int) -> bool:
        path = self.settings.app.probes.ready or self.settings.app.probes.page
        with suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2).close()
            return True
        return False

    def down(self, volumes: bool = False) -> None:
        """Stop the app; with volumes, delete its database too."""
        if self.ctx.config.run.dry:
            return
        _stop()
        if volumes:
            (ROOT / self.settings.app.path("db.sqlite3")).unlink(missing_ok=True)

    def logs(self, asked: Asked) -> None:
        """Print the end of the log, and follow it while the app runs."""
        if asked.service or asked.since:
            hint = "leave out --service and --since, or start Docker and run inv dev again"
            raise TaskError(
                "without Docker, the log is that of one process", hint, ExitCode.REFUSED
            )
        if not LOG.exists():
            raise TaskError("no log yet", "start the app: inv dev")
        with LOG.open(errors="replace") as log:
            lines, rest = log.readlines()[-asked.tail :], ""
            print("".join(filter(asked.has, lines)), end="", flush=True)
            while asked.follow and _running():
                *lines, rest = (rest + log.read()).split("\n")
                # Fails when stdout is closed, and so ends, as console.result would not.
                print("".join(f"{x}\n" for x in lines if asked.has(x)), end="", flush=True)
                time.sleep(0.1)

    def manage(self, words: list[str]) -> int:
        """Run manage.py with the app's Python."""
        app = python.interpreter(self.ctx, "test")
        command = [app, str(ROOT / self.settings.app.manager), *words]
        return process.run(self.ctx, command, self._variables)

    def psql(self, command: str) -> int:
        """Open the shell of the SQLite database, or run a command of SQL."""
        return self.manage(["dbshell", *(["--", command] if command else [])])

    def load(self, dump: Path) -> None:
        """Refuse a dump: this database is another one."""
        raise TaskError("a dump of PostgreSQL needs an engine here", "start Docker, or inv doctor")

    def test(self, words: list[str], keep: bool = False) -> int:
        """Run a command of the app's Python; the tests' settings create the database in memory."""
        app, own = self.settings.app, python.interpreter(self.ctx, "test")
        env = app.environment(app.settings.test, ROOT)
        env["PATH"] = f"{Path(own).parent}:{os.environ.get('PATH', '')}"
        env["COVERAGE_FILE"] = str(files.own_folder(REPORTS) / ".coverage")
        command = [own, *words[1:]] if words[0] == "python" else words
        return process.run(self.ctx, command, env)


def _start(command: list[str], variables: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start the development server in a session of its own."""
    files.own_folder(STATE)
    with LOG.open("wb") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            env={**os.environ, **variables, "PYTHONUNBUFFERED": "1"}, start_new_session=True,
            cwd=ROOT,
        )  # fmt: skip
    PID.write_text(str(server.pid))
    return server


def _stop() -> None:
    """Terminate the server that runs; kill it when it has not ended within GRACE seconds."""
    if pid := _running():
        os.killpg(pid, signal.SIGTERM)
        try:
            process.wait_until(lambda: not _running(), process.GRACE, poll=0.05)
        except TimeoutError:
            os.killpg(pid, signal.SIGKILL)
    PID.unlink(missing_ok=True)


def _running() -> int:
    """Return the process id of the server that dev started here; 0 if it has ended."""
    with suppress(FileNotFoundError, ValueError):
        pid = int(PID.read_text())
        # Another process may have got this id; one that has ended has no arguments.
        done = subprocess.run(
            ["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True
        )
        return pid if "runserver" in done.stdout else 0
    return 0
