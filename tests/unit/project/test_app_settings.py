"""What follows from the section `app` of invoke.yaml."""

from __future__ import annotations

from msgspec.structs import replace

from tests.testbed.project import APP


def test_only_packages_with_python_code_are_tested_and_typed(tmp_path):
    for name in ("shop/models.py", "orders/api/views.py", "templates/base.html", "one.py", "A.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    app = replace(APP, packages=["shop", "orders", "templates", "one.py", "A.md", "missing"])
    assert app.code(tmp_path) == ["shop", "orders", "one.py", "missing"]
