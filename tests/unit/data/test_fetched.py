"""A backup that a person has fetched: a folder or a tar with its files, read and sent."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from pathlib import Path

import pytest

from tasks.lib.data import fetched
from tasks.lib.errors import ExitCode, TaskError

NAME = "20261126T140305Z"
FILES = {"database.dump.age": b"a dump", "key.age": b"a key"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of a backup, and one that is none of it."""
    made = tmp_path / NAME
    made.mkdir()
    for name, content in FILES.items():
        (made / name).write_bytes(content)
    sizes = {name: {"size": len(content)} for name, content in FILES.items()}
    (made / "manifest.json").write_text(json.dumps({"name": NAME, "files": sizes}))
    (made / "notes.txt").write_text("fetched on Monday")
    return made


def packed(folder: Path, kind: str) -> Path:
    """The folder itself, or a tar with it."""
    if kind == "folder":
        return folder
    with tarfile.open(folder.with_suffix(".tar"), f"w:{kind}") as archive:
        archive.add(folder, folder.name)
    return folder.with_suffix(".tar")


@pytest.mark.parametrize("kind", ["folder", "", "gz"])
def test_a_backup_is_read_from_a_folder_or_a_tar_and_sent_without_more(folder, kind):
    found = fetched.read(str(packed(folder, kind)))
    assert (found["name"], found["key"]) == (NAME, base64.b64encode(b"a key").decode())
    output = io.BytesIO()
    fetched.write(found, output)
    with tarfile.open(fileobj=io.BytesIO(output.getvalue())) as archive:
        assert archive.getnames() == ["manifest.json", *FILES]
        assert archive.extractfile("database.dump.age").read() == b"a dump"


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "has no backup: KeyError"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "has no backup: JSONDecode"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "has no backup: "),
        (lambda folder: (folder / "key.age").unlink(), "key.age is missing"),
        (lambda folder: (folder / "key.age").write_text("a"), "key.age has 1 of 5 bytes"),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "gz"])
def test_what_is_no_whole_backup_is_refused_before_anything_is_sent(folder, kind, damage, why):
    damage(folder)
    with pytest.raises(TaskError, match=why) as caught:
        fetched.read(str(packed(folder, kind)))
    assert caught.value.code == ExitCode.REFUSED


def test_a_name_that_is_no_time_is_refused(folder):
    file = folder / "manifest.json"
    file.write_text(file.read_text().replace(NAME, "x; rm -rf /"))
    with pytest.raises(TaskError, match="does not match format"):
        fetched.read(str(folder))


@pytest.mark.parametrize("content", [b"", b"no tar", bytes(1024)])
def test_a_file_that_is_no_tar_is_refused(tmp_path, content):
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(TaskError, match="has no backup"):
        fetched.read(str(tmp_path / "a.tar"))
