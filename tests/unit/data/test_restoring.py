"""The jobs of a restore find the new database, wherever the server is."""

from __future__ import annotations

import subprocess

from tasks.lib.data.restoring import EXTERNAL, Restore
from tasks.lib.orchestrators.stack import Stack

NEW = "shop_restored_20261126t140305z"


def restore(**services) -> Restore:
    return Restore(None, Stack("shop-prod", "image", {"services": services}, {}), None, {}, "", NEW)


def test_a_job_beside_our_database_is_as_it_is():
    assert restore(db={})._on_new(["check"]) == ["check"]


def test_a_job_with_an_external_database_has_another_name_in_its_address(tmp_path):
    made = restore(app={})._on_new(["check", "db"])
    assert made[:2] == ["sh", "-c"] and made[3] == NEW and made[-2:] == ["check", "db"]
    for url, expected in (
        ("postgres://web:a%2Fb%26c@host:5432/shop?sslmode=require",
         f"postgres://web:a%2Fb%26c@host:5432/{NEW}?sslmode=require"),
        ("postgres://web@host/shop", f"postgres://web@host/{NEW}"),
    ):  # fmt: skip
        file = tmp_path / "DATABASE_URL"
        file.write_text(url)
        script = EXTERNAL.replace("/run/secrets/DATABASE_URL", str(file))
        words = ["sh", "-c", script, NEW, "sh", "-c", 'echo "$DATABASE_URL"']
        shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        assert shown.strip() == expected
