"""The world in memory, for the modules that work on an environment."""

from tests.orchestrators.conftest import world  # noqa: F401
