"""When the task of a lost answer is searched for, and what follows from an outcome that nobody knows."""

from __future__ import annotations

import pytest

from shared import policy
from shared.gateway.outcome import ErrorClass, GatewayError
from shared.lifecycle import MOVES, Cause, State
from shared.policy import OnUnknown, Tried

LOST = GatewayError(ErrorClass.UNKNOWN_OUTCOME, "no_answer", "it broke off")


@pytest.mark.parametrize("on_unknown", OnUnknown)
@pytest.mark.parametrize("attempt", [1, 3])
def test_what_can_be_found_is_held_and_searched_for_whatever_the_job_wants(on_unknown: OnUnknown, attempt: int) -> None:
    tried = Tried(attempt, 3, on_unknown, is_findable=True)

    assert policy.decide(LOST, tried, lambda: 0.0) == policy.Decision(Cause.UNKNOWN)


def test_a_refusal_that_is_known_is_not_searched_for() -> None:
    known = GatewayError(ErrorClass.CONTENT_POLICY, "blocked", "no")

    assert policy.decide(known, Tried(1, 3, OnUnknown.HOLD, is_findable=True), lambda: 0.0).cause is Cause.REFUSED


@pytest.mark.parametrize("on_unknown", OnUnknown)
def test_the_gaps_between_searches_grow_until_the_last(on_unknown: OnUnknown) -> None:
    gaps = []
    while (gap := policy.next_search_s(on_unknown, len(gaps))) is not None:
        gaps.append(gap)

    assert gaps == sorted(gaps)
    assert len(gaps) >= 3
    assert policy.searched_for_s(on_unknown) == sum(gaps)


@pytest.mark.parametrize("on_unknown", [OnUnknown.RETRY, OnUnknown.FAIL])
def test_who_does_not_want_to_hold_waits_no_longer_than_a_minute(on_unknown: OnUnknown) -> None:
    assert policy.searched_for_s(on_unknown) <= 60


def test_a_held_job_goes_on_in_each_way_that_a_search_can_end() -> None:
    ends = {cause: MOVES[State.HELD, cause] for cause in (Cause.FOUND, Cause.RETRIED, Cause.REFUSED)}

    assert ends == {Cause.FOUND: State.RUNNING, Cause.RETRIED: State.QUEUED, Cause.REFUSED: State.FAILED}
