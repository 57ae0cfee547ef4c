"""An environment's secrets in a file that only the owner of a key can read, encrypted with age."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .. import redaction
from ..errors import ExitCode, TaskError
from ..project import contract
from .connection import Target

IDENTITY = "name the file of an identity of age, or of an SSH private key without a passphrase"


def recipients(keys: Iterable[str]) -> list[Any]:
    """Return public keys of age or SSH, parsed. Raises TaskError for a wrong one, or for none."""
    import pyrage  # type: ignore[import-untyped]

    found = []
    for key in keys:
        kind = pyrage.ssh if key.startswith("ssh-") else pyrage.x25519
        try:
            found.append(kind.Recipient.from_str(key))
        except pyrage.RecipientError as error:
            raise TaskError(f"recipient {key}: {error}", code=ExitCode.REFUSED) from None
    if not found:
        hint = "add --recipient=KEY, or deploy.recipients to invoke.yaml; age-keygen makes a key"
        raise TaskError("who may read the file?", hint, ExitCode.REFUSED)
    return found


def free(name: str) -> Path:
    """Return the path of a file to be written. Raises TaskError if there is one already."""
    file = Path(name)
    if not name or file.exists():
        what = f"{name} exists" if name else "which file?"
        raise TaskError(what, "add --to=FILE, with a new name", ExitCode.REFUSED)
    return file


def encrypted(values: dict[str, str], keys: list[Any]) -> str:
    """Return the text of a file with secrets, for the owners of keys."""
    import pyrage

    return str(pyrage.encrypt(json.dumps(values).encode(), keys, armored=True), "ascii")


def decrypted(name: str, identity: str) -> dict[str, str]:
    """Return the secrets of a file, by name. Raises TaskError if that fails."""
    import pyrage

    try:
        text = pyrage.decrypt(Path(name).read_bytes(), identities(identity))
        values = {str(key): str(value) for key, value in json.loads(text).items()}
    except OSError as error:
        raise TaskError(f"{error.filename}: {error.strerror}", code=ExitCode.REFUSED) from None
    except (pyrage.DecryptError, pyrage.IdentityError, ValueError, AttributeError) as error:
        what = f"{name} cannot be decrypted with {identity or 'no identity'}: {error}"
        raise TaskError(what, IDENTITY, ExitCode.REFUSED) from None
    return {key: redaction.know(key, value) for key, value in values.items()}


def identities(name: str) -> list[Any]:
    """Return the private keys of a file, of age or SSH; none without a file."""
    import pyrage

    content = Path(name).read_bytes() if name else b""
    keys = [line for line in content.decode().splitlines() if line.startswith("AGE-SECRET-KEY-")]
    if keys:
        return [pyrage.x25519.Identity.from_str(key) for key in keys]
    return [pyrage.ssh.Identity.from_buffer(content)]


def values(target: Target) -> dict[str, str]:
    """Return an environment's secrets by name, read on its servers; none where nothing ran yet."""
    image = _image(target)
    found = target.orchestrator.read_secrets(image) if image else {}
    return {key: redaction.know(key, value) for key, value in found.items()}


def _image(target: Target) -> str:
    """Return an image that the servers can run: what runs, ran last, or is released."""
    app = target.orchestrator.services().get(contract.APP)
    ran = [app.image] if app else [each.image for each in target.history.read() if each.image]
    released = "" if ran else target.registry.digest(target.name)
    return ran[0] if ran else str(target.registry.image.at(released)) if released else ""
