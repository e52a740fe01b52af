"""The dispatcher: limits that hold exactly, however many look at once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session, col, func, select

from shared import claims, ids
from shared.lifecycle import Cause, State
from shared.storage import Store
from shared.tables import Event, Job, Lane
from shared.tables.lanes import PRESENT_LIMIT, REGAIN_PARTS, REGAIN_S
from tests import factories
from tests.factories import RecordedHints
from workers import dispatch, lanes, outage
from workers.ports import Ports


def queue(session: Session, count: int, lane: str, **columns: Any) -> list[str]:
    project = factories.project(session).id
    return [factories.job(session, lane_name=lane, project_id=project, **columns).id for _ in range(count)]


def in_state(ports: Ports, lane: str, state: State = State.DISPATCHED) -> list[str]:
    with ports.transaction() as session:
        return list(session.exec(select(Job.id).where(col(Job.lane) == lane, col(Job.state) == state)))


def hinted(ports: Ports) -> list[str]:
    assert isinstance(ports.hints, RecordedHints)
    return ports.hints.submits


def another(ports: Ports) -> Ports:
    return replace(ports, process_id=ids.new("process"), hints=RecordedHints())


def at_once(ports: Sequence[Ports], goes: int = 1) -> None:
    """Let many dispatchers look in the same moment."""
    barrier = threading.Barrier(len(ports))

    def look(one: Ports) -> None:
        barrier.wait(10)
        for _ in range(goes):
            dispatch.dispatch(one)

    with ThreadPoolExecutor(len(ports)) as threads:
        list(threads.map(look, ports))


def test_a_queued_job_is_released_and_hinted_at_after_its_commit(ports: Ports) -> None:
    with ports.transaction() as session:
        lane = factories.lane(session).name
        (job_id,) = queue(session, 1, lane)

    dispatch.dispatch(ports)

    assert in_state(ports, lane) == [job_id]
    assert job_id in hinted(ports)


@pytest.mark.parametrize("busy", [State.DISPATCHED, State.SUBMITTING, State.RUNNING])
def test_what_is_in_flight_counts_against_the_limit(ports: Ports, busy: State) -> None:
    with ports.transaction() as session:
        lane = factories.lane(session, limit=5).name
        queue(session, 3, lane, state=busy, due_at=claims.seconds_from_now(3600))
        queue(session, 10, lane)

    dispatch.dispatch(ports)

    assert len(in_state(ports, lane, State.QUEUED)) == 8


@pytest.mark.parametrize("done", [State.STORING, State.HELD, State.SUCCEEDED, State.FAILED, State.WAITING])
def test_what_the_gateway_has_nothing_to_do_with_any_more_does_not(ports: Ports, done: State) -> None:
    with ports.transaction() as session:
        lane = factories.lane(session, limit=5).name
        queue(session, 5, lane, state=done, due_at=claims.seconds_from_now(3600))
        queue(session, 10, lane)

    dispatch.dispatch(ports)

    assert len(in_state(ports, lane)) == 5


@pytest.mark.parametrize("limit", [0, 1])
def test_a_limit_of_nothing_stops_a_lane(ports: Ports, limit: int) -> None:
    with ports.transaction() as session:
        lane = factories.lane(session, limit=limit).name
        queue(session, 3, lane)

    dispatch.dispatch(ports)

    assert len(in_state(ports, lane)) == limit


def test_a_limit_that_was_lowered_below_what_is_in_flight_releases_nothing(ports: Ports) -> None:
    with ports.transaction() as session:
        lane = factories.lane(session, limit=2).name
        queue(session, 4, lane, state=State.RUNNING, due_at=claims.seconds_from_now(3600))
        queue(session, 1, lane)

    dispatch.dispatch(ports)

    assert in_state(ports, lane) == []


def test_a_slot_that_is_given_back_is_filled_again(ports: Ports) -> None:
    with ports.transaction() as session:
        lane = factories.lane(session, limit=1).name
        queue(session, 2, lane)
    dispatch.dispatch(ports)
    (first,) = in_state(ports, lane)

    with ports.transaction() as session:
        claim = claims.read(session, first)
        assert claim is not None
        claims.move(session, claim, Cause.GIVEN_BACK, due_in_s=60)
    dispatch.dispatch(ports)

    assert len(in_state(ports, lane)) == 1
    assert in_state(ports, lane) != [first]


def test_no_more_calls_begin_than_there_are_tokens(ports: Ports) -> None:
    with ports.transaction() as session:
        lane = factories.lane(session, rate_per_minute=1, tokens=3).name
        queue(session, 10, lane)

    dispatch.dispatch(ports)
    dispatch.dispatch(ports)

    assert len(in_state(ports, lane)) == 1  # what was saved up is at most ten seconds' worth, and one at least


@pytest.mark.parametrize(
    ("rate_per_minute", "tokens", "idle_s", "released"),
    [
        (60, 0, 0, 0),
        (60, 0, 3, 3),
        (60, 2.5, 1, 3),
        (60, 0, 3600, 10),
        (60, 10, 3600, 10),
        (6, 0, 3600, 1),
        (1, 0, 59, 0),
        (1, 0, 61, 1),
        (600, -50, 1, 0),
    ],
)
def test_tokens_come_with_time_and_are_saved_up_for_ten_seconds(
    ports: Ports, rate_per_minute: int, tokens: float, idle_s: float, released: int
) -> None:
    with ports.transaction() as session:
        lane = factories.lane(
            session, rate_per_minute=rate_per_minute, tokens=tokens, tokens_at=claims.seconds_from_now(-idle_s)
        ).name
        queue(session, 12, lane)

    dispatch.dispatch(ports)

    assert len(in_state(ports, lane)) == released


def test_what_is_left_of_the_tokens_is_kept_with_its_time(ports: Ports) -> None:
    with ports.transaction() as session:
        lane = factories.lane(session, rate_per_minute=60, tokens=5.25).name
        queue(session, 2, lane)

    dispatch.dispatch(ports)

    with ports.transaction() as session:
        row = session.get(Lane, lane)
        assert row is not None
        age_s = session.execute(
            select(func.extract("epoch", func.clock_timestamp() - Lane.tokens_at)).where(col(Lane.name) == lane)
        ).scalar_one()
    assert row.tokens == pytest.approx(3.25, abs=0.5)
    assert 0 <= age_s < 5


def test_many_looks_that_release_nothing_lose_no_tokens(ports: Ports) -> None:
    with ports.transaction() as session:
        lane = factories.lane(session, limit=0, rate_per_minute=60, tokens=0).name
        queue(session, 1, lane)
        began = session.execute(text("SELECT now()")).scalar_one()

    for _ in range(20):
        dispatch.dispatch(ports)

    with ports.transaction() as session:
        row = session.get(Lane, lane)
        assert row is not None
    assert row.tokens == pytest.approx((row.tokens_at - began).total_seconds(), abs=0.01)


def test_a_paused_lane_releases_nothing_until_its_pause_is_over(ports: Ports) -> None:
    with ports.transaction() as session:
        lane = factories.lane(session).name
        queue(session, 1, lane)
        lanes.pause(session, lane, 60, "the gateway refuses the key")
    dispatch.dispatch(ports)
    paused = in_state(ports, lane)

    with ports.transaction() as session:
        session.execute(text("UPDATE lanes SET paused_until = now() WHERE name = :lane"), {"lane": lane})
    dispatch.dispatch(ports)

    assert paused == []
    assert len(in_state(ports, lane)) == 1


def test_a_pause_does_not_end_a_longer_one(ports: Ports) -> None:
    with ports.transaction() as session:
        lane = factories.lane(session).name
        lanes.pause(session, lane, 600, "the gateway refuses the key")
        lanes.pause(session, lane, 1, "the gateway asks to wait")
        left_s, reason = session.execute(
            text("SELECT extract(epoch FROM paused_until - now()), pause_reason FROM lanes WHERE name = :lane"),
            {"lane": lane},
        ).one()

    assert left_s == 600
    assert reason == "the gateway refuses the key"


# A lane that the gateway is too slow for.


def busy(session: Session, count: int, *, limit: int = 100) -> tuple[str, list[str]]:
    """A lane with so many calls under way, all begun a moment ago."""
    lane = factories.lane(session, limit=limit).name
    return lane, queue(session, count, lane, state=State.SUBMITTING, submitted_at=func.now())


def present_limit(session: Session, lane: str) -> int:
    found = session.execute(text(f"SELECT {PRESENT_LIMIT} FROM lanes WHERE name = :lane"), {"lane": lane})
    return int(found.scalar_one())


def age(session: Session, lane: str, seconds: float) -> None:
    """Let so much time pass since the lane was slowed down."""
    session.execute(
        text("UPDATE lanes SET slowed_at = slowed_at - make_interval(secs => :s) WHERE name = :lane"),
        {"lane": lane, "s": seconds},
    )


def test_too_much_halves_what_is_in_flight_and_not_what_might_be(ports: Ports) -> None:
    with ports.transaction() as session:
        lane, (first, *_) = busy(session, 20)

        lanes.slow(session, lane, first, "rate_limited: slow down")

        assert present_limit(session, lane) == 10


def test_all_calls_that_were_under_way_cut_a_lane_once_together(ports: Ports) -> None:
    with ports.transaction() as session:
        lane, job_ids = busy(session, 20)

        for job_id in job_ids:
            lanes.slow(session, lane, job_id, "rate_limited: slow down")

        assert present_limit(session, lane) == 10


def test_a_call_that_began_after_the_cut_cuts_again_and_one_slot_is_always_left(ports: Ports) -> None:
    cuts = []
    with ports.transaction() as session:
        lane, (first, *_) = busy(session, 5)
        for _ in range(4):
            session.execute(text("UPDATE jobs SET submitted_at = clock_timestamp() WHERE id = :id"), {"id": first})
            lanes.slow(session, lane, first, "rate_limited: slow down")
            cuts.append(present_limit(session, lane))

    assert cuts == [2, 1, 1, 1]


def test_a_lane_finds_its_way_back(ports: Ports) -> None:
    limits = []
    with ports.transaction() as session:
        lane, (first, *_) = busy(session, 10, limit=10)
        lanes.slow(session, lane, first, "rate_limited: slow down")
        for _ in range(7):
            limits.append(present_limit(session, lane))
            age(session, lane, REGAIN_S)

    assert limits == [5, 6, 7, 8, 9, 10, 10]


def test_a_large_lane_is_back_within_minutes(ports: Ports) -> None:
    with ports.transaction() as session:
        lane, (first, *_) = busy(session, 2, limit=6000)
        lanes.slow(session, lane, first, "rate_limited: slow down")
        age(session, lane, REGAIN_S * REGAIN_PARTS)

        assert present_limit(session, lane) == 6000


def test_a_slowed_lane_releases_no_more_than_its_present_limit(ports: Ports) -> None:
    with ports.transaction() as session:
        lane, (first, *others) = busy(session, 8)
        lanes.slow(session, lane, first, "rate_limited: slow down")
        session.execute(text("UPDATE jobs SET state = 'failed' WHERE id = ANY(:ids)"), {"ids": [first, *others[:6]]})
        queue(session, 10, lane)

    dispatch.dispatch(ports)

    assert len(in_state(ports, lane)) == 3  # four may be in flight, and one is


def test_a_slow_lane_does_not_keep_a_fast_one_waiting(ports: Ports) -> None:
    with ports.transaction() as session:
        full, open_ = factories.lane(session, limit=0).name, factories.lane(session, limit=5).name
        queue(session, 50, full, priority=9)
        queue(session, 5, open_, priority=0)

    dispatch.dispatch(ports)

    assert len(in_state(ports, open_)) == 5


def test_many_dispatchers_at_once_fill_a_lane_exactly(ports: Ports) -> None:
    with ports.transaction() as session:
        lane = factories.lane(session, limit=7).name
        queue(session, 40, lane)
    many = [another(ports) for _ in range(6)]

    at_once(many, goes=5)

    dispatched = in_state(ports, lane)
    assert len(dispatched) == 7
    told = Counter(job_id for one in many for job_id in hinted(one) if job_id in set(dispatched))
    assert told == Counter(dispatched)


def test_many_dispatchers_at_once_spend_each_token_once(ports: Ports) -> None:
    with ports.transaction() as session:
        lane = factories.lane(session, limit=100, rate_per_minute=36, tokens=6).name
        queue(session, 40, lane)

    at_once([another(ports) for _ in range(6)], goes=3)

    assert 6 <= len(in_state(ports, lane)) <= 8  # a few seconds may have gone by


def test_a_limit_holds_while_slots_come_free_and_many_look(ports: Ports) -> None:
    with ports.transaction() as session:
        lane = factories.lane(session, limit=4).name
        queue(session, 60, lane)
    most = 0
    for _ in range(8):
        at_once([another(ports) for _ in range(4)])
        busy = in_state(ports, lane)
        most = max(most, len(busy))
        with ports.transaction() as session:
            for job_id in busy[:2]:
                claim = claims.read(session, job_id)
                assert claim is not None
                claims.move(session, claim, Cause.CANCELED)

    assert most == 4
    assert len(in_state(ports, lane, State.QUEUED)) == 60 - 4 - 7 * 2


def test_a_lane_that_another_dispatcher_holds_is_looked_at_again(ports: Ports) -> None:
    with ports.transaction() as session:
        lane = factories.lane(session).name
        queue(session, 1, lane)
    let_go = threading.Timer(0.04, lambda: holder.__exit__(None, None, None))
    holder = ports.transaction()
    session = holder.__enter__()
    session.execute(text("SELECT FROM lanes WHERE name = :lane FOR UPDATE"), {"lane": lane})
    let_go.start()

    dispatch.dispatch(ports)

    let_go.join()
    assert len(in_state(ports, lane)) == 1


def test_a_lane_that_is_held_for_long_is_left_to_the_next_tick(ports: Ports) -> None:
    with ports.transaction() as session:
        held, free = factories.lane(session).name, factories.lane(session).name
        queue(session, 1, held)
        queue(session, 1, free)

    with ports.transaction() as holder:
        holder.execute(text("SELECT FROM lanes WHERE name = :lane FOR UPDATE"), {"lane": held})
        dispatch.dispatch(ports)

    assert len(in_state(ports, free)) == 1
    assert in_state(ports, held) == []


def test_more_than_one_go_can_take_goes_at_once(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "MOST_AT_ONCE", 4)
    with ports.transaction() as session:
        wide, narrow = factories.lane(session, limit=30).name, factories.lane(session, limit=1).name
        queue(session, 20, wide)
        queue(session, 20, narrow)

    dispatch.dispatch(ports)

    assert len(in_state(ports, wide)) == 20
    assert len(in_state(ports, narrow)) == 1


def test_a_process_that_stops_releases_nothing(ports: Ports) -> None:
    with ports.transaction() as session:
        lane = factories.lane(session).name
        queue(session, 1, lane)
    stopping = replace(ports, stopping=threading.Event())
    stopping.stopping.set()

    dispatch.dispatch(stopping)

    assert in_state(ports, lane) == []


def test_each_release_is_told_once(ports: Ports) -> None:
    with ports.transaction() as session:
        lane = factories.lane(session).name
        job_ids = queue(session, 20, lane)

    at_once([another(ports) for _ in range(4)])

    with ports.transaction() as session:
        told = Counter(
            session.exec(
                select(Event.job_id).where(col(Event.job_id).in_(job_ids), col(Event.type) == "job.dispatched")
            )
        )
    assert told == Counter(job_ids)


# While results cannot be kept.


def without_s3(ports: Ports, woken: list[int] | None = None) -> Ports:
    """A process that cannot reach S3, and has known it for long once `outage.look` has run."""
    nowhere = ports.settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:1"})
    times = iter((0.0, *(outage.LONG_S + second for second in range(100))))
    return replace(
        ports,
        store=Store.from_settings(nowhere),
        outage=outage.Outage(lambda: next(times)),
        wake_dispatch=lambda: woken.append(1) if woken is not None else None,
    )


def test_nothing_new_is_paid_for_while_s3_is_away_and_all_goes_on_when_it_is_back(ports: Ports) -> None:
    woken: list[int] = []
    away = without_s3(ports, woken)
    with ports.transaction() as session:
        lane = factories.lane(session).name
        queue(session, 1, lane)

    outage.look(away)
    dispatch.dispatch(away)
    kept_back = in_state(ports, lane)
    outage.look(replace(away, store=ports.store))
    dispatch.dispatch(replace(away, store=ports.store))

    assert kept_back == []
    assert woken == [1]
    assert len(in_state(ports, lane)) == 1


def test_nothing_new_is_paid_for_while_the_spool_has_no_room(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((0.0, outage.LONG_S, outage.LONG_S))
    full = replace(ports, outage=outage.Outage(lambda: next(times)))
    monkeypatch.setattr(outage, "LEAST_FREE_BYTES", 2**62)
    with ports.transaction() as session:
        lane = factories.lane(session).name
        queue(session, 1, lane)

    outage.look(full)
    dispatch.dispatch(full)

    assert in_state(ports, lane) == []
    assert full.outage.trouble.startswith("the disk of the spool has ")
