"""Manifests: what a process knew of a paid call when it died is taken up by the others of its host."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, func, select, update

from shared import claims, ids
from shared.lifecycle import Cause, State
from shared.policy import OnUnknown
from shared.tables import Job, LateResult
from tests import factories, rows
from tests.integration.test_store import content_of, kept, png
from tests.sandbox import SandboxServer
from workers import adoption, manifest, store, submit, sweep
from workers.manifest import Manifest
from workers.ports import Ports
from workers.spool import Spool


def dead(ports: Ports, silent_s: float = 60) -> str:
    """A process of this host that has said nothing for so long."""
    with ports.transaction() as session:
        return factories.process(session, silent_s=silent_s).id


def known_of(ports: Ports, job: Job, process_id: str | None, *, attempt: int = 1, **came: Any) -> Manifest:
    """A manifest that was left behind a while ago, with a picture in hand unless told otherwise."""
    if not came:
        name = ports.spool.keep(job.id, attempt, 0, png())
        came = {"outputs": [{"kind": "image", "sources": [{"spool": name}]}], "result": {"seed": "7"}}
    found = Manifest(job_id=job.id, attempt=attempt, process_id=process_id, **came)
    manifest.keep(found, ports.spool)
    age(manifest_of(ports, job, attempt), adoption.RIPE_S + 1)
    return found


def manifest_of(ports: Ports, job: Job, attempt: int = 1) -> Path:
    return ports.spool._manifests / f"{job.id}-{attempt}"


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def late_results(ports: Ports, job: Job) -> list[LateResult]:
    with ports.transaction() as session:
        return list(session.scalars(select(LateResult).where(col(LateResult.job_id) == job.id)))


@pytest.mark.parametrize("wish", list(OnUnknown))
@pytest.mark.parametrize("may_judge", [True, False])
def test_a_result_whose_process_died_before_its_row_was_written_is_stored(
    ports: Ports, wish: OnUnknown, may_judge: bool
) -> None:
    died = dead(ports)
    job = rows.make(ports, state=State.SUBMITTING, claimed_by=died, on_unknown=wish)
    known_of(ports, job, died)

    sweep.sweep(ports, may_judge=may_judge)
    store.store([job.id], ports)

    row = rows.read(ports, job)
    assert (row.state, row.attempt) == (State.SUCCEEDED, 1), row.state_reason
    assert rows.causes(ports, job) == [Cause.PRODUCED, Cause.STORED]
    assert content_of(ports, rows.artifacts(ports, job)[0].object_key) == png()
    assert rows.result(ports, job).result == {"seed": "7"}
    assert not manifest_of(ports, job).exists()
    assert kept(ports) == []


def test_a_task_whose_process_died_before_its_row_was_written_is_looked_at(ports: Ports) -> None:
    died = dead(ports)
    job = rows.make(ports, operation="video.create", state=State.SUBMITTING, claimed_by=died)
    known_of(ports, job, died, task_id="video_1", status="queued")

    sweep.sweep(ports)

    row = rows.read(ports, job)
    assert (row.state, row.upstream_task_id, row.upstream_status) == (State.RUNNING, "video_1", "queued")
    assert rows.is_due_in(ports, job, ports.catalog.entry(job.model).first_look_s)
    assert rows.causes(ports, job) == [Cause.ACCEPTED]
    assert not manifest_of(ports, job).exists()


@pytest.mark.parametrize("state", [State.HELD, State.QUEUED, State.DISPATCHED])
def test_what_another_host_has_given_up_meanwhile_is_welcome_all_the_same(ports: Ports, state: State) -> None:
    job = rows.make(ports, state=state, attempt=1)
    known_of(ports, job, dead(ports))

    sweep.sweep(ports)
    store.store([job.id], ports)

    assert rows.read(ports, job).state is State.SUCCEEDED
    assert rows.read(ports, job).attempt == 1


def test_another_host_knows_nothing_and_this_one_mends_it(ports: Ports, tmp_path: Path) -> None:
    died = dead(ports)
    elsewhere = replace(ports, process_id=ids.new("process"), spool=Spool(tmp_path / "elsewhere"))
    job = rows.make(ports, state=State.SUBMITTING, claimed_by=died)
    known_of(ports, job, died)

    sweep.sweep(elsewhere)
    held = rows.read(ports, job).state
    sweep.sweep(ports)

    assert held is State.HELD
    assert rows.read(ports, job).state is State.STORING
    assert rows.read(ports, job).spool_host == ports.spool.name
    assert rows.result(ports, job).error is None


def test_a_manifest_that_has_just_been_written_is_left_to_its_process(ports: Ports) -> None:
    living = dead(ports, silent_s=0)
    job = rows.make(ports, state=State.SUBMITTING, claimed_by=living)
    known_of(ports, job, living)
    age(manifest_of(ports, job), 0)

    sweep.sweep(ports)

    assert rows.read(ports, job).state is State.SUBMITTING
    assert manifest_of(ports, job).exists()


def test_a_manifest_that_has_just_been_written_is_known_to_who_would_call_the_outcome_unknown(ports: Ports) -> None:
    died = dead(ports)
    job = rows.make(ports, state=State.SUBMITTING, claimed_by=died, on_unknown=OnUnknown.RETRY)
    known_of(ports, job, died)
    age(manifest_of(ports, job), 0)

    sweep.sweep(ports)

    assert rows.read(ports, job).state is State.STORING


@pytest.mark.parametrize("state", [State.CANCELED, State.FAILED, State.SUBMITTING])
def test_a_result_that_its_job_has_no_use_for_any_more_is_kept_as_a_late_one(ports: Ports, state: State) -> None:
    attempt = 2 if state is State.SUBMITTING else 1
    job = rows.make(ports, state=state, attempt=attempt, claimed_by=dead(ports, 0) if attempt == 2 else None)
    known_of(ports, job, dead(ports))

    sweep.sweep(ports)

    row = rows.read(ports, job)
    (late,) = late_results(ports, job)
    assert (row.state, row.attempt) == (state, attempt)
    assert (late.attempt, late.state, late.spool_host) == (1, "storing", ports.spool.name)
    assert not manifest_of(ports, job).exists()
    assert kept(ports) == [f"{job.id}-1-0"]


def test_a_manifest_of_which_the_row_was_written_changes_nothing_and_goes(ports: Ports) -> None:
    died = dead(ports)
    job = rows.make(ports, state=State.SUBMITTING, claimed_by=died)
    known_of(ports, job, died)
    sweep.sweep(ports)
    with ports.transaction() as session:
        claim = claims.read(session, job.id)
        assert claim is not None
        claims.move(session, claim, Cause.UNSTORABLE)
    with ports.transaction() as session:
        claim = claims.read(session, job.id)
        assert claim is not None
        claims.move(session, claim, Cause.REQUEUED)
    known_of(ports, job, died)  # as after a power cut that undid its removal

    sweep.sweep(ports)

    assert rows.read(ports, job).state is State.QUEUED
    assert late_results(ports, job) == []
    assert not manifest_of(ports, job).exists()


def test_a_manifest_that_cannot_be_read_goes_and_the_outcome_is_unknown(ports: Ports) -> None:
    died = dead(ports)
    job = rows.make(ports, state=State.SUBMITTING, claimed_by=died)
    ports.spool.keep_manifest(job.id, 1, b"half a mani")

    sweep.sweep(ports)

    assert rows.read(ports, job).state is State.HELD
    assert not manifest_of(ports, job).exists()


def test_a_manifest_whose_job_is_gone_goes_after_an_hour(ports: Ports) -> None:
    young, old = Job(id=ids.new("job")), Job(id=ids.new("job"))
    for job, age_s in ((young, 60), (old, adoption.KEPT_S + 60)):
        known_of(ports, job, None, task_id="video_1")
        age(manifest_of(ports, job), age_s)

    sweep.sweep(ports)

    assert manifest_of(ports, young).exists()
    assert not manifest_of(ports, old).exists()


def test_trouble_with_one_manifest_keeps_no_other_from_being_taken_up(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    died = dead(ports)
    jobs = [rows.make(ports, state=State.SUBMITTING, claimed_by=died) for _ in range(3)]
    for job in jobs:
        known_of(ports, job, died)
    record = submit.record_in_hand

    def sometimes(claim: claims.Claim, *rest: Any, **named: Any) -> Any:
        if claim.job_id == jobs[0].id:
            raise ZeroDivisionError
        return record(claim, *rest, **named)

    monkeypatch.setattr(submit, "record_in_hand", sometimes)

    sweep.sweep(ports, may_judge=False)

    assert [rows.read(ports, job).state for job in jobs] == [State.SUBMITTING, State.STORING, State.STORING]


def test_several_processes_of_a_host_take_it_up_once(ports: Ports) -> None:
    died = dead(ports)
    job = rows.make(ports, state=State.SUBMITTING, claimed_by=died)
    found = known_of(ports, job, died)
    zombie = factories.claim(rows.read(ports, job), by=died, holder=died)

    adoption.adopt_all(replace(ports, process_id=ids.new("process")))
    ours = submit.record_in_hand(zombie, found, replace(ports, process_id=died))

    assert ours is None
    assert rows.causes(ports, job) == [Cause.PRODUCED]
    assert late_results(ports, job) == []


@pytest.mark.parametrize("tag", ["variant=url", "variant=b64_json"])
def test_nothing_is_left_on_the_disk_of_what_went_well(ports: Ports, tag: str) -> None:
    job = rows.make(ports, prompt=rows.prompt(tag))

    submit.submit([job.id], ports)

    assert rows.read(ports, job).state is State.SUCCEEDED
    assert kept(ports) == []
    assert list(ports.spool._manifests.iterdir()) == []


def test_a_disk_that_takes_no_manifest_is_no_reason_not_to_write_the_row(
    ports: Ports, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ports.spool, "keep_manifest", full)
    job = rows.make(ports, operation="video.create", prompt=rows.prompt("latency=60"))

    submit.submit([job.id], ports)

    assert rows.read(ports, job).state is State.RUNNING


def test_a_person_who_named_the_task_meanwhile_is_overtaken_by_the_result(ports: Ports) -> None:
    job = rows.make(ports, state=State.RUNNING, upstream_task_id="video_1", due_at=func.now())
    known_of(ports, job, dead(ports))

    sweep.sweep(ports)

    assert rows.read(ports, job).state is State.STORING
    with ports.transaction() as session:
        session.execute(update(Job).where(col(Job.id) == job.id).values(due_at=func.now()))
    store.store([job.id], ports)
    assert rows.read(ports, job).state is State.SUCCEEDED
