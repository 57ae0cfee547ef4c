"""Log docker in for as long as a block runs, and leave no credentials behind."""

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from invoke import Context

from .. import files
from ..docker import cli, client
from ..errors import TaskError
from ..registry import credentials
from ..registry.client import Registry
from ..registry.session import Denied, Session


@contextmanager
def logged_in(ctx: Context, login: credentials.Login | None) -> Iterator[dict[str, str]]:
    """Log docker in while the block runs; yields the environment to call it with.

    A login that docker has stored is used as it is. Any other goes into a temporary, private
    configuration folder, next to everything else from the user's own.
    """
    if client.is_service():
        # A job's first use of the engine, which may have only just started: wait for it.
        client.version(ctx)
    if login is None or login.stored:
        yield {}
        return
    with files.folder() as private:
        own = credentials.folder()
        for path in own.iterdir() if own.is_dir() else ():
            if path.name != "config.json":
                (private / path.name).symlink_to(path.absolute())
        secret = {"auths", "credsStore", "credHelpers"}
        kept = {k: v for k, v in credentials.config(own).items() if k not in secret}
        (private / "config.json").write_text(json.dumps(kept))
        env = {"DOCKER_CONFIG": str(private)}
        _sign_in(ctx, login, env)
        yield env


@contextmanager
def docker_config(login: credentials.Login | None) -> Iterator[dict[str, str]]:
    """Write a login to a temporary docker configuration, without asking any engine here.

    Docker passes it on to a Swarm. Yields the environment to call docker with. A login that docker
    has stored is used as it is.
    """
    if login is None or login.stored:
        yield {}
        return
    with files.folder() as private:
        pair = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
        auths = {"auths": {login.host: {"auth": pair}}}
        (private / "config.json").write_text(json.dumps(auths))
        yield {"DOCKER_CONFIG": str(private)}


def is_denied(registry: Registry, header: str, name: str) -> bool:
    """Return whether a registry denies an image to a login; False if it does not answer.

    Args:
        header: the login, as Login.header.
        name: the image's digest or tag.
    """
    login, known = credentials.Login.of_header(header, "what is stored"), registry.session
    plain = known.root.startswith("http:")
    # It asks once: a registry that does not answer at the moment denies nothing.
    session = Session(known.host, login, plain, known.ca, retry={"total": 0})
    try:
        Registry(registry.image, session).digest(name)
    except Denied:
        return True
    except TaskError:
        return False
    return False


def _sign_in(ctx: Context, login: credentials.Login, env: Mapping[str, str]) -> None:
    words = ("login", "--password-stdin", "--username", login.user, login.host)
    try:
        cli.run(ctx, *words, env=env, text=login.password)
    except cli.DockerError as error:
        hint = f"correct the login of {login.user} (from {login.origin})"
        raise TaskError(f"docker login {login.host}: {error.reason}", hint) from None
