"""I2, I4: a cancel meets every move.  One of them is first, the other sees that; nothing paid for gets lost between."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Final

import pytest
from sqlalchemy import func, text
from sqlmodel import col, select

from api.jobs import steering
from shared import claims, late
from shared.db import Transaction
from shared.errors import Conflict
from shared.lifecycle import FINAL, LEAVES_WORK, MOVES, Cause, State
from shared.tables import Event, Job, LateResult, LateState
from tests import factories

ROUNDS: Final = 12
RACES: Final = sorted(
    (state, cause)
    for state, cause in MOVES
    if state not in FINAL and cause is not Cause.CANCELED and state is not State.WAITING
)
OUTPUTS: Final = [{"kind": "image", "sources": [{"url": "https://cdn.example/1.png"}]}]
TASK: Final = "video_1"
WITH_TASK: Final = (State.RUNNING, State.STORING, State.HELD)


def make(transaction: Transaction, state: State) -> Job:
    """A job in that state, with a task or a result where it has one."""
    with transaction() as session:
        task = {"upstream_task_id": TASK} if state in WITH_TASK else {}
        job = factories.job(session, state=state, **task)
        if state is State.STORING:
            factories.result(session, job, outputs=OUTPUTS)
    return job


def read(transaction: Transaction, job: Job) -> claims.Claim:
    with transaction() as session:
        claim = claims.read(session, job.id)
    assert claim is not None
    return claim


def race(transaction: Transaction, job: Job, cause: Cause) -> tuple[bool, bool]:
    """Both at once; whether the move and the cancel happened."""
    together = threading.Barrier(2)
    claim = read(transaction, job)

    def other() -> bool:
        together.wait(10)
        with transaction() as session:
            task = {"upstream_task_id": TASK} if MOVES[claim.state, cause] is State.RUNNING else {}
            moved = claims.move(session, claim, cause, **task)
            if moved and cause is Cause.PRODUCED:
                claims.keep_result(session, claim, outputs=OUTPUTS)
            return moved

    def cancel() -> bool:
        together.wait(10)
        with transaction() as session:
            try:
                steering.cancel(session, job.project_id, job.id)
            except Conflict:
                return False
        return True

    with ThreadPoolExecutor(2) as threads:
        moved, canceled = threads.submit(other), threads.submit(cancel)
        return moved.result(30), canceled.result(30)


def moves(transaction: Transaction, job: Job) -> list[Event]:
    with transaction() as session:
        found = select(Event).where(col(Event.job_id) == job.id, col(Event.cause).is_not(None))
        return list(session.exec(found.order_by(col(Event.seq))))


def left(transaction: Transaction, job: Job) -> list[LateResult]:
    with transaction() as session:
        return list(session.exec(select(LateResult).where(col(LateResult.job_id) == job.id)))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("state", "cause"), RACES, ids=lambda part: str(part))
def test_a_cancel_that_meets_a_move_leaves_one_state_and_its_events_in_order(
    transaction: Transaction, state: State, cause: Cause
) -> None:
    for _ in range(ROUNDS):
        job = make(transaction, state)

        moved, canceled = race(transaction, job, cause)

        history = moves(transaction, job)
        after = read(transaction, job).state
        assert moved or canceled
        assert canceled == (after is State.CANCELED)
        assert canceled or after in FINAL  # only what had ended could not be canceled
        assert history[0].from_state == state
        assert history[-1].state == after
        assert all(before.state == event.from_state for before, event in pairwise(history))
        assert [event.cause for event in history] == [*([cause] if moved else []), *(["canceled"] if canceled else [])]
        check_what_is_left(transaction, job, history)


def check_what_is_left(transaction: Transaction, job: Job, history: list[Event]) -> None:
    """What is paid for has its row, in whatever order it came; nothing else has one."""
    leaving = [State(move.from_state) for move in history if is_leaving(move)]
    kept = [(row.state, row.upstream_task_id, row.outputs) for row in left(transaction, job)]
    if leaving == [State.STORING]:
        assert [(state, outputs) for state, _, outputs in kept] == [(LateState.STORING, OUTPUTS)]
    elif leaving and (leaving == [State.RUNNING] or job.state in WITH_TASK):
        assert kept == [(LateState.LOOKING, TASK, None)]
    else:
        assert kept == []


def is_leaving(move: Event) -> bool:
    return (move.from_state, move.cause) in LEAVES_WORK


@pytest.mark.timeout(120)
@pytest.mark.parametrize("said", ["accepted", "produced"])
def test_the_answer_of_a_call_that_meets_a_cancel_is_the_jobs_or_late(transaction: Transaction, said: str) -> None:
    for _ in range(40):
        job = make(transaction, State.SUBMITTING)
        claim = read(transaction, job)
        together = threading.Barrier(2)

        def answer(claim: claims.Claim = claim, together: threading.Barrier = together) -> None:
            together.wait(10)
            with transaction() as session:
                if said == "accepted":
                    if not claims.move(session, claim, Cause.ACCEPTED, upstream_task_id=TASK):
                        late.accepted(session, claim, TASK)
                elif claims.move(session, claim, Cause.PRODUCED):
                    claims.keep_result(session, claim, outputs=OUTPUTS)
                else:
                    late.produced(session, claim, OUTPUTS, {}, None)

        def cancel(job: Job = job, together: threading.Barrier = together) -> None:
            together.wait(10)
            with transaction() as session:
                steering.cancel(session, job.project_id, job.id)

        with ThreadPoolExecutor(2) as threads:
            for done in [threads.submit(answer), threads.submit(cancel)]:
                done.result(30)

        # Whichever was first: it is canceled, and what is paid for is kept.
        assert read(transaction, job).state is State.CANCELED
        (row,) = left(transaction, job)
        assert (row.upstream_task_id if said == "accepted" else row.outputs) == (
            TASK if said == "accepted" else OUTPUTS
        )
        assert row.state is (LateState.LOOKING if said == "accepted" else LateState.STORING)


@pytest.mark.timeout(120)
def test_many_cancels_at_once_are_one(transaction: Transaction) -> None:
    for state in (State.QUEUED, State.SUBMITTING, State.RUNNING, State.STORING):
        job = make(transaction, state)
        together = threading.Barrier(4)

        def cancel(job: Job = job, together: threading.Barrier = together) -> None:
            together.wait(10)
            with transaction() as session:
                steering.cancel(session, job.project_id, job.id)

        with ThreadPoolExecutor(4) as threads:
            for done in [threads.submit(cancel) for _ in range(4)]:
                done.result(30)

        assert [move.cause for move in moves(transaction, job)] == ["canceled"]
        assert len(left(transaction, job)) == (state in (State.RUNNING, State.STORING))


def test_a_deadline_that_meets_a_cancel_has_one_winner(transaction: Transaction) -> None:
    for _ in range(20):
        job = make(transaction, State.RUNNING)
        with transaction() as session:
            session.execute(text("UPDATE jobs SET deadline_at = now() - interval '1 s' WHERE id = :id"), {"id": job.id})
        together = threading.Barrier(2)

        def expire(together: threading.Barrier = together) -> Any:
            together.wait(10)
            with transaction() as session:
                return claims.expire(session, "process_1")

        def cancel(job: Job = job, together: threading.Barrier = together) -> None:
            together.wait(10)
            with transaction() as session:
                try:
                    steering.cancel(session, job.project_id, job.id)
                except Conflict:
                    return

        with ThreadPoolExecutor(2) as threads:
            for done in [threads.submit(expire), threads.submit(cancel)]:
                done.result(30)

        (move,) = moves(transaction, job)
        assert move.state == read(transaction, job).state
        assert move.cause in (Cause.CANCELED, Cause.EXPIRED)
        assert [row.upstream_task_id for row in left(transaction, job)] == [TASK]
        with transaction() as session:
            assert session.execute(select(func.count()).where(col(LateResult.job_id) == job.id)).scalar_one() == 1
