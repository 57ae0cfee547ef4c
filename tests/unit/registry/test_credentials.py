"""The login to a registry, from docker's configuration in every shape that it has."""

from __future__ import annotations

import base64
import json

import pytest

from tasks.lib.errors import TaskError
from tasks.lib.registry.credentials import find

AUTH = base64.b64encode(b"me:a password").decode()


@pytest.mark.parametrize(
    "config",
    [
        {"auths": None},
        {"auths": []},
        {"auths": {}, "credHelpers": None, "credsStore": None},
        {"auths": {"r:5000": None}},
        {"auths": {"r:5000": {}}},
        {"auths": {"other": {"auth": AUTH}}},
        {},
    ],
)
def test_a_configuration_without_a_login_has_none(tmp_path, config):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert find("r:5000", {"DOCKER_CONFIG": str(tmp_path)}) is None


@pytest.mark.parametrize(
    "text",
    [
        *("[]", "null", '"x"', "{", '{"auths": {"r:5000": "x"}}'),
        *('{"auths": {"r:5000": {"auth": "&"}}}', '{"auths": {"r:5000": {"auth": 1}}}'),
        '{"credHelpers": "x"}',
    ],
)
def test_a_configuration_that_cannot_be_read_is_one_line(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(TaskError, match=r"config\.json: .* - correct it, or run docker login"):
        find("r:5000", {"DOCKER_CONFIG": str(tmp_path)})


def test_a_login_is_found(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"r:5000": {"auth": AUTH}}}))
    login = find("r:5000", {"DOCKER_CONFIG": str(tmp_path)})
    assert login and (login.user, login.password) == ("me", "a password")
