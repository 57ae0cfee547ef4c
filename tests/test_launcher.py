"""`./inv` makes and repairs its environment, or says in one line why it cannot."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testbed.commands import environment, git

COMMANDS = (
    *("sh", "cat", "cmp", "date", "dirname", "env", "flock"),
    *("head", "mkdir", "readlink", "rm", "sed", "tail"),
)
# A Python whose venv has a pip that does nothing, and an invoke that prints "ran".
PYTHON = """\
case "$1 $2" in
"-m venv") shift; {slow} echo made >>made; mkdir -p "$2/bin"; cp "$0" "$2/bin/python" ;;
"-m pip") {pip} ;;
"-E -m") echo ran ;;
*) exec "{real}" "$@" ;;
esac
"""


@pytest.fixture
def bare(clone: Path, tmp_path: Path):
    """The clone without an environment, and a PATH with only the basic commands and no Python."""
    shutil.rmtree(clone / ".inv")
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in COMMANDS:
        (folder / name).symlink_to(shutil.which(name) or "")

    def start(*arguments: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [folder / "sh", "./inv", *(arguments or ["--list"])],
            cwd=clone, env={"PATH": str(folder), "HOME": str(tmp_path), **env}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        child = start(*arguments, **env)
        said = child.communicate(timeout=60)
        return subprocess.CompletedProcess([], child.returncode, *said)

    def script(name: str, text: str) -> None:
        (folder / name).write_text(f"#!{folder}/sh\n{text}\n")
        (folder / name).chmod(0o755)

    def python(slow: str = "", pip: str = "exit 0") -> None:
        path = f"PATH='{os.environ['PATH']}'\n"
        script("python3", path + PYTHON.format(slow=slow, pip=pip, real=sys.executable))

    run.script, run.python, run.root, run.start = script, python, clone, start  # type: ignore[attr-defined]
    return run


def test_without_any_python_it_says_what_to_install(bare):
    done = bare()
    assert done.returncode == 1
    assert "inv: no python3 found - install Python 3.11 or later" in done.stderr


def test_a_python_that_is_named_may_have_a_space_in_its_path(bare, tmp_path):
    bare.python()
    named = tmp_path / "a b" / "python3"
    named.parent.mkdir()
    (tmp_path / "bin/python3").rename(named)
    assert bare(PYTHON=str(named)).stdout == "ran\n"


def test_a_python_that_is_too_old_is_named(bare):
    bare.script("python3", '[ "$1" = -V ] && echo Python 3.9.2 || exit 1')
    done = bare()
    assert done.returncode == 1
    assert "found only python3 (Python 3.9.2)" in done.stderr


def test_a_python_without_venv_is_named(bare):
    bare.script("python3", '[ "$1" = -m ] && { echo "No module named venv"; exit 1; }; exit 0')
    done = bare()
    assert done.returncode == 1
    assert "No module named venv" in done.stderr
    assert "has no working venv module - install it" in done.stderr


@pytest.mark.parametrize(
    "reason",
    ["No matching distribution found for uv==0.9", "THESE PACKAGES DO NOT MATCH THE HASHES"],
)
def test_pips_own_reason_is_in_the_message(bare, reason):
    bare.python(pip=f"echo 'ERROR: {reason}' >&2; exit 1")
    done = bare()
    assert done.returncode == 1
    assert f"inv: could not install the requirements: {reason} - see above; " in done.stderr


def test_the_log_of_an_older_failure_is_not_shown(bare):
    bare.python(pip="echo 'ERROR: the first' >&2; exit 1")
    assert "the first" in bare().stderr
    bare.python(pip="echo 'ERROR: the second' >&2; exit 1")
    again = bare().stderr
    assert "the second" in again
    assert "the first" not in again


@pytest.mark.parametrize("key", ["global.index-url", ":env:.index-url"])
def test_uv_gets_the_mirror_that_only_pips_configuration_names(bare, key):
    uv = 'echo "$UV_DEFAULT_INDEX" >index'
    listed = f"""case "$*" in
    *config*) echo "{key}='https://mirror.example/simple'" ;;
    *) printf '#!/bin/sh\\n{uv}' >.inv/venv/bin/uv; chmod +x .inv/venv/bin/uv ;;
    esac"""
    bare.python(pip=listed)
    assert bare().stdout == "ran\n"
    assert (bare.root / "index").read_text() == "https://mirror.example/simple\n"


def test_pip_that_takes_over_needs_no_resolver_for_the_hashes_of_extras(bare):
    bare.python(pip='echo "$*" >>pip')
    assert bare().stdout == "ran\n"
    last = (bare.root / "pip").read_text().splitlines()[-1]
    assert "--no-deps --require-hashes" in last
    assert "requirements/tasks.txt" in last


@pytest.mark.parametrize("flock", [True, False])
def test_a_second_inv_waits_for_the_first(bare, flock):
    bare.python(slow="sleep 1;")
    if not flock:
        (bare.root.parent / "bin/flock").unlink()
    both = [bare.start(), bare.start()]
    assert [child.communicate(timeout=60)[0] for child in both] == ["ran\n", "ran\n"]
    assert (bare.root / "made").read_text() == "made\n"


def test_a_half_made_environment_is_made_again(bare):
    bare.python(pip="kill -9 $PPID; exit 1")
    assert bare().returncode
    bare.python()
    assert bare().stdout == "ran\n"
    assert (bare.root / "made").read_text() == "made\nmade\n"


@pytest.mark.parametrize("change", ["removed", "upgraded"])
def test_an_environment_whose_python_is_gone_is_made_again(bare, change):
    bare.python()
    assert bare().stdout == "ran\n"
    python = bare.root / ".inv/venv/bin/python"
    python.unlink()
    python.symlink_to("/nowhere" if change == "removed" else sys.executable)
    done = bare()
    assert "making .inv/venv" in done.stderr
    assert done.stdout == "ran\n"


def test_the_apps_packages_do_not_steer_the_pipelines(inv, clone):
    with (clone / "requirements/app.txt").open("a") as file:
        file.write(f"urllib3==1.26.20 \\\n    --hash=sha256:{'0' * 64}\n")
    done = inv("--list", root=clone)
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("tasks", "lint", "selftest", "checks", "browser"):
        text = (clone / f"requirements/{name}.in").read_text()
        assert not re.search(r"-c (app|test|dev)\.txt", text), name


def test_packages_on_pythonpath_do_not_steer_the_pipelines_either(inv, tmp_path):
    (tmp_path / "msgspec.py").write_text("raise RuntimeError('not the locked one')")
    done = inv("doctor", PYTHONPATH=str(tmp_path))
    assert "not the locked one" not in done.stderr
    assert "every key known" in done.stdout


def test_an_environment_that_is_up_to_date_is_left_alone(inv, clone):
    done = inv("--list", root=clone)
    assert done.stderr == ""
    assert done.stdout.startswith("Available tasks")


def test_a_link_beside_another_projects_environment_runs_this_one_and_leaves_that_alone(clone):
    other = clone.parent / "other"
    (other / ".venv").mkdir(parents=True)
    (other / "inv").symlink_to("../clone/inv")
    done = subprocess.run(["./inv", "--list"], cwd=other, capture_output=True, text=True)
    assert (done.stdout[:9], done.stderr) == ("Available", "")
    assert sorted(path.name for path in other.iterdir()) == [".venv", "inv"]


def test_the_teams_own_environment_is_left_alone(bare):
    (bare.root / ".venv").mkdir()
    (bare.root / ".venv/theirs").write_text("")
    bare.python()
    assert bare().stdout == "ran\n"
    assert [path.name for path in (bare.root / ".venv").iterdir()] == ["theirs"]


def test_a_folder_that_inv_did_not_make_is_never_removed(bare):
    theirs = bare.root / ".inv/venv/theirs"
    theirs.mkdir(parents=True)
    bare.python()
    done = bare()
    assert done.returncode == 1
    assert ".inv/venv was not made by ./inv - move it away" in done.stderr
    assert theirs.exists()


def test_a_checkout_that_cannot_be_written_is_one_line(bare):
    (bare.root / ".inv").write_text("in the way, as a file system that is read-only")
    done = bare()
    assert done.returncode == 1
    assert done.stderr == (
        f"inv: cannot write to {bare.root}/.inv - use a checkout that you may write to\n"
    )


def test_git_ignores_the_environment_whatever_gitignore_says(bare):
    (bare.root / ".gitignore").unlink()
    git(bare.root, "commit", "--quiet", "--all", "--message", "no .gitignore")
    bare.python()
    assert bare().stdout == "ran\n"
    assert ".inv" not in git(bare.root, "status", "--porcelain")


@pytest.mark.parametrize("setting", ["core.autocrlf=true", "core.eol=crlf"])
def test_every_file_has_the_line_ends_that_linux_needs(clone, setting):
    copy = clone.parent / "copy"
    git(clone.parent, "-c", setting, "clone", "--quiet", "--config", setting, str(clone), str(copy))
    names = git(copy, "ls-files", "-z").split("\0")
    texts = [copy / name for name in names if name and not name.endswith(".png")]
    assert [path for path in texts if b"\r\n" in path.read_bytes()] == []
    shutil.copytree(clone / ".inv", copy / ".inv", symlinks=True)
    stamp = copy / ".inv/stamp"
    stamp.write_text(stamp.read_text().replace(str(clone), str(copy), 1))
    done = subprocess.run(
        ["./inv", "--list"], cwd=copy, env=environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
