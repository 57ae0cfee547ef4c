"""What is seen of a project by looking at its files."""

from __future__ import annotations

from pathlib import Path

import pytest
from look import Found, look, unknown
from packages import pinned

MANAGE = 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{}")\n'
WSGI = "application = get_wsgi_application()\n"


@pytest.fixture
def see(tmp_path):
    """Looks at a folder with these files."""

    def see(files: dict[str, str], **known: object) -> Found:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return look(tmp_path, known)

    return see


def site(folder: str = "", settings: str = "shop.settings") -> dict[str, str]:
    """Return the files of a small project."""
    files = {"manage.py": MANAGE.format(settings), "shop/__init__.py": "", "shop/wsgi.py": WSGI}
    files["shop/urls.py"] = 'urlpatterns = [path("", home)]\n'
    return {f"{folder}{name}": text for name, text in files.items()}


def test_a_project_with_one_settings_module_uses_it_for_all(see):
    found = see(site() | {"shop/settings.py": ""})
    assert (found.dev, found.test, found.released) == ("shop.settings",) * 3
    assert (found.folder, found.packages) == (".", ("shop",))
    assert (found.application, found.server) == ("shop.wsgi:application", "uwsgi")
    assert unknown(found) == {}


def test_settings_of_several_uses_are_told_apart_by_their_names(see):
    modules = {f"config/settings/{name}.py": "" for name in ("base", "local", "production", "test")}
    found = see(site(settings="config.settings.local") | modules | {"config/__init__.py": ""})
    assert found.dev == "config.settings.local"
    assert found.test == "config.settings.test"
    assert found.released == "config.settings.production"


def test_a_project_in_a_folder_is_found(see):
    found = see(site("backend/") | {"backend/shop/settings.py": "", "web/package.json": "{}"})
    assert (found.folder, found.packages) == ("backend", ("shop",))


def test_what_the_team_alone_knows_is_asked_and_taken(see):
    files = site("one/") | site("two/")
    assert set(unknown(see(files))) == {"folder", "settings", "application", "packages"}
    assert unknown(see(files, folder="two")) == {}


def test_packages_are_those_with_code_and_what_they_need_beside_them(see):
    files = {
        "orders/__init__.py": "",
        "templates/base.html": "",
        "docs/conf.py": "",
        "tests/test_a.py": "",
    }
    assert see(site() | files).packages == ("orders", "shop", "tests", "templates")


def test_celery_the_database_and_static_files_are_read_from_the_code(see):
    text = (
        'ENGINE = "django.db.backends.postgresql"\nSTATIC_ROOT = os.path.join(BASE_DIR, "public")\n'
    )
    found = see(site() | {"shop/settings.py": text, "shop/celery.py": "app = Celery()\n"})
    assert (found.celery, found.broker) == ("shop", "redis")
    assert (found.database, found.static, found.reads_url) == ("postgresql", "public", False)


def test_the_page_that_stands_for_the_app_is_one_that_it_has(see):
    assert see(site()).page == "/"
    text = '"""path("", home)"""\nurlpatterns = [path("admin/", admin.site.urls)]\n'
    assert see({"shop/urls.py": text}).page == "/admin/login/"


PROJECT = '[project]\ndependencies = ["django"]\n[dependency-groups]\ndev = ["pytest"]\n'
POETRY = (
    '[tool.poetry.dependencies]\npython = "^3.11"\ndjango = "^5.2"\n'
    '[tool.poetry.group.dev.dependencies]\npytest = "*"\n'
)
SETUP = "[options]\ninstall_requires =\n    django\n"


@pytest.mark.parametrize(
    ("files", "tool", "requirements", "runner"),
    [
        ({"requirements.txt": "django\n"}, "pip", "-r ../requirements.txt", "django"),
        (
            {"requirements/base.txt": "x\n", "pytest.ini": ""},
            "pip",
            "-r ../requirements/base.txt",
            "pytest",
        ),
        ({"pyproject.toml": PROJECT, "uv.lock": ""}, "uv", "django", "pytest"),
        ({"pyproject.toml": PROJECT, "pdm.lock": ""}, "pdm", "django", "pytest"),
        ({"pyproject.toml": PROJECT}, "pyproject", "django", "pytest"),
        ({"pyproject.toml": POETRY, "poetry.lock": ""}, "poetry", "django>=5.2,<6", "pytest"),
        ({"setup.cfg": SETUP}, "setuptools", "django", "django"),
    ],
)
def test_requirements_come_from_the_tool_that_the_team_uses(see, files, tool, requirements, runner):
    found = see(site() | files)
    assert (found.tool, found.requirements, found.runner) == (tool, (requirements,), runner)


@pytest.mark.parametrize(
    ("poetry", "pip"),
    [
        ("^1.2.3", ">=1.2.3,<2"),
        ("^0.2.3", ">=0.2.3,<0.3"),
        ("~1.2", ">=1.2,<1.3"),
        ("~1", ">=1,<2"),
        ("1.2.3", "==1.2.3"),
        ("*", ""),
        (">=1,<3", ">=1,<3"),
        ({"version": "^2.0", "extras": ["bcrypt"]}, "[bcrypt]>=2.0,<3"),
    ],
)
def test_poetrys_ranges_are_those_of_pip(poetry, pip):
    assert pinned({"python": "^3.11", "x": poetry}) == [f"x{pip}"]


@pytest.mark.parametrize(
    ("backend", "prints"), [("backends.console.EmailBackend", True), ("backends.smtp", False)]
)
def test_a_mailer_that_only_prints_is_noticed(see, backend, prints):
    mailers = (
        f"MAILERS = {{\n    'default': {{\n        'BACKEND': 'django.core.mail.{backend}'}}}}\n"
    )
    assert see(site() | {"shop/settings.py": mailers}).prints_mail == prints


def test_nothing_is_found_in_an_empty_folder(tmp_path: Path):
    assert {"folder", "settings", "application", "packages"} == set(unknown(look(tmp_path, {})))
