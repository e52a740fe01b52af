"""Looking at the parts: all at once, each for two seconds at most.

Anybody may ask, so everybody who asks within a second gets the same answer, and no more work is done than that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog
from sqlalchemy import text

from api.ports import AppPorts
from api.shapes import PartHealth
from api.shapes import Readiness as Answer
from shared import hints

log = structlog.get_logger(__name__)

PATIENCE_S: Final = 2.0
FRESH_S: Final = 1.0


class Readiness:
    """The state of the parts, looked at when asked."""

    def __init__(self, ports: AppPorts) -> None:
        self._checks: Mapping[str, Callable[[], None]] = {
            "database": lambda: _check_database(ports),
            "broker": lambda: hints.check(ports.settings.broker_url, PATIENCE_S),
            "s3": ports.store.check,
        }
        # Of its own: a part that hangs must not take the threads that serve requests.
        self._threads = {name: ThreadPoolExecutor(2, f"ready-{name}") for name in self._checks}
        self._lock = asyncio.Lock()
        self._last: tuple[float, Answer] | None = None

    async def read(self) -> Answer:
        async with self._lock:
            if self._last is None or time.monotonic() - self._last[0] > FRESH_S:
                parts = dict(zip(self._checks, await asyncio.gather(*map(self._look, self._checks)), strict=True))
                status = "ok" if all(part.state == "ok" for part in parts.values()) else "down"
                self._last = time.monotonic(), Answer.model_validate({"status": status, **parts})
            return self._last[1]

    async def _look(self, name: str) -> PartHealth:
        began_at = time.monotonic()
        detail = None
        try:
            running = asyncio.get_running_loop().run_in_executor(self._threads[name], self._checks[name])
            await asyncio.wait_for(running, PATIENCE_S)
        except TimeoutError:
            detail = f"no answer within {PATIENCE_S:g} s"
        except Exception as error:  # whatever its client raises, the part is down; messages may hold passwords
            detail = type(error).__name__
        if detail is not None:
            log.info("api.part_down", part=name, detail=detail)
        milliseconds = round((time.monotonic() - began_at) * 1000)
        return PartHealth(state="ok" if detail is None else "down", milliseconds=milliseconds, detail=detail)

    def close(self) -> None:
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)


def _check_database(ports: AppPorts) -> None:
    with ports.transaction() as session:
        session.execute(text("SELECT 1"))
