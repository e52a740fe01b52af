"""Work that a process begins itself, at once: a hint to oneself needs no message."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from workers import trouble


class Near:
    """Threads to spare, and the count of those that are busy."""

    def __init__(self, threads: int) -> None:
        self._lock = threading.Lock()
        self._free = threads
        self._pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix="near")
        self._is_open = threads > 0

    @property
    def free(self) -> int:
        """Threads that are free just now."""
        return self._free if self._is_open else 0

    def take(self, job_ids: Sequence[str], work: Callable[[str], object]) -> Sequence[str]:
        """Begin as many of them as there are threads free.

        Returns:
            The rest, which others should be told of.
        """
        for number, job_id in enumerate(job_ids):
            if not self._begin():
                return job_ids[number:]
            self._pool.submit(self._do, work, job_id)
        return []

    def _do(self, work: Callable[[str], object], job_id: str) -> None:
        try:
            work(job_id)
        except Exception as error:
            trouble.tell("near.failed", error, job_id=job_id)  # the row is found again: by a tick or the sweep
        finally:
            with self._lock:
                self._free += 1

    def _begin(self) -> bool:
        with self._lock:
            if not self._is_open or self._free <= 0:
                return False
            self._free -= 1
            return True

    def finish(self) -> None:
        """Begin nothing more, and wait for what was begun."""
        self._is_open = False
        self._pool.shutdown(wait=True)
