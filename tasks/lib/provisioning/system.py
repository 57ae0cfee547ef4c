"""The items that every server has: packages, the user of deploys, upgrades without a person."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection

from . import item
from .item import Difference, Item

APT = (
    "apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3"
    " -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"
)
PACKAGES = ("ca-certificates", "nftables", "unattended-upgrades")
UPGRADES = "/etc/apt/apt.conf.d/52-deploy-upgrades"
HELD = r'^Unattended-Upgrade::Package-Blacklist:: "\^(.*)\$";$'
PERIODIC = ("Update-Package-Lists", "Unattended-Upgrade")


def install(*names: str) -> str:
    """Return a script that installs packages, and nothing that they only recommend."""
    return f"{APT} update >/dev/null\n{APT} install --no-install-recommends {shlex.join(names)}\n"


def packages(*names: str) -> Item:
    """Return the item of packages that are installed."""

    def compare(state: str) -> list[Difference]:
        there = {line.split()[0] for line in state.splitlines() if line.endswith(" installed")}
        missing = [name for name in names if name not in there]
        return [Difference(f"{', '.join(missing)} missing")] if missing else []

    form = "'${Package} ${db:Status-Status}\\n'"
    look = f"dpkg-query -W -f={form} {shlex.join(names)} 2>/dev/null || true"
    return Item("packages", look, compare, lambda _: install(*names))


def user(name: str) -> Item:
    """Return the item of a user who can log in."""

    def compare(state: str) -> list[Difference]:
        if not state:
            return [Difference(f"{name} is missing")]
        if re.search(r"/(nologin|false)$", state):
            hint = f"there: sudo usermod --shell /bin/bash {name}"
            return [Difference(f"{name} has no shell ({state.rpartition(':')[2]})", hint)]
        return []

    make = f"useradd --create-home --shell /bin/bash --password '*' {name}\n"
    return Item("user", f"getent passwd {name} || true", compare, lambda _: make)


def keys(name: str, admin: str) -> Item:
    """Return the item of a user's SSH keys: the admin's, if the user has none."""
    home = "$(getent passwd {} | cut -d: -f6)"
    theirs, ours = (f'"{home.format(who)}/.ssh/authorized_keys"' for who in (name, admin))
    look = f"if getent passwd {name} >/dev/null && [ -s {theirs} ]; then echo keys; fi"
    make = f"""[ -s {ours} ] || {{ echo "{admin} has no authorized_keys for {name}" >&2; exit 1; }}
group=$(id -gn {name})
install -d -o {name} -g "$group" -m 700 "{home.format(name)}/.ssh"
install -o {name} -g "$group" -m 600 {ours} {theirs}
"""
    differs = [Difference(f"{name} has no SSH keys; gets those of {admin}")]
    return Item("SSH keys", look, lambda state: [] if state == "keys" else differs, lambda _: make)


def folder(path: str, owner: str) -> Item:
    """Return the item of a folder that a user can write to."""
    where = shlex.quote(path)
    look = f"[ ! -d {where} ] || stat -c %U {where}"

    def compare(state: str) -> list[Difference]:
        if state and state != owner:
            hint = f"there: sudo chown {owner} {path}, or change deploy.path"
            return [Difference(f"{path} belongs to {state}", hint)]
        return [] if state else [Difference(f"{path} is missing")]

    make = f'mkdir -p {where}\nchown {owner}:"$(id -gn {owner})" {where}\n'
    return Item("folder", look, compare, lambda _: make)


def upgrades(held: Collection[str]) -> Item:
    """Return the item of security upgrades every day; of the held packages a person takes care."""
    lines = [f'APT::Periodic::{key} "1";' for key in PERIODIC]
    lines += [f'Unattended-Upgrade::Package-Blacklist {{ "^{name}$"; }};' for name in sorted(held)]
    text = "\n".join([f"// {item.MARK}.", *lines]) + "\n"

    def compare(state: str) -> list[Difference]:
        wanted = [line for line in lines if line.startswith("APT::")]
        listed = {
            *re.findall(r'^Unattended-Upgrade::Package-Blacklist:: "\^(.*)\$";$', state, re.M)
        }
        off = [
            f"{key} is off" for key, line in zip(PERIODIC, wanted, strict=True) if line not in state
        ]
        free = ", ".join(sorted({*held} - listed))
        off += [f"not held back: {free}"] if free else []
        return [Difference(each) for each in off]

    return Item(
        "unattended upgrades", "apt-config dump", compare, lambda _: item.write(UPGRADES, text)
    )
