"""How a registry is reached and who logs in to it; which of its images can go."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest

from tasks.lib.errors import TaskError
from tasks.lib.images import listing
from tasks.lib.images.listing import Stored
from tasks.lib.registry import credentials, reference, session

HOST = "registry.example.com:5000"
GITLAB = {"CI_REGISTRY": HOST, "CI_REGISTRY_USER": "job", "CI_REGISTRY_PASSWORD": "p"}
COMMIT = "0123456789" * 4


@pytest.fixture
def docker(tmp_path):
    """Writes docker's config.json; returns the variables that point at it."""

    def write(content: object) -> dict[str, str]:
        (tmp_path / "config.json").write_text(json.dumps(content))
        return {"DOCKER_CONFIG": str(tmp_path)}

    return write


@pytest.mark.parametrize(
    ("host", "insecure", "ca", "expected"),
    [
        ("localhost:5000", False, "", True),
        ("127.0.0.1", False, "", True),
        ("127.9.8.7:80", False, "", True),
        ("[::1]:5000", False, "", True),
        ("localhost:5000", False, "ca.pem", False),
        ("registry.example.com", False, "", False),
        ("192.168.0.1:5000", False, "", False),
        ("192.168.0.1:5000", True, "", True),
        ("localhost.example.com", False, "", False),
    ],
)
def test_http_is_for_this_machine_and_for_what_is_called_insecure(host, insecure, ca, expected):
    assert reference.is_plain_http(host, insecure, ca) == expected


def test_a_missing_file_of_an_authority_is_named(tmp_path):
    with pytest.raises(TaskError, match=r"no such file: .*/ca\.pem - correct registry\.ca"):
        session.Session(HOST, ca=str(tmp_path / "ca.pem")).request("GET", "/v2/")


def auth(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def test_cis_variables_come_before_dockers_own_login(docker):
    own = docker({"auths": {HOST: {"auth": auth("me", "mine")}}})
    assert credentials.find(HOST, {**own, **GITLAB}).user == "job"
    found = credentials.find(HOST, own)
    assert (found.user, found.password, found.stored) == ("me", "mine", True)


def test_a_password_goes_to_no_other_registry_than_its_own(docker):
    assert credentials.find("elsewhere.example.com", {**docker({}), **GITLAB}) is None
    assert (
        credentials.find("example.com", docker({"auths": {HOST: {"auth": auth("a", "b")}}})) is None
    )


def test_a_password_is_never_shown():
    assert "secret" not in repr(credentials.Login(HOST, "me", "secret", "here"))


def test_an_identity_token_is_known_as_such(docker):
    found = credentials.find(HOST, docker({"auths": {HOST: {"identitytoken": "t"}}}))
    assert (found.password, found.token) == ("t", True)


def test_docker_hubs_login_is_found_under_its_old_address(docker):
    own = docker({"auths": {"https://index.docker.io/v1/": {"auth": auth("me", "p:w")}}})
    assert credentials.find("docker.io", own).password == "p:w"


def test_a_missing_helper_and_a_broken_file_are_told(docker, tmp_path):
    with pytest.raises(TaskError, match="docker-credential-nope is not installed"):
        credentials.find(HOST, docker({"credsStore": "nope"}))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(TaskError, match=r"config\.json: not valid JSON"):
        credentials.find(HOST, {"DOCKER_CONFIG": str(tmp_path)})


def stored(*tags: str, branch: str = "main") -> Stored:
    return Stored("sha256:x", tags, COMMIT, branch, "2026-01-01T00:00:00+00:00", 1)


@pytest.mark.parametrize(
    ("image", "goes"),
    [
        (stored(COMMIT), True),
        (stored(COMMIT, "main", f"tested-{COMMIT}"), True),
        (stored(f"{COMMIT}-dirty", branch=""), True),
        (stored(COMMIT, "staging"), False),
        (stored(COMMIT, "staging-previous"), False),
        (stored(COMMIT, "staging", branch="staging"), False),
        (stored(COMMIT, "v1.0.0"), False),
        (stored(COMMIT, "by-hand"), False),
        (stored(COMMIT, "other-branch"), False),
        (stored(COMMIT, "fix-login", branch="fix/login"), True),
        (stored(COMMIT, "deployed-prod-3"), False),
    ],
)
def test_only_images_whose_every_tag_is_a_commits_a_branchs_or_a_mark_go(image, goes):
    assert (listing.prunable([image], 0, ["staging"]) == [image]) == goes
    assert listing.prunable([image], 1, ["staging"]) == []


@pytest.mark.parametrize(
    ("created", "expected"),
    [
        ("2026-01-03T11:59:30+00:00", "30 s"),
        ("2026-01-03T12:50:00+01:00", "10 min"),
        ("2026-01-03T07:00:00", "5 h"),
        ("2026-01-01T11:00:00Z", "2 d"),
        ("", ""),
    ],
)
def test_an_age_is_said_in_one_unit(created, expected):
    assert listing.age(created, datetime(2026, 1, 3, 12, tzinfo=UTC)) == expected
