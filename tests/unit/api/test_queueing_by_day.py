"""Why a job waits in a lane that has used up its day, or that is being probed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from api.jobs.queueing import LaneNow, wait_of

ROOMY = LaneNow(most=10, in_flight=0, rate_per_minute=60, tokens=10, paused_s=None, day_ends_s=3600)


@pytest.mark.parametrize(
    ("day_left", "position", "reason", "eta_s"),
    [(0, 1, "rate", 3600), (0, None, "rate", None), (2, 2, None, 0), (2, 3, None, 3600), (None, 9, None, 0)],
)
def test_what_does_not_go_today_goes_tomorrow(
    day_left: int | None, position: int | None, reason: str | None, eta_s: int | None
) -> None:
    queue = wait_of(replace(ROOMY, day_left=day_left), position, None, 30)

    assert (queue.reason, queue.eta_seconds) == (reason, eta_s)


def test_a_lane_that_is_being_probed_says_why_it_was_paused() -> None:
    told = "the gateway refuses the key: wrong"
    queue = wait_of(replace(ROOMY, is_probing=True, pause_reason=told), 3, None, 30)

    assert (queue.reason, queue.detail) == ("lane_paused", told)


def test_a_pause_that_is_long_over_is_not_told() -> None:
    queue = wait_of(replace(ROOMY, pause_reason="the gateway refused the key once"), 3, None, 30)

    assert (queue.reason, queue.detail) == (None, None)
