"""The archive of the database in a stack: where it is, and with which image."""

from __future__ import annotations

from ..environments.connection import Target
from ..errors import ExitCode, TaskError
from ..images import data
from ..project import contract
from ..project.settings import ELSEWHERE


def variables(target: Target) -> dict[str, str]:
    """Return the variables of compose/pitr.yml. Raises TaskError if there can be none."""
    backup, services = target.settings.backup, target.settings.services
    if not backup.pitr:
        return {}
    if ELSEWHERE in target.settings.deploy.secrets:
        what = f"backup.pitr: the database of {ELSEWHERE} is not ours to archive"
        raise TaskError(what, "set it to false: its provider can", ExitCode.REFUSED)
    if contract.ARCHIVE_KEY not in target.settings.deploy.secrets:
        hint = f"add {contract.ARCHIVE_KEY} to deploy.secrets in invoke.yaml"
        raise TaskError("backup.pitr: the archive has no key", hint, ExitCode.REFUSED)
    if backup.endpoint.startswith("http://"):
        hint = "pgBackRest needs https://, or leave out backup.storage"
        raise TaskError("backup.pitr: backup.endpoint has no TLS", hint, ExitCode.REFUSED)
    values = {"DATABASE_IMAGE": data.image(target.registry, services, data.DATABASE)}
    values["ARCHIVE_DAYS"] = str(max(backup.days, 1))
    bucket, _, path = backup.storage.removeprefix("s3://").partition("/")
    if not bucket:
        return values | {"ARCHIVE_TYPE": "posix", "ARCHIVE_PATH": contract.ARCHIVE}
    region = backup.region or "us-east-1"
    return values | {
        "ARCHIVE_TYPE": "s3",
        "ARCHIVE_PATH": "/" + "/".join(filter(None, [path.strip("/"), target.stack, "archive"])),
        "ARCHIVE_BUCKET": bucket,
        "ARCHIVE_ENDPOINT": backup.endpoint or f"s3.{region}.amazonaws.com",
        "ARCHIVE_REGION": region,
    }
