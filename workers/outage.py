"""Whether results can be kept: while S3 or the spool has failed for long, nothing new is paid for.

Each process looks for itself, so a host whose own disk is full stops alone.  What is paid for goes on: it is fetched,
spooled and stored as soon as that is possible again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import structlog

from shared import claims
from shared.errors import StorageUnavailable

if TYPE_CHECKING:
    from workers.ports import Ports

log = structlog.get_logger(__name__)

LONG_S: Final = 10.0
"""A failure of S3 that is over sooner stops nothing."""
LEAST_FREE_BYTES: Final = 256 * 2**20
"""With less room than this the spool cannot take the results of the calls that are under way."""


class Outage:
    """What the looks of this process have found."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._since: float | None = None
        self._is_s3 = False
        self.trouble = ""
        """What is wrong, for people; empty: nothing."""

    def note(self, trouble: str, *, is_s3: bool = False) -> bool:
        """Keep what a look has found, an empty text for nothing wrong; whether that ends an outage.

        Args:
            is_s3: the trouble is that of S3, and not of our disk.
        """
        with self._lock:
            ended = not trouble and self._since is not None
            self.trouble = trouble
            self._is_s3 = is_s3
            if not trouble:
                self._since = None
            elif self._since is None:
                self._since = self._clock()
        return ended

    @property
    def is_long(self) -> bool:
        """Whether nothing should be begun that would have to be kept."""
        with self._lock:
            return self._since is not None and self._clock() - self._since >= LONG_S

    @property
    def is_s3_away(self) -> bool:
        """Whether S3 has failed for so long that results are only fetched; trying it each time would take minutes."""
        return self.is_long and self._is_s3


def look(ports: Ports) -> None:
    """Write to S3 and read it back, and see how much room the spool has."""
    before = ports.outage.trouble
    of_disk = _trouble_of_disk(ports)
    trouble = of_disk or _trouble_of_s3(ports)
    if ports.outage.note(trouble, is_s3=not of_disk):
        with ports.transaction() as session:
            hurried = claims.storage_is_back(session)
        log.info("outage.over", told="dispatch goes on", was=before, hurried=hurried)
        ports.wake_dispatch()
    elif trouble and not before:
        log.warning("outage.begins", told=f"after {LONG_S:g} s nothing new is dispatched", trouble=trouble)


def _trouble_of_disk(ports: Ports) -> str:
    free = ports.spool.free_bytes()
    return f"the disk of the spool has {free} bytes left" if free < LEAST_FREE_BYTES else ""


def _trouble_of_s3(ports: Ports) -> str:
    try:
        ports.store.check()
    except StorageUnavailable as error:
        return str(error)
    return ""
