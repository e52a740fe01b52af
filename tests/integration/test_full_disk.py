"""A disk that is full: a paid answer in hand goes to S3 from memory, and nothing of it is lost."""

from __future__ import annotations

import errno
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, func, update

from shared import storage
from shared.errors import ObjectMissing, StorageUnavailable
from shared.figures import Figures
from shared.gateway.request import Request
from shared.lifecycle import Cause, State
from shared.settings import Settings
from shared.storage import Store
from shared.tables import Job
from tests import rows
from tests.integration.test_store import Shelf, kept, shelf
from tests.integration.test_worker_process import alone, looking, quick
from tests.sandbox import SandboxServer
from tests.worker import WorkerProcess
from workers import submit
from workers.gateway.client import LARGE_BYTES, Gateway, Large
from workers.ports import Ports
from workers.spool import Spool

__all__ = ["alone", "looking", "quick", "shelf"]  # fixtures

SMALL_BYTES = 20_000
"""Larger than the worker's log and its manifests, smaller than the picture."""


def full(*_: object, **__: object) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


def unchecked(job: Job) -> str:
    return storage.unchecked_key(job.project_id, job.id, 1, 0)


def charges(sandbox: SandboxServer, prompt: str) -> int:
    return len(list(sandbox.ledger(prompt=prompt.split(" [[")[0])))


def test_a_picture_that_the_disk_does_not_take_goes_to_s3_and_is_stored_from_there(
    ports: Ports, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports.spool, "keep", full)
    prompt = rows.prompt("variant=b64_json")
    job = rows.make(ports, prompt=prompt)

    submit.submit([job.id], ports)

    row = rows.read(ports, job)
    assert (row.state, row.spool_host) == (State.SUCCEEDED, None), row.state_reason
    assert rows.causes(ports, job) == [Cause.CLAIMED, Cause.PRODUCED, Cause.STORED]
    assert rows.artifacts(ports, job)[0].object_key.endswith(".png")
    with pytest.raises(ObjectMissing):
        ports.store.head(unchecked(job))
    assert charges(sandbox, prompt) == 1


def test_what_neither_disk_nor_s3_takes_is_tried_again_while_it_is_in_memory(
    ports: Ports, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []
    put_bytes = ports.store.put_bytes

    def away_once(key: str, *rest: Any) -> Any:
        tries.append(key)
        if len(tries) == 1:
            raise StorageUnavailable("connection refused")
        return put_bytes(key, *rest)

    monkeypatch.setattr(ports.spool, "keep", full)
    monkeypatch.setattr(ports.store, "put_bytes", away_once)
    prompt = rows.prompt("variant=b64_json")
    job = rows.make(ports, prompt=prompt)

    submit.submit([job.id], ports)

    assert rows.read(ports, job).state is State.SUCCEEDED
    assert tries == [unchecked(job)] * 2
    assert charges(sandbox, prompt) == 1


def test_a_large_answer_that_the_disk_does_not_take_is_read_from_memory(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = b'{"data": "' + b"x" * (2 * LARGE_BYTES) + b'"}'
    shelf.put("/answer", answer)
    monkeypatch.setattr("workers.gateway.gathered.tempfile.TemporaryFile", full)
    gateway = Gateway(shelf.url, "sk-the-key", Figures(), tmp_path)

    answered = gateway.start(Request("GET", "/answer")).result()
    gateway.stop()

    assert isinstance(answered, Large)
    assert answered.whole().body == answer


def test_a_file_that_does_not_fit_leaves_the_disk_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path)
    monkeypatch.setattr("workers.spool.os.fsync", full)

    with pytest.raises(OSError, match="No space left"):
        spool.keep("job_x", 1, 0, b"a picture")
    with pytest.raises(OSError, match="No space left"):
        spool.keep_manifest("job_x", 1, b"{}")

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "name"]


@pytest.fixture
def hinted(quick: Settings, tmp_path: Path) -> Settings:
    """Settings of a worker on a data folder of this test's own."""
    return quick.model_copy(update={"data_dir": tmp_path})


def limit_files(process: WorkerProcess, most_bytes: int) -> None:
    """Let no file of a running process grow beyond that: what it writes then fails, as on a full disk."""
    hard = resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, (most_bytes, hard))


def come_due(looking: Ports, job: Job) -> None:
    with looking.transaction() as session:
        session.execute(update(Job).where(col(Job.id) == job.id).values(due_at=func.now()))


@pytest.mark.timeout(200)
def test_a_worker_whose_disk_is_full_loses_no_picture_that_was_paid_for(
    hinted: Settings, looking: Ports, store: Store, sandbox: SandboxServer, tmp_path: Path
) -> None:
    prompt = rows.prompt("variant=b64_json", "latency=0")

    with WorkerProcess(hinted, tmp_path / "worker.log", tick_s=0.2, worker_threads=8, database_pool=5) as worker:
        limit_files(worker, SMALL_BYTES)
        job = rows.make(looking, state=State.QUEUED, prompt=prompt)
        rows.until(lambda: rows.read(looking, job).waits > 0, 60)
        waiting, in_s3 = rows.read(looking, job), store.head(unchecked(job))
        limit_files(worker, resource.RLIM_INFINITY)
        come_due(looking, job)
        row = rows.until_state(looking, job, State.SUCCEEDED, wait_s=60)
        said = worker.said()

    assert (waiting.state, waiting.spool_host) == (State.STORING, None)
    assert in_s3.size_bytes > SMALL_BYTES
    assert "submit.no_disk" in said
    assert row.attempt == 1
    (artifact,) = rows.artifacts(looking, job)
    assert artifact.size_bytes == in_s3.size_bytes
    assert charges(sandbox, prompt) == 1


def test_nothing_is_left_of_it_in_the_spool(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports.spool, "keep", full)
    job = rows.make(replace(ports), prompt=rows.prompt("variant=b64_json"))

    submit.submit([job.id], ports)

    assert kept(ports) == []
    assert list(ports.spool._manifests.iterdir()) == []
