"""Hints: Celery messages whose only content is "look at these rows now".  The only sender.

A hint is sent after the commit of what it hints at, from a thread of its own, and may be lost: a tick finds the
rows anyway.  So sending is never waited for, is bounded in time, and stops for a while when the broker is away.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import structlog
from celery import Celery
from kombu import Connection, Queue

log = structlog.get_logger(__name__)


class Task(StrEnum):
    """The Celery tasks, each with a queue of its own name, so that they can be run and scaled apart."""

    DISPATCH = "dispatch"  #: look who may go next; no rows
    SUBMIT = "submit"  #: make the paid calls of these dispatched jobs
    STORE = "store"  #: store the results of these jobs


ECHO: Final = "darkroom.echo"
"""What a worker process says to itself, through the broker, to know whether it still hears."""


MOST_IN_ONE: Final = 32
"""Rows that one hint names at most: one when idle, some dozens under load."""
ECHO_EXPIRES_S: Final = 60
WAITING_MOST: Final = 10_000
"""Hints that may wait for the broker; more are dropped."""
PAUSE_S: Final = 5.0
"""After a failure nothing is sent for this long: a dead broker costs a second now and then, not always."""

PREFIX: Final = "darkroom:"

CELERY: Final[dict[str, Any]] = {
    "task_serializer": "json",
    "result_serializer": "json",
    "event_serializer": "json",
    "accept_content": ["json"],
    "result_accept_content": ["json"],
    "task_ignore_result": True,
    "task_store_errors_even_if_ignored": False,
    "result_backend": None,
    "task_acks_late": False,
    "task_reject_on_worker_lost": False,
    "task_track_started": False,
    "task_send_sent_event": False,
    "task_queues": [Queue(task.value) for task in Task],
    "task_default_queue": Task.DISPATCH.value,
    "task_create_missing_queues": False,
    "task_routes": {f"darkroom.{task}": {"queue": task.value} for task in Task},
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "timezone": "UTC",
    "enable_utc": True,
}
"""What sender and worker must agree on."""

_SENDER: Final[dict[str, Any]] = {
    "task_publish_retry": False,
    "broker_pool_limit": 2,
    "broker_pool_acquire_timeout": 2,
    "broker_transport_options": {
        "max_retries": 0,
        "socket_timeout": 1,
        "socket_connect_timeout": 1,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "retry_on_timeout": False,
        "max_connections": 10,
        "global_keyprefix": PREFIX,
    },
}


class Hints:
    """Sends hints from a thread of its own; `start` and `stop` it with the process."""

    def __init__(self, broker_url: str) -> None:
        self._celery = Celery("darkroom", broker=broker_url, set_as_current=False)
        self._celery.conf.update(CELERY, **_SENDER)
        self._waiting: queue.Queue[tuple[Task, list[str]] | _Echo | None] = queue.Queue(WAITING_MOST)
        self._thread = threading.Thread(target=self._run, name="hints", daemon=True)
        self._silent_until = 0.0
        self._dispatch_waits = threading.Event()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Send what waits, for at most a few seconds."""
        if not self._thread.is_alive():
            return
        try:
            self._waiting.put(None, timeout=1)
        except queue.Full:
            return
        self._thread.join(timeout=5)

    def dispatch(self) -> None:
        """Somebody may have become free to go."""
        if not self._dispatch_waits.is_set():  # one that waits already will see the same rows
            self._dispatch_waits.set()
            if not self._put(Task.DISPATCH, []):
                self._dispatch_waits.clear()

    def submit(self, job_ids: Sequence[str]) -> None:
        self._in_chunks(Task.SUBMIT, job_ids)

    def store(self, job_ids: Sequence[str]) -> None:
        self._in_chunks(Task.STORE, job_ids)

    def echo(self, hostname: str, sent: Callable[[], None]) -> None:
        """Say something to a worker process; `sent` is called once the broker has it, if it takes it."""
        with suppress(queue.Full):
            self._waiting.put_nowait(_Echo(hostname, sent))

    def _in_chunks(self, task: Task, job_ids: Sequence[str]) -> None:
        size = chunk_size(len(job_ids))
        for start in range(0, len(job_ids), size):
            self._put(task, list(job_ids[start : start + size]))

    def _put(self, task: Task, job_ids: list[str]) -> bool:
        try:
            self._waiting.put_nowait((task, job_ids))
        except queue.Full:
            log.info("hint.dropped", task=task, rows=len(job_ids))
            return False
        return True

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            if isinstance(item, _Echo):
                self._send_echo(item)
                continue
            task, job_ids = item
            if task is Task.DISPATCH:
                self._dispatch_waits.clear()
            if time.monotonic() >= self._silent_until:
                self._send(task, job_ids)

    def _send(self, task: Task, job_ids: list[str]) -> None:
        try:
            self._celery.send_task(f"darkroom.{task}", args=[job_ids] if job_ids else [])
        except Exception as error:  # whatever the broker's client raises: the tick finds the rows
            self._silent_until = time.monotonic() + PAUSE_S
            log.info("hint.lost", task=task, rows=len(job_ids), error=type(error).__name__)

    def _send_echo(self, echo: _Echo) -> None:
        try:
            own: Any = echo_queue(echo.hostname)  # Celery takes a queue that it does not know only whole
            self._celery.send_task(ECHO, queue=own, expires=ECHO_EXPIRES_S)
        except Exception as error:
            log.info("hint.lost", task="echo", error=type(error).__name__)
        else:
            echo.sent()


@dataclass(frozen=True)
class _Echo:
    hostname: str
    sent: Callable[[], None]


def echo_queue(hostname: str) -> Queue:
    """The queue of one worker process, gone with it; its name stays the same through restarts, so none pile up."""
    return Queue(f"echo.{hostname}", auto_delete=True)


def chunk_size(rows: int) -> int:
    """How many rows one hint names: few rows go out one by one, for latency; many by the dozen, for throughput."""
    return max(1, min(MOST_IN_ONE, rows // 8))


def check(broker_url: str, timeout_s: float) -> None:
    """That the broker answers, for as long as the caller has patience.  Raises whatever its client does if not."""
    options = {"max_retries": 0, "socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
    with Connection(broker_url, connect_timeout=timeout_s, transport_options=options) as connection:
        connection.connect()
