"""Storage that is slow, lies, or keeps versions: what of it counts as a backup."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.testbed.commands import ROOT, docker, until, works
from tests.testbed.databases import World

pytestmark = [pytest.mark.engine, pytest.mark.slow]
SERVED = "python:3.13-slim-trixie"
# Run beside moto, whose server it asks; `s3` is its client.
CLIENT = """
import boto3, json
s3 = boto3.client("s3", endpoint_url="http://127.0.0.1:8080", region_name="us-east-1",
                  aws_access_key_id="a", aws_secret_access_key="b")
"""


@contextmanager
def lying(world: World, how: str) -> Iterator[dict[str, str]]:
    """Put a liar before the S3 server; gives the variables that lead to it."""
    name = f"{world.mark}-liar"
    script = f"--volume={ROOT}/tests/image/lying_storage.py:/liar.py:ro"
    words = ["--detach", f"--name={name}", f"--network={world.mark}", "--network-alias=liar"]
    docker("run", *words, script, "--entrypoint=python3", world.image, "/liar.py", "s3:8080", how)
    try:
        yield {"RCLONE_S3_ENDPOINT": "http://liar:8080"}
    finally:
        docker("rm", "--force", name)


def names(world: World) -> list[str]:
    return [each["name"] for each in world.do("list")["backups"]]


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("lose", "not found|not stored as it was sent|NoSuchKey"),
        ("cut", "not stored as it was sent|corrupted|unexpected EOF"),
        ("refuse", "503"),
    ],
)
def test_what_the_storage_does_not_give_back_is_no_backup(world, how, why):
    old = world.backup()
    with lying(world, how) as env:
        said = world.fails("make", **env)
    assert any(each in said for each in why.split("|")), said
    assert old in names(world)
    state = world.do("state")
    assert state["failed"] > state["good"]
    # What is in the storage has a manifest only if all of it is there.
    stored = [each for each in world.do("list")["backups"] if "storage" in each["places"]]
    assert [each["name"] for each in stored] == [old]


def test_a_restore_from_storage_that_cuts_files_changes_nothing(world):
    name = world.backup()
    key = world.key(name)
    world.shell("rm -r /backups/*")
    with lying(world, "cut") as env:
        said = world.fails("beside", name, key=key, **env)
    assert any(each in said for each in ("damaged", "corrupted", "EOF", "manifest")), said
    assert world.do("kept") == []
    assert name not in world.shell("ls /backups")
    assert world.do("drill", name, key=key)["rows"] == 2030


def test_a_key_that_may_not_delete_makes_backups_and_says_what_it_could_not(world):
    with lying(world, "keep") as env:
        made = [world.do("make", **env) for _ in range(3)]
    first, *kept = [each["name"] for each in made]
    assert [each["problems"] for each in made[:2]] == [[], []]
    (problem,) = made[2]["problems"]
    assert problem.startswith("storage: ")
    assert "403" in problem or "Forbidden" in problem or "AccessDenied" in problem
    state = world.do("state")
    assert state["why"] == problem
    assert state["good"] > state.get("failed", 0)
    places = {each["name"]: each["places"] for each in world.do("list")["backups"]}
    assert places == {first: ["storage"]} | {name: ["volume", "storage"] for name in kept}


def test_slow_storage_only_takes_its_time(world):
    with lying(world, "slow") as env:
        name = world.do("make", **env)["name"]
    (made,) = world.do("list")["backups"]
    assert (made["name"], made["places"]) == (name, ["volume", "storage"])


def test_storage_that_says_nothing_counts_as_gone(world):
    began = time.monotonic()
    with lying(world, "silent") as env:
        said = world.fails("make", RCLONE_TIMEOUT="2s", **env)
        assert "data: " in said
        problem = world.do("list", RCLONE_TIMEOUT="2s", **env)["problem"]
    assert problem.startswith("storage: ")
    assert time.monotonic() - began < 120
    # It is on the server, though.
    assert [each["places"] for each in world.do("list")["backups"]] == [["volume"]]


def test_a_wrong_key_of_the_storage_fails_the_backup(world):
    world.secrets["BACKUP_SECRET_ACCESS_KEY"] = "another"
    assert "SignatureDoesNotMatch" in world.fails("make")
    assert "storage: " in world.do("list")["problem"]


@pytest.fixture(scope="module")
def moto(mark: str) -> Iterator[str]:
    """A server of moto, which has versions, locks and uploads in parts; gives its container."""
    install = "pip install --quiet --root-user-action=ignore 'moto[server]==5.2.5'"
    serve = f"{install} && exec moto_server --host 0.0.0.0 --port 8080"
    id = docker("run", "--detach", f"--label={mark}", SERVED, "sh", "-c", serve)
    until(works(lambda: asked(id, "print(s3.list_buckets()['Buckets'])")), 180, 1)
    yield id
    docker("rm", "--force", "--volumes", id)


def asked(moto: str, script: str) -> str:
    """What a script prints that asks moto's server."""
    return docker("exec", moto, "python", "-c", f"{CLIENT}\n{script}")


@pytest.fixture
def bucket(world: World, moto: str) -> Iterator[str]:
    """A bucket of moto's, where the backups go; the test makes it."""
    docker("network", "connect", "--alias=moto", world.mark, moto)
    name = f"bucket-{uuid.uuid4().hex[:8]}"
    world.env |= {
        "BACKUP_STORAGE": f"s3://{name}/prod",
        "RCLONE_S3_ENDPOINT": "http://moto:8080",
        "RCLONE_S3_REGION": "us-east-1",
    }
    yield name
    docker("network", "disconnect", "--force", world.mark, moto)


@pytest.mark.parametrize("locked", [False, True], ids=["versions", "object lock"])
def test_old_backups_of_a_bucket_with_versions_are_hidden_and_not_lost(world, moto, bucket, locked):
    asked(moto, f"s3.create_bucket(Bucket={bucket!r}, ObjectLockEnabledForBucket={locked})")
    on = "VersioningConfiguration={'Status': 'Enabled'}"
    asked(moto, f"s3.put_bucket_versioning(Bucket={bucket!r}, {on})")
    if locked:
        rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
        whole = {"ObjectLockEnabled": "Enabled", "Rule": rule}
        asked(moto, f"s3.put_object_lock_configuration(Bucket={bucket!r}, "
                    f"ObjectLockConfiguration={whole})")  # fmt: skip
    made = [world.do("make") for _ in range(3)]
    assert [each["problems"] for each in made] == [[], [], []]
    first, *kept = [each["name"] for each in made]
    assert names(world) == kept[::-1]
    world.shell("rm -r /backups/*")
    assert world.do("drill", kept[-1], key=world.key(kept[-1]))["rows"] == 2030
    versions = f"s3.list_object_versions(Bucket={bucket!r})['Versions']"
    keys = json.loads(asked(moto, f"print(json.dumps([v['Key'] for v in {versions}]))"))
    assert f"prod/{first}/manifest.json" in keys and f"prod/{first}/database.dump.age" in keys


def test_a_broken_upload_in_parts_is_removed_and_that_of_others_stays(world, moto, bucket):
    asked(moto, f"s3.create_bucket(Bucket={bucket!r})")
    for key in ("prod/20261101T000000Z/database.dump.age", "others/file"):
        asked(moto, f"s3.create_multipart_upload(Bucket={bucket!r}, Key={key!r})")
    assert world.do("make")["problems"] == []
    uploads = f"s3.list_multipart_uploads(Bucket={bucket!r}).get('Uploads', [])"
    left = json.loads(asked(moto, f"print(json.dumps([u['Key'] for u in {uploads}]))"))
    assert left == ["others/file"]
