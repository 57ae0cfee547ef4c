"""After a deploy: images on the servers that no remembered deploy needs are deleted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from .. import console
from ..environments.connection import Target

# The digests in the histories of all environments; it fails if one cannot be read.
REMEMBERED = """
[ -d "$1" ] || exit 0
find "$1" -path "*/releases/*" -name release.json -exec \\
    sh -c 'grep -hoE "sha256:[0-9a-f]{64}" "$@" || [ $? = 1 ]' grep {} +
"""


def tidy_images(target: Target) -> None:
    """Delete our images on the servers that no environment remembers and nothing runs."""
    keep, path = set(), target.settings.deploy.path
    with ThreadPoolExecutor() as pool:
        # Each server may be the first one of an environment.
        for text in pool.map(lambda host: host.run(REMEMBERED, path, changes=False), target.hosts):
            keep |= {*text.split()}
    for problem in target.orchestrator.tidy_images(target.registry.image.name, keep):
        console.warn(f"old images could not be removed: {problem}")
