"""A job's whole way through the roles, hint by hint: real database, real S3, real sandbox gateway."""

from __future__ import annotations

import pytest
from sqlalchemy import func
from sqlmodel import col, select, update

from shared.lifecycle import State
from shared.tables import Artifact, Event, Job
from tests import factories
from tests.factories import RecordedHints
from workers import dispatch, poll, store, submit
from workers.ports import Ports


def run_until_settled(ports: Ports, job_id: str, rounds: int = 12) -> Job:
    """What hints and ticks would do, one after the other, with every wait cut short."""
    hints = ports.hints
    assert isinstance(hints, RecordedHints)
    for _ in range(rounds):
        with ports.transaction() as session:
            session.execute(update(Job).where(col(Job.id) == job_id).values(due_at=func.now()))
        dispatch.dispatch(ports)
        submit.submit([job_id] if job_id in hints.submits else [], ports)
        poll.poll(ports)
        store.store([job_id], ports)  # other tests leave results behind, and the tick takes the oldest
        with ports.transaction() as session:
            row = session.get(Job, job_id)
            assert row is not None
            if row.state in (State.SUCCEEDED, State.FAILED, State.HELD):
                return row
    raise AssertionError(f"still {row.state} after {rounds} rounds")


@pytest.mark.parametrize(
    ("operation", "params", "states"),
    [
        ("image.generate", {"response_format": "url"}, "dispatched submitting storing succeeded"),
        ("image.generate", {"response_format": "b64_json"}, "dispatched submitting storing succeeded"),
        ("video.create", {"seconds": 4}, "dispatched submitting running storing succeeded"),
        ("midjourney.imagine", {}, "dispatched submitting running storing succeeded"),
    ],
)
def test_a_job_ends_with_its_artifact_in_s3_and_every_move_told(
    ports: Ports, operation: str, params: dict[str, object], states: str
) -> None:
    with ports.transaction() as session:
        job = factories.job(session, operation=operation, params=params)

    ended = run_until_settled(ports, job.id)

    assert ended.state is State.SUCCEEDED, ended.state_reason
    with ports.transaction() as session:
        artifact = session.exec(select(Artifact).where(col(Artifact.job_id) == job.id)).one()
        told = session.exec(select(Event).where(col(Event.job_id) == job.id).order_by(col(Event.seq))).all()
    assert ports.store.head(artifact.object_key).size_bytes == artifact.size_bytes
    assert [event.state for event in told if event.type != "job.progress"] == states.split()
    assert ended.attempt == 1
