"""When it is worth looking at an upstream task, from how long such tasks took.  Pure.

A look costs the gateway a call; a look that comes late costs somebody's time.  A plan is the cheapest sequence of looks
under one price for lateness, found by going back from the end (dynamic programming over the ages of a task):

- each look costs 1;
- a task is *late* when it is seen more than `look_every_s` of its model after the gateway knew, and then costs the
  price for being late at all, and for each further `look_every_s`;
- no two looks are nearer than `look_every_s`, since the gateway itself refreshes only every 15 s, and none are further
  apart than `LONGEST` times that, however little is to be expected: history may be wrong.

The price is the highest at which a task is looked at `LOOKS_AIM` times on average.  So the first look comes near the
10th percentile or before, the next ones as close as allowed while tasks end, and few in the valley of a model that has
two kinds of tasks.

**The limit.**  The end of a task falls evenly between two looks, so 95 of 100 within 10 s want a look every 10 s over
nearly all of the time in which tasks end: about 1.5 + (mean - 5th percentile) / 10 s looks.  For films of three
minutes that is six while the logarithms of the durations spread by less than about 0.16 (95 of 100 films between 132
and 246 s), and 0.14 where films tell no times of their own, so that less is known of them.  Where they spread further,
the number of looks is kept, and lateness gives way: docs/decisions/0014 has a table, which `python -m
tests.unit.draw_looks` writes anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.catalog.entry import Entry
from shared.durations import EDGES_S, Durations, Shares

FEW: Final = 8
"""With fewer tasks seen, the catalog's fixed looks are better."""
LOOKS_AIM: Final = 5.9
"""Looks at a task, on average, as planned; what is planned on is estimated, so a few more come of it."""
LONGEST: Final = 4.0
"""Longest time between two looks, in `look_every_s`."""
LATE: Final = 0.3
"""What it costs to be late at all, beside being late by one `look_every_s`, which costs 1; both times the price."""
PRICE_LEAST: Final = 0.5
"""At least so many looks it is worth to see a task earlier by one `look_every_s`, also where it takes more than
`LOOKS_AIM` of them: a model with two kinds of tasks must not be looked at only when the longer ones end …"""
PRICE_MOST: Final = 200.0
"""… and never more: with looks to spare, a task in a thousand is not worth one at every task."""
PRICE_STEPS: Final = 7
"""So many times the interval of prices is halved."""

FIRST: Final = 0.15
"""Whatever it costs, the first look comes at most one `look_every_s` after so large a part of the tasks is finished."""

PARTS: Final = 5
"""Ages that are told apart within `look_every_s` …"""
AGES_MOST: Final = 250
"""… unless that makes more than so many of them."""
TAIL: Final = 0.9995
"""The plan ends when all but this part of the tasks is finished; then the looks get rarer."""

EXPLORED: Final = 1 / 32
"""The part of the tasks that is looked at in half of the time, too: or a model that has become faster, and tells no
times of its own, would never be found out."""
JITTER: Final = 0.05
"""A wait is shortened by a random part of itself up to this one, so that what began together does not stay so."""


@dataclass(frozen=True)
class Plan:
    """For each age of a task that goes on, when it is looked at next."""

    step_s: float
    """Between two ages that are told apart."""
    next_s: tuple[float, ...]
    """By the age in steps: the age at the next look, seconds."""
    every_s: float
    """The model's `look_every_s`."""
    looks: float
    """So many looks at a task, on average, if all goes on as it was."""
    price: float
    """What being late by `every_s` costs, in looks."""

    def first_look_s(self, random: Callable[[], float]) -> float:
        """Age at the first look, seconds."""
        first_s = self.next_s[0]
        if random() < EXPLORED and first_s > 2 * self.every_s:
            return first_s / 2
        return first_s * (1 - JITTER * random() / 4)

    def wait_s(self, age_s: float, random: Callable[[], float]) -> float:
        """Seconds until the next look at a task of this age that goes on."""
        place = round(age_s / self.step_s)
        if place < len(self.next_s):
            wait_s = self.next_s[place] - age_s
        else:
            wait_s = (age_s - self.step_s * len(self.next_s)) / 2
        wait_s = min(max(wait_s, self.every_s), self.every_s * LONGEST)
        return wait_s * (1 - JITTER * random())


def plan(durations: Durations, entry: Entry) -> Plan | None:
    """When to look at tasks that last so long; None while too few were seen."""
    if durations.total < FEW:
        return None
    expected = durations.with_prior(entry.typical_s)
    # By what was seen, too: the catalog may be wrong about a model by a factor of ten.
    first_most_s = min(durations.quantile(FIRST), expected.quantile(FIRST)) + entry.look_every_s
    course = _Course(expected, entry.look_every_s, first_most_s)
    best = course.plan(PRICE_MOST)
    if best.looks <= LOOKS_AIM:
        return best
    low, high = PRICE_LEAST, PRICE_MOST
    best = course.plan(low)
    for _ in range(PRICE_STEPS):
        price = (low * high) ** 0.5
        tried = course.plan(price)
        if tried.looks <= LOOKS_AIM:
            low, best = price, tried
        else:
            high = price
    return best


class _Course:
    """The ages of a task in steps, and which part of the tasks is finished at each."""

    def __init__(self, durations: Durations, every_s: float, first_most_s: float) -> None:
        shares = Shares.of(durations)
        whole = shares.at_edges[-1] * TAIL
        end_s = next(edge for edge, share in zip(EDGES_S, shares.at_edges, strict=True) if share >= whole) + every_s
        self._every_s = every_s
        self._step_s = max(every_s / PARTS, end_s / AGES_MOST)
        self._ages = int(end_s / self._step_s) + 1
        self._done = [shares.by(age * self._step_s) for age in range(self._ages + 1)]
        self._done_sums = [0.0]
        """Integral of `_done` over age, in steps."""
        for age in range(self._ages):
            self._done_sums.append(self._done_sums[-1] + (self._done[age] + self._done[age + 1]) / 2)
        self._first_most = min(self._ages, max(1, round(first_most_s / self._step_s)))
        self._nearest = max(1, round(every_s / self._step_s))
        self._furthest = max(self._nearest, round(every_s * LONGEST / self._step_s))
        self._latenesses: dict[int, list[tuple[int, float]]] = {}
        """By age; they are the same at every price."""

    def plan(self, price: float) -> Plan:
        """The cheapest looks at that price for being late."""
        costs = [0.0] * (self._ages + self._furthest + 2)
        following = [0] * (self._ages + 1)
        for age in range(self._ages, 0, -1):
            furthest = min(age + self._furthest, self._ages + self._nearest)
            lateness = self._lateness(age, range(age + self._nearest, furthest + 1))
            cheapest, place = min((price * late + costs[at], at) for at, late in lateness)
            costs[age], following[age] = cheapest + 1 - self._done[age], place
        lateness = self._lateness(0, range(1, self._first_most + 1))
        following[0] = min((price * late + costs[at], at) for at, late in lateness)[1]
        next_s = tuple(at * self._step_s for at in following)
        return Plan(self._step_s, next_s, self._every_s, self._looks(following), price)

    def _lateness(self, age: int, places: range) -> list[tuple[int, float]]:
        """For each place of the next look: what lateness costs at the price 1, if the last look was at `age`."""
        kept = self._latenesses.get(age)
        if kept is None:
            kept = self._latenesses[age] = [(at, self._late(age, at)) for at in places]
        return kept

    def _late(self, age: int, at: int) -> float:
        in_time = min(at, self._ages) - self._nearest
        if in_time <= age:
            return 0.0
        missed = self._done[in_time] - self._done[age]
        waited = self._done_sums[in_time] - self._done_sums[age] - self._done[age] * (in_time - age)
        return waited / self._nearest + LATE * missed

    def _looks(self, following: list[int]) -> float:
        age, looks = 0, 0.0
        while age <= self._ages:
            looks += 1 - self._done[age]
            age = following[age]
        return looks
