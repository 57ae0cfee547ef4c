"""What a server is, and which ones cannot be set up."""

from __future__ import annotations

import pytest

from tasks.lib.errors import TaskError
from tasks.lib.provisioning import facts

ANSWER = """\
user=ops
id=debian
like=
codename=trixie
init=systemd
root=yes
address=10.0.0.5
port=2222
"""


def changed(**values: str) -> facts.Facts:
    """The facts of an answer with other values."""
    text = ANSWER
    for key, value in values.items():
        old = next(line for line in ANSWER.splitlines() if line.startswith(f"{key}="))
        text = text.replace(old, f"{key}={value}")
    return facts.parse("web1", text)


def test_an_answer_is_read():
    assert changed() == ("ops", "debian", "", "trixie", "systemd", "yes", "10.0.0.5", 2222)
    assert changed(address="2001:db8:0::1").address == "2001:db8::1"


@pytest.mark.parametrize("answer", ["", "Welcome!\n" + ANSWER, ANSWER + "x", "user=a b\n"])
def test_an_answer_of_another_form_is_refused(answer):
    with pytest.raises(TaskError, match="web1: unexpected answer"):
        facts.parse("web1", answer)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, ""),
        ({"id": "ubuntu", "like": "debian"}, ""),
        ({"id": "linuxmint", "like": "ubuntu debian"}, ""),
        ({"id": "raspbian", "like": "debian", "init": "sysv"}, ""),
        ({"id": "fedora"}, "its system (fedora) is not Debian or Ubuntu"),
        ({"id": ""}, "its system (unknown) is not Debian or Ubuntu"),
        ({"id": "rocky", "like": "rhel centos fedora"}, "its system (rocky) is not"),
        ({"root": "missing"}, "ops is not root, and there is no sudo - install sudo"),
        ({"root": "password"}, "ops may not use sudo without a password - with visudo, add: ops"),
        ({"init": "none"}, "it has neither systemd nor init scripts"),
    ],
)
def test_a_server_that_cannot_be_set_up_has_a_problem_with_what_to_do(values, problem):
    found = changed(**values).problem
    assert found.startswith(problem)
    assert (" - " in found) == bool(problem)
