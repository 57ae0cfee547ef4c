"""`inv quality`: what it finds, where, how bad it is, and the report that GitLab reads."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tasks.lib.checks import codequality, duplicates, quality
from tasks.lib.checks.codequality import Finding

# jscpd:ignore-start
BLOCK = """
def total_of(items):
    total = 0
    names = []
    for item in items:
        if item.size > 10:
            total += item.size
            names.append(item.name)
        elif item.hidden:
            continue
    names.sort(key=lambda each: each.lower())
    return {"total": total, "names": names, "count": len(names)}
"""
# jscpd:ignore-end
BRANCHES = "".join(f"    if x == {number}:\n        return {number}\n" for number in range(9))
PLANTED = f"""import os
import subprocess


def tangled(x):
{BRANCHES}    return None


def shell(name):
    subprocess.run(name, shell=True, check=True)

{BLOCK}"""
PATH = "myapp/planted.py"


@pytest.fixture
def planted(clone: Path) -> Path:
    """A clone with one problem of each kind."""
    (clone / PATH).write_text(PLANTED)
    (clone / "bench/copied.py").write_text(BLOCK)
    return clone


def read(root: Path) -> list[dict]:
    return json.loads((root / "reports/codequality.json").read_text())


def by_check(root: Path) -> dict[tuple[str, str], dict]:
    return {(each["check_name"], each["location"]["path"]): each for each in read(root)}


def line_of(text: str) -> int:
    return PLANTED.splitlines().index(text) + 1


def test_a_problem_of_each_kind_is_found_where_it_is(planted, inv):
    done = inv("quality", "--html", root=planted)
    assert done.returncode == 1
    found = by_check(planted)
    expected = {
        ("F401", PATH): ("minor", 1),
        ("C901", PATH): ("major", line_of("def tangled(x):")),
        ("S602", PATH): ("critical", line_of("    subprocess.run(name, shell=True, check=True)")),
        ("duplicate", PATH): ("major", line_of("def total_of(items):")),
        ("duplicate", "bench/copied.py"): ("major", 2),
    }
    assert {
        key: (each["severity"], each["location"]["lines"]["begin"])
        for key, each in found.items()
        if key in expected
    } == expected
    assert f"are also at {PATH}:" in found["duplicate", "bench/copied.py"]["description"]
    severities = [line.split()[0] for line in done.stdout.splitlines()[1:]]
    assert severities == sorted(severities, key=codequality.SEVERITIES.index)
    place = f"{PATH}:{expected['S602', PATH][1]}"
    assert re.search(rf"^critical +security +S602 +{place} ", done.stdout, re.MULTILINE)
    assert re.search(r"^inv: to fix: 1 critical, \d major - see above", done.stderr, re.MULTILINE)
    page = (planted / "reports/codequality.html").read_text()
    assert "subprocess.run(name, shell=True, check=True)" in page
    assert "lambda each: each.lower()" in page


def test_the_report_is_what_gitlab_asks_for(planted, inv):
    inv("quality", root=planted)
    report = read(planted)
    assert len(report) >= 5
    for each in report:
        assert all(
            isinstance(each[key], str) and each[key] for key in ("description", "check_name")
        )
        assert each["severity"] in {"info", "minor", "major", "critical", "blocker"}
        path = each["location"]["path"]
        lines = (planted / path).read_text().splitlines()
        assert not path.startswith(("/", "."))
        assert 1 <= each["location"]["lines"]["begin"] <= len(lines)
    assert len({each["fingerprint"] for each in report}) == len(report)


def test_fingerprints_stay_when_lines_are_put_above(planted, inv):
    inv("quality", root=planted)
    before = by_check(planted)
    (planted / PATH).write_text("# Ten lines more.\n" * 10 + PLANTED)
    inv("quality", root=planted)
    after = by_check(planted)
    assert {key: each["fingerprint"] for key, each in before.items()} == {
        key: each["fingerprint"] for key, each in after.items()
    }
    key = ("C901", PATH)
    is_built_on = [side[key]["location"]["lines"]["begin"] for side in (before, after)]
    assert is_built_on[1] == is_built_on[0] + 10


def test_what_must_stay_can_be_marked(clone, inv):
    marked = PLANTED.replace("def tangled(x):", "def tangled(x):  # noqa: C901")
    marked = marked.replace("check=True)", "check=True)  # noqa: S602")
    marked = marked.replace(BLOCK, f"# jscpd:ignore-start{BLOCK}# jscpd:ignore-end\n")
    (clone / PATH).write_text(marked)
    (clone / "bench/copied.py").write_text(BLOCK)
    inv("quality", root=clone)
    assert {check for check, path in by_check(clone) if path == PATH} == {"F401"}


def test_the_project_itself_passes(clone, inv):
    done = inv("quality", root=clone)
    assert done.returncode == 0, done.stdout + done.stderr


def test_code_that_cannot_be_read_is_a_blocker(clone, inv):
    (clone / PATH).write_text("def broken(:\n")
    done = inv("quality", root=clone)
    assert done.returncode == 1
    assert re.search(rf"^blocker +lint +invalid-syntax +{PATH}:1 ", done.stdout, re.MULTILINE)


def test_a_configuration_that_ruff_refuses_is_one_line(clone, inv):
    (clone / "ruff.toml").write_text("line-length = 'wide'\n")
    done = inv("quality", root=clone)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("inv: ruff check: ruff failed Cause: ")


def test_a_dry_run_writes_nothing(clone, inv):
    done = inv("--dry", "quality", root=clone)
    assert "ruff check" in done.stderr
    assert not (clone / "reports").exists()


@pytest.mark.parametrize(
    ("rule", "kind", "severity"),
    [
        ("F401", "lint", "minor"),
        ("F402", "lint", "major"),
        ("FURB105", "lint", "minor"),
        ("SIM102", "lint", "minor"),
        ("S105", "security", "major"),
        ("S608", "security", "critical"),
        ("S101", "security", "minor"),
        ("SLF001", "lint", "minor"),
        ("C901", "complexity", "major"),
        ("PLR0913", "complexity", "minor"),
        ("invalid-syntax", "lint", "blocker"),
    ],
)
def test_a_rule_has_a_kind_and_a_severity(rule, kind, severity):
    assert quality.kind_and_severity(rule) == (kind, severity)


def finding(line: int, code: str) -> Finding:
    return Finding("lint", "X1", "minor", "a.py", line, "text", code)


def test_equal_findings_have_fingerprints_of_their_own():
    same = [finding(3, "x = 1"), finding(9, "x = 1"), finding(9, "x = 1")]
    assert len(set(codequality.fingerprints(same))) == 3


def test_a_fingerprint_is_not_of_the_line_nor_of_the_indentation():
    near, far = finding(3, "x = 1"), finding(90, "    x  = 1")
    assert codequality.fingerprints([near]) == codequality.fingerprints([far])
    assert codequality.fingerprints([near]) != codequality.fingerprints([finding(3, "x = 2")])


def pair(one: str, other: str, fragment: str = "a\nb\n") -> dict:
    sides = {"firstFile": one, "secondFile": other}
    named = {key: {"name": f"/root/{value}", "start": 4} for key, value in sides.items()}
    return {**named, "fragment": fragment}


def test_a_long_duplicate_is_major_and_a_short_one_is_minor():
    found = quality_of("a\n" * 10), quality_of("a\n" * 9)
    assert found == ("major", "minor")


def quality_of(fragment: str) -> str:
    return duplicates.pairs([pair("a.py", "b.py", fragment)], Path("/root"))[0].severity


def test_three_equal_places_are_three_findings():
    found = duplicates.pairs([pair("a.py", "b.py"), pair("a.py", "c.py")], Path("/root"))
    assert [(each.path, each.text) for each in found] == [
        ("a.py", "2 lines that are also at b.py:4, c.py:4"),
        ("b.py", "2 lines that are also at a.py:4"),
        ("c.py", "2 lines that are also at a.py:4"),
    ]
