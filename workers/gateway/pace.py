"""How fast one gateway is asked about upstream tasks: evenly, and less when it struggles.

The rate is cut to half by a 429 at once, and by other trouble (5xx, no answer, slow answers) when it becomes common;
then it grows back with time alone (additive increase, multiplicative decrease).  All looks that were under way when the
gateway was saturated hear the same, so only one that was begun after the last cut is news.  How many are under way at
once follows from the rate: what a good gateway answers within `SLOW_S`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from shared.gateway import classify
from shared.gateway.request import Reply, Response

log = structlog.get_logger(__name__)

SLOW_S: Final = 5.0
"""An answer that takes longer counts as trouble."""
SLOWER: Final = 0.5
"""What is left of a rate that was too much."""
LEAST_PER_S: Final = 0.5
"""However it struggles, it is asked so often: somebody must find out that it is well again."""
REGAIN_S: Final = 60.0
"""So long it takes from nothing to the whole rate."""
COMMON: Final = 0.25
"""The part of the last answers that must be trouble: single tasks answer 5xx also when the gateway is well."""
LATEST: Final = 0.1
"""The weight of the last answer in that part: about the last twenty count."""
AT_ONCE_LEAST: Final = 4
PAUSE_MOST_S: Final = 60.0
"""Longest pause of a whole gateway that a `Retry-After` may ask for; the task itself waits as long as it says."""


class Pace:
    """Of one gateway.  For one thread."""

    def __init__(self, host: str, most_per_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._host = host
        self._most_per_s = most_per_s
        self._now = now
        self._cut_to = most_per_s
        self._cut_at = float("-inf")
        self._trouble = 0.0
        self._next_at = float("-inf")
        self._paused_until = float("-inf")

    @property
    def rate_per_s(self) -> float:
        """Questions a second, just now."""
        if self._cut_to >= self._most_per_s:
            return self._most_per_s
        regained = self._most_per_s * (self._now() - self._cut_at) / REGAIN_S
        return min(self._most_per_s, self._cut_to + regained)

    @property
    def at_once(self) -> int:
        """So many questions may be under way."""
        return max(AT_ONCE_LEAST, int(self.rate_per_s * SLOW_S))

    @property
    def is_paused(self) -> bool:
        return self._paused_until > self._now()

    def wait_s(self) -> float:
        """Seconds until the next question may go."""
        return max(0.0, self._next_at - self._now(), self._paused_until - self._now())

    def went(self) -> None:
        """A question was sent."""
        self._next_at = max(self._next_at, self._now()) + 1 / self.rate_per_s

    def heard(self, reply: Reply, sent_at: float) -> None:
        """An answer came to a question of that time, or none will."""
        is_throttled = isinstance(reply, Response) and reply.status == 429
        is_trouble = not isinstance(reply, Response) or reply.status >= 500 or self._now() - sent_at > SLOW_S
        if is_throttled:
            self._pause(reply)
        self._count(is_trouble or is_throttled)
        if sent_at > self._cut_at and (is_throttled or (is_trouble and self._trouble > COMMON)):
            self._cut()

    def waited(self, sent_at: float) -> None:
        """A question of that time has no answer although it is late; told once for each."""
        self._count(True)
        if sent_at > self._cut_at and self._trouble > COMMON:
            self._cut()

    def _count(self, is_trouble: bool) -> None:
        self._trouble += LATEST * (is_trouble - self._trouble)

    def _cut(self) -> None:
        self._cut_to = max(LEAST_PER_S, self.rate_per_s * SLOWER)
        self._cut_at = self._now()
        self._next_at = max(self._next_at, self._cut_at + 1 / self._cut_to)
        log.warning("poll.slowed", host=self._host, rate_per_s=round(self._cut_to, 1))

    def _pause(self, reply: Reply) -> None:
        refusal = classify.refusal(reply) if isinstance(reply, Response) else None
        asked_s = 0.0 if refusal is None else min(refusal.error.retry_after_s or 0.0, PAUSE_MOST_S)
        self._paused_until = max(self._paused_until, self._now() + asked_s)
