"""A tick by itself, and the threads that a process has to spare."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from shared.errors import StorageUnavailable
from workers.near import Near
from workers.ports import InHand
from workers.ticks import Tick

WAIT_S = 10
NEVER_S = 3600.0


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        threading.Event().wait(0.005)


class Work:
    """Counts how often it was done; what it answers, and how long it takes, is for the test to say."""

    def __init__(self) -> None:
        self.count = 0
        self.more: list[bool] = []
        self.trouble: list[Exception] = []
        self.may_end = threading.Event()
        self.may_end.set()

    def __call__(self) -> bool:
        self.count += 1
        self.may_end.wait(WAIT_S)
        if self.trouble:
            raise self.trouble.pop()
        return self.more.pop() if self.more else False


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def tick(work: Work) -> Iterator[Tick]:
    made = Tick("a-test", NEVER_S, work)
    yield made
    work.may_end.set()
    made.stop()
    if made._thread.ident is not None:
        made.join(WAIT_S)


def test_a_tick_works_at_once_and_again_and_again() -> None:
    work = Work()
    often = Tick("a-test", 0.01, work)

    often.start()
    until(lambda: work.count >= 3)
    often.stop()
    often.join(WAIT_S)

    assert often.is_stopped


def test_a_tick_that_is_woken_does_not_wait(tick: Tick, work: Work) -> None:
    tick.start()
    until(lambda: work.count == 1)

    tick.wake()

    until(lambda: work.count == 2)


def test_who_wakes_a_tick_at_work_is_heard_when_it_is_done(tick: Tick, work: Work) -> None:
    work.may_end.clear()
    tick.start()
    until(lambda: work.count == 1)

    for _ in range(10):
        tick.wake()
    work.may_end.set()

    until(lambda: work.count == 2)


def test_work_that_has_more_to_do_is_done_again_at_once(tick: Tick, work: Work) -> None:
    work.more = [False, True, True]

    tick.start()

    until(lambda: work.count == 3)


def test_work_that_fails_is_tried_again_at_the_next_tick(tick: Tick, work: Work) -> None:
    work.trouble = [RuntimeError("the database is away")]

    tick.start()
    until(lambda: work.count == 1)
    tick.wake()

    until(lambda: work.count == 2)


def test_a_tick_is_steady_since_it_last_failed(tick: Tick, work: Work) -> None:
    began = time.monotonic()
    tick.run_once()
    first = tick.steady_since
    tick.run_once()
    still = tick.steady_since
    work.trouble = [RuntimeError("away")]
    tick.run_once()
    failed = tick.steady_since
    tick.run_once()

    assert first is not None
    assert first >= began
    assert still == first
    assert failed is None
    assert tick.steady_since is not None
    assert tick.steady_since > first


AWAY = OperationalError("SELECT 1", {}, psycopg.OperationalError("connection refused\nIs the server running?"))


def failures(told: list[Any]) -> list[dict[str, Any]]:
    return [line for line in told if line["event"] == "tick.failed"]


def test_of_an_outage_a_tick_says_that_it_begins_and_when_it_is_over(tick: Tick, work: Work) -> None:
    work.trouble = [AWAY, AWAY, AWAY]

    with capture_logs() as told:
        for _ in range(5):
            tick.run_once()

    assert told == [
        {
            "event": "tick.failed",
            "tick": "a-test",
            "error": "OperationalError",
            "told": "connection refused",
            "log_level": "warning",
        },
        {
            "event": "tick.works",
            "tick": "a-test",
            "told": "the outage is over for this tick",
            "log_level": "info",
        },
    ]


def test_an_outage_that_goes_on_is_told_again_now_and_then(
    tick: Tick, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.ticks.TOLD_EVERY_S", 0.0)
    work.trouble = [AWAY, AWAY]

    with capture_logs() as told:
        tick.run_once()
        tick.run_once()

    assert len(failures(told)) == 2


def test_the_next_outage_is_told_at_once(tick: Tick, work: Work) -> None:
    with capture_logs() as told:
        for error in (AWAY, StorageUnavailable("could not put: ConnectError")):
            work.trouble = [error]
            tick.run_once()
            tick.run_once()

    assert [line["told"] for line in failures(told)] == ["connection refused", "could not put: ConnectError"]


def test_a_surprise_is_told_each_time_with_its_traceback(tick: Tick, work: Work) -> None:
    work.trouble = [ZeroDivisionError("a bug"), ZeroDivisionError("a bug")]

    with capture_logs() as told:
        tick.run_once()
        tick.run_once()

    assert [(line["log_level"], line["exc_info"], "told" in line) for line in told] == [("error", True, False)] * 2


def test_a_tick_that_fails_is_alive(tick: Tick, work: Work) -> None:
    tick.last_alive = 0
    work.trouble = [RuntimeError("away")]

    tick.start()

    until(lambda: tick.last_alive > 0)


def test_a_tick_that_is_stopped_ends_soon(tick: Tick, work: Work) -> None:
    tick.start()
    until(lambda: work.count == 1)

    tick.stop()
    tick.join(WAIT_S)

    assert work.count == 1


def test_work_is_begun_here_as_long_as_a_thread_is_free_and_the_rest_is_for_others() -> None:
    near, work, done = Near(2), Work(), []
    work.may_end.clear()

    def do(job_id: str) -> None:
        work()
        done.append(job_id)

    free = [near.free]
    rest = near.take(["a", "b", "c", "d"], do)
    until(lambda: work.count == 2)
    more = near.take(["e"], do)
    free.append(near.free)
    work.may_end.set()
    near.finish()
    free.append(near.free)

    assert list(rest) == ["c", "d"]
    assert list(more) == ["e"]
    assert sorted(done) == ["a", "b"]
    assert free == [2, 0, 0]


def test_a_thread_that_had_trouble_is_free_again() -> None:
    near = Near(1)

    def fails(_: str) -> None:
        raise RuntimeError("nobody thought of this")

    near.take(["a"], fails)

    until(lambda: list(near.take(["b"], lambda _: None)) == [])
    near.finish()


@pytest.mark.parametrize(("error", "level"), [(AWAY, "warning"), (RuntimeError("nobody thought of this"), "error")])
def test_what_begins_here_tells_its_trouble_with_the_job(error: Exception, level: str) -> None:
    near = Near(1)

    def fails(_: str) -> None:
        raise error

    with capture_logs() as told:
        near.take(["job_1"], fails)
        near.finish()

    (line,) = told
    assert (line["event"], line["job_id"], line["log_level"]) == ("near.failed", "job_1", level)
    assert ("exc_info" in line) == (level == "error")


def test_who_has_no_threads_to_spare_leaves_all_to_others() -> None:
    assert list(Near(0).take(["a"], lambda _: None)) == ["a"]


def test_after_the_end_nothing_is_begun_and_what_was_begun_is_done() -> None:
    near, work = Near(1), Work()
    near.take(["a"], lambda _: work())

    near.finish()

    assert work.count == 1
    assert list(near.take(["b"], lambda _: work())) == ["b"]


def test_a_job_is_in_hand_once() -> None:
    hand = InHand()

    with hand.only("a") as first, hand.only("a") as second, hand.only("b") as other:
        assert (first, second, other) == (True, False, True)
        with hand.only("a") as third:
            assert not third
    with hand.only("a") as again:
        assert again


def test_a_job_is_out_of_hand_after_trouble_too() -> None:
    hand = InHand()

    with pytest.raises(ZeroDivisionError), hand.only("a"):
        raise ZeroDivisionError

    with hand.only("a") as again:
        assert again


def test_a_wake_waits_for_the_rest_after_a_look_and_who_is_in_a_hurry_does_not(work: Work) -> None:
    rests = Tick("rests", NEVER_S, work, gap_s=NEVER_S)
    rests.start()
    try:
        until(lambda: work.count == 1)
        rests.wake()
        threading.Event().wait(0.2)
        assert work.count == 1

        rests.hurry()

        until(lambda: work.count == 2)
    finally:
        rests.stop()
        rests.join(WAIT_S)
