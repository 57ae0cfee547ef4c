"""PostgreSQL 18: the image of Docker Hub, or a stand-in of Debian's next release."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.testbed.commands import ROOT, docker, output

NAME, BASE = "postgres:18-trixie", "debian:forky-slim"
HERE = Path(__file__).resolve().parent
MIRROR = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]


def ensure(folder: Path) -> str:
    """Return the image's name; pull or build it if this machine lacks it."""
    if docker("image", "ls", "--quiet", NAME):
        return NAME
    with suppress(RuntimeError):
        docker("pull", "--quiet", NAME)
        return NAME
    if not docker("image", "ls", "--quiet", BASE):
        base(folder / "base.tar")
    shutil.copy(ROOT / "lab/images/postgres-entrypoint.sh", folder)
    docker("build", "--quiet", f"--tag={NAME}", f"--file={HERE}/postgres18.Dockerfile", folder)
    return NAME


def base(file: Path) -> None:
    """Make the stand-in of Debian's next release, as that of the release itself is made."""
    script = (ROOT / "lab/images/debian.sh").read_text()
    old = """--aptopt='Acquire::Check-Valid-Until "false"'"""
    script = script.replace("\n    trixie ", f"\n    {old} forky ")
    assert " forky " in script
    mirror = output([*MIRROR, "Component: main"]).splitlines()[0]
    subprocess.run(["sh", "-s", mirror, str(file)], input=script, text=True, check=True)
    docker("import", "--change", 'CMD ["bash"]', file, BASE)
    file.unlink()
