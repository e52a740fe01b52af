"""Whether this process still hears: it says something to itself through the broker, and waits for it.

A Celery worker may stop to consume although it lives, after its broker was away.  Ticks find the rows all the same,
only later; so such a process says that it is deaf and ends, to be started again.  While the broker takes nothing, or
all threads are busy, nobody can tell.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

SAID_LEAST: Final = 3
"""So many must have been said in vain, so that one that was lost with the broker's memory is no proof."""


class Echo:
    """What was said and not heard yet."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._said = 0
        self._since = 0.0

    def said(self) -> None:
        """The broker has another one."""
        with self._lock:
            if self._said == 0:
                self._since = self._clock()
            self._said += 1

    def heard(self) -> None:
        """One has come back, or nobody could have heard it."""
        with self._lock:
            self._said = 0

    @property
    def silent_s(self) -> float:
        """For how long everything was said in vain, seconds; 0 while that proves nothing."""
        with self._lock:
            return self._clock() - self._since if self._said >= SAID_LEAST else 0.0
