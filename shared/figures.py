"""Figures of the gateway's calls: counted in each process, added up in the database, shown by `/metrics`."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import text
from sqlmodel import Session

BUCKETS_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Upper bounds of the histogram, seconds; the last bucket has none."""


@dataclass
class _Count:
    count: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))

    def add(self, seconds: float) -> None:
        self.count += 1
        self.seconds += seconds
        for place, bound in enumerate((*BUCKETS_S, float("inf"))):
            self.buckets[place] += seconds <= bound


_ADD: Final = text("""
    INSERT INTO gateway_calls AS kept (call, outcome, count, seconds_sum, buckets)
    VALUES (:call, :outcome, :count, :seconds, CAST(:buckets AS bigint[]))
    ON CONFLICT (call, outcome) DO UPDATE SET
        count = kept.count + excluded.count,
        seconds_sum = kept.seconds_sum + excluded.seconds_sum,
        buckets = ARRAY(SELECT bucket.old + bucket.new FROM unnest(kept.buckets, excluded.buckets) AS bucket(old, new))
""")


class Figures:
    """Counts until it is flushed.  What a process had counted when it died is lost: figures, not money."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], _Count] = defaultdict(_Count)

    def add(self, call: str, outcome: str, seconds: float) -> None:
        """One call of this kind ended so, after so long."""
        with self._lock:
            self._counts[call, outcome].add(seconds)

    def flush(self, session: Session) -> None:
        """Add what was counted to the database, in the caller's transaction."""
        with self._lock:
            counts, self._counts = self._counts, defaultdict(_Count)
        for (call, outcome), counted in sorted(counts.items()):
            session.execute(
                _ADD,
                {
                    "call": call,
                    "outcome": outcome,
                    "count": counted.count,
                    "seconds": counted.seconds,
                    "buckets": counted.buckets,
                },
            )
