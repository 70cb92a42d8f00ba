"""A recording proxy in a thread with a loop of its own, for clients on any event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio

from xai_realtime.cassette.tape import Cassette, load_cassette
from xai_realtime.proxy import ProxyAddress, ProxyReport, run_proxy

__all__ = ["LIMIT_S", "Running", "proxied"]

LIMIT_S = 10.0


class Running:
    """A proxy that runs: its address, and once it has ended, its report and what it said."""

    def __init__(self) -> None:
        self.address: ProxyAddress
        self.report: ProxyReport
        self.said: list[str] = []
        self.news = threading.Condition()
        self.failure: BaseException | None = None

    @property
    def url(self) -> str:
        """Where realtime clients are pointed."""
        return self.address.socket_url

    def settle(self) -> None:
        """Wait until every connection that was opened is over."""
        with self.news:
            assert self.news.wait_for(lambda: self.failure or self.count("over") == self.count("open"), LIMIT_S), (
                self.said
            )

    def tell(self, line: str) -> None:
        """What the proxy says of a connection."""
        with self.news:
            self.said.append(line)
            self.news.notify_all()

    def count(self, word: str) -> int:
        """How many connections are told to be that."""
        return sum(line.endswith(f": {word}") for line in self.said)

    @property
    def tape(self) -> Cassette:
        """The tape that was made."""
        return load_cassette(self.report.path)


@contextmanager
def proxied(upstream: str, path: Path, **settings: Any) -> Iterator[Running]:
    """Run a proxy to the origin of `upstream`; it is stopped, and its tape finished, at the end."""
    running = Running()
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop: list[anyio.Event] = []

    async def main() -> None:
        stop.append(anyio.Event())

        def tell(address: ProxyAddress) -> None:
            running.address = address
            started.set()

        origin = "/".join(upstream.split("/")[:3])
        running.report = await run_proxy(origin, path, started=tell, stop=stop[0], said=running.tell, **settings)

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(main())
        except BaseException as failure:  # noqa: BLE001
            running.failure = failure
            with running.news:
                running.news.notify_all()
        started.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(LIMIT_S)
    try:
        yield running
        running.settle()
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(stop[0].set)
        thread.join(LIMIT_S)
        assert not thread.is_alive()
