"""Which images of a server nothing needs."""

from __future__ import annotations

import pytest

from tasks.lib.orchestrators import servers

OURS, OTHER = "registry.example.com/app", "registry.example.com/app-other"


def digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


def line(letter: str, repository: str = OURS, tag: str = "<none>", image: str = "") -> str:
    """A line of docker's list."""
    return f"{digest(image or letter.upper())}\t{repository}\t{tag}\t{digest(letter)}\t312.5MB"


def test_only_images_of_the_repository_that_nothing_needs_are_deleted():
    shown = [
        line("a"),
        line("b"),
        line("c", OTHER),
        line("d", image="7"),
        line("d", tag="main", image="7"),
        line("e", image="8"),
        f"{digest('9')}\t{OURS}\t<none>\t<none>\t1kB",
    ]
    keep = {digest("b"), digest("8")}
    assert servers.unneeded("\n".join(shown), OURS, keep) == [f"{OURS}@{digest('a')}"]


def test_a_repository_of_docker_hub_is_known_by_its_short_name():
    assert servers.unneeded(line("a", "me/app"), "docker.io/me/app", set()) == [
        f"me/app@{digest('a')}"
    ]


@pytest.mark.parametrize(
    ("shown", "size"),
    [("0B", 0), ("12.5kB", 12500), ("312MB", 312 * 10**6), ("1.02GB", 102 * 10**7)],
)
def test_a_size_is_read(shown, size):
    assert servers.Image("", "", "", "", shown).bytes == size
