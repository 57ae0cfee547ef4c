"""Backups and restores of an environment of a cluster, whose database is one of its pods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest
import yaml

from tests.testbed.sites import Exports, Site

from .conftest import quick
from .test_onehost import MAKE, SHOW

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.cluster]
# Python, for manage.py shell: the link that MAKE has made is gone.
FORGET = "from myapp.models import Link; Link.objects.filter(code='kept').delete()"


@pytest.fixture
def site(clustered: Exports, make_clone: Callable[[Path], Path], tmp_path: Path) -> Iterator[Site]:
    """A site with backups on a volume of the cluster, which is gone at the end."""
    made = pyrage.x25519.Identity.generate()
    (tmp_path / "key.txt").write_text(f"{made}\n")
    file = Path(quick(Path(clustered["INVOKE_RUNTIME_CONFIG"]), tmp_path / "invoke.yaml"))
    settings = yaml.safe_load(file.read_text())
    settings["deploy"]["recipients"] = [str(made.to_public())]
    settings["backup"] = {"every": 24}
    file.write_text(yaml.safe_dump(settings))
    lab = {**clustered, "INVOKE_RUNTIME_CONFIG": str(file)}
    site = Site(make_clone(tmp_path / "clone"), lab, env="prod")
    site.set_up()
    site.good = site.build("has backups")
    site.must("deploy", f"--ref={site.good}")
    yield site
    site.inv("destroy", "--volumes", "--yes")


def found(site: Site) -> bool:
    """Whether the link is there."""
    return "found 1" in site.must("manage", f'shell -c "{SHOW}"').text


def test_a_backup_brings_rows_back_on_a_cluster_and_a_drill_proves_it(site, tmp_path):
    identity = f"--identity={tmp_path / 'key.txt'}"
    site.must("manage", f'shell -c "{MAKE}"')
    name = site.must("backup").lines[-1][1]
    assert name in site.must("backup.list").text
    site.must("manage", f'shell -c "{FORGET}"')
    assert not found(site)
    site.must("restore", f"--from={name}", identity, "--yes")
    assert found(site) and site.versions() == {site.good}
    site.must("restore", "--undo", "--yes")
    assert not found(site)
    site.must("restore.drill", identity)
    assert site.must("status").status == 0
