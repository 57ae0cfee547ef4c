"""Whether the quotas of a namespace have room for what a rollout starts beside what runs. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]
UNITS = {"m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
UNITS |= {f"{unit}i": 1024.0**power for power, unit in enumerate("KMGT", 1)}
QUANTITY = re.compile(r"([\d.]+)([a-zA-Z]*)")


def problems(
    quotas: Sequence[Object], workloads: Sequence[Object], running: Collection[str]
) -> Iterator[str]:
    """Yield a line for each quota without the room for a rollout.

    Args:
        running: the names of the workloads that run already.
    """
    needed = Counter[str]()
    for each in workloads:
        needed.update(_started(each, each["metadata"]["name"] in running))
    for quota in quotas:
        known = quota.get("status") or {}
        for name, hard in (known.get("hard") or {}).items():
            wanted = needed[name] or needed[f"requests.{name}"]
            used = (known.get("used") or {}).get(name, "0")
            if wanted and (left := amount(hard) - amount(used)) < wanted:
                yield (
                    f"quota {quota['metadata']['name']}: {name} has {_text(left)} of {hard} left,"
                    f" and the rollout needs {_text(wanted)} - raise it, or lower `values`"
                )


def _started(workload: Object, runs: bool) -> Counter[str]:
    """Return what the new pods of a workload take while the old ones run."""
    spec = workload["spec"]
    count = int(spec.get("replicas", 1))
    if runs:
        surge = (spec.get("strategy") or {}).get("rollingUpdate", {}).get("maxSurge", 0)
        count = min(count, int(surge))
    pod = _taken(spec["template"]["spec"])
    return Counter({name: number * count for name, number in pod.items()})


def _taken(pod: Object) -> Counter[str]:
    """Return what a pod takes of quotas; containers that start before it may take as much."""
    found = Counter({"pods": 1.0})
    for kind, join in (("containers", sum), ("initContainers", max)):
        each = [_resources(container) for container in pod.get(kind) or []]
        for name in set[str]().union(*each):
            found[name] = max(found[name], join(one[name] for one in each))
    return found


def _resources(container: Object) -> Counter[str]:
    given = container.get("resources") or {}
    return Counter(
        {f"{kind}.{name}": amount(text) for kind in given for name, text in given[kind].items()}
    )


def amount(text: Any) -> float:
    """Return a quantity as a number: 500m, 1.5, 512Mi."""
    found = QUANTITY.fullmatch(str(text))
    return float(found[1]) * UNITS.get(found[2], math.nan) if found else math.nan


def _text(number: float) -> str:
    """Return a number as people write it."""
    unit = next((name for name in ("Gi", "Mi") if number >= UNITS[name]), "")
    return f"{number / UNITS[unit]:.3g}{unit}"
