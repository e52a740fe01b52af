"""Free ports on loopback: the wished one, else that of the last start, else any.

Nothing can keep a port for a child that binds it later, so a chosen port may be lost to another process.
Three things make that rare: ports are drawn from outside the range that the kernel gives to outgoing
connections, at random, and a start that failed on a lost port is tried again with others (`stage.py`).
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path

from deploy.local import records
from shared.errors import SettingsError

LOWEST, HIGHEST = 12_000, 21_999
"""Ports are drawn from here; with their twins they stay below 32768, where outgoing connections begin."""
TWIN = 10_000
"""SeaweedFS takes the gRPC port of each of its servers to be this much higher."""
DRAWS = 1_000


@dataclass(frozen=True)
class Want:
    """A port that somebody needs.  `wished` 0: any.  `twin`: the port `TWIN` above must be free as well."""

    name: str
    wished: int = 0
    twin: bool = False


def is_free(port: int) -> bool:
    """Nobody listens on this port of 127.0.0.1, and we may."""
    with socket.socket() as probe:
        # As servers do; without it a port whose connections closed a moment ago counts as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def draw() -> int:
    return random.randint(LOWEST, HIGHEST)  # noqa: S311 - spreads ports, no secret


def choose(
    wants: Sequence[Want],
    remembered: Mapping[str, int],
    is_free: Callable[[int], bool] = is_free,
    draw: Callable[[], int] = draw,
) -> dict[str, int]:
    """A free port for each want, by name, no two alike.

    Raises:
        SettingsError: there is no free port.
    """
    ports_by_name: dict[str, int] = {}
    taken: set[int] = set()
    for want in wants:
        port = _first_free(want, remembered.get(want.name, 0), taken, is_free, draw)
        ports_by_name[want.name] = port
        taken |= span(port, want)
    return ports_by_name


def _first_free(
    want: Want, remembered: int, taken: set[int], is_free: Callable[[int], bool], draw: Callable[[], int]
) -> int:
    for port in _candidates(want.wished, remembered, draw):
        needed = span(port, want)
        if not needed & taken and all(is_free(each) for each in needed):
            return port
    raise SettingsError(f"no free port for {want.name} on 127.0.0.1 between {LOWEST} and {HIGHEST}")


def _candidates(wished: int, remembered: int, draw: Callable[[], int]) -> Iterator[int]:
    known = (port for port in (wished, remembered) if port)
    return chain(known, (draw() for _ in repeat(None, DRAWS)))


def span(port: int, want: Want) -> set[int]:
    """All ports that this want takes."""
    return {port, port + TWIN} if want.twin else {port}


class Book:
    """The ports of one data folder, in `DIR/ports.json`, so that the next start has the same addresses."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "ports.json"

    def take(self, wants: Sequence[Want]) -> dict[str, int]:
        remembered = records.read(self.path)
        chosen = choose(wants, remembered)
        records.write(self.path, remembered | chosen)
        return chosen

    def lost(self, wants: Sequence[Want]) -> list[int]:
        """Which of the ports that were taken for these wants somebody else holds by now."""
        remembered = records.read(self.path)
        needed = chain.from_iterable(span(remembered[want.name], want) for want in wants)
        return sorted(port for port in needed if not is_free(port))
