"""Where two mechanisms meet, each of which is right alone: lending and late news, searches and cancels, sweeps and
manifests, deaths and late results."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, func, text, update
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, col, select

from api.jobs import intake, steering
from shared import claims, db, ids, late
from shared.errors import StorageUnavailable
from shared.gateway.adapter import Found
from shared.gateway.outcome import Accepted, ErrorClass, GatewayError
from shared.lifecycle import Cause, State
from shared.policy import OnUnknown
from shared.tables import GatewayView, HeldAttempt, Job, Lane, LateResult, LateState
from tests import factories, rows
from tests import stack as services
from tests.integration.test_store import png
from workers import adoption, lending, manifest, reconcile, store, submit, sweep, usage_log
from workers import late as late_ticks
from workers.gateway.clients import NoCredential
from workers.manifest import Manifest
from workers.ports import Ports

UNKNOWN = GatewayError(ErrorClass.UNKNOWN_OUTCOME, "no_answer", "ReadTimeout")


@pytest.fixture(autouse=True)
def _nothing_left(ports: Ports) -> None:
    """No late result, search or look that another test left."""
    with ports.transaction() as session:
        unfinished = col(LateResult.state).in_(late.UNFINISHED)
        session.execute(update(LateResult).where(unfinished).values(state=LateState.GIVEN_UP))
        session.execute(update(HeldAttempt).values(due_at=None))
        session.execute(text("DELETE FROM gateway_views"))


def late_of(ports: Ports, job: Job) -> list[LateResult]:
    with ports.transaction() as session:
        found = select(LateResult).where(col(LateResult.job_id) == job.id).order_by(col(LateResult.attempt))
        return list(session.exec(found))


def cancel(ports: Ports, job: Job) -> None:
    with ports.transaction() as session:
        steering.cancel(session, job.project_id, job.id)


# A job that was given up and lent, and the first attempt's success.


def family_lanes(ports: Ports) -> tuple[str, str]:
    """The lanes of two credentials for one family."""
    family = uuid.uuid4().hex
    with ports.transaction() as session:
        return lane(session, f"alpha.{family}"), lane(session, f"beta.{family}")


def lane(session: Session, name: str) -> str:
    session.add(Lane(name=name, limit=100, rate_per_minute=60_000, tokens=1000.0, tokens_at=func.now()))
    session.flush()
    return name


def given_up_and_lent(ports: Ports, alpha: str, beta: str) -> tuple[Job, claims.Claim]:
    """A job whose first call, made as alpha, was given up, and which beta has taken since; the first call's claim."""
    job = rows.make(ports, operation="video.create", lane_name=alpha, on_unknown=OnUnknown.RETRY)
    with ports.transaction() as session:
        claim = claims.take(session, job.id, by="process_zombie")
        assert claim is not None
        known = replace(claim, holder="process_zombie")
        assert claims.move(session, known, Cause.RETRIED, due_in_s=0)
        assert lending.lend(session, lending.Loan(beta, (alpha,), 5, ("%",)), [alpha], 5) == 1
    return rows.read(ports, job), known


def test_a_late_success_brings_a_lent_job_back_to_the_lane_whose_key_knows_its_task(ports: Ports) -> None:
    alpha, beta = family_lanes(ports)
    job, claim = given_up_and_lent(ports, alpha, beta)
    assert (job.lane, job.state) == (beta, State.QUEUED)

    submit.record_in_hand(claim, manifest.of_accepted(claim, Accepted("task-of-alpha")), ports)

    job = rows.read(ports, job)
    assert (job.state, job.upstream_task_id, job.lane) == (State.RUNNING, "task-of-alpha", alpha)


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_manifest_of_a_job_that_was_lent_meanwhile_names_the_lane_of_its_call(ports: Ports, goes_on: bool) -> None:
    alpha, beta = family_lanes(ports)
    job, claim = given_up_and_lent(ports, alpha, beta)
    manifest.keep(manifest.of_accepted(claim, Accepted("task-of-alpha")), ports.spool)
    if goes_on:
        with ports.transaction() as session:
            session.execute(update(Job).where(col(Job.id) == job.id).values(state=State.DISPATCHED))
            assert claims.take(session, job.id, by="process_of_beta") is not None

    assert adoption.adopt(job.id, 1, ports)

    if goes_on:
        (row,) = late_of(ports, job)
        assert (row.upstream_task_id, row.lane) == ("task-of-alpha", alpha)
        assert rows.read(ports, job).lane == beta
    else:
        assert rows.read(ports, job).lane == alpha


# A task that is found just when nobody waits for it any more.


@pytest.mark.parametrize("on_unknown", list(OnUnknown))
def test_a_task_that_is_found_when_its_job_was_just_canceled_is_looked_at_all_the_same(
    ports: Ports, on_unknown: OnUnknown
) -> None:
    job = rows.make(ports, operation="midjourney.imagine", on_unknown=on_unknown)
    with ports.transaction() as session:
        claim = claims.take(session, job.id, by="process_a")
    assert claim is not None
    submit.refuse(replace(claim, holder="process_a"), UNKNOWN, ports)
    assert rows.read(ports, job).state is State.HELD
    with ports.transaction() as session:
        session.execute(update(HeldAttempt).where(col(HeldAttempt.job_id) == job.id).values(due_at=func.now()))
        (lost,), _ = reconcile.evidence.take_due(session, 5, 60)
    cancel(ports, job)
    task_id = uuid.uuid4().hex

    reconcile._taken_up(reconcile.Search(lost, Any, None), Found(task_id), ports)  # type: ignore[arg-type]

    assert rows.read(ports, job).state is State.CANCELED
    (row,) = late_of(ports, job)
    assert (row.state, row.upstream_task_id) == (LateState.LOOKING, task_id)


# The spool, when a manifest could not be taken up at once.


def left_behind(ports: Ports, job: Job, attempt: int, age_s: float) -> Manifest:
    """A picture in hand and its manifest, both so old."""
    name = ports.spool.keep(job.id, attempt, 0, png())
    outputs = [{"kind": "image", "sources": [{"spool": name}]}]
    found = Manifest(job_id=job.id, attempt=attempt, process_id=None, outputs=outputs)
    manifest.keep(found, ports.spool)
    then = time.time() - age_s
    for path in (ports.spool.kept(name), ports.spool._manifests / f"{job.id}-{attempt}"):
        os.utime(path, (then, then))
    return found


@pytest.mark.parametrize("trouble", [OperationalError("UPDATE", {}, Exception("gone")), ZeroDivisionError()])
def test_what_could_not_be_taken_up_is_not_swept_away_before_it_is(
    ports: Ports, trouble: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = rows.make(ports, state=State.CANCELED)
    left_behind(ports, job, 1, age_s=7 * 3600)
    with monkeypatch.context() as patched:

        def fail(*_: Any, **__: Any) -> None:
            raise trouble

        patched.setattr(submit, "record_in_hand", fail)
        sweep.sweep(ports, may_judge=False)

    sweep.sweep(ports, may_judge=False)

    assert [row.state for row in late_of(ports, job)] == [LateState.STORING]
    assert late_ticks.keep(ports)
    assert late_of(ports, job)[0].state is LateState.STORED


def test_more_manifests_than_one_sweep_takes_up_wait_for_the_next_one(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adoption, "MOST", 1)
    jobs = [rows.make(ports, state=State.CANCELED) for _ in range(3)]
    for number, job in enumerate(jobs):
        left_behind(ports, job, 1, age_s=7 * 3600 - number)

    for _ in jobs:
        sweep.sweep(ports, may_judge=False)

    assert [[row.state for row in late_of(ports, job)] for job in jobs] == [[LateState.STORING]] * 3


def test_a_result_that_comes_into_a_spool_just_before_it_is_canceled_is_left_to_that_spool(ports: Ports) -> None:
    job = rows.make(ports, state=State.STORING, claimed_by=ports.process_id, due_at=claims.seconds_from_now(60))
    with ports.transaction() as session:
        factories.result(session, job, outputs=[{"kind": "image", "sources": [{"url": "https://example.com/a.png"}]}])
        seen_before = claims.read(session, job.id)
    assert seen_before is not None

    with ports.transaction() as session:
        storer = replace(seen_before, by=ports.process_id)
        assert claims.keep_places(session, storer, {0: {"spool": f"{job.id}-1-0"}}, ports.spool.name)
    with ports.transaction() as session:
        assert claims.move(session, seen_before, Cause.CANCELED)

    (row,) = late_of(ports, job)
    assert row.outputs is not None
    assert row.outputs[0]["sources"][0] == {"spool": f"{job.id}-1-0"}
    assert row.spool_host == ports.spool.name


def test_what_was_fetched_for_a_job_that_was_canceled_meanwhile_is_known_to_its_late_result(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 is away, and by the time that it is back the link has expired."""
    job = rows.make(ports, state=State.STORING, claimed_by=ports.process_id, due_at=claims.seconds_from_now(60))
    link = {"url": "https://example.com/gone.png"}
    with ports.transaction() as session:
        factories.result(session, job, outputs=[{"kind": "image", "sources": [link]}])
        claim = claims.read(session, job.id)
    assert claim is not None

    def fetch(_: Any, __: str, to: Path, *___: Any) -> None:
        to.write_bytes(png())
        cancel(ports, job)

    def refuse(*_: Any) -> None:
        raise StorageUnavailable("S3 is away")

    with monkeypatch.context() as patched:
        patched.setattr(type(ports.outbound), "fetch", fetch)
        patched.setattr(ports.store, "put_file", refuse)
        store.store_claimed(replace(claim, by=ports.process_id), ports)

    (row,) = late_of(ports, job)
    assert row.outputs is not None
    assert row.outputs[0]["sources"] == [{"spool": f"{job.id}-1-0"}, link]
    assert row.spool_host == ports.spool.name
    with ports.transaction() as session:
        session.execute(update(LateResult).where(col(LateResult.job_id) == job.id).values(due_at=func.now()))
    assert late_ticks.keep(ports)
    assert late_of(ports, job)[0].state is LateState.STORED


def test_a_strange_file_in_the_spool_keeps_nothing_from_being_taken_up_or_collected(ports: Ports) -> None:
    """As a copy of a dead host's spool may bring along."""
    job, over = rows.make(ports, state=State.CANCELED), rows.make(ports, state=State.CANCELED)
    left_behind(ports, job, 1, age_s=60)
    litter = ports.spool.kept(ports.spool.keep(over.id, 1, 0, png()))
    os.utime(litter, (0, 0))
    strange = [folder / name for folder in (ports.spool._manifests, ports.spool._kept) for name in (".nfs01", "a-b")]
    for path in strange:
        path.write_bytes(b"")
        os.utime(path, (0, 0))

    sweep.sweep(ports, may_judge=False)

    assert [row.state for row in late_of(ports, job)] == [LateState.STORING]
    assert not litter.exists()


# A late result that ends one process after the other.


def test_a_late_result_that_ends_its_processes_is_left_alone_for_ever_longer(ports: Ports) -> None:
    job = rows.make(ports, state=State.CANCELED, attempt=1)
    with ports.transaction() as session:
        row = LateResult(
            job_id=job.id, attempt=1, lane=job.lane, state=LateState.STORING, outputs=[], due_at=func.now(),
            created_at=func.now(),
        )  # fmt: skip
        session.add(row)
    taken = 0
    for _ in range(30):
        with ports.transaction() as session:
            dead = factories.process(session, silent_s=ports.settings.dead_after_s + 5).id
            taken += len(late.take_storing(session, dead, ports.spool.name, ports.settings.dead_after_s, 3600))

    assert taken == 1 + late.DEATHS_FORGIVEN


# A credential that is not here.


def test_a_credential_that_is_not_here_uses_up_none_of_the_looks_that_all_logs_share(ports: Ports) -> None:
    for _ in range(usage_log.LOOKS_MOST + 1):
        with pytest.raises(NoCredential):
            usage_log.read("gone", ports)

    with ports.transaction() as session:
        assert session.get(GatewayView, "gone.log") is None


# One bad row among good ones.


def test_one_search_that_cannot_be_begun_keeps_no_other_from_being_made(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [rows.make(ports, operation="midjourney.imagine", model="midjourney") for _ in range(3)]
    for job in jobs:
        with ports.transaction() as session:
            claim = claims.take(session, job.id, by="process_a")
        assert claim is not None
        submit.refuse(replace(claim, holder="process_a"), UNKNOWN, ports)
    begun = reconcile._begun

    def sometimes(lost: reconcile.Lost, *rest: Any) -> reconcile.Search:
        if lost.claim.job_id == jobs[0].id:
            raise ZeroDivisionError
        return begun(lost, *rest)

    monkeypatch.setattr(reconcile, "_begun", sometimes)
    with ports.transaction() as session:
        named = col(HeldAttempt.job_id).in_([job.id for job in jobs])
        session.execute(update(HeldAttempt).where(named).values(due_at=func.now()))

    reconcile.reconcile(ports)

    with ports.transaction() as session:
        looked_for = [len(session.get_one(HeldAttempt, (job.id, 1)).looked_for) for job in jobs]
    assert looked_for == [0, 1, 1]


# Two transactions at once.


def test_to_hold_an_attempt_again_and_to_give_up_its_search_do_not_block_each_other(ports: Ports) -> None:
    """All who write a job and what is known of its held attempt have the job's row first."""
    job = rows.make(ports, operation="midjourney.imagine", model="midjourney", on_unknown=OnUnknown.FAIL)
    with ports.transaction() as session:
        claim = claims.take(session, job.id, by="process_a")
    assert claim is not None
    submit.refuse(replace(claim, holder="process_a"), UNKNOWN, ports)
    with ports.transaction() as session:
        session.execute(
            update(HeldAttempt)
            .where(col(HeldAttempt.job_id) == job.id)
            .values(due_at=func.now(), looked_for=[{"at": None, "found": None, "told": ""}] * 9)
        )
        (lost,), _ = reconcile.evidence.take_due(session, 5, 60)
    has_job, may_go_on = threading.Event(), threading.Event()

    def hold_again() -> None:
        with ports.transaction() as session:
            session.execute(select(Job.id).where(col(Job.id) == job.id).with_for_update(key_share=True))
            has_job.set()
            may_go_on.wait(10)
            reconcile.evidence.keep(session, lost.claim, UNKNOWN, is_findable=True)

    def give_up() -> None:
        has_job.wait(10)
        search = reconcile.Search(replace(lost, searches=9), Any, None)  # type: ignore[arg-type]
        reconcile._go_on(search, "nothing", ports)

    with ThreadPoolExecutor(2) as threads:
        holding, giving_up = threads.submit(hold_again), threads.submit(give_up)
        has_job.wait(10)
        rows.until(lambda: waits_for_a_lock(ports))
        may_go_on.set()
        holding.result(20)
        giving_up.result(20)


def waits_for_a_lock(ports: Ports) -> bool:
    with ports.transaction() as session:
        waiting = text("SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) "
                       "WHERE NOT granted AND datname = current_database()")  # fmt: skip
        return bool(session.execute(waiting).scalar_one())


# Whose upstream task it is.


def test_a_task_that_only_a_late_result_knows_is_still_its_projects_own(ports: Ports) -> None:
    alpha, _ = family_lanes(ports)
    job = rows.make(ports, operation="midjourney.imagine", state=State.HELD, lane_name=alpha, upstream_task_id="task")
    task_id = uuid.uuid4().hex
    with ports.transaction() as session:
        session.execute(update(Job).where(col(Job.id) == job.id).values(upstream_task_id=task_id))
        claim = claims.read(session, job.id)
        assert claim is not None
        assert claims.move(session, claim, Cause.RESOLVED_RETRY)

    with ports.transaction() as session:
        assert rows.read(ports, job).upstream_task_id is None
        assert intake.is_others(session, factories.project(session).id, task_id)
        assert not intake.is_others(session, job.project_id, task_id)
        assert intake.lanes_by_owner(session, task_id) == {job.project_id: alpha}
        assert not intake.is_others(session, job.project_id, uuid.uuid4().hex)


# How long a look takes, whatever is over or in line.


@pytest.fixture(scope="module")
def crowded(stack: dict[str, Any]) -> Iterator[Engine]:
    """A database of its own with 20,000 late results and held attempts that are over, and two hundred that are due."""
    url = services.new_database(stack["database_url"], f"crowded-{ids.new('project')}")
    engine = db.engine(url, 2, "darkroom-tests")
    with Session(engine) as session, session.begin():
        project = factories.project(session).id
        session.execute(
            text("""
                INSERT INTO jobs (id, project_id, operation, model, lane, state, priority, attempt, max_attempts, waits,
                    on_unknown, upstream_task_id, moved_at, progress, misses, vanished, doubted, store_tries,
                    created_at)
                SELECT 'job_' || lpad(n::text, 26, '0'), :project, 'video.create', 'sora-2', 'c' || n % 4 || '.film',
                    CASE WHEN n <= 20000 THEN 'failed' ELSE 'queued' END, 5, 1, 3, 0, 'hold',
                    CASE WHEN n <= 20000 THEN 'task-' || n END, now(), 0, 0, 0, false, 0, now()
                FROM generate_series(1, 30000) AS n
            """),
            {"project": project},
        )
        session.execute(
            text("""
                INSERT INTO late_results (job_id, attempt, lane, state, upstream_task_id, due_at, created_at)
                SELECT id, 1, lane, (ARRAY['stored', 'given_up'])[1 + n % 2], 'late-' || n, NULL, now()
                FROM generate_series(1, 19800) AS n JOIN jobs ON id = 'job_' || lpad(n::text, 26, '0')
                UNION ALL
                SELECT id, 1, lane, (ARRAY['looking', 'storing'])[1 + n % 2], 'late-' || n, now(), now()
                FROM generate_series(19801, 20000) AS n JOIN jobs ON id = 'job_' || lpad(n::text, 26, '0')
            """)
        )
        session.execute(
            text("""
                INSERT INTO held_attempts
                    (job_id, attempt, held_at, came_back, credential, looked_for, gives_way, due_at, balance_after)
                SELECT 'job_' || lpad(n::text, 26, '0'), 1, now(), '{}', 'c' || n % 4, '[]', 'hold',
                    CASE WHEN n > 19800 THEN now() END, CASE WHEN n <= 19800 THEN '{}'::jsonb END
                FROM generate_series(1, 20000) AS n
            """)
        )
    with engine.connect() as connection, connection.execution_options(isolation_level="AUTOCOMMIT"):
        connection.execute(text("VACUUM ANALYZE"))
    yield engine
    engine.dispose()


def scans(engine: Engine, work: Callable[[Session], object]) -> Iterator[dict[str, Any]]:
    """Every scan of a table that grows in what this work sends."""
    plans: list[dict[str, Any]] = []

    def explain(connection: Connection, _: Any, statement: str, told: Any, __: Any, is_many: bool) -> None:
        if not is_many and statement.split()[0] in ("SELECT", "UPDATE", "WITH"):
            answer = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", told).scalar_one()
            plans.append(answer[0]["Plan"])

    with Session(engine) as session:
        event.listen(engine, "before_cursor_execute", explain)
        try:
            work(session)
        finally:
            event.remove(engine, "before_cursor_execute", explain)
            session.rollback()
    while plans:
        plan = plans.pop()
        plans += plan.get("Plans", [])
        if plan["Node Type"].endswith("Scan") and plan.get("Relation Name") in GROWING:
            yield plan


GROWING = ("jobs", "late_results", "held_attempts")
GIVERS = ("c0.film", "c1.film", "c2.film")
"""Each has thousands of jobs in line."""


@pytest.mark.parametrize(
    ("index", "work"),
    [
        ("late_results_due", lambda session: late.take_looking(session, 100, 60)),
        ("late_results_due", lambda session: late.take_storing(session, "process_a", "x", 30, 3600)),
        ("late_results_upstream", lambda session: reconcile._had(session, ["late-7"])),
        ("late_results_upstream", lambda session: intake.lanes_by_owner(session, "late-7")),
        ("jobs_upstream", lambda session: intake.lanes_by_owner(session, "task-7")),
        ("held_attempts_due", lambda session: session.execute(reconcile.evidence._DUE, {"most": 50, "lease_s": 60})),
        (
            "held_attempts_unbalanced",
            lambda session: reconcile.evidence.keep_balance(session, "c1", {}, datetime.now(UTC)),
        ),
        ("jobs_queued", lambda session: lending.lend(session, lending.Loan("c3.film", GIVERS, 5, ("%",)), [], 5)),
    ],
)
def test_what_looks_for_work_reads_neither_what_is_over_nor_a_whole_line(
    crowded: Engine, index: str, work: Callable[[Session], object]
) -> None:
    used = list(scans(crowded, work))

    assert index in {scan.get("Index Name") for scan in used}
    assert [scan for scan in used if scan["Node Type"] in ("Seq Scan", "Bitmap Heap Scan")] == []
