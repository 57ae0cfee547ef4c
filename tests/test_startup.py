"""`inv --list` stays quick and the package stays clear of the standard library's names."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {
    "cyclonedx",
    "detect_secrets",
    "urllib3",
    "msgspec",
    "pydantic",
    "python_on_whales",
    "rich",
    "django",
}


def test_the_list_of_tasks_imports_no_heavy_library():
    code = (
        "import sys; sys.argv = ['inv', '--list']\n"
        "from invoke.main import program\n"
        "try: program.run()\n"
        "except SystemExit: pass\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.strip() == "[]"
    assert "dev" in done.stdout


def test_a_release_loads_neither_dockers_nor_the_servers_doors():
    code = (
        "import sys; from tasks import publish\n"
        "from tasks.lib.images import promotion\n"
        "from tasks.lib.project import settings\n"
        "print({'tasks.lib.docker.client', 'tasks.lib.ssh.host', 'urllib3'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def test_no_module_of_tasks_bears_a_name_of_the_standard_library():
    names = {path.stem for path in (ROOT / "tasks").glob("*.py")} - {"__init__"}
    assert names & sys.stdlib_module_names == set()
    assert names & {"docker", "build", "config"} == set()


def imported(path: Path) -> set[str]:
    """The modules that a file imports when it runs, relative ones with their dots."""
    found = set()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            stem = base if base.endswith(".") else f"{base}."
            found |= {base, *(f"{stem}{alias.name}" for alias in node.names)}
    return found


def test_the_app_and_the_pipeline_never_import_each_other():
    for path in (ROOT / "tasks").rglob("*.py"):
        assert "myapp" not in path.read_text(), path
    for path in (ROOT / "myapp").rglob("*.py"):
        assert not {name for name in imported(path) if name.split(".")[0] == "tasks"}, path
