"""daemon.json, the configuration of a server's engine: keys are added, those of others stay."""

from __future__ import annotations

import json
from typing import Any

from ..provisioning import item
from ..provisioning.item import Difference, Item

CONFIG = "/etc/docker/daemon.json"
# A container's log has at most 100 MB.
ROTATION = {"max-size": "20m", "max-file": "5"}
# A flag of the engine that runs may say the same as the file: then it would start no more.
VALIDATE = """
if command -v dockerd >/dev/null; then
    pid=$(cat /run/docker.pid 2>/dev/null || echo none)
    check='exec "$0" "$@" --validate --config-file {new} >/dev/null'
    if [ -r /proc/$pid/cmdline ]; then xargs -0 -a /proc/$pid/cmdline sh -c "$check"
    else sh -c "$check" dockerd; fi
fi
"""


def configuration(swarm: bool) -> Item:
    """Return the item of daemon.json, for servers of a Swarm or not; the keys of others stay."""

    def compare(state: str) -> list[Difference]:
        try:
            there = json.loads(state or "{}")
            keys = ", ".join(additions(there))
            return conflicts(there, swarm) or ([Difference(f"{keys} not set")] if keys else [])
        except (ValueError, AttributeError, TypeError):
            return [Difference(f"{CONFIG} cannot be read", "correct its JSON there")]

    return Item("daemon.json", f"cat {CONFIG} 2>/dev/null || true", compare, write_configuration)


def write_configuration(state: str) -> str:
    """Return the script that adds our keys to daemon.json, once the engine has accepted them."""
    there = json.loads(state or "{}")
    text = json.dumps(there | additions(there), indent=2) + "\n"
    new = f"{CONFIG}.candidate"
    former = f"[ ! -e {CONFIG} ] || cp -p {CONFIG} {CONFIG}.former\n"
    return item.write(new, text) + VALIDATE.format(new=new) + former + f"mv {new} {CONFIG}\n"


def additions(there: dict[str, Any]) -> dict[str, Any]:
    """Return the keys that daemon.json lacks: logs that rotate, and no new privileges.

    A log driver that was chosen stays; Docker's own default, json-file, never rotates.
    """
    found: dict[str, Any] = {}
    options = there.get("log-opts", {})
    if "log-driver" not in there and not options:
        found = {"log-driver": "local", "log-opts": ROTATION}
    elif there.get("log-driver", "json-file") == "json-file" and "max-size" not in options:
        found = {"log-opts": {**options, **ROTATION}}
    if "no-new-privileges" not in there:
        found["no-new-privileges"] = True
    return found


def conflicts(there: dict[str, Any], swarm: bool) -> list[Difference]:
    """Return what others have set in daemon.json that a Swarm or its containers must not have."""
    found = []
    if swarm and there.get("live-restore"):
        # Docker refuses: https://docs.docker.com/engine/containers/live-restore/
        hint = "there: remove live-restore, then sudo systemctl reload docker"
        found.append(Difference(f"{CONFIG}: live-restore does not work with a Swarm", hint))
    if there.get("no-new-privileges") is False:
        hint = "remove no-new-privileges there"
        found.append(Difference(f"{CONFIG}: containers may gain privileges", hint))
    return found
