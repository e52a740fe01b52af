"""The conditional UPDATEs: what several processes, zombies and doubled hints cannot do to a row."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, func, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlmodel import Session, col, select

from shared import claims, db, ids
from shared.claims import Claim, Glance
from shared.db import Transaction
from shared.gateway.outcome import ErrorClass, GatewayError
from shared.lifecycle import FINAL, MOVES, Cause, State
from shared.policy import OnUnknown
from shared.tables import Event, Job, JobNeed, JobResult, Process
from tests import factories
from tests import stack as services
from workers import lanes, lending

DEAD_AFTER_S = 30.0


def events_of(session: Session, row: Job) -> list[Event]:
    return list(session.exec(select(Event).where(col(Event.job_id) == row.id).order_by(col(Event.seq))))


def seconds_until(session: Session, row: Job) -> float:
    """How far ahead of the database's clock a row is due."""
    row = factories.reread(session, row)
    now = session.execute(select(func.now())).scalar_one()
    assert row.due_at is not None
    return float((row.due_at - now).total_seconds())


def ago(seconds: float) -> Any:
    return claims.seconds_from_now(-seconds)


# One row, guarded.


@pytest.mark.parametrize(
    "known", [{"attempt": 1}, {"attempt": 3}, {"state": State.STORING}, {"job_id": "job_nobody"}], ids=str
)
def test_a_write_that_knows_another_row_than_there_is_changes_nothing(session: Session, known: dict[str, Any]) -> None:
    job = factories.job(session, state=State.RUNNING, attempt=2)
    stranger = factories.claim(job, **known)

    moved = claims.move(session, stranger, Cause.CANCELED)

    assert not moved
    assert factories.reread(session, job).state is State.RUNNING
    assert events_of(session, job) == []


def test_a_zombie_cannot_overwrite_the_attempt_that_replaced_it(session: Session) -> None:
    job = factories.job(session, state=State.SUBMITTING, attempt=2, claimed_by="process_b")
    zombie = factories.claim(job, attempt=1, holder="process_a")

    moved = claims.move(session, zombie, Cause.ACCEPTED, upstream_task_id="video_1")

    assert not moved
    assert factories.reread(session, job).upstream_task_id is None


@pytest.mark.parametrize("cause", [Cause.NOT_SENT, Cause.ACCEPTED, Cause.REFUSED, Cause.UNKNOWN])
def test_an_attempt_whose_number_was_given_back_is_not_taken_for_the_one_that_has_it_now(
    session: Session, cause: Cause
) -> None:
    # A's `not_sent` was committed and its answer lost; B holds attempt 1 now when A writes it once more.
    job = factories.job(session, state=State.SUBMITTING, attempt=1, claimed_by="process_b")
    first = factories.claim(job, holder="process_a", by="process_a")

    moved = claims.move(session, first, cause)

    assert not moved
    assert factories.reread(session, job).state is State.SUBMITTING


@pytest.mark.parametrize("given_up", [State.HELD, State.QUEUED, State.DISPATCHED])
@pytest.mark.parametrize(("cause", "state"), [(Cause.ACCEPTED, State.RUNNING), (Cause.PRODUCED, State.STORING)])
def test_late_news_of_an_attempt_that_was_given_up_is_welcome_while_no_other_has_begun(
    session: Session, cause: Cause, state: State, given_up: State
) -> None:
    job = factories.job(session, state=given_up, attempt=1, state_reason="nobody knows")
    zombie = factories.claim(job, state=State.SUBMITTING, holder="process_dead")

    moved = claims.move(session, zombie, cause)

    assert moved
    row = factories.reread(session, job)
    assert (row.state, row.state_reason) == (state, None)
    assert seconds_until(session, job) <= 0
    assert events_of(session, job)[0].from_state == given_up


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELED, State.SUCCEEDED])
def test_late_news_of_what_is_over_is_not(session: Session, state: State) -> None:
    job = factories.job(session, state=state, attempt=1)
    zombie = factories.claim(job, state=State.SUBMITTING)

    assert not claims.move(session, zombie, Cause.PRODUCED)
    assert factories.reread(session, job).state is state


def test_late_news_of_an_earlier_attempt_is_not(session: Session) -> None:
    job = factories.job(session, state=State.HELD, attempt=2)
    zombie = factories.claim(job, attempt=1, state=State.SUBMITTING)

    assert not claims.move(session, zombie, Cause.PRODUCED)


@pytest.mark.parametrize(("state", "cause"), [way for way in MOVES if way[1] is not Cause.CLAIMED], ids=str)
def test_every_move_records_one_event_and_leaves_the_row_as_its_state_demands(
    session: Session, state: State, cause: Cause
) -> None:
    job = factories.job(session, state=state, attempt=1, claimed_by="process_a", due_at=func.now())
    claim = factories.claim(job)

    moved = claims.move(session, claim, cause, reason="because", data={"a": 1}, due_in_s=60)

    assert moved
    row, (told,) = factories.reread(session, job), events_of(session, job)
    assert row.state is MOVES[state, cause]
    assert row.state_reason == "because"
    assert (told.type, told.from_state, told.state, told.cause) == (f"job.{row.state}", state, row.state, cause)
    assert (told.reason, told.data, told.attempt, told.process_id) == ("because", {"a": 1}, 1, "process_a")
    assert (row.finished_at is not None) == (row.state in FINAL)
    assert row.claimed_by is None or row.state is State.DISPATCHED


def test_a_move_and_its_event_are_rolled_back_together(transaction: Transaction) -> None:
    with transaction() as session:
        job = factories.job(session, state=State.QUEUED)

    def move_and_fail() -> None:
        with transaction() as session:
            claims.move(session, factories.claim(job), Cause.CANCELED)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        move_and_fail()

    with transaction() as session:
        assert factories.reread(session, job).state is State.QUEUED
        assert events_of(session, job) == []


@pytest.mark.parametrize("cause", [Cause.NOT_SENT, Cause.THROTTLED])
def test_what_was_not_sent_gives_its_number_back_and_waits_longer_each_time(session: Session, cause: Cause) -> None:
    job = factories.job(session, state=State.SUBMITTING, attempt=2, waits=3, waits_for="a reason")

    claims.move(session, factories.claim(job), cause, due_in_s=7, waits_for="a reason")

    row = factories.reread(session, job)
    assert (row.state, row.attempt, row.waits) == (State.QUEUED, 1, 4)
    assert seconds_until(session, job) == 7


def test_waits_for_another_reason_are_counted_anew(session: Session) -> None:
    job = factories.job(session, state=State.SUBMITTING, attempt=2, waits=19, waits_for="quota_exhausted")

    claims.move(session, factories.claim(job), Cause.NOT_SENT, due_in_s=7, waits_for="unavailable")

    row = factories.reread(session, job)
    assert (row.waits, row.waits_for) == (1, "unavailable")


def test_a_retried_attempt_keeps_its_number(session: Session) -> None:
    job = factories.job(session, state=State.SUBMITTING, attempt=2)

    claims.move(session, factories.claim(job), Cause.RETRIED, due_in_s=7)

    assert factories.reread(session, job).attempt == 2


def test_a_job_that_is_queued_again_has_forgotten_its_last_attempt(session: Session) -> None:
    known = {"upstream_task_id": "v_1", "progress": 50, "misses": 3, "vanished": 2, "doubted": True, "store_tries": 4}
    job = factories.job(session, state=State.RUNNING, upstream_status="queued", spool_host="a", **known)

    claims.move(session, factories.claim(job), Cause.RETRIED, due_in_s=1)

    row = factories.reread(session, job)
    assert not any(getattr(row, name) for name in [*known, "spool_host", "upstream_status", "claimed_by"])


@pytest.mark.parametrize("text_", ["a\x00b", "half \ud83d of a pair"])
def test_what_postgresql_keeps_in_no_text_is_left_out_of_what_the_gateway_said(session: Session, text_: str) -> None:
    job = factories.job(session, state=State.SUBMITTING, attempt=1)
    error = GatewayError(ErrorClass.INVALID_REQUEST, text_, text_, upstream_request_id=text_)
    claim = factories.claim(job)

    claims.move(session, claim, Cause.REFUSED, reason=text_, data=claims.as_error(error, False), upstream_status=text_)
    claims.keep_result(session, claim, error=error, result={"prompt": [text_]})

    row, kept = factories.reread(session, job), session.get(JobResult, job.id)
    assert kept is not None
    assert kept.error is not None
    assert row.state_reason == kept.error["message"] == text_.replace("\x00", "").replace("\ud83d", "?")


@pytest.mark.parametrize("word", ["limbo", "QUEUED", ""])
def test_the_database_itself_refuses_a_state_that_nobody_knows(session: Session, word: str) -> None:
    job = factories.job(session)

    with pytest.raises(IntegrityError, match="state_value"):
        session.execute(text("UPDATE jobs SET state = :word WHERE id = :id"), {"word": word, "id": job.id})


def test_the_database_itself_refuses_a_wish_that_nobody_knows(session: Session) -> None:
    job = factories.job(session)

    with pytest.raises(IntegrityError, match="onunknown_value"):
        session.execute(text("UPDATE jobs SET on_unknown = 'pray' WHERE id = :id"), {"id": job.id})


# Taking.


def test_to_take_a_dispatched_job_begins_its_next_attempt(session: Session) -> None:
    job = factories.job(session, state=State.DISPATCHED, attempt=1, on_unknown=OnUnknown.RETRY, waits=2)

    claim = claims.take(session, job.id, by="process_a")

    row = factories.reread(session, job)
    assert claim == factories.claim(row, by="process_a", since_call_s=0.0)
    assert (row.state, row.attempt, row.claimed_by, row.waits) == (State.SUBMITTING, 2, "process_a", 2)
    assert row.submitted_at is not None
    assert [told.cause for told in events_of(session, job)] == [Cause.CLAIMED]


@pytest.mark.parametrize("state", [state for state in State if state is not State.DISPATCHED])
def test_only_a_dispatched_job_can_be_taken(session: Session, state: State) -> None:
    job = factories.job(session, state=state)

    assert claims.take(session, job.id, by="process_a") is None
    assert factories.reread(session, job).state is state


def test_a_job_past_its_deadline_is_not_paid_for_any_more(session: Session) -> None:
    job = factories.job(session, state=State.DISPATCHED, deadline_at=ago(1))

    assert claims.take(session, job.id, by="process_a") is None


def test_what_is_not_there_cannot_be_taken(session: Session) -> None:
    assert claims.take(session, ids.new("job"), by="process_a") is None


def at_once(count: int, act: Callable[[int], Any]) -> list[Any]:
    """Let many threads do it in the same moment; what each got."""
    barrier = threading.Barrier(count)

    def wait_and_act(number: int) -> Any:
        barrier.wait(10)
        return act(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(wait_and_act, range(count)))


def test_of_many_that_take_the_same_job_exactly_one_gets_it(transaction: Transaction) -> None:
    with transaction() as session:
        jobs = [factories.job(session, state=State.DISPATCHED) for _ in range(10)]

    def take_all(number: int) -> list[Claim | None]:
        taken = []
        for job in jobs:
            with transaction() as session:
                taken.append(claims.take(session, job.id, by=f"process_{number}"))
        return taken

    taken = at_once(6, take_all)

    for number, job in enumerate(jobs):
        winners = [claim for claim in (some[number] for some in taken) if claim is not None]
        with transaction() as session:
            row = factories.reread(session, job)
            assert [claim.by for claim in winners] == [row.claimed_by]
            assert row.attempt == 1
            assert len(events_of(session, job)) == 1


def test_a_cancel_and_a_result_in_the_same_moment_have_one_winner(transaction: Transaction) -> None:
    for _ in range(20):
        with transaction() as session:
            job = factories.job(session, state=State.RUNNING)

        def move(number: int, claim: Claim = factories.claim(job)) -> bool:
            with transaction() as session:
                return claims.move(session, claim, (Cause.CANCELED, Cause.PRODUCED)[number])

        moved = at_once(2, move)

        assert sorted(moved) == [False, True]
        with transaction() as session:
            row = factories.reread(session, job)
            assert row.state is (State.CANCELED if moved[0] else State.STORING)
            assert len(events_of(session, job)) == 1


# Releasing.


def test_the_best_go_first_by_priority_and_then_by_age(session: Session) -> None:
    lane = factories.lane(session).name
    jobs = [factories.job(session, lane_name=lane, priority=priority) for priority in (5, 9, 5, 0, 9)]

    released = claims.release(session, {lane: 4}, by="process_a")

    assert {claim.job_id for claim in released} == {jobs[number].id for number in (1, 4, 0, 2)}
    assert factories.reread(session, jobs[3]).state is State.QUEUED


def test_each_lane_is_given_its_own_room(session: Session) -> None:
    wide, narrow, closed = (factories.lane(session).name for _ in range(3))
    for lane in (wide, narrow, closed):
        for _ in range(3):
            factories.job(session, lane_name=lane)

    released = claims.release(session, {wide: 100, narrow: 1}, by="process_a")

    by_lane = [claim.lane for claim in released]
    assert (by_lane.count(wide), by_lane.count(narrow), by_lane.count(closed)) == (3, 1, 0)


def test_what_is_not_due_stays_in_the_queue(session: Session) -> None:
    lane = factories.lane(session).name
    factories.job(session, lane_name=lane, due_at=claims.seconds_from_now(60), priority=9)
    due = factories.job(session, lane_name=lane, due_at=ago(1))

    released = claims.release(session, {lane: 5}, by="process_a")

    assert [claim.job_id for claim in released] == [due.id]
    assert factories.reread(session, due).due_at is None


def test_every_release_is_told_in_the_name_of_its_process(session: Session) -> None:
    lane = factories.lane(session).name
    jobs = [factories.job(session, lane_name=lane) for _ in range(3)]

    claims.release(session, {lane: 5}, by="process_a")

    for job in jobs:
        (told,) = events_of(session, job)
        assert (told.type, told.cause, told.process_id) == ("job.dispatched", Cause.RELEASED, "process_a")


def test_rows_that_another_has_locked_are_passed_over(transaction: Transaction) -> None:
    with transaction() as session:
        lane = factories.lane(session).name
        locked, free = (factories.job(session, lane_name=lane, priority=priority) for priority in (9, 1))

    with transaction() as holder, transaction() as session:
        holder.execute(select(Job).where(col(Job.id) == locked.id).with_for_update())
        released = claims.release(session, {lane: 5}, by="process_a")
        session.rollback()

    assert [claim.job_id for claim in released] == [free.id]


# Inputs that are other jobs' results.


def needing(session: Session, *needed: Job) -> Job:
    job = factories.job(session, state=State.WAITING)
    session.add_all(JobNeed(job_id=job.id, needs_id=one.id) for one in needed)
    session.flush()
    return job


def test_a_job_is_queued_when_all_that_it_needs_has_succeeded(session: Session) -> None:
    done, also_done = (factories.job(session, state=State.SUCCEEDED) for _ in range(2))
    job = needing(session, done, also_done)

    claims.ready_inputs(session, "process_a")

    assert factories.reread(session, job).state is State.QUEUED
    assert [told.cause for told in events_of(session, job)] == [Cause.INPUTS_READY]


@pytest.mark.parametrize("state", [state for state in State if state not in FINAL])
def test_a_job_waits_while_one_of_its_needs_may_still_succeed(session: Session, state: State) -> None:
    done, not_yet = factories.job(session, state=State.SUCCEEDED), factories.job(session, state=state)
    job = needing(session, done, not_yet)

    claims.ready_inputs(session, "process_a")

    assert factories.reread(session, job).state is State.WAITING


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELED])
def test_a_job_fails_with_the_first_of_its_needs(session: Session, state: State) -> None:
    ended, not_yet = factories.job(session, state=state), factories.job(session, state=State.RUNNING)
    job = needing(session, ended, not_yet)

    claims.ready_inputs(session, "process_a")

    row = factories.reread(session, job)
    assert row.state is State.FAILED
    assert "needs as an input" in (row.state_reason or "")
    assert [told.cause for told in events_of(session, job)] == [Cause.INPUTS_FAILED]


def test_a_chain_of_needs_fails_link_by_link(session: Session) -> None:
    first = factories.job(session, state=State.FAILED)
    second = needing(session, first)
    third = needing(session, second)

    claims.ready_inputs(session, "process_a")
    claims.ready_inputs(session, "process_a")

    assert factories.reread(session, third).state is State.FAILED


# What no hint brought to anybody.


def test_a_hint_that_is_late_is_found_once_and_its_job_is_left_to_the_finder_for_a_while(session: Session) -> None:
    late = factories.job(session, state=State.DISPATCHED, moved_at=ago(6))
    fresh = factories.job(session, state=State.DISPATCHED, moved_at=ago(4))

    first = claims.due_dispatched(session, 10_000, after_s=5, lease_s=30)
    second = claims.due_dispatched(session, 10_000, after_s=5, lease_s=30)

    assert late.id in first
    assert fresh.id not in first
    assert late.id not in second
    assert seconds_until(session, late) == 30
    assert claims.take(session, late.id, by="process_b") is not None


# The poller's rows.


def running(session: Session, **columns: Any) -> Job:
    return factories.job(session, state=State.RUNNING, **{"due_at": ago(1), "upstream_task_id": "v_1", **columns})


def test_due_rows_are_taken_once_and_come_due_again_after_the_lease(session: Session) -> None:
    due, not_due = running(session), running(session, due_at=claims.seconds_from_now(60))

    first = {claim.job_id for claim in claims.due_running(session, 10_000, lease_s=45)}
    second = {claim.job_id for claim in claims.due_running(session, 10_000, lease_s=45)}

    assert due.id in first
    assert not_due.id not in first | second
    assert due.id not in second
    assert seconds_until(session, due) == 45


def test_the_longest_due_are_taken_first(session: Session) -> None:
    later, first = running(session, due_at=ago(10**6)), running(session, due_at=ago(10**7))

    taken = [claim.job_id for claim in claims.due_running(session, 1, lease_s=45)]
    then = [claim.job_id for claim in claims.due_running(session, 1, lease_s=45)]

    assert (taken, then) == ([first.id], [later.id])


def test_a_claim_tells_how_long_its_task_has_been_running(session: Session) -> None:
    job = running(session, moved_at=ago(120))

    claim = claims.read(session, job.id)

    assert claim is not None
    assert claim.age_s == 120


def glance(job: Job, **seen: Any) -> Glance:
    return Glance(factories.claim(job), **{"progress": None, "status": None, "due_in_s": 10.0, **seen})


def test_glances_are_written_in_one_go_and_told_where_something_went_on(session: Session) -> None:
    moving, still, silent = running(session, progress=10), running(session, progress=20), running(session, progress=30)

    claims.write_glances(
        session,
        [
            glance(moving, progress=42, status="in_progress"),
            glance(still, progress=20, status="in_progress", due_in_s=30.0),
            glance(silent, misses=2, vanished=1, doubted=True),
        ],
    )

    moving_row, silent_row = factories.reread(session, moving), factories.reread(session, silent)
    assert (moving_row.progress, moving_row.upstream_status) == (42, "in_progress")
    assert (silent_row.progress, silent_row.misses, silent_row.vanished, silent_row.doubted) == (30, 2, 1, True)
    assert [seconds_until(session, job) for job in (moving, still, silent)] == [10, 30, 10]
    (told,) = events_of(session, moving)
    assert (told.type, told.state, told.data) == (
        "job.progress",
        "running",
        {"progress": 42, "upstream_status": "in_progress"},
    )
    assert events_of(session, still) == events_of(session, silent) == []


@pytest.mark.parametrize("known", [{"attempt": 2}, {"job_id": "job_nobody"}], ids=str)
def test_a_glance_at_another_attempt_is_dropped(session: Session, known: dict[str, Any]) -> None:
    job = running(session, progress=10)

    claims.write_glances(session, [Glance(factories.claim(job, **known), 99, "done", 10.0)])

    assert factories.reread(session, job).progress == 10
    assert events_of(session, job) == []


def test_a_glance_at_what_has_moved_on_is_dropped(session: Session) -> None:
    job = running(session)
    claims.move(session, factories.claim(job), Cause.CANCELED)

    claims.write_glances(session, [glance(job, progress=50)])

    row = factories.reread(session, job)
    assert (row.state, row.progress, row.due_at) == (State.CANCELED, 0, None)


@pytest.mark.parametrize("status", ["with\x00nul", "half \ud83d of a pair", "x" * 100_000])
def test_an_odd_word_of_one_task_does_not_keep_the_others_from_being_written(session: Session, status: str) -> None:
    odd, plain = running(session), running(session)

    claims.write_glances(session, [glance(odd, status=status, progress=1), glance(plain, progress=50)])

    assert factories.reread(session, plain).progress == 50
    assert len(factories.reread(session, odd).upstream_status or "") <= claims.WORD_MOST


def test_no_glances_are_nothing_to_write(session: Session) -> None:
    claims.write_glances(session, [])


# Results to store.


def storing(session: Session, **columns: Any) -> Job:
    return factories.job(session, state=State.STORING, **{"due_at": ago(1), **columns})


def test_a_result_is_claimed_by_one_process_for_as_long_as_storing_may_take(session: Session) -> None:
    job = storing(session)

    taken = claims.take_storing(session, "process_a", "a_spool", job_ids=[job.id], limit=1)
    again = claims.take_storing(session, "process_b", "a_spool", job_ids=[job.id], limit=1)

    assert [(claim.job_id, claim.by) for claim in taken] == [(job.id, "process_a")]
    assert again == []
    assert factories.reread(session, job).claimed_by == "process_a"
    assert seconds_until(session, job) == claims.STORE_LEASE_S


def test_a_result_that_a_living_process_has_lost_is_free_again_after_its_lease(session: Session) -> None:
    job = storing(session, claimed_by=factories.process(session).id, due_at=ago(1))

    taken = claims.take_storing(session, "process_b", "a_spool", job_ids=[job.id], limit=1)

    assert [claim.by for claim in taken] == ["process_b"]


@pytest.mark.parametrize(("where", "taken"), [(None, True), ("a_spool", True), ("another_spool", False)])
def test_a_result_in_hand_is_stored_only_where_it_lies(session: Session, where: str | None, taken: bool) -> None:
    job = storing(session, spool_host=where)

    found = claims.take_storing(session, "process_a", "a_spool", job_ids=[job.id], limit=1)

    assert bool(found) == taken


def test_the_tick_takes_what_is_due_the_longest_first_and_no_more_than_asked_for(session: Session) -> None:
    second, first, not_due = (
        storing(session, due_at=ago(10**6)),
        storing(session, due_at=ago(10**7)),
        storing(session, due_at=claims.seconds_from_now(5)),
    )

    one = claims.take_storing(session, "process_a", "a_spool", limit=1)
    two = claims.take_storing(session, "process_a", "a_spool", limit=1)

    assert [claim.job_id for claim in (*one, *two)] == [first.id, second.id]
    assert factories.reread(session, not_due).claimed_by is None


def test_what_cannot_be_stored_now_is_let_go_and_tried_later(session: Session) -> None:
    job = storing(session)
    (claim,) = claims.take_storing(session, "process_a", "a_spool", job_ids=[job.id])

    assert claims.store_later(session, claim, 9, "it was cut", is_counted=True)

    row = factories.reread(session, job)
    assert (row.state, row.claimed_by, row.store_tries, row.state_reason) == (State.STORING, None, 1, "it was cut")
    assert seconds_until(session, job) == 9


def test_trouble_of_our_own_uses_up_no_try_of_a_result(session: Session) -> None:
    job = storing(session)
    (claim,) = claims.take_storing(session, "process_a", "a_spool", job_ids=[job.id])

    assert claims.store_later(session, claim, 9, "S3 is away", is_counted=False)

    row = factories.reread(session, job)
    assert (row.store_tries, row.waits) == (0, 1)


def test_who_was_taken_for_dead_cannot_give_up_what_another_stores(session: Session) -> None:
    job = storing(session, claimed_by="process_b")
    late = factories.claim(job, by="process_a", holder="process_a")

    assert not claims.move(session, late, Cause.UNSTORABLE)
    assert factories.reread(session, job).state is State.STORING


def test_who_has_lost_a_result_cannot_let_it_go(session: Session) -> None:
    job = storing(session, claimed_by="process_b")
    late = factories.claim(job, by="process_a")

    assert not claims.store_later(session, late, 9, "S3 is away", is_counted=False)
    assert factories.reread(session, job).claimed_by == "process_b"


def test_two_may_store_one_result_and_the_first_to_finish_says_so(session: Session) -> None:
    job = storing(session, claimed_by="process_b")
    slow, quick = factories.claim(job, by="process_a", holder="process_a"), factories.claim(job, by="process_b")

    assert claims.move(session, slow, Cause.STORED)
    assert not claims.move(session, quick, Cause.STORED)
    assert len(events_of(session, job)) == 1


def test_of_many_that_look_for_results_each_gets_others(transaction: Transaction) -> None:
    with transaction() as session:
        wanted = {storing(session).id for _ in range(24)}

    def take(number: int) -> list[str]:
        found: list[str] = []
        for _ in range(40):
            with transaction() as session:
                found += [
                    claim.job_id
                    for claim in claims.take_storing(session, f"process_{number}", "x", job_ids=list(wanted), limit=2)
                ]
        return found

    taken = [job_id for some in at_once(4, take) for job_id in some]

    assert sorted(taken) == sorted(wanted)


# Processes, and what the dead ones held.


def test_a_heartbeat_says_that_a_process_lives(session: Session) -> None:
    process_id = ids.new("process")

    claims.beat(session, process_id, "worker@a", "a", 7)
    session.execute(update(Process).where(col(Process.id) == process_id).values(heartbeat_at=ago(20)))
    silent = claims.silence_s(session, process_id)
    claims.beat(session, process_id, "worker@a", "a", 7)

    assert silent == 20
    assert claims.silence_s(session, process_id) == 0
    assert claims.silence_s(session, ids.new("process")) is None


@pytest.mark.parametrize(("silent_s", "is_orphan"), [(0, False), (29, False), (31, True), (10**6, True)])
def test_a_call_is_an_orphan_when_its_process_has_been_silent_for_too_long(
    session: Session, silent_s: float, is_orphan: bool
) -> None:
    holder = factories.process(session, silent_s=silent_s)
    job = factories.job(session, state=State.SUBMITTING, claimed_by=holder.id)

    orphans = {claim.job_id for claim in claims.orphaned_calls(session, DEAD_AFTER_S, limit=100_000)}

    assert (job.id in orphans) == is_orphan


def test_a_call_of_a_process_that_nobody_knows_is_an_orphan(session: Session) -> None:
    job = factories.job(session, state=State.SUBMITTING, claimed_by=ids.new("process"))

    orphans = {claim.job_id: claim for claim in claims.orphaned_calls(session, DEAD_AFTER_S, limit=100_000)}

    assert orphans[job.id].holder == job.claimed_by
    assert orphans[job.id].by is None


def test_a_process_that_leaves_makes_orphans_of_what_it_still_held(session: Session) -> None:
    holder = factories.process(session)
    job = factories.job(session, state=State.SUBMITTING, claimed_by=holder.id)

    claims.leave(session, holder.id)

    assert job.id in {claim.job_id for claim in claims.orphaned_calls(session, DEAD_AFTER_S, limit=100_000)}


def test_what_a_dead_process_was_storing_is_free_at_once_and_what_a_living_one_stores_is_not(session: Session) -> None:
    dead, living = factories.process(session, silent_s=60), factories.process(session)
    orphan, held = (storing(session, claimed_by=one.id, due_at=claims.seconds_from_now(900)) for one in (dead, living))

    claims.free_orphaned_stores(session, DEAD_AFTER_S)

    assert factories.reread(session, orphan).claimed_by is None
    assert seconds_until(session, orphan) <= 0
    assert factories.reread(session, held).claimed_by == living.id


def test_a_hint_that_nobody_claimed_is_lost_after_a_while_and_counts_no_attempt(session: Session) -> None:
    lost = factories.job(session, state=State.DISPATCHED, moved_at=ago(61))
    fresh = factories.job(session, state=State.DISPATCHED, moved_at=ago(59))

    returned = claims.return_lost_hints(session, 60, "process_a")

    assert lost.id in {claim.job_id for claim in returned}
    row = factories.reread(session, lost)
    assert (row.state, row.attempt, row.due_at) == (State.QUEUED, 0, None)
    assert factories.reread(session, fresh).state is State.DISPATCHED


@pytest.mark.parametrize("state", [state for state in State if state not in FINAL])
def test_past_its_deadline_a_job_fails_whatever_its_state(session: Session, state: State) -> None:
    late = factories.job(session, state=state, deadline_at=ago(1))
    early = factories.job(session, state=state, deadline_at=claims.seconds_from_now(60))
    endless = factories.job(session, state=state)

    expired = {claim.job_id for claim in claims.expire(session, "process_a")}

    assert late.id in expired
    row = factories.reread(session, late)
    assert (row.state, row.claimed_by, row.state_reason) == (State.FAILED, None, "its deadline has passed")
    assert [told.cause for told in events_of(session, late)] == [Cause.EXPIRED]
    assert not {early.id, endless.id} & expired


@pytest.mark.parametrize("state", sorted(FINAL))
def test_what_is_over_does_not_expire(session: Session, state: State) -> None:
    job = factories.job(session, state=state, deadline_at=ago(1))

    claims.expire(session, "process_a")

    assert factories.reread(session, job).state is state


def test_a_call_that_nothing_was_heard_of_for_very_long_is_found_although_its_process_lives(session: Session) -> None:
    holder = factories.process(session)
    lost = factories.job(session, state=State.SUBMITTING, claimed_by=holder.id, moved_at=ago(3000))
    fresh = factories.job(session, state=State.SUBMITTING, claimed_by=holder.id, moved_at=ago(2000))

    overdue = {claim.job_id for claim in claims.overdue_calls(session, 2700, limit=100_000)}

    assert lost.id in overdue
    assert fresh.id not in overdue


def test_a_dead_process_is_forgotten_once_it_holds_nothing(session: Session) -> None:
    empty, holding = (factories.process(session, silent_s=20 * DEAD_AFTER_S + 1).id for _ in range(2))
    recent = factories.process(session, silent_s=20 * DEAD_AFTER_S - 1).id
    factories.job(session, state=State.SUBMITTING, claimed_by=holding)

    claims.forget_dead(session, DEAD_AFTER_S)

    known = set(session.exec(select(Process.id)))
    assert empty not in known
    assert {holding, recent} <= known


def test_of_the_attempts_in_a_spool_those_are_wanted_that_their_jobs_are_at(session: Session) -> None:
    stored, over, moved_on = (
        factories.job(session, state=state, attempt=2) for state in (State.STORING, State.CANCELED, State.RUNNING)
    )
    kept = [(stored.id, 2), (stored.id, 1), (over.id, 2), (moved_on.id, 1), (ids.new("job"), 1)]

    assert claims.wanted(session, kept) == {(stored.id, 2)}
    assert claims.wanted(session, []) == set()


# The indexes.


@pytest.fixture(scope="module")
def crowded(stack: dict[str, Any]) -> Iterator[Engine]:
    """A database of its own with 20,000 jobs that are over, and some hundred in every other state."""
    url = services.new_database(stack["database_url"], f"crowded-{ids.new('project')}")
    engine = db.engine(url, 2, "darkroom-tests")
    with Session(engine) as session, session.begin():
        project = factories.project(session).id
        session.execute(
            text("""
                INSERT INTO lanes SELECT 'lane.' || n, 10, 600, 100, now(), NULL, NULL FROM generate_series(0, 9) AS n
            """)
        )
        session.execute(
            text("""
                INSERT INTO jobs (id, project_id, operation, model, lane, state, priority, attempt, max_attempts, waits,
                    on_unknown, claimed_by, due_at, moved_at, deadline_at, progress, misses, vanished, doubted,
                    store_tries, created_at)
                SELECT 'job_' || lpad(n::text, 26, '0'), :project, 'video.create', 'sora-2', 'lane.' || n % 10, state,
                    5, 1, 3, 0, 'hold', CASE WHEN state = 'submitting' THEN 'process_dead' END,
                    CASE WHEN state IN ('running', 'storing') THEN now() - interval '1 minute' END,
                    now() - interval '1 hour', now() + interval '1 day', 0, 0, 0, false, 0, now()
                FROM (
                    SELECT n, CASE
                        WHEN n <= 20000 THEN (ARRAY['succeeded', 'failed', 'canceled'])[1 + n % 3]
                        ELSE (ARRAY['waiting', 'queued', 'dispatched', 'submitting', 'running', 'storing', 'held'])[
                            1 + n % 7]
                    END AS state FROM generate_series(1, 21400) AS n
                ) AS made
            """),
            {"project": project},
        )
    with engine.connect() as connection, connection.execution_options(isolation_level="AUTOCOMMIT"):
        connection.execute(text("VACUUM ANALYZE"))
    yield engine
    engine.dispose()


def plans_of(engine: Engine, work: Callable[[Session], object]) -> list[dict[str, Any]]:
    """The plan of every statement on jobs that this work sends."""
    found: list[dict[str, Any]] = []

    def explain(
        connection: Connection, cursor: Any, statement: str, parameters: Any, _context: Any, executemany: bool
    ) -> None:
        if "jobs" in statement and not executemany and not statement.startswith("EXPLAIN"):
            answer = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
            found.append(answer[0]["Plan"])

    with Session(engine) as session:
        event.listen(engine, "before_cursor_execute", explain)
        try:
            work(session)
        finally:
            event.remove(engine, "before_cursor_execute", explain)
            session.rollback()
    return found


def scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if plan.get("Relation Name") == "jobs" or plan.get("Index Name", "").startswith("jobs"):
        yield plan
    for part in plan.get("Plans", []):
        yield from scans(part)


def probed(session: Session, names: list[str]) -> dict[str, int]:
    """The room of lanes whose pause is over."""
    session.execute(text("UPDATE lanes SET pauses = 1 WHERE name = ANY(:names)"), {"names": names})
    return lanes.room(session, lanes.lock(session, names))


@pytest.mark.parametrize(
    ("index", "work"),
    [
        ("jobs_queued", lambda session: claims.release(session, {"lane.1": 5, "lane.2": 5}, "process_a")),
        ("jobs_queued", lanes.waiting),
        ("jobs_queued", lambda session: lending.lend(session, lending.Loan("lane.2", ("lane.1",), 5, ("%",)), [], 5)),
        ("jobs_in_flight", lambda session: lanes.room(session, lanes.lock(session, ["lane.1", "lane.2"]))),
        ("jobs_in_flight", lambda session: probed(session, ["lane.1", "lane.2"])),
        ("jobs_due_running", lambda session: claims.due_running(session, 50, 45)),
        ("jobs_due_storing", lambda session: claims.take_storing(session, "process_a", "x", limit=4)),
        ("jobs_dispatched", lambda session: claims.due_dispatched(session, 50, 5, 30)),
        ("jobs_dispatched", lambda session: claims.return_lost_hints(session, 60, "process_a")),
        ("jobs_claimed", lambda session: claims.free_orphaned_stores(session, 30)),
        ("jobs_deadline", lambda session: claims.expire(session, "process_a")),
        ("jobs_waiting", lambda session: claims.ready_inputs(session, "process_a")),
        ("jobs_claimed", lambda session: claims.orphaned_calls(session, 30)),
        ("jobs_claimed", lambda session: claims.overdue_calls(session, 2700)),
    ],
)
def test_what_looks_for_work_never_reads_through_what_is_over(
    crowded: Engine, index: str, work: Callable[[Session], object]
) -> None:
    plans = plans_of(crowded, work)

    used = [scan for plan in plans for scan in scans(plan)]
    assert index in {scan.get("Index Name") for scan in used}
    assert [scan for scan in used if scan["Node Type"] == "Seq Scan"] == []
    # An index of all rows is good for looking one up, not for reading along it.
    along = {scan["Index Name"] for scan in used if "Index Name" in scan and "Index Cond" not in scan}
    assert not along & {"jobs_pkey", "jobs_list", "jobs_list_by_state"}


def test_a_transaction_that_waits_too_long_for_a_lock_gives_up(transaction: Transaction) -> None:
    with transaction() as session:
        job = factories.job(session, state=State.QUEUED)

    with transaction() as holder, transaction() as session:
        holder.execute(select(Job).where(col(Job.id) == job.id).with_for_update())
        session.execute(text("SET LOCAL lock_timeout = '50ms'"))
        with pytest.raises(DBAPIError, match="lock timeout"):
            claims.move(session, factories.claim(job), Cause.CANCELED)
        session.rollback()


def test_the_times_of_moves_are_the_databases(session: Session) -> None:
    job = factories.job(session, moved_at=ago(100))

    claims.move(session, factories.claim(job), Cause.RELEASED)

    moved_at = factories.reread(session, job).moved_at
    assert abs(moved_at - session.execute(select(func.now())).scalar_one()) < timedelta(seconds=1)
