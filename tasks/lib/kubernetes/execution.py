"""A command in a container, which reads what is written to it meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, BinaryIO

Write = Callable[[BinaryIO], None]


def fed(run: Callable[..., Any], write: Write) -> Any:
    """Run a command whose stdin is written piece by piece; return its result.

    Raises what `write` raises, after ending the command.
    """
    reading, writing = os.pipe()
    with ThreadPoolExecutor(1) as pool, open(reading, "rb") as source:
        written = pool.submit(_write, writing, write)
        try:
            return run(stdin=source)
        finally:
            # Who writes notices that nobody reads any further.
            source.close()
            written.result()


def _write(pipe: int, write: Write) -> None:
    with suppress(BrokenPipeError), open(pipe, "wb") as output:
        write(output)
