"""Why a job waits and for how long, from figures alone."""

from __future__ import annotations

import pytest

from api.jobs.queueing import LaneNow, wait_of

ROOMY = LaneNow(most=10, in_flight=0, rate_per_minute=60, tokens=10, paused_s=None)
FULL = LaneNow(most=10, in_flight=10, rate_per_minute=6000, tokens=1000, paused_s=None)


@pytest.mark.parametrize(
    ("lane", "position", "due_s", "reason", "eta_s"),
    [
        (ROOMY, 1, None, None, 0),
        (ROOMY, 10, None, None, 0),
        (FULL, 1, None, "lane_limit", 2),  # ten slots of 20 s each: one is free every 2 s
        (FULL, 30, None, "lane_limit", 60),
        (LaneNow(10, 0, 60, 0, None), 5, None, "rate", 5),
        (LaneNow(10, 0, 60, 10, 90.0), 1, None, "lane_paused", 90),
        (LaneNow(10, 0, 60, 10, -5.0), 1, None, None, 0),
        (ROOMY, 1, 30.0, "retry_at", 30),
        (ROOMY, 1, -30.0, None, 0),
        (LaneNow(0, 0, 60, 10, None), 1, None, "lane_limit", None),
        (FULL, None, None, "lane_limit", None),
        (None, None, None, None, None),
    ],
)
def test_a_wait_follows_from_the_lane_and_the_place_in_line(
    lane: LaneNow | None, position: int | None, due_s: float | None, reason: str | None, eta_s: int | None
) -> None:
    found = wait_of(lane, position, due_s, typical_s=20)

    assert (found.reason, found.position, found.eta_seconds) == (reason, position, eta_s)
