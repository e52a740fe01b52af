"""When a lane is paused, for how long, and why one model's trouble is not its credential's."""

from __future__ import annotations

import pytest

from shared import policy
from shared.gateway.outcome import ErrorClass, GatewayError


def error(error_class: ErrorClass, code: str = "x", status: int | None = None) -> GatewayError:
    return GatewayError(error_class, code, "it said so", status)


@pytest.mark.parametrize(
    ("said", "sick"),
    [
        (error(ErrorClass.AUTH, status=401), ErrorClass.AUTH),
        (error(ErrorClass.QUOTA_EXHAUSTED, status=403), ErrorClass.QUOTA_EXHAUSTED),
        (error(ErrorClass.UNAVAILABLE, "not_sent"), ErrorClass.UNAVAILABLE),
        (error(ErrorClass.UNAVAILABLE, "query_data_error", 503), ErrorClass.UNAVAILABLE),
        (error(ErrorClass.UNKNOWN_OUTCOME, "bad_gateway", 502), ErrorClass.UNAVAILABLE),
        (error(ErrorClass.UNKNOWN_OUTCOME, "no_answer"), ErrorClass.UNAVAILABLE),
        (error(ErrorClass.UNAVAILABLE, "model_not_found", 503), None),
        (error(ErrorClass.UNAVAILABLE, "get_channel_failed", 500), None),
        (error(ErrorClass.UNAVAILABLE, "channel:no_available_key", 500), None),
        (error(ErrorClass.UNAVAILABLE, "midjourney_3", 200), None),
        (error(ErrorClass.UNKNOWN_OUTCOME, "unreadable_reply", 200), None),
        (error(ErrorClass.UNKNOWN_OUTCOME, "worker_died"), None),
        (error(ErrorClass.RATE_LIMITED, status=429), None),
        (error(ErrorClass.CONTENT_POLICY, status=500), None),
        (error(ErrorClass.INVALID_REQUEST, status=400), None),
    ],
)
def test_what_a_refusal_says_against_its_credential(said: GatewayError, sick: ErrorClass | None) -> None:
    assert policy.sick_with(said) is sick


@pytest.mark.parametrize(
    ("sick", "pauses", "seconds"),
    [
        (ErrorClass.AUTH, 0, 60),
        (ErrorClass.AUTH, 1, 120),
        (ErrorClass.AUTH, 4, 960),
        (ErrorClass.AUTH, 5, 1800),
        (ErrorClass.QUOTA_EXHAUSTED, 99, 1800),
        (ErrorClass.UNAVAILABLE, 0, 5),
        (ErrorClass.UNAVAILABLE, 3, 40),
        (ErrorClass.UNAVAILABLE, 2000, 300),
    ],
)
def test_each_pause_is_twice_as_long_up_to_a_limit(sick: ErrorClass, pauses: int, seconds: float) -> None:
    assert policy.pause_s(sick, pauses, lambda: 1.0) == seconds
    assert policy.pause_s(sick, pauses, lambda: 0.0) == pytest.approx(0.8 * seconds)


@pytest.mark.parametrize("sick", policy.PAUSES)
def test_whatever_pauses_a_lane_is_said_in_words(sick: ErrorClass) -> None:
    assert policy.PAUSES[sick].told
    assert policy.PAUSES[sick].after >= 1
