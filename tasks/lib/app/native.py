"""The app on this machine's Python: SQLite, in-process cache and tasks, for want of Docker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .. import console, process
from ..errors import TaskError
from ..project import contract
from ..project.settings import ROOT
from .base import Running, claim

if TYPE_CHECKING:
    from invoke import Context

    from ..project.settings import Settings

STATE = ROOT / ".dev"
LOG, PID, DATA = STATE / "log", STATE / "pid", ROOT / "db.sqlite3"


@dataclass(frozen=True)
class NativeBackend:
    """The app as a process of this machine, its log in .dev/log, its process id in .dev/pid."""

    ctx: Context
    settings: Settings
    sqlite: ClassVar[bool] = True

    def up(self, running: Running, fresh: bool) -> None:
        """Migrate, start the development server, wait until it is ready."""
        self.down(volumes=fresh)
        claim(running.port)
        if self.manage(["migrate", "--verbosity", "0"]):
            raise TaskError("the migrations fail: see above", "mend them, then inv dev again")
        server = ["manage.py", "runserver", f"127.0.0.1:{running.port}"]
        if running.debugger:
            server = ["-m", "debugpy", "--listen", f"127.0.0.1:{running.debugport}", *server]
        if self.ctx.config.run.dry or self.ctx.config.run.echo:
            console.say(" ".join([sys.executable, *server]))
        if self.ctx.config.run.dry:
            return
        STATE.mkdir(exist_ok=True)
        with LOG.open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, *server], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONUNBUFFERED": "1"}, start_new_session=True, cwd=ROOT,
            )  # fmt: skip
        PID.write_text(str(child.pid))
        try:
            self._ready(child, running.port)
        except BaseException:
            self.down()
            raise

    def _ready(self, child: subprocess.Popen[bytes], port: int) -> None:
        probe = f"http://127.0.0.1:{port}{contract.READYZ}"
        deadline = time.monotonic() + self.settings.dev.timeout
        while time.monotonic() < deadline:
            if child.poll() is not None:
                console.say(LOG.read_text(errors="replace"))
                raise TaskError(f"the app exited with {child.returncode}: its log is above")
            try:
                urllib.request.urlopen(probe, timeout=2).close()
                return
            except (OSError, urllib.error.URLError):
                time.sleep(0.1)
        console.say(LOG.read_text(errors="replace"))
        raise TaskError(
            f"the app is not ready after {self.settings.dev.timeout} s: its log is above"
        )

    def follow(self) -> None:
        """Print the log until the app ends or we are interrupted."""
        self.logs(follow=True, tail=20)

    def down(self, volumes: bool = False) -> None:
        """Stop the app; with volumes, delete its database too."""
        pid = _running()
        if pid and not self.ctx.config.run.dry:
            os.killpg(pid, signal.SIGTERM)
            deadline = time.monotonic() + process.GRACE
            while _running() and time.monotonic() < deadline:
                time.sleep(0.05)
            if _running():
                os.killpg(pid, signal.SIGKILL)
        PID.unlink(missing_ok=True)
        if volumes and not self.ctx.config.run.dry:
            DATA.unlink(missing_ok=True)

    def logs(self, follow: bool, tail: int) -> None:
        """Print the end of the log, and what is added to it while the app runs."""
        if not LOG.exists():
            raise TaskError("nothing was logged yet", "inv dev")
        with LOG.open(errors="replace") as log:
            print("".join(log.readlines()[-tail:]), end="", flush=True)
            while follow and _running():
                # Ends where nobody reads on, as console.result would not.
                print(log.read(), end="", flush=True)
                time.sleep(0.1)

    def manage(self, words: list[str]) -> int:
        """Run manage.py with this Python."""
        return process.run(self.ctx, [sys.executable, str(ROOT / "manage.py"), *words])

    def psql(self) -> int:
        """Open the shell of the SQLite database."""
        return self.manage(["dbshell"])

    def test(self, words: list[str], keep: bool = False) -> int:
        """Run this Python; the tests' settings make the database in memory."""
        return process.run(self.ctx, [sys.executable, *words])


def _running() -> int:
    """The process id of the app that dev started here; 0 when it is gone."""
    try:
        pid = int(PID.read_text())
        os.waitpid(pid, os.WNOHANG)
    except (FileNotFoundError, ValueError):
        return 0
    except ChildProcessError:
        pass
    return pid if _is_ours(pid) else 0


def _is_ours(pid: int) -> bool:
    """Whether a process id is still that of a manage.py runserver, not another's by reuse."""
    done = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True)
    return "runserver" in done.stdout and "<defunct>" not in done.stdout
