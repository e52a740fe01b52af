"""What a job that ends before its result says of the money, state by state."""

from __future__ import annotations

import pytest

from api.jobs import money
from api.jobs.money import Late
from shared.lifecycle import FINAL, State
from shared.tables import LateState

UNPAID = (State.WAITING, State.QUEUED, State.DISPATCHED)


def late(state: LateState, attempt: int = 1, reason: str | None = None) -> Late:
    return Late(attempt, state, reason, None)


def test_every_state_that_can_be_canceled_has_its_words() -> None:
    assert set(money.CANCELED) == set(State) - FINAL
    assert len(set(money.CANCELED.values())) == len(money.CANCELED)


@pytest.mark.parametrize("state", money.CANCELED)
def test_nothing_is_charged_exactly_where_nothing_was_sent(state: State) -> None:
    assert ("nothing is charged" in money.CANCELED[state]) == (state in UNPAID)


@pytest.mark.parametrize("state", [State.SUBMITTING, State.HELD])
def test_who_cancels_what_may_be_paid_for_hears_that_its_result_is_kept(state: State) -> None:
    assert "may" in money.CANCELED[state]
    assert "a result that still comes is kept" in money.CANCELED[state]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (LateState.LOOKING, "should the gateway's task still give a result, it is kept"),
        (LateState.STORING, "the result goes on being stored and is kept"),
        (LateState.STORED, "the result came late and is kept"),
        (LateState.GIVEN_UP, "nothing came of it later"),
    ],
)
def test_what_has_become_of_a_late_result_stands_after_why_the_job_ended(state: LateState, words: str) -> None:
    assert money.told("its deadline has passed", [late(state)]) == f"its deadline has passed; {words}"


def test_why_nothing_came_is_told() -> None:
    told = money.told("canceled", [late(LateState.GIVEN_UP, reason="its task failed at the gateway: no")])

    assert told == "canceled; nothing came of it later: its task failed at the gateway: no"


def test_of_several_attempts_each_is_named() -> None:
    told = money.told("canceled", [late(LateState.LOOKING, 2), late(LateState.STORED, 1)])

    assert told == (
        "canceled; should the gateway's task of attempt 2 still give a result, it is kept;"
        " the result of attempt 1 came late and is kept"
    )


@pytest.mark.parametrize("reason", [None, "held for a person"])
def test_without_a_late_result_the_reason_stands_alone(reason: str | None) -> None:
    assert money.told(reason, []) == reason


def test_a_late_result_needs_no_other_reason() -> None:
    assert money.told(None, [late(LateState.STORED)]) == "the result came late and is kept"
