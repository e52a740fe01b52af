"""Results on the disk of a host that nobody sees any more: told, taken up elsewhere, and given up only after a week."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from sqlmodel import col, update

from api.figures import DatabaseFigures
from shared import claims, spools
from shared.lifecycle import State
from shared.tables import HostSpool, Job
from tests import factories, rows
from tests.integration.test_fresh_links import film
from tests.integration.test_store import Shelf, png, produced, shelf, store_again
from workers import store, sweep
from workers.ports import Ports
from workers.spool import Spool

__all__ = ["shelf"]  # a fixture

MINUTE, HOUR, DAY = 60, 3600, 86_400


def silent(ports: Ports, host: str, silent_s: float) -> str:
    """A spool that was last seen so long ago; its name."""
    name = uuid.uuid4().hex
    with ports.transaction() as session:
        seen_at = claims.seconds_from_now(-silent_s)
        session.add(HostSpool(name=name, host=host, seen_at=seen_at, files=3, size_bytes=300, free_bytes=5))
    return name


def waiting(ports: Ports, spool: str, *sources: dict[str, str], since_s: float = 8 * DAY, **columns: Any) -> Job:
    """A result that this spool has, and that may be at other places."""
    moved_at = claims.seconds_from_now(-since_s)
    return produced(ports, {"spool": "a-file"}, *sources, spool_host=spool, moved_at=moved_at, **columns)


def test_after_some_minutes_the_job_says_which_host_it_waits_for(ports: Ports) -> None:
    job = waiting(ports, silent(ports, "alpha", 6 * MINUTE), since_s=30 * MINUTE)

    sweep.sweep(ports)

    reason = rows.read(ports, job).state_reason or ""
    assert reason.startswith("its result is in the spool of the host alpha, not seen since 20")
    assert reason.endswith("start a worker there")


def test_a_spool_of_which_nobody_knows_is_told_by_its_name(ports: Ports) -> None:
    name = uuid.uuid4().hex
    job = waiting(ports, name)

    sweep.sweep(ports)

    assert f"the spool of {name}, which nobody has ever seen" in (rows.read(ports, job).state_reason or "")


@pytest.mark.parametrize(("seen_s", "since_s"), [(MINUTE, HOUR), (HOUR, MINUTE)], ids=["seen", "just come"])
def test_nothing_is_said_of_a_host_that_is_there_or_of_a_result_that_has_just_come(
    ports: Ports, seen_s: float, since_s: float
) -> None:
    job = waiting(ports, silent(ports, "alpha", seen_s), since_s=since_s)

    sweep.sweep(ports)

    assert rows.read(ports, job).state_reason is None


@pytest.mark.parametrize(("silent_s", "is_taken"), [(0.9 * HOUR, False), (1.1 * HOUR, True)])
def test_after_an_hour_another_host_goes_on_with_the_link(
    homely: Ports, shelf: Shelf, silent_s: float, is_taken: bool
) -> None:
    spool = silent(homely, "alpha", silent_s)
    job = waiting(homely, spool, {"url": shelf.put("/picture", png())})

    row = store_again(homely, job)

    assert (row.state is State.SUCCEEDED) == is_taken, row.state_reason


def test_another_host_goes_on_with_what_the_task_says_now(ports: Ports) -> None:
    job = film(ports, "variant=video_url")
    with ports.transaction() as session:
        moved_at = claims.seconds_from_now(-2 * HOUR)
        session.execute(update(Job).where(col(Job.id) == job.id).values(spool_host=uuid.uuid4().hex, moved_at=moved_at))
        claim = claims.read(session, job.id)
        assert claim is not None
        claims.keep_result(session, claim, outputs=[{"kind": "video", "sources": [{"spool": "a-file"}]}])

    row = store_again(ports, job)

    assert row.state is State.SUCCEEDED, row.state_reason


def test_what_is_nowhere_else_waits_for_its_host_and_uses_up_no_try(ports: Ports) -> None:
    job = waiting(ports, silent(ports, "alpha", 2 * HOUR), store_tries=2)

    row = store_again(ports, job)

    assert (row.state, row.store_tries, row.claimed_by) == (State.STORING, 2, None)
    assert (row.state_reason or "").startswith(
        "its result is in the spool of the host alpha, not seen for 2 h; elsewhere"
    )
    assert rows.is_due_in(ports, job, spools.LOOK_AGAIN_S)


@pytest.mark.parametrize(
    ("silent_s", "since_s", "state"),
    [
        (6 * DAY, 9 * DAY, State.STORING),
        (8 * DAY, 6 * DAY, State.STORING),
        (8 * DAY, 9 * DAY, State.FAILED),
    ],
)
def test_what_is_nowhere_else_is_given_up_after_a_week(
    ports: Ports, silent_s: float, since_s: float, state: State
) -> None:
    job = waiting(ports, silent(ports, "alpha", silent_s), since_s=since_s)

    row = store_again(ports, job)

    assert row.state is state
    if state is State.FAILED:
        error = rows.error(ports, job)
        assert error["code"] == "result_missing"
        assert "the spool of the host alpha, not seen for 192 h" in error["message"]


def test_a_host_that_comes_back_stores_at_once_what_waited_for_it(ports: Ports) -> None:
    spool = ports.spool.name
    with ports.transaction() as session:
        seen_at = claims.seconds_from_now(-HOUR)
        session.add(HostSpool(name=spool, host="alpha", seen_at=seen_at, files=1, size_bytes=1, free_bytes=5))
    job = waiting(ports, spool)
    ports.spool._write(ports.spool.kept("a-file"), png())
    with ports.transaction() as session:
        later = claims.seconds_from_now(HOUR)
        session.execute(update(Job).where(col(Job.id) == job.id).values(due_at=later, state_reason="it waits"))

    sweep.sweep(ports)
    taken = store.store(None, ports)

    assert taken == 1
    row = rows.read(ports, job)
    assert (row.state, row.state_reason) == (State.SUCCEEDED, None)


def test_a_host_that_was_there_all_the_time_keeps_its_pace(ports: Ports) -> None:
    sweep.sweep(ports)
    job = waiting(ports, ports.spool.name, since_s=0)
    with ports.transaction() as session:
        session.execute(update(Job).where(col(Job.id) == job.id).values(due_at=claims.seconds_from_now(HOUR)))

    sweep.sweep(ports)

    assert rows.due_in_s(ports, job) > 0


def test_spools_and_what_waits_for_the_silent_ones_are_among_the_figures(ports: Ports) -> None:
    host = f"alpha-{uuid.uuid4().hex}"
    name = silent(ports, host, HOUR)
    waiting(ports, name)
    ports.spool.keep("job_x", 1, 0, b"12345")
    sweep.sweep(ports)
    registry = CollectorRegistry()
    registry.register(DatabaseFigures(ports.transaction, ports.settings))

    told = generate_latest(registry).decode()

    theirs, ours = f'host="{host}",spool="{name[:8]}"', f'host="{ports.host}",spool="{ports.spool.name[:8]}"'
    assert f"darkroom_spool_lone_results{{{theirs}}} 1.0" in told
    assert f"darkroom_spool_lone_results{{{ours}}} 0.0" in told
    assert f"darkroom_spool_files{{{ours}}} 1.0" in told
    assert f"darkroom_spool_bytes{{{ours}}} 5.0" in told
    assert f"darkroom_spool_free_bytes{{{theirs}}} 5.0" in told


def test_a_spool_that_nobody_has_seen_for_a_month_is_forgotten_unless_a_result_waits_for_it(ports: Ports) -> None:
    forgotten, waited_for = (silent(ports, "alpha", 31 * DAY) for _ in range(2))
    waiting(ports, waited_for)

    sweep.sweep(ports)

    with ports.transaction() as session:
        assert session.get(HostSpool, forgotten) is None
        assert session.get(HostSpool, waited_for) is not None


def test_orphaned_results_are_freed_a_bounded_number_at_a_time_and_the_oldest_first(ports: Ports) -> None:
    with ports.transaction() as session:
        died = factories.process(session, silent_s=60).id
    jobs = [
        rows.make(ports, state=State.STORING, claimed_by=died, due_at=claims.seconds_from_now(after_s))
        for after_s in (30, 10, 20)
    ]

    with ports.transaction() as session:
        freed = claims.free_orphaned_stores(session, 30, limit=2)

    assert len(freed) == 2
    assert [rows.read(ports, job).claimed_by for job in jobs] == [died, None, None]


def test_the_name_of_a_spool_is_seen_with_what_it_holds(ports: Ports, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "another")
    spool.keep("job_x", 1, 0, b"123")
    spool.keep("job_x", 1, 1, b"4567")

    with ports.transaction() as session:
        spools.see(session, spool.name, "beta", *spool.content(), spool.free_bytes())

    with ports.transaction() as session:
        row = session.get_one(HostSpool, spool.name)
        assert (row.host, row.files, row.size_bytes) == ("beta", 2, 7)
        assert spools.silence(session, spool.name).silent_s < 10
