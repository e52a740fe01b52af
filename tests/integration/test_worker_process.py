"""Worker processes as they are run for good: hints, ticks, `kill -9`, SIGTERM, and Redis away."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from celery import Celery
from sqlmodel import Session, col, select, update

from shared import db, ids
from shared.db import Transaction
from shared.hints import Hints
from shared.lifecycle import Cause, State
from shared.policy import OnUnknown
from shared.settings import Settings
from shared.storage import Store
from shared.tables import Job, Process
from tests import factories, rows
from tests import stack as services
from tests.sandbox import SandboxServer
from tests.worker import WorkerProcess
from workers.ports import Ports

ROOT = Path(__file__).parents[2]
QUICK = {"heartbeat_s": 0.5, "dead_after_s": 2.0, "tick_s": 0.2, "worker_threads": 16, "database_pool": 5}


class Looking:
    """What `rows` needs of a process: a way to the database."""

    def __init__(self, transaction: Transaction) -> None:
        self.transaction = transaction


@pytest.fixture(scope="module")
def alone(
    settings: Settings, stack: dict[str, Any], store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Settings, Ports]]:
    """Settings of a database of these tests' own, in which no row waits but theirs, and a look at it."""
    assert store.bucket == settings.s3_bucket
    url = services.new_database(stack["database_url"], f"workers-{ids.new('project')}")
    engine = db.engine(url, 4, "darkroom-tests")
    folder = tmp_path_factory.mktemp("data")
    # A database number of Redis of this xdist worker's own: hints of other tests are none of ours.
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8 + 8
    broker = f"{settings.broker_url.rpartition('/')[0]}/{number}"
    yield (
        settings.model_copy(update={"database_url": url, "data_dir": folder, "broker_url": broker}),
        Looking(db.transactions(engine)),  # type: ignore[misc]
    )
    engine.dispose()


@pytest.fixture
def quick(alone: tuple[Settings, Ports]) -> Settings:
    return alone[0]


@pytest.fixture
def looking(alone: tuple[Settings, Ports]) -> Ports:
    return alone[1]


def queue(looking: Ports, *tags: str, **columns: Any) -> Job:
    return rows.make(looking, state=State.QUEUED, prompt=rows.prompt(*tags), **columns)


def hint_dispatch(settings: Settings) -> None:
    hints = Hints(settings.broker_url)
    hints.start()
    hints.dispatch()
    hints.stop()


def paid(sandbox: SandboxServer, looking: Ports, job: Job) -> int:
    from shared.tables import JobRequest

    with looking.transaction() as session:
        prompt = session.get_one(JobRequest, job.id).prompt
    return len(sandbox.ledger(prompt=prompt.split(" [[")[0]))


def test_hints_carry_jobs_of_every_kind_to_their_end(
    quick: Settings, looking: Ports, sandbox: SandboxServer, tmp_path: Path
) -> None:
    catalog = tmp_path / "catalog.toml"
    catalog.write_text("".join(f"[models.{name}]\nfirst_look_s = 0.1\n" for name in ("sora-2", "midjourney")))
    with WorkerProcess(quick, tmp_path / "one.log", **QUICK, catalog=catalog) as worker:
        worker.wait_for(" ready.")
        jobs = [queue(looking, operation=one) for one in ("image.generate", "video.create", "midjourney.imagine")]
        hint_dispatch(quick)

        for job in jobs:
            rows.until_state(looking, job, State.SUCCEEDED)
    assert [paid(sandbox, looking, job) for job in jobs] == [1, 1, 1]


def test_a_hint_is_quicker_than_a_tick(quick: Settings, looking: Ports, tmp_path: Path) -> None:
    with WorkerProcess(quick, tmp_path / "one.log", **QUICK | {"tick_s": 30.0}) as worker:
        worker.wait_for(" ready.")
        job = queue(looking)

        hint_dispatch(quick)

        rows.until_state(looking, job, State.SUCCEEDED, wait_s=10)


def test_a_worker_tells_flower_what_it_does_and_names_rows_only(quick: Settings, tmp_path: Path) -> None:
    received: list[tuple[str, str]] = []
    watcher = Celery("watcher", broker=quick.broker_url, set_as_current=False)
    watcher.conf.broker_transport_options = {"global_keyprefix": "darkroom:"}
    hints = Hints(quick.broker_url)
    hints.start()

    def note(event: dict[str, Any]) -> None:
        received.append((event["name"], event["args"]))
        receiver.should_stop = True

    def hint_again(_event: dict[str, Any]) -> None:
        hints.submit(["job_nobody"])  # by now somebody listens

    with watcher.connection() as connection, WorkerProcess(quick, tmp_path / "one.log", **QUICK):
        receiver = watcher.events.Receiver(
            connection, handlers={"task-received": note, "worker-heartbeat": hint_again, "worker-online": hint_again}
        )
        receiver.capture(limit=50, timeout=20, wakeup=False)
    hints.stop()

    assert set(received) == {("darkroom.submit", "[['job_nobody']]")}


def test_the_ticks_alone_carry_a_job_while_redis_is_away(
    quick: Settings, looking: Ports, sandbox: SandboxServer, tmp_path: Path
) -> None:
    nowhere = quick.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"})
    with WorkerProcess(nowhere, tmp_path / "one.log", **QUICK) as worker:
        jobs = [queue(looking) for _ in range(6)]

        for job in jobs:
            rows.until_state(looking, job, State.SUCCEEDED)

        worker.stop(20)
    assert [paid(sandbox, looking, job) for job in jobs] == [1] * 6


def test_redis_that_goes_away_and_comes_back_loses_nothing(
    quick: Settings, looking: Ports, sandbox: SandboxServer, tmp_path: Path
) -> None:
    with OwnRedis(tmp_path / "redis") as redis:
        settings = quick.model_copy(update={"broker_url": redis.url})
        with WorkerProcess(settings, tmp_path / "one.log", **QUICK) as worker:
            worker.wait_for(" ready.")
            redis.freeze()
            during = queue(looking)
            rows.until_state(looking, during, State.SUCCEEDED)
            redis.thaw()

            after = queue(looking)
            hint_dispatch(settings)
            rows.until_state(looking, after, State.SUCCEEDED)

    assert [paid(sandbox, looking, job) for job in (during, after)] == [1, 1]


def test_a_worker_that_hears_nothing_any_more_says_so_and_ends_once_its_paid_call_is_over(
    quick: Settings, looking: Ports, sandbox: SandboxServer, tmp_path: Path
) -> None:
    control = Celery("control", broker=quick.broker_url, set_as_current=False).control
    control.app.conf.broker_transport_options = {"global_keyprefix": "darkroom:"}
    with WorkerProcess(quick, tmp_path / "one.log", **QUICK, exit_on_lost_tick_s=2.0) as worker:
        worker.wait_for(" ready.")
        job = queue(looking, "latency=8")
        rows.until(lambda: paid(sandbox, looking, job))
        name = f"one@{socket.gethostname()}"

        replies = control.cancel_consumer(f"echo.{name}", destination=[name], reply=True, timeout=10)

        assert [next(iter(reply.values())) for reply in replies] == [{"ok": f"no longer consuming from echo.{name}"}]
        assert worker.process.wait(60) == 70
    assert "watchdog.deaf" in worker.said()
    assert rows.read(looking, job).state is State.SUCCEEDED
    assert paid(sandbox, looking, job) == 1


def test_a_worker_whose_broker_is_away_does_not_take_itself_for_deaf(
    quick: Settings, looking: Ports, tmp_path: Path
) -> None:
    with OwnRedis(tmp_path / "redis") as redis:
        settings = quick.model_copy(update={"broker_url": redis.url})
        with WorkerProcess(settings, tmp_path / "one.log", **QUICK, exit_on_lost_tick_s=1.0) as worker:
            worker.wait_for(" ready.")
            redis.freeze()
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                assert worker.process.poll() is None, worker.said()
                time.sleep(0.1)
            redis.thaw()

            job = queue(looking)
            rows.until_state(looking, job, State.SUCCEEDED)
            worker.stop(20)


class OwnRedis:
    """A Redis that no other test has, so that it can be stopped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = ""

    def __enter__(self) -> OwnRedis:
        options = ["--data-dir", str(self._folder), "--until-pid", str(os.getpid()), "--only", "redis"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "deploy.local.services", *options],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        told = self._folder / "services.json"
        rows.until(told.exists)
        self.url = json.loads(told.read_text())["broker_url"]
        return self

    def __exit__(self, *_: object) -> None:
        self.thaw()
        self._process.terminate()
        self._process.wait(20)

    def freeze(self) -> None:
        self._signal("STOP")

    def thaw(self) -> None:
        self._signal("CONT")

    def _signal(self, name: str) -> None:
        import psutil  # type: ignore[import-untyped]

        for child in psutil.Process(self._process.pid).children(recursive=True):
            child.suspend() if name == "STOP" else child.resume()


def test_a_worker_that_is_killed_leaves_its_calls_to_the_jobs_own_wish_and_its_results_to_another(
    quick: Settings, looking: Ports, sandbox: SandboxServer, tmp_path: Path
) -> None:
    calls = {on_unknown: rows.prompt() for on_unknown in OnUnknown}
    sandbox.script(
        [
            {"match": {"prompt_contains": prompt}, "times": 1, "do": {"latency": 60, "render": "plain"}}
            for prompt in calls.values()
        ]
    )
    with WorkerProcess(quick, tmp_path / "first.log", **QUICK) as first:
        held, again, failed = (
            rows.make(looking, state=State.QUEUED, prompt=prompt, on_unknown=wish) for wish, prompt in calls.items()
        )
        result = queue(looking, "variant=url content=slow content_s=8 content_times=1")
        rows.until(lambda: all(paid(sandbox, looking, job) for job in (held, again, failed)))
        rows.until_state(looking, result, State.STORING)
        first.kill()

    with WorkerProcess(quick, tmp_path / "second.log", **QUICK):
        hurry(looking, again)
        ended = {
            job.id: rows.until_state(looking, job, state, wait_s=30)
            for job, state in (
                (held, State.HELD),
                (again, State.SUCCEEDED),
                (failed, State.FAILED),
                (result, State.SUCCEEDED),
            )
        }

    assert [ended[job.id].attempt for job in (held, again, failed, result)] == [1, 2, 1, 1]
    assert [paid(sandbox, looking, job) for job in (held, again, failed, result)] == [1, 2, 1, 1]
    assert rows.causes(looking, result) == [Cause.RELEASED, Cause.CLAIMED, Cause.PRODUCED, Cause.STORED]


def hurry(looking: Ports, job: Job) -> None:
    """Once the job is queued again, it is due now."""

    def is_hurried() -> bool:
        mine, queued = col(Job.id) == job.id, col(Job.state) == State.QUEUED
        with looking.transaction() as session:
            session.execute(update(Job).where(mine, queued).values(due_at=None))
        return rows.read(looking, job).state not in (State.SUBMITTING, State.QUEUED)

    rows.until(is_hurried, wait_s=30)


def test_an_idle_worker_stops_within_seconds_and_says_that_it_is_gone(
    quick: Settings, looking: Ports, tmp_path: Path
) -> None:
    with WorkerProcess(quick, tmp_path / "one.log", **QUICK) as worker:
        worker.wait_for(" ready.")
        alive = processes(looking)

        took_s = worker.stop(20)

    assert took_s < 8
    assert "worker.stopped" in worker.said()
    assert len(alive - processes(looking)) == 1


def processes(looking: Ports) -> set[str]:
    with looking.transaction() as session:
        return set(session.exec(select(Process.id)))


def test_a_worker_that_is_stopped_in_its_paid_call_finishes_it_and_begins_no_other(
    quick: Settings, looking: Ports, sandbox: SandboxServer, tmp_path: Path
) -> None:
    with WorkerProcess(quick, tmp_path / "one.log", **QUICK) as worker:
        job = queue(looking, "latency=3")
        rows.until(lambda: paid(sandbox, looking, job))
        worker.process.terminate()
        worker.wait_for("worker.stopping")
        late = queue(looking)

        code = worker.process.wait(20)

    assert code == 0
    assert rows.read(looking, job).state is State.SUCCEEDED
    assert rows.read(looking, late).state is State.QUEUED
    assert paid(sandbox, looking, late) == 0


def test_a_worker_that_drains_for_too_long_ends_and_leaves_the_rest_to_others(
    quick: Settings, looking: Ports, sandbox: SandboxServer, tmp_path: Path
) -> None:
    with WorkerProcess(quick, tmp_path / "one.log", **QUICK, drain_seconds=1.0) as worker:
        job = queue(looking, "latency=60")
        rows.until(lambda: paid(sandbox, looking, job))
        worker.process.terminate()

        code = worker.process.wait(15)

    assert code == 70
    assert "watchdog.drain" in worker.said()
    assert rows.read(looking, job).state is State.SUBMITTING


def test_a_worker_that_is_told_twice_ends_at_once_and_leaves_the_rest_to_others(
    quick: Settings, looking: Ports, sandbox: SandboxServer, tmp_path: Path
) -> None:
    with WorkerProcess(quick, tmp_path / "one.log", **QUICK) as worker:
        job = queue(looking, "latency=60")
        rows.until(lambda: paid(sandbox, looking, job))
        worker.process.terminate()
        worker.process.terminate()  # what comes with it is the same signal
        worker.wait_for("worker.stopping")
        time.sleep(1.2)
        assert worker.process.poll() is None

        worker.process.terminate()

        assert worker.process.wait(5) == 70
    assert "worker.stopped_at_once" in worker.said()
    assert rows.read(looking, job).state is State.SUBMITTING
    assert paid(sandbox, looking, job) == 1


def test_an_outage_of_the_database_costs_no_paid_call(
    quick: Settings, looking: Ports, sandbox: SandboxServer, tmp_path: Path
) -> None:
    with WorkerProcess(quick, tmp_path / "one.log", **QUICK) as worker:
        job = queue(looking, "latency=2")
        rows.until(lambda: paid(sandbox, looking, job))
        deadline = (
            time.monotonic() + 4
        )  # from before the answer to well after it, and longer than a process may be silent
        while time.monotonic() < deadline:
            end_all_connections(quick)

        rows.until_state(looking, job, State.SUCCEEDED)

        worker.stop(20)
    assert rows.causes(looking, job) == [Cause.RELEASED, Cause.CLAIMED, Cause.PRODUCED, Cause.STORED]
    assert paid(sandbox, looking, job) == 1


def end_all_connections(settings: Settings) -> None:
    """Those of workers: what they send next fails."""
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'darkroom-worker%'"
        )


def test_two_workers_share_the_work_and_pay_once(
    quick: Settings, looking: Ports, sandbox: SandboxServer, tmp_path: Path
) -> None:
    sandbox.script([{"match": {"model": "nano-banana"}, "do": {"render": "plain"}}])
    with (
        WorkerProcess(quick, tmp_path / "one.log", **QUICK),
        WorkerProcess(quick, tmp_path / "two.log", **QUICK),
    ):
        with looking.transaction() as session:
            lane, project = factories.lane(session, limit=8).name, factories.project(session).id
            jobs = [make(session, lane, project) for _ in range(40)]
        hint_dispatch(quick)
        for job in jobs:
            rows.until_state(looking, job, State.SUCCEEDED, wait_s=30)
    sandbox.forget()

    assert {tuple(rows.causes(looking, job)) for job in jobs} == {
        (Cause.RELEASED, Cause.CLAIMED, Cause.PRODUCED, Cause.STORED)
    }


def make(session: Session, lane: str, project: str) -> Job:
    return factories.job(session, lane_name=lane, project_id=project, prompt=rows.prompt())
