"""An environment's stack: the project's Compose files, filled in for it and pinned."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..docker.compose import Project
from ..environments.connection import Target
from ..errors import ExitCode, TaskError
from ..images import data
from ..images.promotion import Candidate
from ..orchestrators.kinds import OVERLAYS
from ..orchestrators.stack import Stack
from ..project import contract
from ..project.places import KUBERNETES
from ..project.settings import ELSEWHERE, ROOT
from . import archive, database, processes, reporting

FILES = ("compose/base.yml", "compose/server.yml")
# The file that leaves our database out where the secret ELSEWHERE names another one.
EXTERNAL = "compose/external.yml"
# The file with the volume of the app's media, which is on one server.
MEDIA = "compose/media.yml"
# The files with the service of backups, its access to media and to an external database, and the
# archive of the database.
BACKUP, BACKUP_MEDIA = "compose/backup.yml", "compose/backup-media.yml"
BACKUP_EXTERNAL, PITR = "compose/backup-external.yml", "compose/pitr.yml"
BACKUP_KUBERNETES = "compose/backup-kubernetes.yml"
# The file with the exporters for Prometheus.
EXPORTERS = "compose/exporters.yml"


def render(target: Target, image: Candidate, now: Stack | None = None) -> Stack:
    """Return the stack of an image for an environment where `now` runs.

    Raises TaskError if its parts do not fit.
    """
    _require_fitting(target)
    name = str(target.registry.image.at(image.manifest.digest))
    secrets = newest(target, now)
    orchestrator = target.environment.orchestrator
    overlay = OVERLAYS.get(orchestrator)
    settings, base = target.settings, [*FILES, *([overlay] if overlay else [])]
    backup, external = settings.backup.every, ELSEWHERE in secrets
    media = settings.app.media
    chosen = {EXTERNAL: external, MEDIA: media, BACKUP: backup}
    chosen |= {BACKUP_MEDIA: backup and media, BACKUP_EXTERNAL: backup and external}
    measured = settings.monitoring.metrics and contract.METRICS_LOGIN in secrets
    chosen[EXPORTERS] = measured and not external and orchestrator != KUBERNETES
    chosen[PITR] = backup and settings.backup.pitr
    chosen[BACKUP_KUBERNETES] = backup and orchestrator == KUBERNETES
    last = [ROOT / file for file, wanted in chosen.items() if wanted]
    own = settings.services.overlays(ROOT, "server", orchestrator)
    files = [*(ROOT / file for file in base), *own, *last]
    values = variables(target, name, secrets) | (backups(target, secrets) if backup else {})
    config = Project(target.ctx, files, target.stack, values).config()
    config = processes.applied(config, settings, values, target.environment.least)
    config = reporting.of_proxy(config)
    if settings.monitoring.logs:
        config = reporting.shipped(config, settings)
    if contract.REDIS not in config["services"]:
        config["services"].pop("redis-exporter", None)
    if backup and not settings.backup.storage:
        config = without_storage(config)
    return target.orchestrator.render(config, name, secrets)


def _require_fitting(target: Target) -> None:
    """Raise TaskError if an environment cannot have what the app needs."""
    settings = target.settings
    if settings.app.media and (count := len(target.environment.servers)) != 1:
        where = "has several servers" if count else "is on a cluster"
        what = f"app.media: {target.name} {where}, and media are on the disk of one server"
        raise TaskError(what, "see docs/recipes/media.md", ExitCode.REFUSED)
    if settings.backup.pitr and not settings.backup.every:
        hint = "set backup.every in invoke.yaml, too"
        raise TaskError("backup.pitr: there are no backups", hint, ExitCode.REFUSED)
    if settings.backup.pitr and target.environment.orchestrator == KUBERNETES:
        hint = "leave it out, and make backups more often: backup.every"
        raise TaskError(f"backup.pitr: {target.name} is on a cluster", hint, ExitCode.REFUSED)
    reporting.require_addresses(settings)
    if settings.services.database == "mariadb" and ELSEWHERE not in settings.deploy.secrets:
        what = "services.database: no server runs MariaDB, which has no roles and no backups here"
        hint = f"name {ELSEWHERE} in deploy.secrets: docs/recipes/mysql.md"
        raise TaskError(what, hint, ExitCode.REFUSED)
    if settings.services.database == "mariadb" and settings.backup.every:
        what = "backup.every: backups are of PostgreSQL, and services.database is mariadb"
        raise TaskError(what, "set it to 0: its operator backs it up", ExitCode.REFUSED)


def newest(target: Target, now: Stack | None = None) -> dict[str, str]:
    """Return for each of the project's secrets the name of its newest version; empty for none.

    The database's own is that of its beginning: see database.first. Where none can be yet, it is
    that of the first version.
    """
    versions = target.orchestrator.secrets()
    if not versions and target.orchestrator.unmade():
        named = target.settings.deploy.secrets
        versions = {key: [f"{target.stack}_{key}_v1"] for key in named}
    known = {key: [*versions.get(key, []), ""][0] for key in target.settings.deploy.secrets}
    if database.SUPERUSER in known:
        known[database.FIRST] = database.first(versions.get(database.SUPERUSER, []), now)
    return known


def variables(target: Target, image: str, secrets: Mapping[str, str]) -> dict[str, str]:
    """Return what the Compose files are filled in with: all of it, none comes from this shell.

    Args:
        secrets: for each secret the name of its newest version.
    """
    replicas, servers = target.environment.replicas, len(target.environment.servers)
    limit = target.settings.deploy.joblimit
    pace = {"PARALLELISM": str(at_a_time(replicas, servers))}
    values = {key: str(value) for key, value in target.environment.values.items()}
    if not servers and target.url.startswith("https:"):
        # On a cluster, HTTPS ends in front of the proxy.
        pace["TRUSTED_PROXIES"] = "private_ranges"
    pace |= reporting.variables(target)
    pace |= {f"{key}_VERSION": name.rpartition("_")[2] for key, name in secrets.items()}
    return pace | values | target.settings.app.variables() | {
        "IMAGE": image,
        "STACK": target.stack,
        "SITE_URL": target.url,
        "SITE_ADDRESS": address(target.url),
        "JOB_SECONDS": str(limit),
        "JOB_GRACE": f"{limit + contract.JOB_GRACE}s",
    }  # fmt: skip


def backups(target: Target, secrets: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of compose/backup.yml. Raises TaskError if none could be read."""
    backup, readers = target.settings.backup, target.settings.deploy.recipients
    owner = contract.OWNERS[ELSEWHERE]
    if not readers:
        hint = "add public keys of age to deploy.recipients in invoke.yaml; age-keygen makes one"
        raise TaskError("backups have no readers", hint, ExitCode.REFUSED)
    if backup.storage and (lacking := contract.STORAGE - {*target.settings.deploy.secrets}):
        hint = f"add {' and '.join(sorted(lacking))} to deploy.secrets in invoke.yaml"
        raise TaskError("backup.storage has no keys", hint, ExitCode.REFUSED)
    return archive.variables(target) | {
        "DATA_IMAGE": data.image(target.registry, target.settings.services),
        "BACKUP_USER": database.admin(secrets),
        "BACKUP_EVERY": str(backup.every * 3600),
        "BACKUP_KEEP": str(backup.keep),
        "BACKUP_DAYS": str(backup.days),
        "BACKUP_RECIPIENTS": "\n".join(readers),
        "BACKUP_STORAGE": backup.storage and f"{backup.storage.rstrip('/')}/{target.stack}",
        "S3_ENDPOINT": backup.endpoint,
        "S3_REGION": backup.region,
        "DATABASE_SECRET": owner if owner in target.settings.deploy.secrets else ELSEWHERE,
    }


def without_storage(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration whose backups stay on the server, and need no secrets for more."""
    services = {**config["services"]}
    for name in {contract.BACKUP, contract.DATABASE} & services.keys():
        uses = [use for use in services[name]["secrets"] if use["source"] not in contract.STORAGE]
        services[name] = {**services[name], "secrets": uses}
    named = {key: each for key, each in config["secrets"].items() if key not in contract.STORAGE}
    return {**config, "services": services, "secrets": named}


def at_a_time(replicas: int, servers: int) -> int:
    """Return how many replicas are replaced at a time.

    Swarm starts a new one where the fewest are, counting the old ones: of few replicas several at
    a time would come to the same server, and one that dies would take them all.
    """
    return max(replicas // 4, 1 if servers > 1 else 2)


def address(url: str) -> str:
    """Return the proxy's address: a host name for HTTPS, or port 80 for every name.

    The port of a URL is the server's, not the one in the proxy's container.
    """
    host = url.removeprefix("https://")
    return re.sub(r":\d+$", "", host) if host != url else ":80"
