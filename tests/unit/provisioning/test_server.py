"""Items are looked at, made, and looked at again, by real scripts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.lib.errors import ExitCode, TaskError
from tasks.lib.provisioning import item, server, system
from tasks.lib.provisioning.item import MARK, Difference, Item
from tasks.lib.provisioning.server import Server
from tests.orchestrators.servers import LocalHost


class Local(LocalHost):
    """This machine, where tests need no root."""

    def run(self, script: str, *arguments: str, **options: object) -> str:
        """Run a script as this user, where a server would as root."""
        mine = script if os.geteuid() == 0 else script.replace(server.ROOT, "exec sh -s")
        return super().run(mine, *arguments, **options)


@pytest.fixture
def host(tmp_path: Path) -> Local:
    """This machine, in a folder of its own."""
    return Local(tmp_path / "home")


def entry(host: Local, wanted: str, name: str = "entry") -> Item:
    """The item of a file that holds one word."""
    file = host.home / name

    def compare(state: str) -> list[Difference]:
        hint = "remove it" if state == "foreign" else ""
        return [] if state == wanted else [Difference(f"{state or 'nothing'}", hint)]

    return Item(name, f"cat {file} || true", compare, lambda _: f"echo {wanted} >{file}")


def test_an_item_that_differs_is_made_once(host):
    made = Server(host, [entry(host, "one"), entry(host, "two", "other")])
    assert [each.what for _, each in made.differences()] == ["nothing", "nothing"]
    assert list(made.make()) == ["memory: set up entry (nothing)", "memory: set up other (nothing)"]
    assert made.differences() == []
    assert list(made.make()) == []


def test_what_a_person_must_change_is_left_and_the_rest_is_made(host):
    (host.home / "entry").write_text("foreign")
    made = Server(host, [entry(host, "one"), entry(host, "two", "other")])
    lines = made.make()
    assert next(lines) == "memory: set up other (nothing)"
    with pytest.raises(TaskError, match="memory: entry: foreign - remove it") as error:
        next(lines)
    assert error.value.code == ExitCode.PERSON
    assert (host.home / "entry").read_text() == "foreign"


def test_an_item_that_still_differs_is_no_success(host):
    lazy = Item("lazy", "true", lambda _: [Difference("missing")], lambda _: "true")
    with pytest.raises(TaskError, match="memory: lazy: missing, still"):
        list(Server(host, [lazy]).make())


@pytest.mark.parametrize(
    ("script", "said"), [("exit 3", "its state cannot be read"), ("false; echo no", "0 1")]
)
def test_a_state_that_cannot_be_read_is_an_error(host, script, said):
    with pytest.raises(TaskError, match=said):
        server.look(host, [Item("odd", script, lambda _: [], str)])


@pytest.mark.parametrize("text", ["", "with 'quotes'\nand $HOME `id` \\n %s\n", "0 0 aGk=\n", "é"])
def test_a_state_is_read_whatever_it_contains(host, text):
    (host.home / "file").write_text(text)
    items = [Item("one", f"cat {host.home}/file", lambda _: [], str)] * 2
    assert server.look(host, items) == [text.strip()] * 2


def test_a_script_that_reads_its_stdin_does_not_eat_the_next_one(host):
    items = [Item("one", "cat", lambda _: [], str), Item("two", "echo here", lambda _: [], str)]
    assert server.look(host, items) == ["", "here"]


def test_a_file_of_ours_is_written_and_one_of_others_stays(host):
    path, text = host.home / "a folder/it", f"# {MARK}\nsay 'it' $HOME \\n\n"
    made = Server(host, [item.file("file", str(path), text, "640", "touch then")])
    list(made.make())
    assert path.read_text() == text and path.stat().st_mode & 0o777 == 0o640
    assert (host.home / "then").exists()
    path.write_text(f"# {MARK}\nsomething older")
    assert [each.hint for _, each in made.differences()] == [""]
    path.write_text("of somebody else")
    assert [each.hint for _, each in made.differences()] == ["move it away there"]


def test_a_user_without_a_shell_needs_a_person():
    compare = system.user("deploy").compare
    assert [each.what for each in compare("")] == ["deploy is missing"]
    assert compare("deploy:x:1000:1000::/home/deploy:/bin/bash") == []
    (found,) = compare("deploy:x:999:999::/nonexistent:/usr/sbin/nologin")
    assert found.hint == "there: sudo usermod --shell /bin/bash deploy"


def test_packages_that_were_removed_with_their_files_left_are_missing():
    compare = system.packages("nftables", "sudo").compare
    assert compare("nftables installed\nsudo installed") == []
    (found,) = compare("nftables config-files\nsudo installed")
    assert found.what == "nftables missing"


def test_upgrades_that_another_file_turns_off_differ():
    on = 'APT::Periodic::Update-Package-Lists "1";\nAPT::Periodic::Unattended-Upgrade "1";\n'
    held = 'Unattended-Upgrade::Package-Blacklist:: "^runc$";'
    compare = system.upgrades({"runc"}).compare
    assert compare(on + held) == []
    assert [each.what for each in compare(on)] == ["not held back: runc"]
    off = on.replace('Upgrade "1"', 'Upgrade "0"')
    assert [each.what for each in compare(off + held)] == ["Unattended-Upgrade is off"]
