"""A tick by itself, and the threads that a process has to spare."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

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
