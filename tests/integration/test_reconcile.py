"""Calls whose answers were lost: searched for at the sandbox gateway, taken up when found, and explained when not."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, text
from sqlmodel import col, select, update

from shared import claims, ids
from shared.gateway.adapter import Found
from shared.gateway.call import marked
from shared.lifecycle import Cause, State
from shared.policy import SEARCHES_S, OnUnknown
from shared.settings import Settings
from shared.tables import Event, GatewayView, HeldAttempt, Job
from tests import factories, rows
from tests.sandbox import SandboxServer
from tests.worker import WorkerProcess
from workers import account, poll, reconcile, store, submit, sweep, usage_log
from workers.ports import Ports

IMAGINE = {"operation": "midjourney.imagine", "model": "midjourney"}
VAIN = "it was searched for at the gateway in vain"


@pytest.fixture
def searching(ports: Ports, sandbox: SandboxServer) -> Iterator[Ports]:
    """A process that has read no log yet, at a gateway where nobody has asked."""
    with ports.transaction() as session:
        session.execute(text("DELETE FROM gateway_views"))
        session.execute(update(HeldAttempt).values(due_at=None))
    sandbox.forget()
    yield ports
    sandbox.forget()


def lost(ports: Ports, tag: str = "cut=after_charge", **columns: Any) -> Job:
    """A Midjourney job after a paid call whose answer was lost."""
    job = rows.make(ports, **{**IMAGINE, "prompt": rows.prompt("render=plain", tag), **columns})
    submit.submit([job.id], ports)
    return rows.read(ports, job)


def known(ports: Ports, job: Job) -> HeldAttempt:
    with ports.transaction() as session:
        found = session.get(HeldAttempt, (job.id, 1))
    assert found is not None
    return found


def search(ports: Ports, job: Job, times: int = 1) -> Job:
    """Search for it now, whenever it is due, with the log's looks given back."""
    for _ in range(times):
        with ports.transaction() as session:
            session.execute(
                update(HeldAttempt)
                .where(col(HeldAttempt.job_id) == job.id, col(HeldAttempt.due_at).is_not(None))
                .values(due_at=func.now())
            )
            session.execute(text("DELETE FROM gateway_views WHERE name LIKE '%.log'"))
        reconcile.reconcile(ports)
    return rows.read(ports, job)


def finished(ports: Ports, job: Job, rounds: int = 5) -> Job:
    for _ in range(rounds):
        with ports.transaction() as session:
            session.execute(update(Job).where(col(Job.id) == job.id).values(due_at=func.now()))
        poll.poll(ports)
        store.store([job.id], ports)
        job = rows.read(ports, job)
        if job.state is State.SUCCEEDED:
            break
    return job


def paid(sandbox: SandboxServer, job: Job, ports: Ports) -> int:
    with ports.transaction() as session:
        prompt = session.execute(
            text("SELECT prompt FROM job_requests WHERE job_id = :id"), {"id": job.id}
        ).scalar_one()
    return len(sandbox.ledger(prompt=prompt.split(" [[")[0]))


def mark_at_the_gateway(sandbox: SandboxServer, task_id: str | None) -> str:
    with sandbox.client() as client:
        return str(client.get(f"/mj/task/{task_id}/fetch").json()["state"])


def looks(sandbox: SandboxServer, route: str) -> int:
    return int(sandbox.requests()["calls"].get(route, 0))


# Found.


def test_a_task_whose_answer_was_lost_is_found_and_finishes_for_one_charge(
    searching: Ports, sandbox: SandboxServer
) -> None:
    job = lost(searching)
    assert job.state is State.HELD
    assert (job.state_reason or "").startswith("unknown_outcome: ")

    job = search(searching, job)
    found = job.state

    job = finished(searching, job)
    assert found is State.RUNNING
    assert job.state is State.SUCCEEDED, job.state_reason
    assert rows.causes(searching, job)[:3] == [Cause.CLAIMED, Cause.UNKNOWN, Cause.FOUND]
    assert mark_at_the_gateway(sandbox, job.upstream_task_id) == marked(job.id, 1)
    assert paid(sandbox, job, searching) == 1
    assert known(searching, job).due_at is None


def test_two_jobs_with_the_same_prompt_go_on_as_their_own_tasks(searching: Ports, sandbox: SandboxServer) -> None:
    prompt = rows.prompt("render=plain", "cut=after_charge")
    one, other = lost(searching, prompt=prompt), lost(searching, prompt=prompt)

    with searching.transaction() as session:
        session.execute(update(HeldAttempt).where(col(HeldAttempt.due_at).is_not(None)).values(due_at=func.now()))
    reconcile.reconcile(searching)

    for job in (rows.read(searching, one), rows.read(searching, other)):
        assert job.state is State.RUNNING, job.state_reason
        assert mark_at_the_gateway(sandbox, job.upstream_task_id) == marked(job.id, 1)


def test_a_log_that_names_tasks_apart_is_as_good(searching: Ports, sandbox: SandboxServer) -> None:
    sandbox.script([{"match": {"route": "log"}, "do": {"variant": "coded"}}])
    job = lost(searching)

    assert search(searching, job).state is State.RUNNING


@pytest.mark.parametrize("on_unknown", [OnUnknown.RETRY, OnUnknown.FAIL])
def test_who_does_not_want_to_hold_is_searched_for_all_the_same_and_pays_once(
    searching: Ports, sandbox: SandboxServer, on_unknown: OnUnknown
) -> None:
    job = lost(searching, on_unknown=on_unknown)
    told = job.state_reason or ""

    job = search(searching, job)

    assert "it is searched for at the gateway until " in told
    assert {OnUnknown.RETRY: "tried again", OnUnknown.FAIL: "given up"}[on_unknown] in told
    assert job.state is State.RUNNING
    assert finished(searching, job).state is State.SUCCEEDED
    assert paid(sandbox, job, searching) == 1


def test_a_task_that_shows_no_mark_yet_is_found_later(searching: Ports, sandbox: SandboxServer) -> None:
    sandbox.set(speed=1)
    try:
        job = lost(searching, "cut=after_charge latency=60")
        early = search(searching, job).state
        (entry,) = sandbox.ledger()
        rows.until(lambda: mark_at_the_gateway(sandbox, entry["task_id"]) != "")
        later = search(searching, job)
    finally:
        sandbox.set(speed=0)

    assert (early, later.state) == (State.HELD, State.RUNNING)
    assert [one["found"] for one in known(searching, job).looked_for] == [None, later.upstream_task_id]


def test_an_overdue_call_of_a_dead_process_is_found(searching: Ports, sandbox: SandboxServer) -> None:
    prompt = rows.prompt("render=plain")
    with searching.transaction() as session:
        dead = factories.process(session, silent_s=60).id
    job = rows.make(searching, **IMAGINE, prompt=prompt, state=State.SUBMITTING, claimed_by=dead)
    with sandbox.client() as client:
        sent = client.post("/mj/submit/imagine", json={"prompt": prompt, "state": marked(job.id, 1)}).json()

    sweep.sweep(searching)
    held = rows.read(searching, job).state
    job = search(searching, job)

    assert held is State.HELD
    assert known(searching, job).heard_at is None
    assert (job.state, job.upstream_task_id) == (State.RUNNING, sent["result"])


def test_a_worker_that_is_killed_before_it_hears_the_answer_costs_one_charge(
    ports: Ports, settings: Settings, sandbox: SandboxServer, tmp_path: Path
) -> None:
    sandbox.forget()
    with ports.transaction() as session:
        session.execute(text("DELETE FROM gateway_views"))
    prompt = rows.prompt("render=plain", "submit_latency=600")
    job = rows.make(ports, **IMAGINE, prompt=prompt, moved_at=claims.seconds_from_now(-10))  # its hint is late
    quick = {"dead_after_s": 3, "heartbeat_s": 0.5, "tick_s": 0.2}
    with WorkerProcess(settings, tmp_path / "first.log", **quick) as first:
        rows.until(lambda: paid(sandbox, job, ports) == 1)
        first.kill()

    with WorkerProcess(settings, tmp_path / "second.log", **quick):
        rows.until_state(ports, job, State.SUCCEEDED, wait_s=90)

    assert rows.causes(ports, job)[:3] == [Cause.CLAIMED, Cause.UNKNOWN, Cause.FOUND]
    assert paid(sandbox, job, ports) == 1


# Not found.


def test_what_is_not_found_stays_held_with_every_search_written_down(searching: Ports, sandbox: SandboxServer) -> None:
    job = lost(searching, "cut=before_charge")
    times = len(SEARCHES_S[OnUnknown.HOLD])

    job = search(searching, job, times)

    row = known(searching, job)
    assert (job.state, row.due_at) == (State.HELD, None)
    assert [one["told"] for one in row.looked_for] == ["no task that the gateway lists has its mark"] * times
    assert (job.state_reason or "").endswith(VAIN)
    assert paid(sandbox, job, searching) == 0


@pytest.mark.parametrize(
    ("on_unknown", "attempt", "state"),
    [(OnUnknown.RETRY, 0, State.QUEUED), (OnUnknown.RETRY, 2, State.FAILED), (OnUnknown.FAIL, 0, State.FAILED)],
)
def test_after_the_last_search_in_vain_the_jobs_own_wish_decides(
    searching: Ports, sandbox: SandboxServer, on_unknown: OnUnknown, attempt: int, state: State
) -> None:
    job = lost(searching, "cut=before_charge", on_unknown=on_unknown, attempt=attempt)
    before_last = search(searching, job, len(SEARCHES_S[on_unknown]) - 1).state

    job = search(searching, job)

    assert before_last is State.HELD
    assert (job.state, job.attempt) == (state, attempt + 1)
    assert (job.state_reason or "").endswith(VAIN)
    assert rows.error(searching, job)["class"] == "unknown_outcome"
    assert rows.error(searching, job)["retryable"] is (state is State.QUEUED)


@pytest.mark.parametrize("does", [{"fail": "404"}, {"fail": "429"}, {"variant": "html200"}, {"variant": "failed"}])
def test_a_log_that_cannot_be_read_is_told_and_proves_nothing(
    searching: Ports, sandbox: SandboxServer, does: dict[str, str]
) -> None:
    sandbox.script([{"match": {"route": "log"}, "do": does}])
    job = lost(searching)

    job = search(searching, job)

    (line,) = known(searching, job).looked_for
    assert job.state is State.HELD
    assert "; the key's usage log could not be read: " in line["told"]


@pytest.mark.parametrize("fault", ["429", "502", "400"])
def test_trouble_with_the_list_is_a_search_in_vain(searching: Ports, sandbox: SandboxServer, fault: str) -> None:
    sandbox.script([{"match": {"route": "mj.list"}, "times": 1, "do": {"fail": fault}}])
    job = lost(searching)

    vain = search(searching, job).state
    later = search(searching, job).state

    assert (vain, later) == (State.HELD, State.RUNNING)


def test_a_task_that_another_job_has_is_not_taken_from_it(searching: Ports, sandbox: SandboxServer) -> None:
    job = lost(searching)
    (entry,) = [one for one in sandbox.ledger() if one["task_id"]]
    other = rows.make(searching, **IMAGINE, state=State.CANCELED, upstream_task_id=entry["task_id"])

    listed = search(searching, job)
    with searching.transaction() as session:
        claim = claims.read(session, job.id)
    assert claim is not None
    wanted = reconcile.Search(evidence_of(searching, job), None, None)  # type: ignore[arg-type]
    raced = reconcile._taken_up(wanted, Found(entry["task_id"]), searching)

    assert listed.state is State.HELD
    assert not isinstance(raced, Found)
    assert rows.read(searching, other).upstream_task_id == entry["task_id"]
    assert rows.read(searching, job).state is State.HELD


def evidence_of(ports: Ports, job: Job) -> Any:
    """What a search knows of a held job."""
    row = known(ports, job)
    with ports.transaction() as session:
        claim = claims.read(session, job.id)
    assert claim is not None
    return reconcile.Lost(claim, "", row.held_at, row.came_back, row.gives_way, 0)


def test_a_job_that_was_decided_meanwhile_is_left_alone(searching: Ports, sandbox: SandboxServer) -> None:
    job = lost(searching)
    with searching.transaction() as session:
        claim = claims.read(session, job.id)
        assert claim is not None
        claims.move(session, claim, Cause.CANCELED)

    job = search(searching, job)

    assert job.state is State.CANCELED
    assert known(searching, job).due_at is None
    assert known(searching, job).looked_for == []


def test_of_two_processes_one_searches(searching: Ports, sandbox: SandboxServer) -> None:
    job = lost(searching, "cut=before_charge")
    with searching.transaction() as session:
        session.execute(update(HeldAttempt).where(col(HeldAttempt.job_id) == job.id).values(due_at=func.now()))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: reconcile.reconcile(searching), range(4)))

    assert len(known(searching, job).looked_for) == 1
    assert looks(sandbox, "log") == 1


def test_an_operation_that_no_list_shows_follows_its_own_wish_at_once(searching: Ports) -> None:
    job = rows.make(searching, prompt=rows.prompt("cut=after_charge"), on_unknown=OnUnknown.FAIL)

    submit.submit([job.id], searching)

    assert rows.read(searching, job).state is State.FAILED


# What is known.


def test_what_came_back_is_kept_for_the_person_who_must_decide(searching: Ports) -> None:
    job = lost(searching, "fail_after=502")

    row = known(searching, job)

    assert row.came_back["class"] == "unknown_outcome"
    assert (row.came_back["upstream_status"], row.came_back["body"]) == (502, "an HTML page")
    assert row.sent_at is not None
    assert row.heard_at is not None
    assert row.sent_at <= row.heard_at


def test_the_log_tells_of_a_call_whose_id_came_back_that_it_was_charged(
    searching: Ports, sandbox: SandboxServer
) -> None:
    job = rows.make(searching, prompt=rows.prompt("variant=html200"))
    submit.submit([job.id], searching)

    job = search(searching, job)

    (entry,) = sandbox.ledger()
    (line,) = known(searching, job).looked_for
    assert job.state is State.HELD
    assert line["told"].endswith(f"the key's usage log has this call: it was charged ${entry['price_usd']}")


def test_the_balance_is_known_from_before_the_call_and_after_it(searching: Ports, sandbox: SandboxServer) -> None:
    (token,) = [view for view in account.views(searching.settings) if view.name == "default.token"]
    look_at(searching, token)
    job = lost(searching)
    before_the_look = known(searching, job).balance_after
    look_at(searching, token)

    row = known(searching, job)

    assert before_the_look is None
    assert row.balance_before is not None
    assert row.balance_after is not None
    price = float(sandbox.ledger()[-1]["price_usd"])
    assert float(row.balance_before["remaining_usd"]) - float(row.balance_after["remaining_usd"]) == pytest.approx(
        price
    )


def test_a_balance_seen_while_the_call_was_under_way_is_not_the_one_before(searching: Ports) -> None:
    (token,) = [view for view in account.views(searching.settings) if view.name == "default.token"]
    look_at(searching, token)
    with searching.transaction() as session:
        first = session.get_one(GatewayView, "default.token").seen_at
    job = rows.make(searching, **IMAGINE, state=State.SUBMITTING, claimed_by=ids.new("process"))
    look_at(searching, token)

    sweep._take_back(claim_of(searching, job), "worker_died", "its worker died", searching)

    row = known(searching, job)
    assert row.balance_before is not None
    assert first is not None
    assert row.balance_before["at"][:19] == first.isoformat()[:19]


def look_at(ports: Ports, view: account.View) -> None:
    with ports.transaction() as session:
        session.execute(text("UPDATE gateway_views SET tried_at = NULL WHERE name = :name"), {"name": view.name})
        tried_at = account.claim(session, view)
    assert tried_at is not None
    account._look(view, tried_at, ports)


def claim_of(ports: Ports, job: Job) -> claims.Claim:
    with ports.transaction() as session:
        claim = claims.read(session, job.id)
    assert claim is not None
    return claim


def test_the_event_of_a_held_job_tells_why(searching: Ports) -> None:
    job = lost(searching, "fail_after=502")

    with searching.transaction() as session:
        told = session.exec(select(Event).where(Event.job_id == job.id, Event.type == "job.held")).one()

    assert told.reason == job.state_reason
    assert told.data is not None
    assert told.data["upstream_status"] == 502


# Rarely asked.


def test_all_processes_together_read_the_log_five_times_in_twenty_minutes(
    searching: Ports, sandbox: SandboxServer
) -> None:
    for _ in range(usage_log.LOOKS_MOST + 3):
        with searching.transaction() as session:
            session.execute(text("UPDATE gateway_views SET tried_at = tried_at - interval '10 seconds'"))
        seen = usage_log.read("default", searching)

    assert looks(sandbox, "log") == usage_log.LOOKS_MOST
    assert seen.trouble == usage_log.RESTING


def test_what_was_read_a_moment_ago_is_not_asked_again(searching: Ports, sandbox: SandboxServer) -> None:
    first = usage_log.read("default", searching)
    second = usage_log.read("default", searching)

    assert (first.trouble, second.trouble) == (None, None)
    assert looks(sandbox, "log") == 1


def test_a_call_that_was_prepared_for_an_attempt_that_is_over_is_not_sent(
    searching: Ports, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = rows.make(searching, **IMAGINE, prompt=rows.prompt("render=plain"))
    prepared = submit.prepare(job.id, searching)
    assert prepared is not None
    stale = replace(prepared, call=replace(prepared.call, attempt=7))
    monkeypatch.setattr(submit, "prepare", lambda job_id, ports: stale)

    submit.submit([job.id], searching)

    assert (rows.read(searching, job).state, rows.read(searching, job).attempt) == (State.QUEUED, 0)
    assert paid(sandbox, job, searching) == 0


def test_a_credential_that_is_not_there_any_more_keeps_no_other_job_from_being_found(searching: Ports) -> None:
    gone, found = lost(searching), lost(searching)
    with searching.transaction() as session:
        session.execute(update(Job).where(col(Job.id) == gone.id).values(lane="gone.midjourney"))
        session.execute(update(HeldAttempt).where(col(HeldAttempt.due_at).is_not(None)).values(due_at=func.now()))

    reconcile.reconcile(searching)

    assert rows.read(searching, gone).state is State.HELD
    assert known(searching, gone).due_at is not None
    assert rows.read(searching, found).state is State.RUNNING


def test_a_window_that_is_open_is_not_taken_up(searching: Ports, sandbox: SandboxServer) -> None:
    """A button that opens a window is paid in remix mode, and nothing is drawn before it is filled in."""
    grid = finished(searching, search(searching, lost(searching, "cut=after_charge")))
    button = next(one for one in (rows.result(searching, grid).result or {})["buttons"] if one.get("label") == "V1")
    params = {"task_id": grid.upstream_task_id, "custom_id": button["custom_id"]}
    sandbox.script([{"match": {"route": "mj.action"}, "times": 1, "do": {"remix": True, "cut": "after_charge"}}])

    job = search(searching, lost(searching, "render=plain", operation="midjourney.action", params=params))

    (line,) = known(searching, job).looked_for
    assert (job.state, line["found"]) == (State.HELD, None)
