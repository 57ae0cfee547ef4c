"""One version: the constant, the newest heading of the changelog, and what `./inv` prints."""

from __future__ import annotations

import re

from tasks.lib.project.version import VERSION
from tests.testbed.commands import ROOT

HEADINGS = re.findall(r"^## \[(.+)\]$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)


def test_the_changelog_says_what_the_version_brings():
    assert HEADINGS[:2] == ["Unreleased", VERSION]
    assert len(HEADINGS) == len({*HEADINGS})


def test_inv_prints_it_without_an_environment(clone, inv):
    (clone / ".inv/stamp").write_text("another")
    done = inv("--version", root=clone, PYTHON="/none")
    assert (done.returncode, done.stdout) == (0, f"inv {VERSION}\n")
