"""What came in: calls by route, most calls and tasks at once by model, and when each prompt arrived. Memory only."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

MOST_ARRIVALS: Final = 50_000


@dataclass
class Gauge:
    """How many now, and how many at most so far."""

    now: int = 0
    most: int = 0

    def set(self, now: int) -> None:
        self.now = now
        self.most = max(self.most, now)


@dataclass(frozen=True)
class Arrival:
    """One paid call, when its first byte was read (epoch seconds)."""

    at: float
    route: str
    path: str
    model: str
    prompt: str


@dataclass
class Traffic:
    calls: Counter[str] = field(default_factory=Counter)
    in_flight: defaultdict[str, Gauge] = field(default_factory=lambda: defaultdict(Gauge))
    running: defaultdict[str, Gauge] = field(default_factory=lambda: defaultdict(Gauge))
    arrivals: deque[Arrival] = field(default_factory=lambda: deque(maxlen=MOST_ARRIVALS))
    _ends: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @contextmanager
    def call(self, model: str) -> Iterator[None]:
        """Count a paid call of this model for as long as it is open."""
        gauge = self.in_flight[model]
        gauge.set(gauge.now + 1)
        try:
            yield
        finally:
            gauge.now -= 1

    def task(self, model: str, now: float, ends_at: float) -> None:
        """Count a task of this model until `ends_at`."""
        ends = self._ends[model]
        heapq.heappush(ends, ends_at)
        self._drop_ended(model, now)
        self.running[model].set(len(ends))

    def report(self, now: float, prompt: str = "") -> dict[str, Any]:
        """Everything, with the arrivals whose prompt contains `prompt`."""
        for model in self.running:
            self._drop_ended(model, now)
            self.running[model].now = len(self._ends[model])
        return {
            "calls": dict(self.calls),
            "in_flight": {model: vars(gauge) for model, gauge in self.in_flight.items()},
            "running_tasks": {model: vars(gauge) for model, gauge in self.running.items()},
            "arrivals": [vars(arrival) for arrival in self.arrivals if prompt in arrival.prompt],
        }

    def reset(self) -> None:
        """Start all figures anew; calls that are open stay counted as open."""
        self.calls.clear()
        self.arrivals.clear()
        for gauge in (*self.in_flight.values(), *self.running.values()):
            gauge.most = gauge.now

    def _drop_ended(self, model: str, now: float) -> None:
        ends = self._ends[model]
        while ends and ends[0] <= now:
            heapq.heappop(ends)
