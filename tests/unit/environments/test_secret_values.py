"""A secret's value is what was meant: no line break of Windows, no blank at its end."""

from __future__ import annotations

import io

import pytest

from tasks.lib import redaction
from tasks.lib.environments import secret_values
from tasks.lib.errors import TaskError


@pytest.fixture(autouse=True)
def unknown(monkeypatch) -> None:
    """No value is known to be a secret yet."""
    monkeypatch.setattr(redaction, "_known", {})


@pytest.mark.parametrize("piped", [False, True])
@pytest.mark.parametrize(
    ("text", "value", "warned"),
    [
        ("plain", "plain", False),
        ("with a blank inside", "with a blank inside", False),
        ("echo's line break\n", "echo's line break", False),
        ("a line break of Windows\r\n", "a line break of Windows", True),
        ("a carriage return\r", "a carriage return", True),
        (" around it \t", "around it", True),
        ("a\r\nkey\r\n", "a\nkey", True),
        ("two line breaks\n\n", "two line breaks", True),
    ],
)
def test_what_is_pasted_along_is_removed(monkeypatch, capsys, piped, text, value, warned):
    monkeypatch.setenv("API_KEY", "" if piped else text)
    monkeypatch.setattr("sys.stdin", io.StringIO(text if piped else ""))
    assert secret_values.read("API_KEY") == value
    says = "warning: API_KEY: blanks or line breaks at its end were removed\n"
    assert capsys.readouterr().err == (says if warned else "")


@pytest.mark.parametrize("text", ["", "\r\n", "  "])
def test_nothing_is_refused(monkeypatch, text):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    with pytest.raises(TaskError, match="API_KEY is empty"):
        secret_values.read("API_KEY")
