"""What is left of a replica that failed."""

from __future__ import annotations

from tasks.lib.orchestrators.evidence import complaint


def test_what_a_health_check_said_most_since_it_failed_is_told():
    said = [(1, "refused"), (0, ""), (1, "503 a\nb"), (1, "503 a b"), (1, "refused")]
    log = [{"ExitCode": code, "Output": text} for code, text in said]
    assert complaint(log) == "503 a b"
    assert complaint(log[:2]) == complaint([]) == ""
