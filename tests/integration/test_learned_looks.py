"""What was learned of durations decides when upstream tasks are looked at, and a struggling gateway is asked less."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from sqlmodel import Session, col, delete, func, select, update

from shared import claims, ids
from shared.db import Transaction
from shared.durations import BUCKETS, Between, Durations
from shared.figures import Figures
from shared.gateway.request import Reply, Request, Response
from shared.lifecycle import State
from shared.tables import Job, ModelDuration
from tests import factories, rows
from workers import poll, submit
from workers.experience import Experience
from workers.gateway import pace
from workers.gateway.client import Gateway, Loop
from workers.poll import Looks
from workers.ports import Ports

SIZE = "video.create seconds=8"


@pytest.fixture(autouse=True)
def nothing_known(ports: Ports) -> None:
    with ports.transaction() as session:
        session.execute(delete(ModelDuration))


def film(status: str, **fields: Any) -> Response:
    import json

    return Response(200, {}, json.dumps({"id": "v_1", "status": status, **fields}).encode())


DONE = {"status": "completed", "video_url": "https://cdn.example/v.mp4"}


class Answering(Gateway):
    """Gives the same answer to every look; each is there when `tell` is called, or at once."""

    def __init__(self, reply: Reply, *, hangs: bool = False) -> None:
        self.reply = reply
        self.asked: list[tuple[float, Request]] = []
        self.hanging: list[Future[Reply]] = []
        self.hangs = hangs

    def look(self, request: Request) -> Future[Reply]:
        self.asked.append((time.monotonic(), request))
        answer: Future[Reply] = Future()
        if self.hangs:
            self.hanging.append(answer)
        else:
            answer.set_result(self.reply)
        return answer


def asking(ports: Ports, gateway: Gateway, **settings: Any) -> Ports:
    changed = ports.settings.model_copy(update=settings)
    return replace(ports, gateways=factories.gateways(gateway), settings=changed)


def running(ports: Ports, *, since_s: float = 0, pending_s: float | None = None, **columns: Any) -> Job:
    """A film whose paid call was begun so long ago, and that was last seen to go on so long ago."""
    values = {
        "operation": "video.create",
        "upstream_task_id": f"v_{ids.new('job')}",
        "due_at": func.now(),
        "size": SIZE,
        "moved_at": claims.seconds_from_now(-since_s),
        "submitted_at": claims.seconds_from_now(-since_s),
        "pending_at": None if pending_s is None else claims.seconds_from_now(-pending_s),
        **columns,
    }
    return rows.make(ports, state=State.RUNNING, **values)


def teach(ports: Ports, *took_s: float, size: str = SIZE) -> None:
    for seconds in took_s:
        ports.experience.add(("sora-2", size), Between(seconds, seconds))
    ports.experience.learn(ports.transaction)


def known(ports: Ports, size: str = SIZE) -> Durations:
    with ports.transaction() as session:
        row = session.get(ModelDuration, ("sora-2", size))
        return Durations() if row is None else Durations(tuple(row.counts))


def make_due(ports: Ports, *jobs: Job) -> None:
    with ports.transaction() as session:
        chosen = col(Job.id).in_([job.id for job in jobs])
        session.execute(update(Job).where(chosen).values(due_at=func.now()))


# Learning.


def test_a_task_that_is_done_teaches_how_long_such_tasks_take(ports: Ports) -> None:
    running(ports, since_s=200, pending_s=10)

    poll.poll(asking(ports, Answering(film(**DONE))))
    ports.experience.learn(ports.transaction)

    assert known(ports).total == pytest.approx(1, abs=0.01)
    assert 180 < known(ports).quantile(0.5) < 205


def test_a_task_that_tells_its_own_times_is_known_to_the_refresh(ports: Ports) -> None:
    running(ports, since_s=200)

    poll.poll(asking(ports, Answering(film(**DONE, created_at=1772620000, completed_at=1772620155))))
    ports.experience.learn(ports.transaction)

    assert 145 < known(ports).quantile(0.5) < 175


def test_a_task_that_goes_on_is_remembered_as_pending_and_one_that_is_not_seen_is_not(ports: Ports) -> None:
    seen, unseen = running(ports, since_s=50), running(ports, since_s=50)

    poll.poll(asking(ports, Answering(film("in_progress"))))
    make_due(ports, unseen)
    before = rows.read(ports, unseen).pending_at
    poll.poll(asking(ports, Answering(Response(502, {}, b"<html>"))))

    assert rows.read(ports, seen).pending_at is not None
    assert rows.read(ports, unseen).pending_at == before
    assert rows.read(ports, unseen).misses == 1


def test_a_second_attempt_does_not_remember_the_looks_at_the_first(ports: Ports) -> None:
    job = running(ports, pending_s=30)
    with ports.transaction() as session:
        claim = claims.read(session, job.id)
        assert claim is not None
        session.execute(update(Job).where(col(Job.id) == job.id).values(state=State.SUBMITTING))
        again = replace(claim, state=State.SUBMITTING)
        moved = claims.move(session, again, claims.Cause.ACCEPTED, upstream_task_id="v_2")

    assert moved
    assert rows.read(ports, job).pending_at is None


def test_a_job_of_an_earlier_release_teaches_nothing_and_is_looked_at_as_ever(ports: Ports) -> None:
    old = running(ports, since_s=60, size=None)

    poll.poll(asking(ports, Answering(film("queued"))))
    looked = rows.is_due_in(ports, old, 10.5)
    make_due(ports, old)
    poll.poll(asking(ports, Answering(film(**DONE))))
    ports.experience.learn(ports.transaction)

    assert looked
    with ports.transaction() as session:
        assert session.exec(select(func.count()).select_from(ModelDuration)).one() == 0


def test_what_several_processes_see_at_once_is_added_up(ports: Ports) -> None:
    others = [Experience() for _ in range(4)]
    barrier = threading.Barrier(len(others))

    def see(mine: Experience) -> None:
        for number in range(60):
            mine.add(("sora-2", f"{SIZE} n={number % 3}"), Between(100, 110))
        barrier.wait(10)
        mine.learn(ports.transaction)

    with ThreadPoolExecutor(len(others)) as threads:
        list(threads.map(see, others))

    assert [known(ports, f"{SIZE} n={number}").total for number in range(3)] == pytest.approx([80, 80, 80], rel=1e-4)


def test_what_one_process_saw_another_knows(ports: Ports) -> None:
    teach(ports, *([180.0] * 20))
    other = Experience()
    entry = ports.catalog.entry("sora-2")
    before = other.plan(("sora-2", SIZE), entry)

    other.learn(ports.transaction)

    assert before is None
    assert other.plan(("sora-2", SIZE), entry) is not None
    assert other.plan(("sora-2", "video.create seconds=4"), entry) is None


def test_nothing_new_keeps_a_plan_as_it_is(ports: Ports) -> None:
    teach(ports, *([180.0] * 20))
    entry = ports.catalog.entry("sora-2")
    plan = ports.experience.plan(("sora-2", SIZE), entry)

    ports.experience.learn(ports.transaction)

    assert ports.experience.plan(("sora-2", SIZE), entry) is plan


def test_a_row_with_other_buckets_begins_anew(ports: Ports) -> None:
    with ports.transaction() as session:
        session.add(ModelDuration(model="sora-2", size=SIZE, counts=[1.0] * 7, learned_at=func.now()))

    teach(ports, 100.0)

    assert len(known(ports).counts) == BUCKETS
    assert known(ports).total == pytest.approx(1)


def test_a_database_that_is_away_costs_what_was_seen_and_nothing_else(ports: Ports) -> None:
    def away() -> Any:
        raise OSError("away")

    ports.experience.add(("sora-2", SIZE), Between(1, 1))
    with pytest.raises(OSError, match="away"):
        ports.experience.learn(away)
    teach(ports, 100.0)

    assert known(ports).total == pytest.approx(1)


# Looking.


def test_an_accepted_task_is_first_looked_at_when_such_tasks_begin_to_end(ports: Ports) -> None:
    teach(ports, *(150.0 + number for number in range(100)), size="video.create seconds=8 size=720x1280")
    ours = replace(ports, random=lambda: 0.5)
    like = rows.make(ports, operation="video.create", params={"size": "1280x720", "seconds": 8})
    other = rows.make(ports, operation="video.create", params={"size": "1280x720", "seconds": 4})

    submit.submit([like.id, other.id], ours)

    assert rows.read(ports, like).size == "video.create seconds=8 size=720x1280"
    assert 120 < rows.due_in_s(ports, like) < 165
    assert rows.is_due_in(ports, other, ports.catalog.entry("sora-2").first_look_s)


def test_a_task_that_goes_on_is_looked_at_by_what_its_like_have_taken(ports: Ports) -> None:
    teach(ports, *(150.0 + number for number in range(60)))
    young, ripe, old = (running(ports, since_s=age_s) for age_s in (60, 180, 1000))

    poll.poll(asking(ports, Answering(film("in_progress"))))

    assert rows.due_in_s(ports, young) > 30
    assert rows.due_in_s(ports, ripe) <= 15
    assert rows.due_in_s(ports, old) > 30


# The pace of one gateway.


def test_looks_keep_a_gap(ports: Ports) -> None:
    for _ in range(20):
        running(ports)
    gateway = Answering(film("queued"))

    poll.poll(asking(ports, gateway, poll_rate=50))

    at = [moment for moment, _ in gateway.asked]
    assert len(at) == 20
    assert at[-1] - at[0] >= 19 / 50
    assert min(later - earlier for earlier, later in pairwise(at)) > 0.9 / 50


def test_a_gateway_that_says_too_many_is_left_alone_as_long_as_it_asks(ports: Ports) -> None:
    jobs = [running(ports) for _ in range(5)]
    gateway = Answering(Response(429, {"retry-after": "30"}, b""))
    looks = Looks(asking(ports, gateway, poll_rate=20))
    looks.go()
    asked = len(gateway.asked)

    make_due(ports, *jobs)
    more = looks.go()

    assert len(gateway.asked) == asked
    assert not more
    assert all(rows.due_in_s(ports, job) <= 0 for job in jobs)


def test_a_gateway_that_hangs_is_asked_a_few_things_at_once(ports: Ports) -> None:
    for _ in range(40):
        running(ports)
    gateway = Answering(film("queued"), hangs=True)
    looks = Looks(asking(ports, gateway, poll_rate=1))

    for _ in range(3):
        looks.go()

    assert len(gateway.asked) <= pace.AT_ONCE_LEAST + 1


def test_what_waited_for_its_turn_is_as_old_as_it_is_when_asked(ports: Ports) -> None:
    job = running(ports, since_s=100, pending_s=20)
    with ports.transaction() as session:
        claim = claims.read(session, job.id)
    assert claim is not None
    (question,) = poll.questions([claim], asking(ports, Answering(film("queued"))))

    (older,) = replace(question, made_at=question.made_at - 3).asked_now().claims

    assert older.since_call_s == pytest.approx((claim.since_call_s or 0) + 3, abs=1)
    assert older.since_pending_s == pytest.approx((claim.since_pending_s or 0) + 3, abs=1)


def test_jobs_of_a_gateway_that_is_not_to_be_asked_stay_due(session: Session, transaction: Transaction) -> None:
    def due(credential: str) -> Job:
        lane = factories.lane(session).name.replace("default", credential)
        return factories.job(session, state=State.RUNNING, lane_name=lane, due_at=func.now())

    ours, theirs = due("default"), due("second")

    taken = claims.due_running(session, 1000, 45, but_credentials=["second"])

    assert ours.id in {claim.job_id for claim in taken}
    assert theirs.id not in {claim.job_id for claim in taken}


class Slow:
    """A gateway over HTTP at which looks hang until it is closed, and paid calls are answered."""

    def __init__(self) -> None:
        self.looks = 0
        self.url = ""

    async def look(self, _request: web.Request) -> web.Response:
        self.looks += 1
        await self.closing.wait()
        return web.json_response({"status": "queued"})

    async def pay(self, _request: web.Request) -> web.Response:
        return web.json_response({"id": "v_1"})

    async def serve(self) -> web.AppRunner:
        self.closing = asyncio.Event()
        app = web.Application()
        app.router.add_get("/look/{id}", self.look)
        app.router.add_post("/pay", self.pay)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def close(self, runner: web.AppRunner) -> None:
        self.closing.set()
        await runner.cleanup()


@contextmanager
def slow_gateway() -> Iterator[Slow]:
    slow, loop = Slow(), Loop()
    runner = loop.call(slow.serve()).result(10)
    try:
        yield slow
    finally:
        loop.call(slow.close(runner)).result(30)
        loop.stop()


def test_paid_calls_go_out_at_once_while_two_thousand_looks_hang() -> None:
    with slow_gateway() as slow:
        gateway = Gateway(slow.url, "sk-test", Figures())
        try:
            hanging = [gateway.look(Request("GET", f"/look/{number}", timeout_s=60)) for number in range(2000)]
            rows.until(lambda: slow.looks == 2000, wait_s=30)

            began = time.monotonic()
            paid = [gateway.start(Request("POST", "/pay", json={}, timeout_s=10)) for _ in range(20)]
            answers = [one.result(10) for one in paid]
            took_s = time.monotonic() - began

            assert not any(look.done() for look in hanging)
            assert [answer.status for answer in answers if isinstance(answer, Response)] == [200] * 20
            assert took_s < 5
        finally:
            gateway.stop()
