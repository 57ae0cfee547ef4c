"""What a target of Prometheus answered again and again, as the answers of any number of targets."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache

from tests.testbed.commands import until
from tests.testbed.measured import SERIES


class Recorded:
    """The answers of one target, which begin again at their end.

    What only ever grew grows on, as counters and clocks do.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        rounds = [dict(SERIES.findall(text)) for text in texts]
        self.rounds = len(rounds)
        self.lines: list[tuple[str, list[str], float]] = []
        for line in texts[-1].splitlines():
            name = line.rpartition(" ")[0]
            if line.startswith("#"):
                self.lines.append((line, [], 0))
            elif all(name in each for each in rounds):
                values = [each[name] for each in rounds]
                self.lines.append((name, values, growth(values)))

    def text(self, number: int) -> str:
        """Return the answer to a scrape; the first one has the number 0."""
        turn, place = divmod(number, self.rounds)
        return "".join(
            f"{name} {moved(values[place], turn * grown)}\n" if values else f"{name}\n"
            for name, values, grown in self.lines
        )


def growth(values: Sequence[str]) -> float:
    """Return how much a series has grown; 0 if it ever became less."""
    known = [float(each) for each in values]
    return known[-1] - known[0] if sorted(known) == known else 0


def moved(value: str, by: float) -> str:
    """Return a value that has grown, written as before."""
    if not by:
        return value
    return str(int(value) + int(by)) if value.isdigit() else repr(float(value) + by)


@contextmanager
def replaying(
    recorded: Mapping[str, Recorded], kinds: Mapping[str, str], port: int
) -> Iterator[None]:
    """Answer as what was recorded, at one port of many addresses of this machine.

    Args:
        kinds: by address, the name of what is recorded, and after a / the release that it bears.
    """
    asked = Counter[str]()

    @cache
    def answer(kind: str, number: int) -> bytes:
        name, _, release = kind.partition("/")
        text = recorded[name].text(number).replace('release="abc"', f'release="{release}"').encode()
        headers = f"Content-Type: text/plain; version=0.0.4\r\nContent-Length: {len(text)}"
        return f"HTTP/1.1 200 OK\r\n{headers}\r\n\r\n".encode() + text

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("sockname")[0]
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(answer(kinds[address], asked[address]))
                asked[address] += 1
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        async with await asyncio.start_server(serve, [*kinds], port, backlog=16):
            up.set()
            await end.wait()

    loop, up = asyncio.new_event_loop(), threading.Event()
    end = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(main(),), daemon=True)
    thread.start()
    try:
        until(up.is_set)
        yield
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
