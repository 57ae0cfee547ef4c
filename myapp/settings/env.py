"""One way to read a variable: the environment, else the file /run/secrets/NAME.

Problems are collected, so that a start that cannot work names all of them in one line.
"""

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlsplit

from environ import Env

T = TypeVar("T")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True)
class Variable(Generic[T]):
    """A variable: its name, how its text is read (ValueError if wrong), what would be right."""

    name: str
    parse: Callable[[str], T]
    right: str


class Variables:
    """Reads variables and remembers what is missing or wrong."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[str] = []

    def optional(self, variable: Variable[T], default: T) -> T:
        """Returns the variable's value, or the default when it is not set."""
        return self._read(variable, default, is_required=False)

    def required(self, variable: Variable[T], stand_in: T) -> T:
        """Returns the variable's value; when it is not set, notes that and goes on."""
        return self._read(variable, stand_in, is_required=True)

    def _read(self, variable: Variable[T], default: T, *, is_required: bool) -> T:
        """Reads a variable; a problem is noted without the value, which may be a secret."""
        name, file = variable.name, self.folder / variable.name
        text, place = os.environ.get(name, ""), "the environment"
        try:
            if not text and file.exists():
                text, place = file.read_text().strip(), str(file)
            if text:
                return variable.parse(text)
            if is_required:
                places = f"the environment or in {file}"
                self.problems.append(f"{name} is missing, set it in {places} to {variable.right}")
        except OSError as error:
            self.problems.append(f"{name} cannot be read from {file}: {error.strerror}")
        except ValueError:
            self.problems.append(f"{name} in {place} is wrong, it must be {variable.right}")
        return default

    def stop_if_wrong(self) -> None:
        """Ends the process with one line when a variable is missing or wrong."""
        if self.problems:
            sys.exit(f"myapp cannot start: {'; '.join(self.problems)}.")


def host_of(origin: str) -> str:
    """Returns the host of an origin, without its port."""
    return re.sub(r":\d+$", "", urlsplit(origin).netloc)


def _secret_key(text: str) -> str:
    """Returns a key that is long and varied enough for Django's own deployment check."""
    if len(text) < 50 or len(set(text)) < 5 or text.startswith("django-insecure-"):
        raise ValueError
    return text


def _site_url(text: str) -> str:
    """Returns an origin: http or https, a host, perhaps a port, nothing else."""
    origin = text.rstrip("/").lower()
    if not re.fullmatch(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?", origin):
        raise ValueError
    return origin


def _database(text: str) -> dict[str, Any]:
    """Returns Django's settings of a PostgreSQL or SQLite database."""
    scheme, _, rest = text.partition("://")
    if scheme not in ("postgres", "postgresql", "sqlite") or not rest:
        raise ValueError
    config = Env.db_url_config(text)
    if not config["NAME"]:
        raise ValueError
    return dict(config)


def _redis(text: str) -> str:
    """Returns the URL of a Redis server."""
    url = urlsplit(text)
    if url.scheme not in ("redis", "rediss") or not url.hostname or url.port == 0:
        raise ValueError
    return text


def with_password(url: str, password: str) -> str:
    """Returns the URL of a server with a password, unless the URL has one or names no user."""
    parts = urlsplit(url)
    if not password or not parts.username or parts.password:
        return url
    where = f"{parts.username}:{quote(password, safe='')}@{parts.netloc.rpartition('@')[2]}"
    return parts._replace(netloc=where).geturl()


def _names(text: str) -> list[str]:
    """Returns a comma-separated list, without blanks."""
    return [name.strip() for name in Env.parse_value(text, list) if name.strip()]


def _seconds(text: str) -> int:
    """Returns a whole number of seconds, at least one."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError
    return int(text)


def _level(text: str) -> str:
    """Returns the name of a log level."""
    if text.upper() not in LEVELS:
        raise ValueError
    return text.upper()


SECRET_KEY = Variable("SECRET_KEY", _secret_key, "50 or more random characters")
SITE_URL = Variable(
    "SITE_URL", _site_url, "the public address without a path, like https://links.example.com"
)
ALLOWED_HOSTS = Variable("ALLOWED_HOSTS", _names, "host names with commas between them")
DATABASE_URL = Variable(
    "DATABASE_URL",
    _database,
    "postgres://user:password@host:5432/name, special characters percent-encoded",
)
DATABASE_PASSWORD = Variable("DATABASE_PASSWORD", str, "the database user's password")
REDIS_PASSWORD = Variable("REDIS_PASSWORD", str, "the password of the user in REDIS_URL")
REDIS_URL = Variable("REDIS_URL", _redis, "redis://host:6379/0")
JOB_SECONDS = Variable("JOB_SECONDS", _seconds, "a number of seconds")
VERSION = Variable("VERSION", str, "the commit that runs")
ROLE = Variable("ROLE", str, "what this process does, such as web or worker")
LOG_LEVEL = Variable("LOG_LEVEL", _level, f"one of {', '.join(LEVELS)}")
STATIC_ROOT = Variable("STATIC_ROOT", Path, "a folder")

env = Variables(Path(os.environ.get("SECRETS_DIR") or "/run/secrets"))
