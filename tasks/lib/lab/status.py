"""How a lab is: its registry, its servers, and where its environments are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .. import console
from ..errors import TaskError
from ..registry.credentials import Login
from ..registry.session import Session
from . import config_files, state, swarm
from .lab import Lab
from .state import Plan

HEADS = ("WHAT", "STATE", "WHERE", "MORE")
Row = tuple[str, str, str, str]


@dataclass(frozen=True)
class Report:
    """A table, and the names of what is not well."""

    text: str
    wrong: list[str]


def look(lab: Lab) -> Report:
    """Look at everything. Raises TaskError when there is no such lab."""
    plan = state.load(lab.folder)
    if plan is None:
        raise TaskError(f"there is no lab {lab.name}", "inv lab.up")
    members = swarm.members(lab.ask, plan.nodes)
    rows = [_registry(plan), *(_node(lab, plan, node, members) for node in plan.nodes)]
    wrong = [row[0] for row in rows if row[1] != "ok"]
    places = config_files.overlay(plan, lab.settings.project.name, lab.environments)["environments"]
    rows += [(name, "", place["url"], "an environment") for name, place in places.items()]
    return Report(console.table(rows, HEADS), wrong)


def _registry(plan: Plan) -> Row:
    login = Login(plan.host, state.USER, plan.password, "the lab")
    try:
        Session(plan.host, login).request("GET", "/v2/")
    except TaskError as error:
        return "registry", "wrong", plan.host, str(error)
    return "registry", "ok", plan.host, f"lets {login.user} in"


def _node(lab: Lab, plan: Plan, node: str, members: Mapping[str, str]) -> Row:
    answer = lab.ask(node, "version", "--format", "{{.Server.Version}}")
    member = members.get(node, "in no Swarm").strip() if members else "a Swarm without a leader"
    state = "ok" if answer and member.startswith("Ready") else "wrong"
    ssh = f"deploy@127.0.0.1:{plan.ssh[plan.nodes.index(node)]}"
    return node, state, ssh, f"docker {answer or 'does not answer'}, {member}"
