"""What runs on a Swarm: each service's spec for comparison, and all of it as a stack."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from ...errors import TaskError
from ...project import contract
from ..stack import HISTORY, RELEASE, Stack
from .client import IMAGE, STACK, Swarm
from .ownership import VERSION

Json = dict[str, Any]
# A service's labels that Docker or a deploy sets anew each time.
MOVING = {STACK, IMAGE, RELEASE, HISTORY}
# Keys of a container's spec that Compose has under another name, with the same value.
SAME = {
    *(("User", "user"), ("Dir", "working_dir"), ("Hostname", "hostname"), ("TTY", "tty")),
    *(("StopSignal", "stop_signal"), ("ReadOnly", "read_only"), ("Init", "init")),
    *(("OpenStdin", "stdin_open"), ("Sysctls", "sysctls"), ("Groups", "group_add")),
}
DURATIONS = {
    *(("Interval", "interval"), ("Timeout", "timeout"), ("StartPeriod", "start_period")),
    ("StartInterval", "start_interval"),
}
UPDATE = {
    *(("Parallelism", "parallelism"), ("FailureAction", "failure_action"), ("Order", "order")),
    ("MaxFailureRatio", "max_failure_ratio"),
}


def spec(service: Mapping[str, Any]) -> Json:
    """Return all that a service was given, but what differs although nothing was changed."""
    made = copy.deepcopy(service["Spec"])
    made["Labels"] = {k: v for k, v in made.get("Labels", {}).items() if k not in MOVING}
    template = made["TaskTemplate"]
    for key in ("ForceUpdate", "Runtime"):
        template.pop(key, None)
    container = template["ContainerSpec"]
    container["Env"] = dict(each.partition("=")[::2] for each in container.get("Env") or [])
    for kind, key in (("Secrets", "SecretID"), ("Configs", "ConfigID")):
        for each in container.get(kind) or []:
            each.pop(key, None)
    return dict(made)


def read(swarm: Swarm, name: str) -> Stack:
    """Return a stack as it runs. Raises TaskError when its app has no image with a digest."""
    services = swarm.services(name)
    networks = {each["Id"]: each["Name"] for each in swarm.objects("network")}
    made = {key: _service(each, name, networks) for key, each in sorted(services.items())}
    image = made.get(contract.APP, {}).get("image", "")
    if "@sha256:" not in image:
        what = f"{name} runs no service {contract.APP} with an image that is pinned by its digest"
        raise TaskError(what, "deploy it anew: inv deploy")
    content: Json = {"version": "3.12", "services": made}
    for kind in ("secrets", "configs"):
        used = (each for service in services.values() for each in _files(service, kind))
        names = sorted({each[f"{kind[:-1].title()}Name"] for each in used})
        content[kind] = {_key(each, name): {"external": True, "name": each} for each in names}
    volumes = (
        volume["source"]
        for service in made.values()
        for volume in service["volumes"]
        if volume["type"] == "volume"
    )
    content["volumes"] = {each: {"name": f"{name}_{each}"} for each in sorted({*volumes})}
    known = {key for service in made.values() for key in service["networks"]}
    content["networks"] = {key: {"name": f"{name}_{key}", "driver": "overlay"} for key in known}
    return Stack(name, image, content)


def _service(service: Mapping[str, Any], stack: str, networks: Mapping[str, str]) -> Json:
    """Return a service in Compose's words."""
    template = service["Spec"]["TaskTemplate"]
    container = template["ContainerSpec"]
    made: Json = {compose: container[key] for key, compose in SAME if container.get(key)}
    made["image"] = container["Image"]
    for key, compose in (("Command", "entrypoint"), ("Args", "command")):
        if container.get(key):
            made[compose] = [_escaped(word) for word in container[key]]
    environment = (each.partition("=")[::2] for each in container.get("Env") or [])
    made["environment"] = {key: _escaped(value) for key, value in environment}
    for key, compose in (("CapabilityAdd", "cap_add"), ("CapabilityDrop", "cap_drop")):
        if container.get(key):
            made[compose] = [each.removeprefix("CAP_") for each in container[key]]
    if grace := container.get("StopGracePeriod"):
        made["stop_grace_period"] = duration(grace)
    made |= (
        {"healthcheck": _health(container["Healthcheck"])} if container.get("Healthcheck") else {}
    )
    for kind in ("secrets", "configs"):
        made[kind] = [_mounted(each, kind, stack) for each in _files(service, kind)]
    made["volumes"] = [_volume(each, stack) for each in container.get("Mounts") or []]
    made["networks"] = {
        networks[each["Target"]].removeprefix(f"{stack}_"): None
        for each in template.get("Networks") or []
    }
    if driver := template.get("LogDriver"):
        made["logging"] = {"driver": driver["Name"], "options": driver.get("Options") or {}}
    ports = service["Spec"].get("EndpointSpec", {}).get("Ports") or []
    made["ports"] = [
        {
            "mode": port["PublishMode"],
            "target": port["TargetPort"],
            "published": port["PublishedPort"],
            "protocol": port["Protocol"],
        }
        for port in ports
    ]
    return {**made, "deploy": _deploy(service["Spec"])}


def _deploy(given: Mapping[str, Any]) -> Json:
    template = given["TaskTemplate"]
    made: Json = {"endpoint_mode": given.get("EndpointSpec", {}).get("Mode", "vip")}
    made["labels"] = {k: _escaped(v) for k, v in given["Labels"].items() if k not in MOVING}
    mode = given["Mode"]
    if "Replicated" in mode:
        made["replicas"] = mode["Replicated"]["Replicas"]
    else:
        made["mode"] = "global"
    for key, compose in (("UpdateConfig", "update_config"), ("RollbackConfig", "rollback_config")):
        if config := given.get(key):
            made[compose] = {word: config[name] for name, word in UPDATE if name in config}
            for name in ("Delay", "Monitor"):
                if config.get(name):
                    made[compose][name.lower()] = duration(config[name])
    made["placement"] = {"constraints": template.get("Placement", {}).get("Constraints") or []}
    resources = template.get("Resources") or {}
    made["resources"] = {
        key.lower(): dict(_limits(each)) for key, each in resources.items() if each
    }
    if restart := template.get("RestartPolicy"):
        made["restart_policy"] = {"condition": restart.get("Condition", "any")}
    return made


def _limits(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if given.get("MemoryBytes"):
        yield "memory", str(given["MemoryBytes"])
    if given.get("NanoCPUs"):
        yield "cpus", f"{given['NanoCPUs'] / 10**9:g}"
    if given.get("Pids"):
        yield "pids", given["Pids"]


def _health(given: Mapping[str, Any]) -> Json:
    made: Json = {word: duration(given[name]) for name, word in DURATIONS if given.get(name)}
    made |= {"retries": given["Retries"]} if given.get("Retries") else {}
    test = [_escaped(word) for word in given.get("Test") or []]
    return made | ({"test": test} if test else {})


def _files(service: Mapping[str, Any], kind: str) -> list[Json]:
    return list(service["Spec"]["TaskTemplate"]["ContainerSpec"].get(kind.title()) or [])


def _mounted(each: Mapping[str, Any], kind: str, stack: str) -> Json:
    file = each["File"]
    source = _key(each[f"{kind[:-1].title()}Name"], stack)
    owner = {"uid": file["UID"], "gid": file["GID"], "mode": file["Mode"]}
    return {"source": source, "target": file["Name"], **owner}


def _volume(mount: Mapping[str, Any], stack: str) -> Json:
    made: Json = {"type": mount["Type"], "target": mount["Target"]}
    made |= {"read_only": True} if mount.get("ReadOnly") else {}
    if mount["Type"] != "tmpfs":
        return made | {"source": mount["Source"].removeprefix(f"{stack}_")}
    size = (mount.get("TmpfsOptions") or {}).get("SizeBytes")
    return made | ({"tmpfs": {"size": size}} if size else {})


def _key(version: str, stack: str) -> str:
    return VERSION.sub("", version.removeprefix(f"{stack}_"))


def _escaped(text: str) -> str:
    # A stack's file is interpolated when it is applied.
    return text.replace("$", "$$")


def duration(nanoseconds: int) -> str:
    """Return a time as Compose writes it, such as 1m30s or 500ms."""
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    if not minutes and rest < 10**9:
        return f"{rest // 10**6}ms"
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours}h"] if hours else []
    parts += [f"{minutes}m"] if minutes or hours else []
    return "".join([*parts, f"{rest / 10**9:g}s"])
