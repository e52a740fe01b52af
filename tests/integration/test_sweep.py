"""Taking back what dead processes held, and finding what nobody else finds."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, text
from sqlalchemy.exc import OperationalError
from sqlmodel import col, delete, select, update

from shared import claims, ids, policy
from shared.lifecycle import Cause, State
from shared.policy import OnUnknown
from shared.tables import GatewayCalls, IdempotencyKey, Job, Process
from tests import factories, rows
from workers import inputs as inputs_of_jobs
from workers import submit, sweep
from workers.ports import Ports
from workers.ticks import Ticks

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def process(ports: Ports, silent_s: float) -> str:
    with ports.transaction() as session:
        return factories.process(session, silent_s=silent_s).id


@pytest.mark.parametrize(
    ("on_unknown", "state", "causes"),
    [
        (OnUnknown.HOLD, State.HELD, [Cause.UNKNOWN]),
        (OnUnknown.RETRY, State.QUEUED, [Cause.RETRIED]),
        (OnUnknown.FAIL, State.FAILED, [Cause.REFUSED]),
    ],
)
def test_of_a_call_whose_process_died_nobody_knows_what_came(
    ports: Ports, on_unknown: OnUnknown, state: State, causes: list[Cause]
) -> None:
    job = rows.make(ports, state=State.SUBMITTING, claimed_by=process(ports, 60), on_unknown=on_unknown)

    sweep.sweep(ports)

    row = rows.read(ports, job)
    assert (row.state, row.attempt, row.claimed_by) == (state, 1, None)
    assert rows.causes(ports, job) == causes
    assert rows.error(ports, job)["code"] == "worker_died"


def test_a_job_whose_inputs_were_in_a_dead_hand_is_queued_again_and_nothing_is_counted(ports: Ports) -> None:
    job = rows.make(ports, state=State.DISPATCHED, claimed_by=process(ports, 60), attempt=0)

    sweep.sweep(ports)

    row = rows.read(ports, job)
    assert (row.state, row.attempt, row.claimed_by, row.waits) == (State.QUEUED, 0, None, 1)
    assert rows.causes(ports, job) == [Cause.HINT_LOST]
    assert rows.due_in_s(ports, job) > 1


def test_inputs_that_end_one_worker_after_the_other_fail_their_job_before_anything_is_paid(ports: Ports) -> None:
    job = rows.make(ports, state=State.DISPATCHED, attempt=0)
    for _ in range(policy.DEATHS_MOST):
        with ports.transaction() as session:
            here = update(Job).where(col(Job.id) == job.id)
            session.execute(here.values(state=State.DISPATCHED, claimed_by=process(ports, 60)))

        sweep.sweep(ports)

    row = rows.read(ports, job)
    assert (row.state, row.attempt) == (State.FAILED, 0)
    assert rows.error(ports, job)["code"] == "worker_died"
    assert "nothing was sent" in rows.error(ports, job)["message"]
    assert rows.causes(ports, job) == [Cause.HINT_LOST] * (policy.DEATHS_MOST - 1) + [Cause.INPUT_REFUSED]


def test_inputs_are_in_the_hand_of_who_prepares_them_and_a_prompt_alone_is_in_nobodys(ports: Ports) -> None:
    seen: list[str | None] = []
    picture = f"data:image/png;base64,{PIXEL}"
    jobs = [rows.make(ports, inputs=inputs) for inputs in ({}, {"images": [picture]})]
    fetch = inputs_of_jobs.fetch

    def look(*arguments: Any) -> Any:
        seen.extend(rows.read(ports, job).claimed_by for job in jobs)
        return fetch(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inputs_of_jobs, "fetch", look)
        assert submit.prepare(jobs[1].id, ports) is not None

    assert seen == [None, ports.process_id]


def test_of_a_result_whose_process_died_another_takes_care(ports: Ports) -> None:
    later = claims.seconds_from_now(900)
    job = rows.make(ports, state=State.STORING, claimed_by=process(ports, 60), due_at=later)

    sweep.sweep(ports)

    row = rows.read(ports, job)
    assert (row.state, row.claimed_by) == (State.STORING, None)
    assert rows.due_in_s(ports, job) <= 0


def test_a_result_with_which_one_worker_after_the_other_dies_is_left_alone_ever_longer_and_then_given_up(
    ports: Ports,
) -> None:
    job = rows.make(ports, state=State.STORING)
    rests = []
    for _ in range(policy.STORE_DEATHS_MOST):
        with ports.transaction() as session:
            session.execute(update(Job).where(col(Job.id) == job.id).values(claimed_by=process(ports, 60)))

        sweep.sweep(ports)

        if rows.read(ports, job).state is State.STORING:
            rests.append(round(rows.due_in_s(ports, job)))

    assert rests == [0, 0, *(20 * deaths for deaths in range(3, policy.STORE_DEATHS_MOST))]
    assert rows.read(ports, job).state is State.FAILED
    assert rows.error(ports, job)["code"] == "worker_died"


def test_a_death_counts_in_a_row_only(ports: Ports) -> None:
    job = rows.make(ports, state=State.STORING, waits=5, waits_for=policy.WORKER_DIED, claimed_by=ports.process_id)
    with ports.transaction() as session:
        claim = claims.held_by(session, job.id, State.STORING, ports.process_id)
        assert claim is not None
        claims.store_later(session, claim, 0, "S3 is away", is_counted=False)

    assert (rows.read(ports, job).waits, rows.read(ports, job).waits_for) == (1, policy.OUR_STORAGE)


@pytest.mark.parametrize("state", [State.SUBMITTING, State.STORING])
def test_what_a_living_process_holds_is_left_to_it(ports: Ports, state: State) -> None:
    holder = process(ports, 0)
    job = rows.make(ports, state=state, claimed_by=holder, due_at=claims.seconds_from_now(900))

    sweep.sweep(ports)

    row = rows.read(ports, job)
    assert (row.state, row.claimed_by) == (state, holder)


@pytest.mark.parametrize("state", [State.SUBMITTING, State.STORING])
def test_nobody_counts_as_dead_while_nobody_could_say_that_he_lives(ports: Ports, state: State) -> None:
    holder = process(ports, 60)
    job = rows.make(ports, state=state, claimed_by=holder, due_at=claims.seconds_from_now(900))

    sweep.sweep(ports, may_judge=False)

    assert rows.read(ports, job).claimed_by == holder


def test_a_call_that_a_living_process_has_lost_is_taken_back_in_the_end(ports: Ports) -> None:
    long_ago = claims.seconds_from_now(-sweep.CALL_MOST_S - 1)
    job = rows.make(ports, state=State.SUBMITTING, claimed_by=process(ports, 0), moved_at=long_ago)

    sweep.sweep(ports, may_judge=False)

    assert rows.read(ports, job).state is State.HELD
    assert rows.error(ports, job)["code"] == "call_lost"


def test_a_call_may_take_all_its_time_outs_before_it_counts_as_lost(ports: Ports) -> None:
    from workers import patience
    from workers.gateway import client as gateway

    longest_s = max(operation.timeout_s for operation in ports.catalog.operations.values())

    call_s = gateway.CONNECT_S + gateway.WRITE_S + 2 * longest_s
    assert call_s + 2 * patience.WRITE_DOWN_S < sweep.CALL_MOST_S


def test_a_hint_that_was_lost_is_given_back_and_the_dispatcher_woken(ports: Ports) -> None:
    woken: list[int] = []
    job = rows.make(ports, moved_at=claims.seconds_from_now(-61))

    sweep.sweep(replace(ports, wake_dispatch=lambda: woken.append(1)))

    assert rows.read(ports, job).state is State.QUEUED
    assert rows.causes(ports, job) == [Cause.HINT_LOST]
    assert woken


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.HELD])
def test_what_is_past_its_deadline_fails(ports: Ports, state: State) -> None:
    job = rows.make(ports, state=state, deadline_at=claims.seconds_from_now(-1))

    sweep.sweep(ports)

    assert rows.read(ports, job).state is State.FAILED


def test_many_that_sweep_at_once_take_each_row_back_once(ports: Ports) -> None:
    dead = process(ports, 60)
    calls = [rows.make(ports, state=State.SUBMITTING, claimed_by=dead) for _ in range(12)]
    hints = [rows.make(ports, moved_at=claims.seconds_from_now(-61)) for _ in range(12)]
    many = [replace(ports, process_id=ids.new("process")) for _ in range(4)]
    barrier = threading.Barrier(len(many))

    def run(one: Ports) -> None:
        barrier.wait(10)
        sweep.sweep(one)

    with ThreadPoolExecutor(len(many)) as threads:
        list(threads.map(run, many))

    assert {tuple(rows.causes(ports, job)) for job in calls} == {(Cause.UNKNOWN,)}
    assert {tuple(rows.causes(ports, job)) for job in hints} == {(Cause.HINT_LOST,)}


def test_one_row_that_cannot_be_taken_back_keeps_no_other_waiting(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = process(ports, 60)
    jobs = [rows.make(ports, state=State.SUBMITTING, claimed_by=dead) for _ in range(3)]
    refuse = submit.refuse

    def sometimes(claim: claims.Claim, *rest: Any) -> None:
        if claim.job_id == jobs[0].id:
            raise ZeroDivisionError
        refuse(claim, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(submit, "refuse", sometimes)
        sweep.sweep(ports)

    assert [rows.read(ports, job).state for job in jobs] == [State.SUBMITTING, State.HELD, State.HELD]
    sweep.sweep(ports)


@pytest.mark.parametrize("chore", ["return_lost_hints", "expire", "forget_dead", "free_orphaned_stores"])
def test_one_chore_that_cannot_be_done_keeps_no_other_from_being_done(
    ports: Ports, monkeypatch: pytest.MonkeyPatch, chore: str
) -> None:
    def away(*_: object) -> Any:
        raise OperationalError("UPDATE", {}, Exception("statement timeout"))

    call = rows.make(ports, state=State.SUBMITTING, claimed_by=process(ports, 60))
    hint = rows.make(ports, moved_at=claims.seconds_from_now(-61))
    late = rows.make(ports, state=State.HELD, deadline_at=claims.seconds_from_now(-1))
    monkeypatch.setattr(claims, chore, away)

    sweep.sweep(ports)

    assert rows.read(ports, call).state is State.HELD
    assert (rows.read(ports, hint).state is State.QUEUED) == (chore != "return_lost_hints")
    assert (rows.read(ports, late).state is State.FAILED) == (chore != "expire")


def test_a_sweep_that_finds_nothing_changes_nothing(ports: Ports) -> None:
    sweep.sweep(ports)
    with ports.transaction() as session:
        before = session.execute(text("SELECT count(*), max(seq) FROM events")).one()

    sweep.sweep(ports)

    with ports.transaction() as session:
        assert session.execute(text("SELECT count(*), max(seq) FROM events")).one() == before


def test_answers_that_were_kept_for_repeated_requests_are_forgotten_after_a_week(ports: Ports) -> None:
    with ports.transaction() as session:
        project = factories.project(session).id
        for key, days in (("old", 9), ("young", 7)):
            session.add(
                IdempotencyKey(
                    project_id=project,
                    key=key,
                    request_sha256="0" * 64,
                    status=202,
                    body={},
                    created_at=claims.seconds_from_now(-days * 86_400),
                )
            )

    sweep.sweep(ports)

    with ports.transaction() as session:
        keys = session.exec(select(IdempotencyKey.key).where(col(IdempotencyKey.project_id) == project)).all()
    assert keys == ["young"]


def test_the_figures_of_all_processes_are_added_up(ports: Ports) -> None:
    call = f"call-{ids.new('process')}"
    for seconds in (0.2, 20.0):
        ports.figures.add(call, "ok", seconds)
        sweep.sweep(ports)

    with ports.transaction() as session:
        row = session.get_one(GatewayCalls, (call, "ok"))
    assert (row.count, row.seconds_sum) == (2, pytest.approx(20.2))
    assert row.buckets == [0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2]


# The spool.


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    for part in (*path.rglob("*"), path):
        os.utime(part, (then, then))


def keep(ports: Ports, job: Job, attempt: int, age_s: float) -> str:
    name = ports.spool.keep(job.id, attempt, 0, b"a result")
    age(ports.spool.kept(name), age_s)
    return name


def left(ports: Ports) -> set[str]:
    return {path.name for path in ports.spool._kept.iterdir()}


def test_results_in_hand_that_nobody_wants_any_more_are_removed(ports: Ports) -> None:
    canceled, wanted, young, moved_on = (
        rows.make(ports, state=state, attempt=2)
        for state in (State.CANCELED, State.STORING, State.CANCELED, State.QUEUED)
    )
    gone = Job(id=ids.new("job"))
    unwanted = [keep(ports, job, 2, 2 * sweep.SPOOL_S) for job in (canceled, gone)]
    unwanted += [keep(ports, job, 1, 2 * sweep.SPOOL_S) for job in (wanted, moved_on)]
    still = {keep(ports, wanted, 2, 2 * sweep.SPOOL_S), keep(ports, young, 2, 10)}

    sweep.sweep(ports)

    assert left(ports) == still
    assert len(unwanted) == 4


def test_no_more_of_them_are_looked_at_in_one_sweep_than_is_quick(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "SPOOL_MOST", 2)
    for _ in range(5):
        keep(ports, Job(id=ids.new("job")), 1, 2 * sweep.SPOOL_S)

    counts = []
    for _ in range(3):
        sweep.sweep(ports)
        counts.append(len(left(ports)))

    assert counts == [3, 1, 0]


def test_downloads_of_dead_processes_are_removed_and_those_under_way_are_not(ports: Ports) -> None:
    dead = ports.spool._passing / "tmpdead"
    dead.mkdir()
    (dead / "source-0").write_bytes(b"half a film")
    half = ports.spool._passing / "tmphalf"
    half.write_bytes(b"half a result")
    for path in (dead, half):
        age(path, sweep.LEFT_OVER_S + 60)

    with ports.spool.passing() as under_way:
        (under_way / "source-0").write_bytes(b"the beginning of a film")
        os.utime(under_way, (0, 0))  # what is written to is the file, not its folder
        sweep.sweep(ports)

        assert set(ports.spool._passing.iterdir()) == {under_way}


# The ticks around it.


@pytest.fixture
def ticks(ports: Ports) -> Iterator[Ticks]:
    made = Ticks(ports, "a worker")
    yield made
    with ports.transaction() as session:
        claims.leave(session, ports.process_id)


def silence(ports: Ports, seconds: float) -> None:
    """As if nobody had reached the database, or the machine had slept, for so long."""
    with ports.transaction() as session:
        session.execute(
            update(Process)
            .where(col(Process.id) == ports.process_id)
            .values(heartbeat_at=claims.seconds_from_now(-seconds))
        )


def steady_for(ticks: Ticks, seconds: float) -> None:
    ticks._pulse.run_once()
    ticks._pulse.steady_since = time.monotonic() - seconds


def test_a_process_that_has_just_begun_judges_nobody(ports: Ports, ticks: Ticks) -> None:
    job = rows.make(ports, state=State.SUBMITTING, claimed_by=process(ports, 60))

    ticks._pulse.run_once()
    ticks._sweep()

    assert rows.read(ports, job).state is State.SUBMITTING


def test_a_process_that_has_beaten_for_long_enough_judges(ports: Ports, ticks: Ticks) -> None:
    job = rows.make(ports, state=State.SUBMITTING, claimed_by=process(ports, 60))

    steady_for(ticks, ports.settings.dead_after_s + 1)
    ticks._sweep()

    assert rows.read(ports, job).state is State.HELD


def test_after_the_machine_has_slept_everybody_may_beat_before_anybody_judges(ports: Ports, ticks: Ticks) -> None:
    steady_for(ticks, 1000)
    job = rows.make(ports, state=State.SUBMITTING, claimed_by=process(ports, 3600))
    silence(ports, 3600)

    ticks._sweep()  # before our own next heartbeat
    ticks._pulse.run_once()
    ticks._sweep()  # and right after it

    assert rows.read(ports, job).state is State.SUBMITTING


def test_after_an_outage_of_the_database_everybody_may_beat_before_anybody_judges(
    ports: Ports, ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("gone"))

    steady_for(ticks, 1000)
    job = rows.make(ports, state=State.SUBMITTING, claimed_by=process(ports, 3600))
    with monkeypatch.context() as patched:
        patched.setattr(claims, "beat", away)
        ticks._pulse.run_once()

    ticks._pulse.run_once()
    ticks._sweep()

    assert rows.read(ports, job).state is State.SUBMITTING


def test_a_heartbeat_does_not_wait_for_a_connection_that_others_have(ports: Ports, ticks: Ticks) -> None:
    held = [ports.engine.connect() for _ in range(ports.settings.database_pool)]
    began = time.monotonic()

    ticks._pulse.run_once()
    took_s = time.monotonic() - began
    for connection in held:
        connection.close()

    assert took_s < 3
    assert ticks._pulse.steady_since is not None
    with ports.transaction() as session:
        heartbeat = session.execute(
            select(func.extract("epoch", func.now() - Process.heartbeat_at)).where(col(Process.id) == ports.process_id)
        ).scalar_one()
        session.execute(delete(Process).where(col(Process.id) == ports.process_id))
    assert heartbeat < 3
