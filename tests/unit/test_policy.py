"""What follows from an error, and when."""

from __future__ import annotations

import pytest

from shared import policy
from shared.gateway.outcome import ErrorClass, GatewayError
from shared.lifecycle import MOVES, Cause, State
from shared.policy import OnUnknown, Tried

FRESH = Tried(attempt=1, max_attempts=3, on_unknown=OnUnknown.HOLD)


def error(error_class: ErrorClass, **more: object) -> GatewayError:
    return GatewayError(error_class, "a_code", "a message", **{"upstream_status": 500, **more})  # type: ignore[arg-type]


def lowest() -> float:
    return 0.0


def highest() -> float:
    return 1.0


TABLE = {
    ErrorClass.INVALID_REQUEST: Cause.REFUSED,
    ErrorClass.CONTENT_POLICY: Cause.REFUSED,
    ErrorClass.AUTH: Cause.NOT_SENT,
    ErrorClass.QUOTA_EXHAUSTED: Cause.NOT_SENT,
    ErrorClass.UNAVAILABLE: Cause.NOT_SENT,
    ErrorClass.RATE_LIMITED: Cause.THROTTLED,
    ErrorClass.NO_MEDIA: Cause.RETRIED,
    ErrorClass.TASK_FAILED: Cause.RETRIED,
    ErrorClass.STORAGE: Cause.RETRIED,
    ErrorClass.UNKNOWN_OUTCOME: Cause.UNKNOWN,
}


@pytest.mark.parametrize("error_class", ErrorClass)
def test_each_class_has_what_follows_from_it(error_class: ErrorClass) -> None:
    assert policy.decide(error(error_class), FRESH, lowest).cause is TABLE[error_class]


@pytest.mark.parametrize("error_class", ErrorClass)
@pytest.mark.parametrize("on_unknown", OnUnknown)
@pytest.mark.parametrize("attempt", [1, 3])
@pytest.mark.parametrize("charged", [False, True])
@pytest.mark.parametrize("state", [State.SUBMITTING, State.RUNNING])
def test_whatever_is_decided_is_a_move_that_exists(
    error_class: ErrorClass, on_unknown: OnUnknown, attempt: int, charged: bool, state: State
) -> None:
    tried = Tried(attempt, 3, on_unknown, waits=policy.WAITS_MOST, is_accepted=state is State.RUNNING)

    decision = policy.decide(error(error_class, charged=charged), tried, lowest)

    after = MOVES[state, decision.cause]
    assert (decision.due_in_s is not None) == (after is State.QUEUED)


@pytest.mark.parametrize(
    ("on_unknown", "cause"),
    [(OnUnknown.HOLD, Cause.UNKNOWN), (OnUnknown.RETRY, Cause.RETRIED), (OnUnknown.FAIL, Cause.REFUSED)],
)
@pytest.mark.parametrize("is_accepted", [False, True])
@pytest.mark.parametrize("error_class", [kind for kind, what in policy.FOLLOWS.items() if what is policy.Follows.WAIT])
def test_what_is_paid_in_part_is_not_bought_again_unless_the_job_says_so(
    error_class: ErrorClass, is_accepted: bool, on_unknown: OnUnknown, cause: Cause
) -> None:
    tried = Tried(attempt=1, max_attempts=3, on_unknown=on_unknown, is_accepted=is_accepted)

    assert policy.decide(error(error_class, charged=True), tried, lowest).cause is cause


@pytest.mark.parametrize("error_class", [ErrorClass.UNAVAILABLE, ErrorClass.RATE_LIMITED])
def test_work_that_was_accepted_counts_as_an_attempt_whatever_is_said_later(error_class: ErrorClass) -> None:
    tried = Tried(attempt=1, max_attempts=3, on_unknown=OnUnknown.HOLD, is_accepted=True)

    assert policy.decide(error(error_class), tried, lowest).cause is Cause.RETRIED


@pytest.mark.parametrize(("attempt", "cause"), [(1, Cause.RETRIED), (2, Cause.RETRIED), (3, Cause.REFUSED)])
def test_the_last_attempt_is_not_followed_by_another(attempt: int, cause: Cause) -> None:
    tried = Tried(attempt, max_attempts=3, on_unknown=OnUnknown.HOLD)

    assert policy.decide(error(ErrorClass.TASK_FAILED), tried, lowest).cause is cause


@pytest.mark.parametrize(
    ("charged", "attempt", "cause"),
    [(True, 1, Cause.RETRIED), (True, 2, Cause.REFUSED), (False, 2, Cause.RETRIED)],
)
def test_an_answer_without_media_that_is_paid_for_is_tried_once_more(charged: bool, attempt: int, cause: Cause) -> None:
    empty = GatewayError(ErrorClass.NO_MEDIA, "refusal_text", "no", charged=charged)

    assert policy.decide(empty, policy.Tried(attempt, 9, OnUnknown.HOLD), lambda: 0.5).cause is cause


def test_waiting_is_not_failing_on_the_last_attempt_either() -> None:
    tried = Tried(attempt=3, max_attempts=3, on_unknown=OnUnknown.HOLD)

    assert policy.decide(error(ErrorClass.RATE_LIMITED), tried, lowest).cause is Cause.THROTTLED


@pytest.mark.parametrize(
    ("on_unknown", "attempt", "cause"),
    [
        (OnUnknown.HOLD, 1, Cause.UNKNOWN),
        (OnUnknown.HOLD, 3, Cause.UNKNOWN),
        (OnUnknown.FAIL, 1, Cause.REFUSED),
        (OnUnknown.RETRY, 1, Cause.RETRIED),
        (OnUnknown.RETRY, 3, Cause.REFUSED),
    ],
)
def test_when_nobody_knows_the_jobs_own_wish_decides(on_unknown: OnUnknown, attempt: int, cause: Cause) -> None:
    tried = Tried(attempt, max_attempts=3, on_unknown=on_unknown)

    assert policy.decide(error(ErrorClass.UNKNOWN_OUTCOME), tried, lowest).cause is cause


def test_a_gateway_that_never_serves_the_model_is_not_asked_for_ever() -> None:
    tried = Tried(1, 3, OnUnknown.HOLD, waits=policy.WAITS_MOST)

    assert policy.decide(error(ErrorClass.UNAVAILABLE, upstream_status=503), tried, lowest).cause is Cause.REFUSED


@pytest.mark.parametrize(("waits", "cause"), [(policy.UNSERVED_WAITS_MOST - 1, Cause.NOT_SENT), (6, Cause.REFUSED)])
def test_a_model_that_no_channel_serves_is_given_up_within_minutes(waits: int, cause: Cause) -> None:
    unserved = GatewayError(ErrorClass.UNAVAILABLE, policy.UNSERVED, "no channel", upstream_status=503)
    tried = Tried(1, 3, OnUnknown.HOLD, waits=waits)

    assert policy.decide(unserved, tried, lowest).cause is cause


def test_a_gateway_that_is_away_is_waited_for_without_end() -> None:
    tried = Tried(1, 3, OnUnknown.HOLD, waits=10_000)

    decision = policy.decide(error(ErrorClass.UNAVAILABLE, upstream_status=None), tried, highest)

    assert decision == policy.Decision(Cause.NOT_SENT, policy.MOST_WAIT_S)


@pytest.mark.parametrize("error_class", [ErrorClass.AUTH, ErrorClass.QUOTA_EXHAUSTED, ErrorClass.RATE_LIMITED])
def test_want_of_key_balance_or_room_is_waited_out_however_long(error_class: ErrorClass) -> None:
    tried = Tried(1, 3, OnUnknown.HOLD, waits=10_000)

    assert policy.decide(error(error_class), tried, lowest).due_in_s is not None


@pytest.mark.parametrize("times", range(25))
@pytest.mark.parametrize("first_s", [1.0, 2.0, 60.0])
def test_a_wait_doubles_under_a_cap_and_half_of_it_is_chance(times: int, first_s: float) -> None:
    cap = min(policy.MOST_WAIT_S, first_s * 2**times)

    assert policy.wait_s(first_s, times, lowest) == cap / 2
    assert policy.wait_s(first_s, times, highest) == cap


def test_a_count_that_has_grown_out_of_hand_does_not_overflow() -> None:
    assert policy.wait_s(2.0, 100_000, highest) == policy.MOST_WAIT_S
    assert policy.next_look_s(5.0, 100_000, highest) < 100


@pytest.mark.parametrize(("asked_s", "wait_s"), [(None, 2.0), (1.0, 2.0), (40.0, 40.0), (10.0**9, policy.ASKED_MOST_S)])
def test_the_gateways_own_wait_is_kept_but_not_for_years(asked_s: float | None, wait_s: float) -> None:
    assert policy.wait_s(2.0, 0, highest, asked_s) == wait_s
    refusal = error(ErrorClass.RATE_LIMITED, retry_after_s=asked_s)
    assert policy.decide(refusal, FRESH, highest).due_in_s == wait_s


def test_the_wait_grows_with_refusals_in_a_row_and_with_attempts() -> None:
    waited = Tried(1, 9, OnUnknown.HOLD, waits=3)
    retried = Tried(4, 9, OnUnknown.HOLD)

    assert policy.decide(error(ErrorClass.UNAVAILABLE), waited, highest).due_in_s == 2 * 2**3
    assert policy.decide(error(ErrorClass.TASK_FAILED), retried, highest).due_in_s == 5 * 2**3


def test_every_class_that_may_queue_a_job_again_says_how_long_it_waits_first() -> None:
    waiting = {kind for kind, what in policy.FOLLOWS.items() if what is not policy.Follows.FAIL}

    assert waiting == set(policy.FIRST_WAIT_S)


@pytest.mark.parametrize(
    ("code", "tries", "goes_on"),
    [
        ("wrong_media", 1, True),
        ("wrong_media", 6, True),
        ("wrong_media", 7, False),
        ("fetch_failed", 59, True),
        ("fetch_failed", 60, False),
        ("result_gone", 9, True),
        ("result_gone", 10, False),
        ("result_withheld", 19, True),
        ("result_withheld", 20, False),
        ("task_failed", 9, True),
        ("task_failed", 10, False),
        ("unsafe_address", 1, False),
        ("result_missing", 2, True),
        ("result_missing", 3, False),
        ("store_failed", 20, False),
        ("storage_unavailable", 100_000, True),
    ],
)
def test_a_result_is_fetched_again_as_often_as_its_trouble_may_pass(code: str, tries: int, goes_on: bool) -> None:
    assert (policy.store_wait_s(code, tries, lowest) is not None) == goes_on


def test_the_first_wait_to_store_is_the_shortest() -> None:
    waits = [policy.store_wait_s("fetch_failed", tries, highest) for tries in range(1, 5)]

    assert waits == [2, 4, 8, 16]


@pytest.mark.parametrize(("every_s", "longest_s"), [(5.0, 60.0), (10.0, 60.0), (120.0, 120.0)])
def test_looks_that_tell_nothing_get_rarer_but_never_rarer_than_a_minute(every_s: float, longest_s: float) -> None:
    looks = [policy.next_look_s(every_s, misses, highest) for misses in range(12)]

    assert looks == sorted(looks)
    assert looks[0] == pytest.approx(every_s)
    assert looks[-1] == pytest.approx(longest_s)


def test_looks_are_spread_by_a_fifth_and_never_later_than_the_interval() -> None:
    assert policy.next_look_s(10.0, 0, lowest) == pytest.approx(8.0)
    assert policy.next_look_s(10.0, 0, highest) == pytest.approx(10.0)


@pytest.mark.parametrize(("asked_s", "look_s"), [(3.0, 8.0), (30.0, 30.0), (10.0**9, policy.ASKED_MOST_S)])
def test_a_look_honours_what_the_gateway_asked_for(asked_s: float, look_s: float) -> None:
    assert policy.next_look_s(10.0, 0, lowest, asked_s) == pytest.approx(look_s)


@pytest.mark.parametrize("code", sorted(set(policy.STORE_TRIES) - {"unsafe_address", "result_missing"}))
def test_what_is_paid_for_is_not_given_up_within_a_minute(code: str) -> None:
    """However the dice fall (video 8.2).  An address that may not be called, or bytes that are lost, mend no more."""
    waits = [policy.store_wait_s(code, tries, lowest) for tries in range(1, policy.STORE_TRIES[code])]

    assert sum(filter(None, waits)) >= 60
