"""The Celery app of the workers: settings, logs, ports, and tasks of one line each.

An entry point: `celery -A workers.app:app` and `python -m workers.serve` load it, nothing else does.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, ClassVar, Final

import structlog
from celery import Celery, bootsteps
from celery.signals import setup_logging, worker_shutdown
from celery.worker.components import Pool
from celery.worker.state import active_requests

from shared import claims, hints, logs
from shared.hints import CELERY, ECHO, PREFIX, Task
from shared.settings import Settings
from workers import ports, store, submit
from workers.ports import Ports
from workers.ticks import Ticks

log = structlog.get_logger(__name__)

SAME_SIGNAL_S: Final = 1.0
"""Signals that come this close together are one."""
AT_ONCE: Final = b'{"event": "worker.stopped_at_once", "told": "the rest is taken back", "level": "warning"}\n'

_WORKER: Final[dict[str, Any]] = {
    "worker_prefetch_multiplier": 1,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_enable_prefetch_count_reduction": True,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    "worker_send_task_events": True,
    "broker_pool_limit": 10,
    "broker_pool_acquire_timeout": 2,
    "broker_transport_options": {
        "visibility_timeout": 3600,
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "retry_on_timeout": False,
        "max_connections": 400,
        "global_keyprefix": PREFIX,
        "client_name": "darkroom-worker",
    },
}

settings = Settings.load()
app = Celery("darkroom", broker=settings.broker_url)
app.conf.update(CELERY, **_WORKER)


class Running:
    """What lives as long as the worker process: built when Celery starts it, not when this module is loaded."""

    ports: Ports
    ticks: Ticks


running = Running()


def _wake_dispatch() -> None:
    running.ticks.wake_dispatch()


def _obey_second_signals() -> None:
    """The first signal drains, as Celery does it; another one means at once, and leaves the rest to the sweep."""
    for number in (signal.SIGTERM, signal.SIGINT):
        drain = signal.getsignal(number)
        if callable(drain):
            signal.signal(number, _Again(drain))


def _is_busy() -> bool:
    return len(active_requests) >= settings.worker_threads


class _Again:
    """A signal handler that passes the first signal on.

    What comes with it counts as the same: who stops a whole group sends one to us, and so does who started us.
    """

    asked_at: ClassVar[float | None] = None

    def __init__(self, drain: Callable[[int, FrameType | None], object]) -> None:
        self._drain = drain

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if _Again.asked_at is None:
            _Again.asked_at = time.monotonic()
            self._drain(number, frame)
        elif time.monotonic() - _Again.asked_at > SAME_SIGNAL_S:
            os.write(2, AT_ONCE)  # no logger: the thread that was interrupted may hold its lock
            os._exit(70)


class Rounds(bootsteps.StartStopStep):
    """Starts ports and ticks with the worker; its stop comes before the pool drains."""

    requires = (Pool,)

    def start(self, parent: Any) -> None:
        running.ports = ports.build(settings, _wake_dispatch)
        running.ticks = Ticks(running.ports, parent.hostname, _is_busy)
        app.amqp.queues.select_add(hints.echo_queue(parent.hostname))
        running.ports.hints.start()
        running.ticks.start()
        _obey_second_signals()
        log.info("worker.started", process_id=running.ports.process_id, threads=settings.worker_threads)

    def stop(self, parent: Any) -> None:
        running.ports.stopping.set()
        running.ticks.stop_looking()
        log.info("worker.stopping", process_id=running.ports.process_id)

    terminate = stop


app.steps["worker"].add(Rounds)


@setup_logging.connect
def _set_up_logs(**_: Any) -> None:
    logs.set_up(settings.log_level, settings.log_format, process="worker")


@worker_shutdown.connect
def _leave(**_: Any) -> None:
    """The last paid call is over: say that this process is gone, so that nobody waits for it to look dead."""
    running.ports.near.finish()
    running.ticks.stop()
    with running.ports.transaction() as session:
        running.ports.figures.flush(session)
        claims.leave(session, running.ports.process_id)
    running.ports.experience.learn(running.ports.transaction)
    running.ports.close()
    log.info("worker.stopped", process_id=running.ports.process_id)


@app.task(name=f"darkroom.{Task.DISPATCH}")
def dispatch_jobs() -> None:
    running.ticks.hurry_dispatch()  # in that one thread: two of a process would only find each other's locks


@app.task(name=f"darkroom.{Task.SUBMIT}")
def submit_jobs(job_ids: list[str]) -> None:
    submit.submit(job_ids, running.ports)


@app.task(name=f"darkroom.{Task.STORE}")
def store_results(job_ids: list[str]) -> None:
    store.store(job_ids, running.ports)


@app.task(name=ECHO, send_events=False)
def hear() -> None:
    running.ports.echo.heard()
