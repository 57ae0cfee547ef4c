"""Environments that come and go, such as one for each merge request."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.testbed.sites import Site

pytestmark = [pytest.mark.engine, pytest.mark.slow]
STACK = "myapp-review-a-branch"


class Review:
    """An environment of its own for a branch, in the lab of a site."""

    def __init__(self, site: Site) -> None:
        self.site, self.tasks = site, site.at("review/a-branch")

    def version(self) -> str:
        """The commit that answers; empty for none."""
        status, _, body = self.site.at("review/*").get("/livez")
        return json.loads(body)["version"] if status == 200 else ""

    def sql(self, text: str) -> str:
        """What its database answers."""
        inner = f"docker exec -i $(docker ps -q -f name={STACK}_db.)"
        return self.site.on("node1", f"{inner} psql -U app -d app -qAtv ON_ERROR_STOP=1", text)

    def left(self) -> dict[str, list[str]]:
        """What there is of it, by the kind."""
        listed = {
            kind: self.site.on("node1", f"docker {kind} ls --format '{{{{.Name}}}}'").split()
            for kind in ("service", "config", "secret", "network")
        }
        listed["volume"] = [
            name
            for node in self.site.nodes
            for name in self.site.on(node, "docker volume ls -q").split()
        ]
        listed["folder"] = self.site.on("node1", "ls deploy/myapp").split()
        mine = (STACK, "review-a-branch")
        found = {kind: [n for n in names if n.startswith(mine)] for kind, names in listed.items()}
        return {kind: names for kind, names in found.items() if names}


@pytest.fixture
def review(site: Site) -> Iterator[Review]:
    made = Review(site)
    yield made
    site.at("review").inv("destroy", "--name=a-branch", "--volumes", "--yes")


def test_it_keeps_its_data_until_they_are_deleted_and_nobody_else_notices(review, site):
    review.tasks.must("deploy", f"--ref={site.good}")
    assert review.version() == site.good
    assert site.registry.digest("review-a-branch") == ""
    review.sql("CREATE TABLE mark AS SELECT 42 AS answer")

    review.tasks.must("destroy", "--yes")
    assert review.version() == ""
    assert set(review.left()) == {"secret", "volume"}

    review.tasks.must("deploy", f"--ref={site.good}")
    assert review.sql("SELECT answer FROM mark") == "42"
    site.at("review").must("destroy", "--name=a-branch", "--volumes", "--yes")
    assert review.left() == {}
    assert STACK not in site.on("node1", "docker node inspect self -f '{{.Spec.Labels}}'")
    site.serves(site.good)


def test_without_a_ref_it_is_refused(review):
    run = review.tasks.inv("deploy")
    assert run.status == 2
    assert "nothing is released for review/a-branch" in run.verdict


def test_nothing_is_removed_without_a_yes(site):
    run = site.inv("destroy")
    assert run.status == 2
    assert run.verdict.startswith("inv: nothing was removed - answer y")
    site.serves(site.good)


@pytest.mark.parametrize("name", ["prod/one", "review", "review/", "review/A_b", "review/*"])
def test_what_is_no_environment_is_refused(site, name):
    run = site.at(name).inv("destroy", "--yes")
    assert run.status == 2
    assert f"unknown environment '{name}'" in run.verdict
