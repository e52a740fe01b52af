"""An outage that is short stops nothing, and a long one until it is over."""

from __future__ import annotations

import pytest

from workers.outage import LONG_S, Outage


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outage(clock: Clock) -> Outage:
    return Outage(clock)


def test_nothing_is_wrong_until_somebody_says_so(outage: Outage) -> None:
    assert not outage.is_long
    assert outage.trouble == ""


def test_only_trouble_that_lasts_is_long(outage: Outage, clock: Clock) -> None:
    outage.note("S3 is away")
    clock.now += LONG_S - 1
    outage.note("S3 is still away")
    at_first = outage.is_long

    clock.now += 1

    assert not at_first
    assert outage.is_long
    assert outage.trouble == "S3 is still away"


def test_one_good_look_ends_it_and_says_so_once(outage: Outage, clock: Clock) -> None:
    outage.note("S3 is away")
    clock.now += LONG_S

    assert outage.note("")
    assert not outage.note("")
    assert not outage.is_long


def test_trouble_that_comes_again_begins_anew(outage: Outage, clock: Clock) -> None:
    outage.note("S3 is away")
    clock.now += LONG_S
    outage.note("")

    outage.note("S3 is away again")

    assert not outage.is_long
