"""The texts of the files that adoption adds."""

from __future__ import annotations

import keys
import pytest
import write
import yaml
from look import Found

from tests.testbed.commands import ROOT

FOUND = Found(
    folder=".", settings="shop.settings", dev="shop.settings", test="shop.settings",
    released="shop.settings", packages=("shop", "orders"), application="shop.wsgi:application",
)  # fmt: skip


def settings(found: Found) -> dict:
    return yaml.safe_load(write.settings(ROOT, "my-shop", found))


def test_the_settings_have_what_was_found_and_the_projects_name():
    made = settings(FOUND)
    assert made["project"]["name"] == "my-shop"
    assert made["registry"]["image"].endswith("/my-shop")
    assert made["app"]["packages"] == ["shop", "orders"]
    assert "celery" not in made["app"] and "folder" not in made["app"]
    assert made["processes"] == {}
    assert made["services"] == {"database": "postgres", "postgres": 17, "broker": "none"}
    assert "REDIS_PASSWORD" not in made["deploy"]["secrets"]


def test_a_project_with_celery_in_a_folder_keeps_its_processes():
    found = Found(**{**vars(FOUND), "folder": "backend", "celery": "shop", "broker": "redis"})
    made = settings(found)
    assert (made["app"]["folder"], made["app"]["celery"]) == ("backend", "shop")
    assert set(made["processes"]) == {"worker", "beat"}
    assert "REDIS_PASSWORD" in made["deploy"]["secrets"]


def test_a_project_with_mysql_has_an_external_database_on_servers():
    found = Found(**{**vars(FOUND), "database": "mysql"})
    made = settings(found)
    assert made["services"]["database"] == "mariadb"
    assert made["deploy"]["secrets"] == ["SECRET_KEY", "DATABASE_URL"]
    assert write.needs(found) == ['pyuwsgi; sys_platform != "win32"']


def test_a_package_that_the_project_names_is_not_added_again():
    given = ("Psycopg[c]>=3", "-r ../requirements.txt", "uvicorn==1")
    wanted = ["psycopg[binary]", "uvicorn", "pyuwsgi; x"]
    assert write.lines(given, wanted).splitlines() == [*given, "pyuwsgi; x"]


def test_a_package_without_the_extra_that_the_image_needs_gets_it():
    made = write.lines(["psycopg==3.3.4"], ["psycopg[binary]"])
    assert made.splitlines() == ["psycopg==3.3.4", "psycopg[binary]"]


@pytest.mark.parametrize(
    ("base", "path", "name", "depth"),
    [
        ("shop.settings", "shop/settings_released.py", "settings", 1),
        ("shop.settings.prod", "shop/settings/released.py", "prod", 2),
        ("settings", "settings_released.py", "settings", 0),
    ],
)
def test_settings_of_the_image_stand_beside_those_that_they_extend(
    tmp_path, base, path, name, depth
):
    found = Found(**{**vars(FOUND), "settings": base, "released": base})
    text = write.files(tmp_path, "shop", found)[path]
    assert f"from .{name} import *" in text
    assert f"parents[{depth}]" in text
    assert found.released == path.removesuffix(".py").replace("/", ".")


def test_mypy_has_settings_where_the_project_has_none(tmp_path):
    added = write.checks(tmp_path)
    assert "allow_untyped_globals" in added["pyproject.toml"] and "mypy.ini" not in added
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    assert write.checks(tmp_path)["mypy.ini"].startswith("[mypy]\nplugins = ")
    (tmp_path / "setup.cfg").write_text("[mypy]\nstrict = true\n")
    assert "mypy.ini" not in write.checks(tmp_path)


def test_gitignore_only_gets_lines_at_its_end(tmp_path):
    (tmp_path / ".gitignore").write_text("*.pyc\n/.venv\n")
    text = write.ignored(tmp_path)[".gitignore"]
    assert text.startswith("*.pyc\n/.venv\n.dev/\n") and text.count(".venv") == 1
    (tmp_path / ".gitignore").write_text(text)
    assert write.ignored(tmp_path) == {}


def test_an_edited_value_keeps_the_comment_above_it():
    text = "a:\n  # Why.\n  b: 1\n  # Gone.\n  c: 2\n"
    assert keys.edited(text, {"a.b": "3", "a.c": None}) == "a:\n  # Why.\n  b: 3\n"


@pytest.mark.parametrize("prints", [True, False])
def test_the_settings_of_the_image_send_mail_where_the_projects_only_print_it(tmp_path, prints):
    found = Found(**{**vars(FOUND), "prints_mail": prints})
    text = write.release(found, "shop/settings_released.py", "shop.settings")
    assert ("\nMAILERS = " in text) == prints
    compile(text, "settings_released.py", "exec")
