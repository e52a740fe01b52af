"""What tests of the roles do with rows: make them, read them again, wait for what they become."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any, Final

from sqlmodel import col, func, select

from shared.lifecycle import State
from shared.tables import Artifact, Event, Job, JobResult
from tests import factories
from workers.ports import Ports

WAIT_S: Final = 20
LATE_S: Final = 5
"""So long a busy machine may take from a write to our look at it."""


def prompt(*tags: str) -> str:
    """One that the sandbox's ledger knows from all others, with the sandbox's tags."""
    return " ".join([f"boat {uuid.uuid4().hex}", *(f"[[sandbox {tag}]]" for tag in tags)])


def make(ports: Ports, **columns: Any) -> Job:
    """A committed job, dispatched unless told otherwise."""
    with ports.transaction() as session:
        return factories.job(session, **{"state": State.DISPATCHED, "prompt": prompt(), **columns})


def read(ports: Ports, job: Job) -> Job:
    """The row as it is now."""
    with ports.transaction() as session:
        return factories.reread(session, job)


def due_in_s(ports: Ports, job: Job) -> float:
    """How far ahead of the database's clock it is due."""
    with ports.transaction() as session:
        due = select(func.extract("epoch", col(Job.due_at) - func.now())).where(col(Job.id) == job.id)
        return float(session.execute(due).scalar_one())


def is_due_in(ports: Ports, job: Job, seconds: float) -> bool:
    """Whether it was told to be due in so long, some seconds ago at most."""
    return seconds - LATE_S < due_in_s(ports, job) <= seconds


def result(ports: Ports, job: Job) -> JobResult:
    with ports.transaction() as session:
        found = session.get(JobResult, job.id)
    assert found is not None
    return found


def error(ports: Ports, job: Job) -> dict[str, Any]:
    told = result(ports, job).error
    assert told is not None
    return told


def causes(ports: Ports, job: Job) -> list[str | None]:
    """Why it moved, in order."""
    with ports.transaction() as session:
        moves = select(Event.cause).where(col(Event.job_id) == job.id, col(Event.cause).is_not(None))
        return list(session.exec(moves.order_by(col(Event.seq))))


def artifacts(ports: Ports, job: Job) -> list[Artifact]:
    with ports.transaction() as session:
        found = select(Artifact).where(col(Artifact.job_id) == job.id)
        return list(session.exec(found.order_by(col(Artifact.attempt), col(Artifact.index))))


def until(condition: Callable[[], Any], wait_s: float = WAIT_S) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + wait_s
    while not condition():
        assert time.monotonic() < deadline, f"it did not come true within {wait_s} s"
        time.sleep(0.02)


def until_state(ports: Ports, job: Job, *states: State, wait_s: float = WAIT_S) -> Job:
    """The row once it is in one of these states."""
    until(lambda: read(ports, job).state in states, wait_s)
    return read(ports, job)
