"""The names of Docker's objects are short enough, or refused when settings are read."""

from __future__ import annotations

import pytest

from tasks.lib.project import names

SECRETS = ["SECRET_KEY", "POSTGRES_PASSWORD"]


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("prod", "prod"),
        ("a-plain-name-that-is-quite-long", "a-plain-name-that-is-quite-long"),
        ("review/fix", "review-fix"),
        ("review/42-a-name-that-is-too-long", "review-42-a-name-a558c8"),
    ],
)
def test_a_name_is_short_enough_for_what_docker_makes_of_it(name, short):
    assert names.short(name) == short


def test_two_long_names_that_begin_alike_stay_apart():
    long = "review/42-the-same-beginning-of-two-branches"
    assert names.short(f"{long}-one") != names.short(f"{long}-two")


@pytest.mark.parametrize(
    ("kind", "length", "wrong"),
    [("secret", 64, False), ("secret", 65, True), ("service", 63, False), ("service", 64, True)],
)
def test_a_name_has_the_limit_of_its_kind(kind, length, wrong):
    assert bool(names.too_long(kind, "x" * length)) == wrong


def test_what_is_nearest_to_its_limit_is_found():
    assert names.longest("app", "prod", SECRETS) == ("secret", "app-prod_POSTGRES_PASSWORD_v9999")
    kind, name = names.longest("app", "prod", ["A"])
    assert (kind, name) == ("config", "app-prod_caddyfile_123456789abc")


def test_a_dynamic_environment_counts_with_its_longest_name():
    _, name = names.longest("app", "review/*", SECRETS)
    assert len(name) == len("app-") + names.LONGEST + len("_POSTGRES_PASSWORD_v9999")
