"""A file with an environment's secrets: only its readers can read it; none is overwritten."""

from __future__ import annotations

import subprocess

import pytest

from tasks.lib.environments import secret_files
from tasks.lib.errors import ExitCode, TaskError

VALUES = {"SECRET_KEY": "räksmörgås 'x'", "PEM": "-----BEGIN\nline\n-----END"}


@pytest.fixture
def age(tmp_path):
    """A key of age: the file of its identity, and the public key."""
    import pyrage

    made = pyrage.x25519.Identity.generate()
    file = tmp_path / "key.txt"
    file.write_text(f"# created: today\n# public key: {made.to_public()}\n{made}\n")
    return str(file), str(made.to_public())


@pytest.fixture
def ssh(tmp_path):
    """A key of SSH."""
    file = tmp_path / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
    return str(file), file.with_suffix(".pub").read_text().strip()


def written(tmp_path, *keys: str) -> str:
    file = tmp_path / "secrets.age"
    file.write_text(secret_files.encrypted(VALUES, secret_files.recipients(keys)))
    return str(file)


@pytest.mark.parametrize("kind", ["age", "ssh"])
def test_what_is_encrypted_for_a_key_is_decrypted_with_it(kind, request, tmp_path):
    identity, key = request.getfixturevalue(kind)
    file = written(tmp_path, key)
    with open(file) as text:
        assert "SECRET_KEY" not in text.read()
    assert secret_files.decrypted(file, identity) == VALUES


def test_each_of_several_readers_can_read_it(age, ssh, tmp_path):
    file = written(tmp_path, age[1], ssh[1])
    assert secret_files.decrypted(file, age[0]) == secret_files.decrypted(file, ssh[0]) == VALUES


def refusal(call, *words: str) -> None:
    with pytest.raises(TaskError) as caught:
        call()
    assert caught.value.code == ExitCode.REFUSED
    for word in words:
        assert word in str(caught.value)


def test_a_wrong_key_a_wrong_file_and_no_key_are_refused(age, ssh, tmp_path):
    file = written(tmp_path, age[1])
    refusal(lambda: secret_files.decrypted(file, ssh[0]), "cannot be decrypted", "No matching keys")
    refusal(lambda: secret_files.decrypted(ssh[0], age[0]), "cannot be decrypted")
    refusal(lambda: secret_files.decrypted(file, ""), "no identity")
    refusal(lambda: secret_files.decrypted(str(tmp_path / "none"), age[0]), "none: No such file")
    refusal(lambda: secret_files.recipients([]), "--recipient=KEY")
    refusal(lambda: secret_files.recipients(["age1x"]), "recipient age1x: ")


def test_a_file_that_is_there_is_not_overwritten(tmp_path):
    file = tmp_path / "kept"
    assert secret_files.free(str(file)) == file
    file.touch()
    refusal(lambda: secret_files.free(str(file)), "kept exists")
    refusal(lambda: secret_files.free(""), "which file?")


def test_values_are_read_with_the_image_that_runs_or_ran_last_or_is_released(world):
    assert secret_files.values(world.target) == {}
    image = world.image()
    world.deploy(image)
    wanted = dict.fromkeys(world.target.settings.deploy.secrets, "a value")
    assert secret_files.values(world.target) == wanted
    world.target.orchestrator.remove_services(list(world.target.orchestrator.services()))
    assert secret_files.values(world.target) == wanted
