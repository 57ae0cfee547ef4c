"""What a container was given, in docker's words, to compare it with another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Labels that tools set anew for each container.
OURS = ("deploy.", "com.docker.compose.")
# Keys of a container's configuration that were given to it.
GIVEN = (
    *("Image", "Cmd", "Entrypoint", "User", "WorkingDir", "Healthcheck", "StopSignal"),
    *("StopTimeout", "Tty", "OpenStdin"),
)
# Keys that say where a container is, or that differ between engines.
ELSEWHERE = {
    *("NetworkMode", "MaskedPaths", "ReadonlyPaths", "ConsoleSize", "ContainerIDFile"),
    *("CgroupnsMode", "Runtime", "Mounts", "Binds"),
}


def of_container(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that a container was given, but what differs between two of the same kind."""
    config, host = facts["Config"], facts["HostConfig"]
    made = {key: config[key] for key in GIVEN if config.get(key)}
    made["Env"] = dict(each.partition("=")[::2] for each in config.get("Env") or [])
    labels = (config.get("Labels") or {}).items()
    made["Labels"] = {key: each for key, each in labels if not key.startswith(OURS)}
    if config.get("Hostname") != facts["Id"][:12]:
        made["Hostname"] = config["Hostname"]
    made["HostConfig"] = {key: each for key, each in host.items() if each and key not in ELSEWHERE}
    mounts = (
        (each["Target"], {key: value for key, value in each.items() if key != "Target"})
        for each in host.get("Mounts") or []
    )
    made["Mounts"] = dict(sorted(mounts)) | {each: "" for each in sorted(host.get("Binds") or [])}
    made["Networks"] = sorted(facts["NetworkSettings"]["Networks"])
    return made


def accepted(spec: Mapping[str, Any], policy: str) -> dict[str, Any]:
    """Return the spec of a container as it will be with a restart policy."""
    restart = {"Name": policy, "MaximumRetryCount": 0}
    return {**spec, "HostConfig": {**spec["HostConfig"], "RestartPolicy": restart}}
