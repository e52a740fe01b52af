"""`?wait=`: answering as soon as a job is finished, or after so many seconds.

Who waits is a future, and holds no session.  One task of each API process asks the database about all jobs that
anybody in it waits for, with one query.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final

import structlog
from sqlalchemy import select
from sqlmodel import col

from shared.db import Transaction
from shared.lifecycle import FINAL, State
from shared.tables import Job

log = structlog.get_logger(__name__)

EVERY_S: Final = 0.2


class Waiting:
    """The jobs that requests of this process wait for."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._waiters: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)
        self._awaited = asyncio.Event()
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def until_settled(self, job_id: str, for_s: float) -> None:
        """Come back when the job is finished or held, when the time is over, or when this process stops."""
        if for_s <= 0 or self._is_closed:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[job_id].add(waiter)
        self._awaited.set()
        try:
            await asyncio.wait_for(waiter, for_s)
        except TimeoutError:
            pass
        finally:
            self._waiters[job_id].discard(waiter)
            if not self._waiters[job_id]:
                del self._waiters[job_id]

    def stop_soon(self) -> None:
        """Let everybody go: the process stops.  May be called from a signal handler or another thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._close)

    def _close(self) -> None:
        self._is_closed = True
        self._release(list(self._waiters))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "waiting") as thread:
            task = asyncio.create_task(self._run(thread))
            try:
                yield
            finally:
                self._close()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _run(self, thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._awaited.wait()
            try:
                self._release(await loop.run_in_executor(thread, self._finished, list(self._waiters)))
            except Exception as error:  # the database is away: those who wait still have time
                log.info("api.waiting_blind", error=type(error).__name__)
            if not self._waiters:
                self._awaited.clear()
            await asyncio.sleep(EVERY_S)

    def _finished(self, job_ids: Sequence[str]) -> Sequence[str]:
        settled = (*FINAL, State.HELD)  # a held job waits for a person, who needs longer than a request lasts
        with self._transaction() as session:
            finished = select(col(Job.id)).where(col(Job.id).in_(job_ids), col(Job.state).in_(settled))
            return session.execute(finished).scalars().all()

    def _release(self, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            for waiter in self._waiters.get(job_id, ()):
                if not waiter.done():
                    waiter.set_result(None)
