"""How long upstream tasks take: a histogram for each model and size, learned from what was seen, and forgetting.  Pure.

Nobody sees the moment in which a task was finished, only that it was not yet when one look came, and was when the
next one did.  Such an interval is shared out over the buckets in it as what is known already says that tasks end
there (the self-consistent estimate of Turnbull, 1976); where nothing is known of it, it counts at its middle.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist
from typing import Any, Final, Self

LEAST_S: Final = 0.5
"""End of the first bucket, seconds."""
RATIO: Final = 1.1
"""Each further bucket ends so many times later than the one before: a tenth is finer than durations are alike."""
BUCKETS: Final = 100
EDGES_S: Final = (0.0, *(LEAST_S * RATIO**place for place in range(BUCKETS)))
"""Where buckets begin and end, seconds; the last ends after a hundred minutes, and holds what took longer."""

REMEMBERED: Final = 256
"""Past so many tasks all counts are halved: what is older than the last some hundred counts for little."""

PRIOR: Final = 8.0
"""So many tasks weighs what the catalog calls typical while none was seen …"""
PRIOR_UNTIL: Final = 64
"""… and nothing once so many were."""
PRIOR_SPREAD: Final = 0.5
"""Standard deviation of the logarithm of a duration, as the catalog's figure is taken."""

EVENLY: Final = 0.05
"""The part of a task that is shared out evenly, whatever is known: or what is known would confirm itself for ever."""

REFRESH_S: Final = 15.0
"""So often a gateway looks at its own upstream (video 1.8): it learns of an end half of that later, on average."""

MOVES_DURATION: Final = (
    "seconds",
    "size",
    "resolution",
    "quality",
    "mode",
    "action",
    "video_type",
    "batch_size",
    "n",
)
"""Parameters that make a task of the same model longer or shorter."""
VALUE_MOST: Final = 24
"""Longest value of one that is told from others, characters."""

_AREA: Final = re.compile(r"(\d{1,5})\s*[x:*×]\s*(\d{1,5})", re.IGNORECASE)


def size_of(operation: str, params: Mapping[str, Any]) -> str:
    """What moves a task's duration, as one text: `video.create seconds=8 size=720x1280`.

    A picture on its side takes as long as one that stands.
    """
    named = [f"{name}={_value(params[name])}" for name in MOVES_DURATION if params.get(name) is not None]
    return " ".join([operation, *named])


def _value(value: object) -> str:
    text = str(value).lower()
    sides = _AREA.fullmatch(text)
    if sides:
        return "x".join(sorted(sides.groups(), key=int))
    return re.sub(r"\s", "", text)[:VALUE_MOST]


@dataclass(frozen=True)
class Between:
    """A task was not finished at one look and was at the next: seconds since its paid call was begun."""

    earliest_s: float
    latest_s: float


def between(pending_s: float | None, done_s: float, took_s: float | None) -> Between:
    """When the gateway knew that a task was finished, as closely as can be told.

    Args:
        pending_s: its age at the last look that said that it goes on; None: there was none.
        done_s: its age at the look that said that it is done.
        took_s: how long it took by its own account, which the gateway learns of at its next refresh; None: it tells
            nothing.  Believed only as far as our own looks allow.
    """
    earliest_s = min(max(pending_s or 0.0, 0.0), done_s)
    if took_s is None:
        return Between(earliest_s, done_s)
    knew_s = min(max(took_s + REFRESH_S / 2, earliest_s), done_s)
    return Between(knew_s, knew_s)


@dataclass(frozen=True)
class Durations:
    """How many tasks took how long.  Counts are no whole numbers: one task may lie in several buckets."""

    counts: tuple[float, ...] = (0.0,) * BUCKETS

    @property
    def total(self) -> float:
        return sum(self.counts)

    def add(self, seen: Between) -> Self:
        """One more task."""
        seen = Between(min(seen.earliest_s, EDGES_S[-1]), min(seen.latest_s, EDGES_S[-1]))
        lowest, highest = _bucket(seen.earliest_s), _bucket(seen.latest_s)
        places = range(lowest, highest + 1)
        evenly = _shares([_overlap(place, _nearby(seen)) * _width(place) for place in places])
        known = _shares([_overlap(place, seen) * self.counts[place] for place in places]) or evenly
        counts = list(self.counts)
        for place, by_history, by_width in zip(places, known, evenly, strict=True):
            counts[place] += (1 - EVENLY) * by_history + EVENLY * by_width
        return type(self)(tuple(counts))

    def forget(self) -> Self:
        """The same, all of it worth half, until it is no more than is to be remembered."""
        total, factor = self.total, 1.0
        while total * factor > REMEMBERED:
            factor /= 2
        return type(self)(tuple(count * factor for count in self.counts))

    def with_prior(self, typical_s: float) -> Self:
        """The same beside what the catalog says, which weighs less the more tasks were seen."""
        weight = PRIOR * max(0.0, 1.0 - self.total / PRIOR_UNTIL)
        bell = NormalDist(math.log(typical_s), PRIOR_SPREAD)
        below = [0.0, *(bell.cdf(math.log(edge)) for edge in EDGES_S[1:-1]), 1.0]
        return type(self)(
            tuple(count + weight * (below[place + 1] - below[place]) for place, count in enumerate(self.counts))
        )

    def quantile(self, share: float) -> float:
        """By when that part of all tasks was finished, seconds; inside a bucket in proportion.

        Raises:
            ValueError: no task was seen.
        """
        wanted, before = share * self.total, 0.0
        if self.total <= 0:
            raise ValueError("no task was seen")
        for place, count in enumerate(self.counts):
            if count and before + count >= wanted:
                begin, end = EDGES_S[place], EDGES_S[place + 1]
                return begin + (end - begin) * max(0.0, wanted - before) / count
            before += count
        return EDGES_S[-1]


@dataclass(frozen=True)
class Shares:
    """The part of all tasks that was finished by the end of each bucket; made once to be asked often."""

    at_edges: tuple[float, ...]

    @classmethod
    def of(cls, durations: Durations) -> Self:
        total = durations.total or 1.0
        return cls((0.0, *(count / total for count in accumulate(durations.counts))))

    def by(self, seconds: float) -> float:
        if seconds >= EDGES_S[-1]:
            return self.at_edges[-1]
        place = _bucket(seconds)
        begin, end = EDGES_S[place], EDGES_S[place + 1]
        inside = max(0.0, seconds - begin) / (end - begin)
        return self.at_edges[place] + (self.at_edges[place + 1] - self.at_edges[place]) * inside


def _bucket(seconds: float) -> int:
    return min(max(bisect_right(EDGES_S, seconds) - 1, 0), BUCKETS - 1)


def _width(place: int) -> float:
    return EDGES_S[place + 1] - EDGES_S[place]


def _nearby(seen: Between) -> Between:
    """The later half of all that may be, where a first look tells nothing but its own time."""
    return Between(max(seen.earliest_s, seen.latest_s / 2), seen.latest_s)


def _shares(weights: list[float]) -> list[float]:
    """The same, adding up to 1; empty if there is no weight."""
    whole = sum(weights)
    return [weight / whole for weight in weights] if whole else []


def _overlap(place: int, seen: Between) -> float:
    """The part of a bucket that lies in the interval, 0 to 1; of an interval without length, its only bucket."""
    begin, end = EDGES_S[place], EDGES_S[place + 1]
    if seen.latest_s <= seen.earliest_s:
        return 1.0
    return max(0.0, min(end, seen.latest_s) - max(begin, seen.earliest_s)) / (end - begin)
