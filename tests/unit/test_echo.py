"""A worker that hears nothing of what it says to itself is deaf; one word that was lost proves nothing."""

from __future__ import annotations

import pytest

from workers.echo import Echo


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def echo(clock: Clock) -> Echo:
    return Echo(clock)


def test_who_said_nothing_is_not_deaf(echo: Echo, clock: Clock) -> None:
    clock.now += 1000

    assert echo.silent_s == 0


def test_one_that_was_lost_proves_nothing(echo: Echo, clock: Clock) -> None:
    echo.said()
    clock.now += 1000
    echo.said()

    assert echo.silent_s == 0


def test_some_in_vain_are_counted_from_the_first(echo: Echo, clock: Clock) -> None:
    for _ in range(3):
        echo.said()
        clock.now += 10

    assert echo.silent_s == 30


def test_one_that_is_heard_begins_it_anew(echo: Echo, clock: Clock) -> None:
    for _ in range(3):
        echo.said()
        clock.now += 10
    echo.heard()
    echo.said()
    clock.now += 1000

    assert echo.silent_s == 0
