"""Several credentials: work goes where it can be done, is paid once, and what is sick is tried gently."""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlmodel import col, func, select

from shared import claims, ids
from shared.credentials import Credential
from shared.figures import Figures
from shared.gateway.outcome import ErrorClass
from shared.lifecycle import Cause, State
from shared.tables import Job, Lane
from tests import factories, rows
from tests.factories import RecordedHints
from tests.sandbox import SandboxServer
from workers import account, dispatch, lanes, poll, submit
from workers.gateway.clients import Gateways
from workers.ports import Ports


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    """Another gateway, with another key."""
    with SandboxServer(tmp_path_factory.mktemp("second"), speed=0, key="sk-second") as server:
        yield server


@pytest.fixture
def family() -> str:
    """One that no other test has jobs of."""
    return uuid.uuid4().hex


def credential(name: str, server: SandboxServer, **fields: Any) -> Credential:
    return Credential(name=name, **{"base_url": server.url, "api_key": SecretStr(server.key), **fields})


@contextmanager
def process(ports: Ports, *known: Credential) -> Iterator[Ports]:
    """A worker process with these credentials."""
    settings = ports.settings.model_copy(update={"gateways": known})
    gateways = Gateways.of_credentials(known, Figures())
    yield replace(ports, settings=settings, gateways=gateways)
    gateways.stop()


@pytest.fixture
def both(ports: Ports, sandbox: SandboxServer, second: SandboxServer) -> Iterator[Ports]:
    with process(ports, credential("alpha", sandbox), credential("beta", second)) as made:
        yield made


def lane(ports: Ports, name: str, **columns: Any) -> str:
    values = {"limit": 100, "rate_per_minute": 60_000, "tokens": 1000.0, "tokens_at": func.now(), **columns}
    with ports.transaction() as session:
        session.add(Lane(name=name, **values))
    return name


def queue(ports: Ports, lane: str, count: int = 1, **columns: Any) -> list[Job]:
    with ports.transaction() as session:
        project = factories.project(session).id
        return [
            factories.job(session, **{"lane_name": lane, "project_id": project, "prompt": rows.prompt(), **columns})
            for _ in range(count)
        ]


def row(ports: Ports, lane: str) -> Lane:
    with ports.transaction() as session:
        return session.get_one(Lane, lane)


def set_lane(ports: Ports, lane: str, changes: str) -> None:
    with ports.transaction() as session:
        session.execute(text(f"UPDATE lanes SET {changes} WHERE name = :lane"), {"lane": lane})


def lanes_of(ports: Ports, jobs: Sequence[Job]) -> list[str]:
    return [rows.read(ports, job).lane for job in jobs]


def in_state(ports: Ports, lane: str, state: State = State.DISPATCHED) -> list[str]:
    with ports.transaction() as session:
        return list(session.exec(select(Job.id).where(col(Job.lane) == lane, col(Job.state) == state)))


def be_paused(ports: Ports, lane: str, sick: ErrorClass = ErrorClass.AUTH) -> None:
    with ports.transaction() as session:
        lanes.pause(session, lane, 60, "the gateway refuses the key", sick)


def another(ports: Ports) -> Ports:
    return replace(ports, process_id=ids.new("process"), hints=RecordedHints())


def at_once(ports: Ports, count: int, goes: int = 3) -> None:
    """Let many dispatchers look in the same moment."""
    barrier = threading.Barrier(count)

    def look(one: Ports) -> None:
        barrier.wait(10)
        for _ in range(goes):
            dispatch.dispatch(one)

    with ThreadPoolExecutor(count) as threads:
        list(threads.map(look, [another(ports) for _ in range(count)]))


def paid(job: Job, ports: Ports, *servers: SandboxServer) -> list[int]:
    """How often a job was paid for at each gateway."""
    with ports.transaction() as session:
        prompt = session.execute(
            text("SELECT prompt FROM job_requests WHERE job_id = :job_id"), {"job_id": job.id}
        ).scalar_one()
    return [len(server.ledger(prompt=prompt.split(" [[")[0])) for server in servers]


# What surely was not sent goes to another one.


def test_a_key_that_is_refused_pauses_its_lane_and_the_job_is_done_with_another_one_and_paid_once(
    ports: Ports, sandbox: SandboxServer, second: SandboxServer, family: str
) -> None:
    wrong = credential("alpha", sandbox, api_key=SecretStr("sk-revoked"))
    with process(ports, wrong, credential("beta", second)) as made:
        alpha, beta = lane(made, f"alpha.{family}"), lane(made, f"beta.{family}")
        (job,) = queue(made, alpha)

        dispatch.dispatch(made)
        submit.submit([job.id], made)
        refused = rows.read(made, job)
        dispatch.dispatch(made)
        submit.submit([job.id], made)

    done = rows.read(made, job)
    assert (refused.state, refused.lane, refused.attempt) == (State.QUEUED, alpha, 0)
    assert row(made, alpha).paused_for == "auth"
    assert (done.state, done.lane, done.attempt) == (State.SUCCEEDED, beta, 1), done.state_reason
    assert paid(job, made, sandbox, second) == [0, 1]


def test_after_refused_connections_the_lane_is_paused_and_another_one_does_the_jobs(
    ports: Ports, sandbox: SandboxServer, second: SandboxServer, family: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"
        gone = credential("alpha", sandbox, base_url=nowhere)
        with process(ports, gone, credential("beta", second)) as made:
            alpha, beta = lane(made, f"alpha.{family}"), lane(made, f"beta.{family}")
            jobs = queue(made, alpha, 5)
            dispatch.dispatch(made)
            submit.submit([job.id for job in jobs], made)
            refused = row(made, alpha)
            with made.transaction() as session:  # their own waits are over
                session.execute(text("UPDATE jobs SET due_at = now() WHERE lane = :lane"), {"lane": alpha})
            dispatch.dispatch(made)
            submit.submit([job.id for job in jobs], made)

    assert (refused.pauses, refused.paused_for) == (1, "unavailable")
    assert set(lanes_of(made, jobs)) == {beta}
    assert {rows.read(made, job).state for job in jobs} == {State.SUCCEEDED}
    assert [paid(job, made, sandbox, second) for job in jobs] == [[0, 1]] * 5


def test_fewer_refused_connections_pause_nothing_and_a_success_between_begins_the_count_anew(
    both: Ports, sandbox: SandboxServer, family: str
) -> None:
    alpha = lane(both, f"alpha.{family}")
    bad = queue(both, alpha, 8, state=State.DISPATCHED, prompt=rows.prompt("fail=500_database"))
    (good,) = queue(both, alpha, state=State.DISPATCHED)

    for job in bad[:4]:
        submit.submit([job.id], both)
    before = row(both, alpha)
    submit.submit([good.id], both)
    for job in bad[4:]:
        submit.submit([job.id], both)

    after = row(both, alpha)
    assert (before.troubles, before.paused_until) == (4, None)
    assert rows.read(both, good).state is State.SUCCEEDED
    assert (after.troubles, after.pauses, after.paused_until) == (4, 0, None)


def test_an_outcome_that_nobody_knows_stays_where_it_is_and_is_not_paid_again(
    both: Ports, sandbox: SandboxServer, second: SandboxServer, family: str
) -> None:
    alpha, _ = lane(both, f"alpha.{family}"), lane(both, f"beta.{family}")
    (job,) = queue(both, alpha, prompt=rows.prompt("cut=after_charge"), state=State.DISPATCHED)
    submit.submit([job.id], both)
    held = rows.read(both, job)
    be_paused(both, alpha)

    dispatch.dispatch(both)

    assert held.state is State.HELD, held.state_reason
    assert (rows.read(both, job).state, rows.read(both, job).lane) == (State.HELD, alpha)
    assert paid(job, both, sandbox, second) == [1, 0]


def test_a_credential_that_serves_nothing_any_more_is_lent_nothing(
    ports: Ports, sandbox: SandboxServer, second: SandboxServer, family: str
) -> None:
    with process(ports, credential("alpha", sandbox), credential("beta", second, models=())) as made:
        alpha, beta = lane(made, f"alpha.{family}"), lane(made, f"beta.{family}")
        jobs = [*queue(made, alpha), *queue(made, beta)]
        be_paused(made, alpha)

        dispatch.dispatch(made)

    assert lanes_of(made, jobs) == [alpha, beta]
    assert rows.read(made, jobs[1]).state is State.DISPATCHED


@pytest.mark.parametrize(
    "state", [State.WAITING, State.DISPATCHED, State.SUBMITTING, State.RUNNING, State.STORING, State.HELD]
)
def test_only_what_is_queued_changes_its_lane(both: Ports, family: str, state: State) -> None:
    alpha, _ = lane(both, f"alpha.{family}"), lane(both, f"beta.{family}")
    jobs = queue(both, alpha, 2, state=state, due_at=claims.seconds_from_now(3600), waits_for="auth")
    be_paused(both, alpha)

    dispatch.dispatch(both)

    assert lanes_of(both, jobs) == [alpha, alpha]


def test_what_goes_on_from_a_task_waits_for_its_own_credential(both: Ports, family: str) -> None:
    alpha, beta = lane(both, f"alpha.{family}"), lane(both, f"beta.{family}")
    (follow_up,), (free,) = queue(both, alpha, pinned=True, waits_for="auth"), queue(both, alpha)
    be_paused(both, alpha)

    dispatch.dispatch(both)
    paused = lanes_of(both, [follow_up, free])
    set_lane(both, alpha, "paused_until = now()")
    dispatch.dispatch(both)

    assert paused == [alpha, beta]
    assert (rows.read(both, follow_up).state, rows.read(both, follow_up).lane) == (State.DISPATCHED, alpha)


# Work moves to where there is room.


def test_a_full_lane_gives_what_another_has_room_for(both: Ports, family: str) -> None:
    alpha, beta = lane(both, f"alpha.{family}", limit=2), lane(both, f"beta.{family}", limit=3)
    jobs = queue(both, alpha, 9)

    dispatch.dispatch(both)

    assert (len(in_state(both, alpha)), len(in_state(both, beta))) == (2, 3)
    assert len(in_state(both, alpha, State.QUEUED)) == 4
    assert isinstance(both.hints, RecordedHints)
    assert len(set(both.hints.submits) & {job.id for job in jobs}) == 5


def test_the_best_are_lent_first(both: Ports, family: str) -> None:
    alpha, beta = lane(both, f"alpha.{family}", limit=0), lane(both, f"beta.{family}", limit=1)
    queue(both, alpha, priority=1)
    (best,) = queue(both, alpha, priority=9)
    queue(both, alpha, priority=5)

    dispatch.dispatch(both)

    assert in_state(both, beta) == [best.id]


def test_a_lane_that_has_room_for_its_own_jobs_keeps_them(both: Ports, family: str) -> None:
    alpha, _ = lane(both, f"alpha.{family}"), lane(both, f"beta.{family}")
    jobs = queue(both, alpha, 3)

    dispatch.dispatch(both)

    assert lanes_of(both, jobs) == [alpha] * 3


def test_a_model_that_the_other_does_not_serve_is_not_lent(
    ports: Ports, sandbox: SandboxServer, second: SandboxServer, family: str
) -> None:
    picky = credential("beta", second, models=("gpt-*", "sora_2"))
    with process(ports, credential("alpha", sandbox), picky) as made:
        alpha, beta = lane(made, f"alpha.{family}"), lane(made, f"beta.{family}")
        jobs = [queue(made, alpha, model=model)[0] for model in ("nano-banana", "gpt-image-1", "sora-2", "sora_2")]
        be_paused(made, alpha)

        dispatch.dispatch(made)

    assert lanes_of(made, jobs) == [alpha, beta, alpha, beta]


def test_many_dispatchers_at_once_keep_both_limits_and_release_each_job_once(both: Ports, family: str) -> None:
    alpha, beta = lane(both, f"alpha.{family}", limit=7), lane(both, f"beta.{family}", limit=11)
    jobs = queue(both, alpha, 40)

    at_once(both, 5)

    assert (len(in_state(both, alpha)), len(in_state(both, beta))) == (7, 11)
    with both.transaction() as session:
        released = session.execute(
            text("SELECT job_id FROM events WHERE cause = 'released' AND job_id = ANY(:ids)"),
            {"ids": [job.id for job in jobs]},
        ).scalars()
        told = list(released)
    assert len(told) == len(set(told)) == 18


# A credential that is there no more.


def test_what_a_removed_credential_left_is_done_by_the_others_and_its_follow_ups_wait(both: Ports, family: str) -> None:
    gone, alpha = lane(both, f"gone.{family}"), lane(both, f"alpha.{family}")
    (free,), (follow_up,) = queue(both, gone), queue(both, gone, pinned=True)

    dispatch.dispatch(both)

    assert (rows.read(both, free).lane, rows.read(both, free).state) == (alpha, State.DISPATCHED)
    assert (rows.read(both, follow_up).lane, rows.read(both, follow_up).state) == (gone, State.QUEUED)


def test_a_job_that_a_process_with_other_settings_let_go_is_left_to_it(both: Ports, family: str) -> None:
    (job,) = queue(both, lane(both, f"newer.{family}"), state=State.DISPATCHED)

    submit.submit([job.id], both)

    left = rows.read(both, job)
    assert (left.state, left.attempt) == (State.QUEUED, 0)
    assert left.state_reason == "no gateway credential named newer is configured"


def test_a_task_of_a_removed_credential_says_so_and_is_seen_again_when_that_is_back(
    both: Ports, sandbox: SandboxServer, family: str
) -> None:
    alpha = lane(both, f"alpha.{family}")
    (job,) = queue(both, alpha, operation="video.create", state=State.DISPATCHED, prompt=rows.prompt("latency=600"))
    submit.submit([job.id], both)
    _make_due(both, job)
    with process(both, credential("beta", sandbox)) as without:
        poll.poll(without)
        unseen = rows.read(both, job)

    _make_due(both, job)
    poll.poll(both)

    seen = rows.read(both, job)
    told = "nobody looks at its task: no gateway credential named alpha is configured"
    assert (unseen.state, unseen.misses, unseen.state_reason) == (State.RUNNING, 1, told)
    assert (seen.state, seen.misses, seen.state_reason) == (State.RUNNING, 0, None)


def test_a_task_that_nobody_can_look_at_is_given_up_in_the_end_and_says_why(both: Ports, family: str) -> None:
    gone = lane(both, f"gone.{family}")
    long_ago = claims.seconds_from_now(-7 * 86400)
    (job,) = queue(
        both,
        gone,
        operation="video.create",
        state=State.RUNNING,
        upstream_task_id="video_1",
        due_at=func.now(),
        moved_at=long_ago,
    )

    poll.poll(both)

    assert rows.read(both, job).state is State.FAILED
    error = rows.error(both, job)
    assert error["code"] == "upstream_stuck"
    assert error["message"].endswith("no gateway credential named gone is configured")


def _make_due(ports: Ports, job: Job) -> None:
    with ports.transaction() as session:
        session.execute(text("UPDATE jobs SET due_at = now() WHERE id = :job_id"), {"job_id": job.id})


# Each speaks with its own key.


def test_two_keys_of_one_gateway_are_billed_apart(ports: Ports, sandbox: SandboxServer, family: str) -> None:
    with process(ports, credential("alpha", sandbox), credential("beta", sandbox, api_key=SecretStr("sk-b"))) as made:
        alpha, beta = lane(made, f"alpha.{family}"), lane(made, f"beta.{family}")
        (right,) = queue(made, alpha, state=State.DISPATCHED)
        (wrong,) = queue(made, beta, state=State.DISPATCHED)

        submit.submit([right.id, wrong.id], made)

    assert rows.read(made, right).state is State.SUCCEEDED
    assert (rows.read(made, wrong).state, row(made, beta).paused_for) == (State.QUEUED, "auth")
    assert row(made, alpha).paused_until is None


def test_a_list_of_tasks_is_asked_of_the_credential_that_made_them(both: Ports, family: str) -> None:
    alpha, beta = lane(both, f"alpha.{family}"), lane(both, f"beta.{family}")
    jobs = [
        queue(both, name, operation="midjourney.imagine", state=State.RUNNING, upstream_task_id=task)[0]
        for name, task in ((alpha, "1"), (beta, "2"), (alpha, "3"))
    ]

    asked = list(poll.questions([factories.claim(job) for job in jobs], both))

    assert [[claim.upstream_task_id for claim in question.claims] for question in asked] == [["1", "3"], ["2"]]
    assert [question.gateway for question in asked] == [both.gateways.of(alpha), both.gateways.of(beta)]


# A sick credential is tried gently.


def probe(both: Ports, alpha: str, count: int = 10, **columns: Any) -> list[Job]:
    """A lane whose pause has just ended, with jobs to let go."""
    set_lane(both, alpha, "pauses = 1, paused_for = 'auth', paused_until = now(), paused_at = now()")
    return queue(both, alpha, count, **columns)


def test_many_dispatchers_at_once_let_one_probe_go(ports: Ports, sandbox: SandboxServer, family: str) -> None:
    with process(ports, credential("alpha", sandbox)) as alone:
        alpha = lane(alone, f"alpha.{family}")
        probe(alone, alpha)

        at_once(alone, 8)

        assert len(in_state(alone, alpha)) == 1


def test_a_probe_that_succeeds_lets_all_go(ports: Ports, sandbox: SandboxServer, family: str) -> None:
    with process(ports, credential("alpha", sandbox)) as alone:
        alpha = lane(alone, f"alpha.{family}")
        probe(alone, alpha)
        dispatch.dispatch(alone)
        (job_id,) = in_state(alone, alpha)

        submit.submit([job_id], alone)
        well = row(alone, alpha)
        dispatch.dispatch(alone)

        assert (well.pauses, well.troubles) == (0, 0)
        assert len(in_state(alone, alpha)) == 9


def test_a_probe_that_fails_pauses_for_longer(ports: Ports, sandbox: SandboxServer, family: str) -> None:
    with process(ports, credential("alpha", sandbox, api_key=SecretStr("sk-revoked"))) as alone:
        alpha = lane(alone, f"alpha.{family}")
        probe(alone, alpha)
        dispatch.dispatch(alone)
        (job_id,) = in_state(alone, alpha)

        submit.submit([job_id], alone)
        sick = row(alone, alpha)
        with alone.transaction() as session:
            paused_s = session.execute(
                text("SELECT extract(epoch FROM paused_until - now()) FROM lanes WHERE name = :lane"), {"lane": alpha}
            ).scalar_one()

        assert (sick.pauses, sick.paused_for) == (2, "auth")
        assert 90 < paused_s <= 120
        assert len(in_state(alone, alpha, State.QUEUED)) == 10


def test_a_probe_that_says_nothing_about_the_credential_is_followed_by_the_next_one(
    ports: Ports, sandbox: SandboxServer, family: str
) -> None:
    with process(ports, credential("alpha", sandbox)) as alone:
        alpha = lane(alone, f"alpha.{family}")
        first, *_ = probe(alone, alpha, prompt=rows.prompt("fail=400"))
        dispatch.dispatch(alone)
        submit.submit([first.id], alone)

        dispatch.dispatch(alone)

        assert rows.read(alone, first).state is State.FAILED
        assert row(alone, alpha).pauses == 1
        assert len(in_state(alone, alpha)) == 1


def test_calls_that_were_begun_before_a_pause_are_no_news_after_it(both: Ports, family: str) -> None:
    alpha = lane(both, f"alpha.{family}")
    jobs = queue(both, alpha, 6, state=State.SUBMITTING, submitted_at=claims.seconds_from_now(-10))
    after = queue(both, alpha, state=State.SUBMITTING, submitted_at=claims.seconds_from_now(60))

    with both.transaction() as session:
        for job in jobs:
            lanes.suffer(session, alpha, job.id, ErrorClass.AUTH, "wrong", lambda: 1.0)
        once = session.get_one(Lane, alpha).pauses
        lanes.answered(session, alpha, jobs[0].id, is_success=True)
        session.expire_all()
        still = session.get_one(Lane, alpha).pauses
        lanes.answered(session, alpha, after[0].id, is_success=True)
        session.expire_all()
        well = session.get_one(Lane, alpha).pauses

    assert (once, still, well) == (1, 1, 0)


def test_a_call_that_begins_while_its_lane_is_paused_is_no_news(both: Ports, family: str) -> None:
    alpha = lane(both, f"alpha.{family}")
    be_paused(both, alpha)
    (late,) = queue(both, alpha, state=State.SUBMITTING, submitted_at=claims.seconds_from_now(1))
    before = row(both, alpha)

    with both.transaction() as session:
        lanes.suffer(session, alpha, late.id, ErrorClass.AUTH, "wrong", lambda: 1.0)

    assert row(both, alpha) == before


def test_a_call_that_runs_since_before_the_pause_keeps_no_probe_waiting(
    ports: Ports, sandbox: SandboxServer, family: str
) -> None:
    with process(ports, credential("alpha", sandbox)) as alone:
        alpha = lane(alone, f"alpha.{family}")
        queue(alone, alpha, 2, state=State.SUBMITTING, moved_at=claims.seconds_from_now(-100))
        queue(alone, alpha, 2, state=State.RUNNING, due_at=claims.seconds_from_now(3600))
        probe(alone, alpha)

        dispatch.dispatch(alone)

        assert len(in_state(alone, alpha)) == 1


def test_while_a_lane_is_being_probed_its_other_jobs_go_elsewhere(both: Ports, family: str) -> None:
    alpha, beta = lane(both, f"alpha.{family}"), lane(both, f"beta.{family}")
    probe(both, alpha)

    dispatch.dispatch(both)

    assert (len(in_state(both, alpha)), len(in_state(both, beta))) == (1, 9)


# Calls in a day.


def test_a_days_calls_are_exact_with_five_dispatchers_at_once(
    ports: Ports, sandbox: SandboxServer, family: str
) -> None:
    with process(ports, credential("alpha", sandbox)) as alone:
        alpha = lane(alone, f"alpha.{family}", per_day=7)
        queue(alone, alpha, 20)

        at_once(alone, 5)
        today = (len(in_state(alone, alpha)), row(alone, alpha).day_count)
        set_lane(alone, alpha, "day = day - 1")
        at_once(alone, 5)

        assert today == (7, 7)
        assert (len(in_state(alone, alpha)), row(alone, alpha).day_count) == (14, 7)


def test_calls_of_a_lane_without_a_limit_are_counted_too(both: Ports, family: str) -> None:
    alpha = lane(both, f"alpha.{family}")
    queue(both, alpha, 3)

    dispatch.dispatch(both)

    assert row(both, alpha).day_count == 3


def test_a_lane_that_has_used_up_its_day_gives_its_jobs_away(both: Ports, family: str) -> None:
    alpha, beta = lane(both, f"alpha.{family}", per_day=1), lane(both, f"beta.{family}")
    queue(both, alpha, 4)

    dispatch.dispatch(both)

    assert (len(in_state(both, alpha)), len(in_state(both, beta))) == (1, 3)


# Money.


def look_at_balance(ports: Ports, name: str) -> None:
    """As the tick does when its time has come."""
    with ports.transaction() as session:
        session.execute(
            text("UPDATE gateway_views SET tried_at = now() - interval '1 hour' WHERE name = :name"), {"name": name}
        )
    while account.refresh(ports):
        pass


@pytest.fixture
def poor(ports: Ports, sandbox: SandboxServer, second: SandboxServer) -> Iterator[Ports]:
    """A fleet that has seen no balance yet, at a gateway that nobody has asked."""
    with ports.transaction() as session:
        session.execute(text("DELETE FROM gateway_views"))
    sandbox.forget()
    with process(ports, credential("alpha", sandbox), credential("beta", second)) as made:
        yield made
    sandbox.set(balance_usd="1000")
    with ports.transaction() as session:
        session.execute(text("DELETE FROM gateway_views"))


def test_jobs_without_money_wait_and_go_when_the_balance_is_back(
    poor: Ports, sandbox: SandboxServer, family: str
) -> None:
    woken: list[None] = []
    made = replace(poor, wake_dispatch=lambda: woken.append(None))
    alpha = lane(made, f"alpha.{family}")
    sandbox.set(balance_usd="0")
    jobs = queue(made, alpha, 3)
    dispatch.dispatch(made)
    submit.submit([job.id for job in jobs], made)
    look_at_balance(made, "alpha.token")
    waiting = row(made, alpha)
    woken.clear()

    sandbox.set(balance_usd="50")
    look_at_balance(made, "alpha.token")
    woken_by_balance = len(woken)
    dispatch.dispatch(made)

    assert (waiting.paused_for, waiting.pauses) == ("quota_exhausted", 1)
    assert (waiting.pause_reason or "").startswith("the account at the gateway has no balance left")
    assert woken_by_balance == 1
    with made.transaction() as session:
        states = session.execute(select(col(Job.state)).where(col(Job.lane) == alpha)).scalars().all()
        paused = session.execute(
            text("SELECT paused_until > now() FROM lanes WHERE name = :lane"), {"lane": alpha}
        ).scalar_one()
    assert not paused
    assert set(states) <= {State.QUEUED, State.DISPATCHED}
    assert all(Cause.REFUSED not in rows.causes(made, job) for job in jobs)


@pytest.mark.parametrize(
    ("name", "sick", "pauses", "is_woken"),
    [
        ("alpha", "quota_exhausted", 1, True),
        ("beta", "quota_exhausted", 1, False),
        ("alpha", "auth", 1, False),
        ("alpha", "quota_exhausted", 2, False),
    ],
)
def test_a_balance_that_is_seen_first_after_the_pause_ends_that_credentials_first_pause_for_want_of_it(
    poor: Ports, sandbox: SandboxServer, family: str, name: str, sick: str, pauses: int, is_woken: bool
) -> None:
    sandbox.set(balance_usd="10")
    there = lane(poor, f"{name}.{family}")
    set_lane(
        poor,
        there,
        f"paused_until = now() + interval '1 hour', paused_at = now(), paused_for = '{sick}', pauses = {pauses}",
    )
    with poor.transaction() as session:  # beta's was seen since
        session.execute(
            text(
                "INSERT INTO gateway_views (name, tried_at, seen_at, data)"
                " VALUES ('beta.token', now(), clock_timestamp(), CAST(:data AS jsonb)),"
                " ('beta.models', now(), now(), '{}')"
            ),
            {"data": '{"remaining_usd": "10"}'},
        )

    look_at_balance(poor, "alpha.token")

    with poor.transaction() as session:
        paused = session.execute(
            text("SELECT paused_until > now() FROM lanes WHERE name = :lane"), {"lane": there}
        ).scalar_one()
    assert paused is not is_woken


def test_a_balance_that_only_stays_what_it_was_ends_no_second_pause_and_a_higher_one_does(
    poor: Ports, sandbox: SandboxServer, family: str
) -> None:
    alpha = lane(poor, f"alpha.{family}")
    sandbox.set(balance_usd="0.01")
    look_at_balance(poor, "alpha.token")
    set_lane(
        poor,
        alpha,
        "paused_until = now() + interval '1 hour', paused_at = now(), paused_for = 'quota_exhausted', pauses = 2",
    )

    look_at_balance(poor, "alpha.token")
    same = _is_paused(poor, alpha)
    sandbox.set(balance_usd="5")
    look_at_balance(poor, "alpha.token")

    assert (same, _is_paused(poor, alpha)) == (True, False)


def _is_paused(ports: Ports, lane: str) -> bool:
    with ports.transaction() as session:
        paused = text("SELECT paused_until > now() FROM lanes WHERE name = :lane")
        return bool(session.execute(paused, {"lane": lane}).scalar_one())


def test_each_credential_has_its_own_views_and_those_of_one_gateway_share_its_patience(
    ports: Ports, sandbox: SandboxServer, second: SandboxServer
) -> None:
    known = (credential("a", sandbox), credential("b", sandbox), credential("c", second, access_token="t", user_id=7))
    settings = ports.settings.model_copy(update={"gateways": known})

    found = {one.name: (one.every_s, one.base_url) for one in account.views(settings)}

    assert found == {
        "a.token": (2 * account.TOKEN_S, sandbox.url),
        "a.models": (account.MODELS_S, sandbox.url),
        "b.token": (2 * account.TOKEN_S, sandbox.url),
        "b.models": (account.MODELS_S, sandbox.url),
        "c.token": (account.TOKEN_S, second.url),
        "c.models": (account.MODELS_S, second.url),
        "c.user": (account.USER_S, second.url),
    }
