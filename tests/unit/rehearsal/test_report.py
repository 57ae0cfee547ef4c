"""What a rehearsal asks of gitlab-ci-local, and how it finds a secret in what jobs wrote."""

from __future__ import annotations

import base64

import pytest

from tasks.lib.errors import TaskError
from tasks.lib.rehearsal import events, report
from tasks.lib.rehearsal.pipeline import Event

GIVEN = {
    "CI_REGISTRY": "localhost:5000",
    "CI_REGISTRY_USER": "lab",
    "CI_REGISTRY_PASSWORD": "0123456789abcdef",  # pragma: allowlist secret
    "SSH_PRIVATE_KEY": "-----BEGIN\nb3BlbnNzaC1rZXk\nAAAAAAAAADMAAAAL\n-----END\n",
    "SSH_KNOWN_HOSTS": "[127.0.0.1]:22 ssh-ed25519 AAAA",
    "SECRET_KEY": "a/b c",  # pragma: allowlist secret
}
SECRETS = report.secret_forms(GIVEN)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("all is well at localhost:5000, says lab", []),
        ("[127.0.0.1]:22 ssh-ed25519 AAAA", []),
        ("-----BEGIN", []),
        ("login with 0123456789abcdef", ["CI_REGISTRY_PASSWORD"]),
        ("a line of the key: AAAAAAAAADMAAAAL", ["SSH_PRIVATE_KEY"]),
        (base64.b64encode(b"lab:0123456789abcdef").decode(), ["CI_REGISTRY_PASSWORD"]),
        ("?key=a%2Fb%20c", ["SECRET_KEY"]),
    ],
)
def test_a_secret_is_found_as_it_is_and_encoded(text, names):
    assert report.leaked(f"before {text} after", SECRETS) == names


def test_no_log_is_kept_with_a_secret_in_it(tmp_path):
    written = {"main deploy:staging": "the key is a/b c, the password 0123456789abcdef\n"}
    report.write_logs(written, SECRETS, tmp_path / "logs")
    kept = (tmp_path / "logs/main-deploy-staging.log").read_text()
    assert kept == "the key is [SECRET_KEY], the password [CI_REGISTRY_PASSWORD]\n"


def test_logs_of_the_rehearsal_before_go(tmp_path):
    report.write_logs({"one": ""}, {}, tmp_path / "logs")
    report.write_logs({"two": ""}, {}, tmp_path / "logs")
    assert [file.name for file in (tmp_path / "logs").glob("*.log")] == ["two.log"]


def test_only_a_branch_has_the_variable_of_a_branch():
    branch = Event("main", {"CI_COMMIT_BRANCH": "main"})
    tag = Event("a tag", {"CI_COMMIT_TAG": "v1"})
    assert branch.options == ["--variable=CI_COMMIT_BRANCH=main"]
    assert tag.options == ["--variable=CI_COMMIT_TAG=v1", "--unset-variable=CI_COMMIT_BRANCH"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], ["branch", "main", "tag", "rollback"]),
        (["tag", "branch"], ["branch", "tag"]),
        (["rollback"], ["tag", "rollback"]),
    ],
)
def test_events_come_in_their_order(names, expected):
    assert events.select(names) == expected


def test_an_unknown_event_is_refused():
    with pytest.raises(TaskError, match="unknown event 'tags' - use branch"):
        events.select(["tags"])
