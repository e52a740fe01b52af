"""I3, I6: who looks for a late result, or stores it, dies at each line of it, and another one keeps the result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import text
from sqlmodel import col, select

from api.jobs import steering
from shared import ids
from shared import late as late_rows
from shared.lifecycle import State
from shared.tables import Event, Job, LateResult, LateState
from tests import rows
from tests.chaos.test_death_at_every_line import Line, Mortal, not_kept
from tests.factories import RecordedHints
from workers import late, submit
from workers.ports import Ports

FILES: Final = {str(module.__file__) for module in (late, late_rows)}
"""The lines of `store.py` are the same as for a job's own result, and have their deaths there."""
ROUNDS: Final = 6


def canceled(ports: Ports) -> Job:
    """A film that the gateway has, and that nobody wants any more."""
    job = rows.make(ports, operation="video.create", prompt=rows.prompt("render=plain"))
    submit.submit([job.id], ports)
    assert rows.read(ports, job).state is State.RUNNING
    with ports.transaction() as session:
        steering.cancel(session, job.project_id, job.id)
    return job


def come_due(ports: Ports, job: Job) -> None:
    """Let time pass: leases end, and those who died count as dead."""
    with ports.transaction() as session:
        session.execute(
            text("""UPDATE late_results SET due_at = now()
                WHERE job_id = :id AND state IN ('looking', 'storing')"""),
            {"id": job.id},
        )


def state_of(ports: Ports, job: Job) -> LateState:
    with ports.transaction() as session:
        return session.exec(select(LateResult.state).where(col(LateResult.job_id) == job.id)).one()


def finish(ports: Ports, job: Job) -> LateState:
    """What another process makes of it."""
    other = replace(ports, process_id=ids.new("process"), hints=RecordedHints())
    for _ in range(ROUNDS):
        come_due(other, job)
        late.look(other)
        come_due(other, job)
        late.keep(other)
        if state_of(other, job) not in late_rows.UNFINISHED:
            break
    return state_of(other, job)


def told(ports: Ports, job: Job) -> int:
    """How often it was told that the result is kept."""
    with ports.transaction() as session:
        found = select(Event.data).where(col(Event.job_id) == job.id, col(Event.type) == late_rows.EVENT)
        return sum((data or {}).get("late") == LateState.STORED for data in session.exec(found))


@pytest.mark.timeout(600)
def test_whoever_dies_wherever_the_late_result_is_kept_once(ports: Ports) -> None:
    wrong: list[str] = []

    def one(dies_at: Line | None) -> Mortal:
        job = canceled(ports)
        process = Mortal(ports, FILES, dies_at)
        process.live(late.look)
        come_due(ports, job)
        process.live(late.keep)
        state = finish(ports, job)
        at = "nowhere" if dies_at is None else f"{Path(dies_at[0]).name}:{dies_at[1]}"
        if state is not LateState.STORED:
            wrong.append(f"death at {at}: {state}")
        if len(rows.artifacts(ports, job)) != 1 or told(ports, job) != 1:
            wrong.append(f"death at {at}: {len(rows.artifacts(ports, job))} artifacts, told {told(ports, job)} times")
        if rows.read(ports, job).state is not State.CANCELED:
            wrong.append(f"death at {at}: {rows.read(ports, job).state}")
        wrong.extend(f"death at {at}: {trouble}" for trouble in not_kept(ports, job))
        return process

    lines = list(one(None).lines)
    ends = [one(line).is_dead for line in lines]

    assert len(lines) > 50, "the tracer does not see the ticks"
    assert sum(ends) >= len(lines) * 0.9, "most runs should die where they are told to"
    assert wrong == []
