"""How fast one gateway is asked about upstream tasks."""

from __future__ import annotations

import pytest

from shared.gateway.request import Ambiguous, NotSent, Reply, Response
from workers.gateway import pace
from workers.gateway.pace import Pace

WELL = Response(200, {}, b'{"status": "queued"}')
BUSY = Response(429, {}, b"")


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def its(clock: Clock) -> Pace:
    return Pace("gateway.example", 100.0, clock)


def hear(its: Pace, clock: Clock, reply: Reply, times: int = 1, took_s: float = 0.1) -> None:
    for _ in range(times):
        clock.now_s += took_s
        its.heard(reply, clock.now_s - took_s)


def test_questions_go_evenly(its: Pace, clock: Clock) -> None:
    waits = []
    for _ in range(4):
        waits.append(its.wait_s())
        its.went()

    assert waits == pytest.approx([0, 0.01, 0.02, 0.03])


def test_what_was_not_asked_is_not_caught_up_with_at_once(its: Pace, clock: Clock) -> None:
    its.went()
    clock.now_s += 60
    its.went()

    assert its.wait_s() == pytest.approx(0.01)


def test_a_gateway_that_is_well_is_asked_at_the_whole_rate(its: Pace, clock: Clock) -> None:
    hear(its, clock, WELL, times=100)

    assert its.rate_per_s == 100
    assert its.at_once == 100 * pace.SLOW_S


def test_one_answer_that_says_too_many_halves_the_rate(its: Pace, clock: Clock) -> None:
    hear(its, clock, BUSY)

    assert its.rate_per_s == pytest.approx(50)
    assert its.at_once == 50 * pace.SLOW_S


def test_all_that_was_under_way_tells_the_same_and_halves_it_once(its: Pace, clock: Clock) -> None:
    sent_at = clock.now_s
    clock.now_s += 0.1

    for _ in range(50):
        its.heard(BUSY, sent_at)

    assert its.rate_per_s == pytest.approx(50)


def test_a_rate_that_is_still_too_much_is_halved_again_down_to_the_least(its: Pace, clock: Clock) -> None:
    rates = []
    for _ in range(20):
        hear(its, clock, BUSY, took_s=0.01)
        rates.append(its.rate_per_s)

    assert rates[0:12:2] == sorted(rates[0:12:2], reverse=True)
    assert pace.LEAST_PER_S <= rates[-1] < 1
    assert its.at_once == pace.AT_ONCE_LEAST


def test_the_rate_finds_its_way_back_by_time_alone(its: Pace, clock: Clock) -> None:
    hear(its, clock, BUSY)
    rates = []
    for _ in range(7):
        rates.append(its.rate_per_s)
        clock.now_s += pace.REGAIN_S / 10

    assert rates == pytest.approx([50, 60, 70, 80, 90, 100, 100])


@pytest.mark.parametrize(
    "reply", [Response(500), Response(502), Response(503), NotSent("refused"), Ambiguous("timed out")], ids=str
)
def test_trouble_slows_only_once_it_is_common(its: Pace, clock: Clock, reply: Reply) -> None:
    for _ in range(30):  # a task in ten has trouble of its own
        hear(its, clock, WELL, times=9, took_s=0.001)
        hear(its, clock, reply, took_s=0.001)
    rate_while_rare = its.rate_per_s
    hear(its, clock, reply, times=5, took_s=0.001)

    assert rate_while_rare == 100
    assert its.rate_per_s < 60


def test_slow_answers_are_trouble(its: Pace, clock: Clock) -> None:
    sent_at = clock.now_s
    clock.now_s += pace.SLOW_S + 1

    for _ in range(10):
        its.heard(WELL, sent_at)

    assert its.rate_per_s == pytest.approx(50)


def test_answers_that_do_not_come_slow_it_before_time_is_out(its: Pace, clock: Clock) -> None:
    sent_at = clock.now_s
    clock.now_s += pace.SLOW_S + 1

    for _ in range(10):
        its.waited(sent_at)

    assert its.rate_per_s == pytest.approx(50)


@pytest.mark.parametrize(("asked", "paused_s"), [("7", 7), ("100000", pace.PAUSE_MOST_S), ("soon", 0)])
def test_a_gateway_that_asks_to_wait_is_not_asked_meanwhile(
    its: Pace, clock: Clock, asked: str, paused_s: float
) -> None:
    hear(its, clock, Response(429, {"retry-after": asked}, b""))

    assert its.is_paused == (paused_s > 0)
    assert its.wait_s() == pytest.approx(max(paused_s, 1 / 50))
    clock.now_s += paused_s
    assert not its.is_paused
