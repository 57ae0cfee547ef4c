"""Every file with tests is collected, or `inv test` fails and names it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import msgspec
import pytest

from tasks.lib.checks import collected
from tasks.lib.errors import TaskError
from tests.testbed.commands import git
from tests.testbed.project import APP

TEST, NONE = "def test_x():\n    assert True\n", "# Create your tests here.\n"
NOWHERE = {"DOCKER_HOST": "unix:///nowhere.sock"}
SHOP = msgspec.structs.replace(APP, packages=["shop", "core"])


@pytest.fixture
def small(clone: Path) -> Path:
    """A clone whose app has one quick test, and no coverage floor."""
    for file in (clone / "myapp/tests").glob("test_*.py"):
        if file.name != "test_codes.py":
            file.unlink()
    settings = clone / "invoke.yaml"
    settings.write_text(settings.read_text().replace("floor: 95", "floor: 1"))
    return clone


def source(root: Path, *files: str, text: str = TEST) -> Path:
    """A repository with these files, each with a test."""
    git(root, "init", "--quiet")
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_files_with_tests_are_known_by_name_folder_and_content(tmp_path):
    root = source(tmp_path, "shop/tests.py", "shop/tests/views.py", "shop/test_a.py", "shop/b.py")
    source(root, "core/tests.py", "core/tests/__init__.py", text=NONE)
    found = collected.test_files(root)
    names = {"shop/test_a.py", "shop/tests.py", "shop/tests/views.py"}
    assert set(map(str, found)) == names


@pytest.mark.parametrize("where", ["blog/tests.py", "blog/tests/test_a.py", "test_root.py"])
def test_tests_outside_of_the_app_are_refused_and_named(tmp_path, where):
    root = source(
        tmp_path, "shop/tests.py", "core/tests/test_a.py", "tests/test_pipeline.py", where
    )
    folder = where.split("/")[0]
    with pytest.raises(TaskError) as caught:
        collected.require_inside(SHOP, ["tests"], root)
    assert str(caught.value) == (
        f"tests outside of the app: {where} - add {folder} to app.packages in invoke.yaml"
    )


def test_a_file_of_which_no_test_ran_is_named():
    files = [PurePosixPath(name) for name in ("shop/tests.py", "shop/tests/views.py")]
    report = '<testcase classname="shop.tests.Case" name="test_x"/>'
    with pytest.raises(TaskError, match=r"no test ran of: shop/tests/views\.py - name them"):
        collected.require_run(files, report)
    collected.require_run(files[:1], report)
    collected.require_run(files, report + '<testcase classname="shop.tests.views" name="test"/>')


def test_django_s_runner_finds_no_test_in_a_folder_that_is_no_package(tmp_path):
    root = source(tmp_path, "shop/__init__.py", "shop/tests/test_a.py")
    files = [PurePosixPath("shop/tests/test_a.py")]
    with pytest.raises(TaskError, match=r"no test ran of: shop/tests/test_a\.py"):
        collected.require_discovered(files, SHOP, root)
    (root / "shop/tests/__init__.py").write_text("")
    collected.require_discovered(files, SHOP, root)


def test_a_second_app_beside_the_package_is_collected_once_it_is_named(small, inv):
    (small / "blog").mkdir()
    (small / "blog/tests.py").write_text(TEST)
    done = inv("test", "--app", root=small, **NOWHERE)
    assert done.returncode == 2
    assert "inv: tests outside of the app: blog/tests.py - add blog to app.packages" in done.stderr
    file = small / "invoke.yaml"
    file.write_text(file.read_text().replace("packages: [myapp]", "packages: [blog, myapp]"))
    done = inv("test", "--app", root=small, **NOWHERE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "TOTAL coverage of blog, myapp, branches counted: " in done.stdout
    assert 'classname="blog.tests"' in (small / "reports/app.xml").read_text()


RUNNERS = {"django": "Ran ", "python manage.py test --noinput myapp": "Ran "}


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_app_s_tests_run_by_another_runner(small, inv, runner):
    file = small / "invoke.yaml"
    file.write_text(file.read_text().replace("runner: pytest", f"runner: {runner}"))
    done = inv("test", "--app", root=small, **NOWHERE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert RUNNERS[runner] in done.stderr
    assert (runner == "django") == ("TOTAL coverage of myapp" in done.stdout)


def test_a_failing_test_fails_django_s_runner(small, inv):
    file = small / "invoke.yaml"
    file.write_text(file.read_text().replace("runner: pytest", "runner: django"))
    broken = "from unittest import TestCase\n\n\nclass T(TestCase):\n    def test_x(self):\n"
    (small / "myapp/tests/test_broken.py").write_text(f"{broken}        self.fail('planted')\n")
    done = inv("test", "--path", "myapp/tests/test_broken.py", root=small, **NOWHERE)
    assert done.returncode == 1
    assert "planted" in done.stderr and "inv: failed: the app's tests" in done.stderr


def test_coverage_below_the_floor_fails_django_s_runner(small, inv):
    file = small / "invoke.yaml"
    text = file.read_text().replace("runner: pytest", "runner: django")
    file.write_text(text.replace("floor: 1", "floor: 99"))
    done = inv("test", "--app", root=small, **NOWHERE)
    assert done.returncode == 1
    assert "%, below the floor of 99%" in done.stderr
