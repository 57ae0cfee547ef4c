"""The project's own files that adoption adds to a repository, as texts."""

from __future__ import annotations

import re
from pathlib import Path

from keys import edited
from look import Found, code

SOURCE = Path(__file__).resolve().parents[1]
IGNORED = (".dev/", ".env", ".inv/", ".lab/", ".venv/", "reports/", "db.sqlite3")
SERVERS = {"uwsgi": 'pyuwsgi; sys_platform != "win32"', "uvicorn": "uvicorn"}
RUNNERS = {"pytest": ("pytest", "pytest-cov", "pytest-django"), "django": ("coverage",)}
# Linters that only run where their configuration is, or its table in pyproject.toml.
LINTERS = {
    "ruff": ("ruff.toml", ".ruff.toml"),
    "djlint": (".djlintrc", "djlint.toml"),
    "yamllint": (".yamllint", ".yamllint.yml", ".yamllint.yaml"),
}
COVERAGE = '[tool.coverage.run]\nomit = ["*/tests/*", "*/tests.py"]\n'
# The table in pyproject.toml, or mypy.ini. ALLOWED_HOSTS = [] has no type, nor have many packages.
MYPY = """\
[{table}mypy]
plugins = {plugins}
allow_untyped_globals = true
ignore_missing_imports = true
"""
CONFIGS = {"mypy.ini": "", ".mypy.ini": "", "setup.cfg": "[mypy]", "pyproject.toml": "[tool.mypy]"}


def files(root: Path, name: str, found: Found) -> dict[str, str]:
    """Return the files that the repository lacks; .gitignore with lines at its end."""
    module = released(root, found)
    base = found.released
    if module:
        found.released = module.removesuffix(".py").replace("/", ".")
    texts = {
        "invoke.yaml": settings(root, name, found),
        "requirements/app.in": lines(found.requirements, needs(found)),
        "requirements/test.in": lines(["-c app.txt", *found.development], RUNNERS[found.runner]),
        "requirements/dev.in": (SOURCE / "requirements/dev.in").read_text("utf-8"),
        "requirements/types.in": (SOURCE / "requirements/types.in").read_text("utf-8"),
        **checks(root),
    }
    if module:
        texts[below(found, module)] = release(found, module, base or "")
    texts = {path: text for path, text in texts.items() if not (root / path).exists()}
    return texts | ignored(root)


def below(found: Found, path: str) -> str:
    """Return a path of the project as seen from the repository's root."""
    return path if found.folder in (None, ".") else f"{found.folder}/{path}"


def needs(found: Found) -> list[str]:
    """Return what the image needs beside the project's own requirements."""
    server = SERVERS[found.server]
    driver = [] if found.database == "mysql" else ["psycopg[binary]"]
    return [server, *driver, *(["redis"] if found.broker == "redis" else [])]


def lines(given: tuple[str, ...] | list[str], more: tuple[str, ...] | list[str]) -> str:
    """Return a requirements file: what the project names, then what is not among it.

    A package with extras is added unless the project names it with some.
    """
    named = {re.split(r"(?<=\[)|[\s<>=!~;@]", line, maxsplit=1)[0].lower() for line in given}
    added = [each for each in more if re.split(r"(?<=\[)|;", each)[0].lower() not in named]
    return "".join(f"{line}\n" for line in [*given, *added])


def ignored(root: Path) -> dict[str, str]:
    """Return .gitignore with the lines that it lacks, if any."""
    file = root / ".gitignore"
    text = file.read_text("utf-8") if file.is_file() else ""
    known = {line.strip().strip("/*") for line in text.splitlines()}
    left = [line for line in IGNORED if line.strip("/") not in known]
    start = f"{text.rstrip()}\n" if text.strip() else ""
    return {".gitignore": start + "".join(f"{line}\n" for line in left)} if left else {}


def checks(root: Path) -> dict[str, str]:
    """Return the settings of coverage, and those of mypy unless the project has some."""
    there = {name: root / name for name in CONFIGS if (root / name).is_file()}
    table = MYPY.format(table="tool.", plugins='["mypy_django_plugin.main"]')
    found = {"pyproject.toml": f"{COVERAGE}\n{table}"}
    if "pyproject.toml" in there:
        found["mypy.ini"] = MYPY.format(table="", plugins="mypy_django_plugin.main")
    known = any(CONFIGS[name] in file.read_text("utf-8") for name, file in there.items())
    return {"pyproject.toml": COVERAGE} if known else found


def settings(root: Path, name: str, found: Found) -> str:
    """Return invoke.yaml: this repository's, with the project's values."""
    text = (SOURCE / "invoke.yaml").read_text("utf-8")
    text = re.sub(r"(name: |example/|deploy/)myapp\b", rf"\g<1>{name}", text)
    text = re.sub(r"\blinks(?=[.-])", "www", text)
    text = text.replace(
        "  # folder: backend\n", f"  folder: {found.folder}\n" * (found.folder != ".")
    )
    celery = found.celery and found.broker == "redis"
    values = {
        "app.packages": f"[{', '.join(found.packages)}]",
        **{f"app.settings.{use}": getattr(found, use) for use in ("dev", "test", "released")},
        "app.application": found.application,
        "app.server": found.server,
        "app.celery": found.celery or None,
        "app.level": "ERROR",
        "app.probes": f"{{page: {found.page}}}",
        "app.static": f"{{root: {found.static or 'staticfiles'}}}",
        "services.database": "mariadb" if found.database == "mysql" else "postgres",
        "services.broker": found.broker,
        "test.runner": found.runner,
        "test.floor": "0",
        "lint.without": f"[{', '.join(unconfigured(root))}]",
        **({} if celery else {"processes.worker": None, "processes.beat": None, "processes": "{}"}),
    }
    if found.broker == "none":
        text = text.replace(", REDIS_PASSWORD]", "]")
    if found.database == "mysql":
        ours = "POSTGRES_PASSWORD, DATABASE_PASSWORD, OWNER_PASSWORD"
        text = text.replace(f"[SECRET_KEY, {ours}", "[SECRET_KEY, DATABASE_URL")
    return edited(text, values)


def unconfigured(root: Path) -> list[str]:
    """Return the linters that the project has no configuration of."""
    file = root / "pyproject.toml"
    text = file.read_text("utf-8") if file.is_file() else ""
    return [
        name
        for name, files in LINTERS.items()
        if f"[tool.{name}" not in text and not any((root / each).exists() for each in files)
    ]


def released(root: Path, found: Found) -> str:
    """Return the settings to add for the released image, as a path; empty if there are some."""
    if found.reads_url or not found.settings:
        return ""
    base = (found.released or found.settings).replace(".", "/")
    package = base.rpartition("/")[0]
    inside = (root / below(found, base)).is_dir()
    folder = base if inside else package
    own = "released" if folder.rpartition("/")[2] == "settings" else "settings_released"
    name = f"{folder}/{own}.py".lstrip("/")
    return name if not (root / below(found, name)).exists() else ""


def release(found: Found, path: str, base: str) -> str:
    """Return the text of the settings of the released image."""
    text = (SOURCE / "template/released.txt").read_text("utf-8")
    text = text.replace("from .settings", f"from .{base.rpartition('.')[2]}")
    text = text.replace("parents[1]", f"parents[{path.count('/')}]")
    if found.static:
        text = re.sub(r"\n# The static files.*\n.*\n", "\n", text)
    if not found.prints_mail:
        text = re.sub(r"\n# The mail server.*\n.*\n", "", text)
    if found.broker == "none":
        text = re.sub(r"\n# The broker.*\n(?:.+\n)+", "", text)
    return text


def tables(root: Path, found: Found) -> list[tuple[str, str]]:
    """Return what was found, as it is shown."""
    return [
        ("project", f"{below(found, 'manage.py')}, {len(dict(code(root, found)))} Python files"),
        ("packages", ", ".join(found.packages)),
        ("settings", f"{found.dev} (dev), {found.test} (test), {found.released} (released)"),
        ("application", f"{found.application}, served by {found.server}"),
        ("requirements", f"{found.tool}: {len(found.requirements)} lines"),
        (
            "database",
            f"{found.database}; the released settings read DATABASE_URL: {found.reads_url}",
        ),
        ("celery", found.celery or "none"),
        ("tests", found.runner),
        ("page", found.page),
        ("containers, CI", ", ".join([*found.containers, found.ci]).strip(", ") or "none"),
    ]
