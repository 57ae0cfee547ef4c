"""invoke.yaml is checked whole, and each problem says where it is and what would be right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tasks.lib.project.fields import SITE


@pytest.fixture
def write(clone: Path):
    """Replaces a piece of the clone's invoke.yaml."""

    def replace(old: str, new: str) -> Path:
        file = clone / "invoke.yaml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))
        return clone

    return replace


def test_the_real_file_is_valid(inv):
    done = inv("doctor")
    assert "every key known" in done.stdout


def test_all_problems_are_shown_at_once_with_file_line_and_key(inv, write):
    write("  port: 8000", "  prot: 8000")
    root = write("  floor: 95", "  floor: lots")
    done = inv("doctor", root=root)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert [line.split(": ")[2] for line in lines] == ["dev.port", "dev.prot", "test.floor"]
    floor = (root / "invoke.yaml").read_text().splitlines().index("  floor: lots") + 1
    assert f"invoke.yaml:{floor}: test.floor: expected `int`, got `str` - it is 'lots'" in lines[2]


def test_an_unknown_key_is_answered_with_the_nearest_known_one(inv, write):
    done = inv("doctor", root=write("  timeout: 120", "  timeout: 120\n  debugprot: 1"))
    assert 'dev.debugprot: unknown key - did you mean "debugport"?' in done.stderr


def test_a_key_deep_in_the_app_s_section_is_answered_with_the_nearest_one(inv, write):
    root = write("    released: myapp", "    relased: myapp")
    done = inv("doctor", root=root)
    line = (root / "invoke.yaml").read_text().splitlines().index("    relased: myapp.settings.prod")
    where = f"invoke.yaml:{line + 1}: app.settings.relased"
    assert f'{where}: unknown key - did you mean "released"?' in done.stderr
    assert "app.settings.released: missing - add it" in done.stderr


def test_an_unknown_section_is_named(inv, write):
    done = inv("doctor", root=write("project:", "projects: {}\nproject:"))
    assert 'projects: unknown key - did you mean "project"?' in done.stderr


def test_an_unknown_value_is_answered_with_the_known_ones(inv, write):
    done = inv("doctor", root=write("engine: auto", "engine: dokcer"))
    assert "dev.engine: unknown value 'dokcer' - known: auto, docker, host" in done.stderr


def test_an_orchestrator_is_optional_and_a_wrong_one_is_one_line_with_the_known_ones(inv, write):
    root = write("  prod:\n", "  prod:\n    orchestrator: swram\n")
    line = (root / "invoke.yaml").read_text().splitlines().index("    orchestrator: swram") + 1
    done = inv("doctor", root=root)
    assert done.returncode == 2
    assert done.stderr.strip() == (
        f"inv: invoke.yaml:{line}: environments.prod.orchestrator: "
        "unknown value 'swram' - known: swarm, compose, kubernetes"
    )
    write("orchestrator: swram", "orchestrator: swarm")
    assert "every key known" in inv("doctor", root=root).stdout


@pytest.mark.parametrize(
    ("url", "right"),
    [
        ("https://example.com/", True),
        ("http://127.0.0.1:8080", True),
        ("https://[2001:db8::1]", True),
        ("http://review.example.com:{HTTP_PORT}", True),
        ("https://example.com/app", False),
        ("https://me@example.com", False),
        ("https://*.example.com", False),
        ("https://example.com?a=b", False),
        ("example.com", False),
    ],
)
def test_a_url_has_a_host_and_no_path(url, right):
    assert bool(re.search(SITE, url)) is right


@pytest.mark.parametrize("address", ["syslog://logs.example.com:514", "syslog+tcp://192.0.2.7:514"])
def test_where_logs_cannot_go_is_answered_with_what_is_possible(inv, write, address):
    root = write('  logs: ""', f"  logs: {address}")
    line = (root / "invoke.yaml").read_text().splitlines().index(f"  logs: {address}") + 1
    done = inv("doctor", root=root)
    assert done.returncode == 2
    assert done.stderr.strip() == (
        f"inv: invoke.yaml:{line}: monitoring.logs: expected syslog://IP:PORT (UDP, and no name), "
        f"fluent://HOST:PORT, fluents://HOST:PORT (TLS), or nothing - it is '{address}'"
    )


def test_a_missing_section_is_named(inv, write):
    done = inv("doctor", root=write("  floor: 95\n", ""))
    assert "test.floor: missing" in done.stderr


def test_what_is_no_yaml_at_all_gets_one_line(inv, write):
    done = inv("doctor", root=write("dev:", "dev: ["))
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "invoke.yaml:" in done.stderr
    assert "not valid YAML" in done.stderr


def test_the_environment_overrides_and_is_named_when_wrong(inv):
    done = inv("doctor", INVOKE_DEV_PORT="99999")
    assert done.returncode == 2
    assert "INVOKE_DEV_PORT: dev.port" in done.stderr


def test_a_file_of_the_users_overrides(inv, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("dev:\n  port: 64999\n")
    assert "port 64999" in inv("-f", str(mine), "doctor").stdout


def test_an_environment_s_unknown_key_and_a_registry_without_a_host_are_errors(inv, write):
    write("    url: https://staging", "    ulr: https://staging")
    root = write("  image: registry.example.com/", "  image: ")
    done = inv("doctor", root=root)
    assert 'environments.staging.ulr: unknown key - did you mean "url"?' in done.stderr
    assert "environments.staging.url: missing" in done.stderr
    assert "registry.image: " in done.stderr


def test_a_missing_file_that_is_named_is_an_error(inv):
    done = inv("doctor", INVOKE_RUNTIME_CONFIG=".lab/gone/invoke.yaml")
    assert done.returncode == 2
    assert "inv: .lab/gone/invoke.yaml not found - ./inv lab.up" in done.stderr


def test_a_name_that_docker_would_refuse_is_named_with_its_length_and_limit(inv, write):
    name = "a-region-with-a-long-name"
    root = write("  staging:\n", f"  {name}:\n")
    write("name: myapp", "name: the-links-of-a-project")
    line = (root / "invoke.yaml").read_text().splitlines().index(f"  {name}:") + 1
    done = inv("doctor", root=root)
    made = f"the-links-of-a-project-{name}_POSTGRES_PASSWORD_v9999"
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == (
        f"inv: invoke.yaml:{line}: environments.{name}: secret {made}: {len(made)} characters, "
        "at most 64 - shorten project.name, the environment's name or the secret's"
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("stagin", "did you mean --env=staging?"),
        ("review", "did you mean --env=review/NAME?"),
        ("review/*", "did you mean --env=review/NAME?"),
        ("", "known: staging, prod, review/NAME"),
    ],
)
def test_a_name_that_can_be_typed_is_suggested(inv, name, hint):
    done = inv("server.check", f"--env={name}")
    assert done.returncode == 2
    assert f" - {hint} (invoke.yaml names them)" in done.stderr
