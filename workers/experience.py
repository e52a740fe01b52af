"""What this process knows of how long upstream tasks take: what it saw itself, and what all others wrote down.

What was seen is kept in memory and added to the rows every few seconds, so that no row is hot: a thousand tasks that
end at once are one write.  What a process had not written when it died is lost: experience, not money.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import text
from sqlmodel import Session

from shared import foresight
from shared.catalog.entry import Entry
from shared.db import Transaction
from shared.durations import BUCKETS, Between, Durations
from shared.foresight import Plan

log = structlog.get_logger(__name__)

LEARN_S: Final = 10.0
"""How often each process writes what it saw, and reads what the others did."""
PLAN_S: Final = 60.0
"""A plan is as old as this at most, if anything was learned since; making one takes some milliseconds."""
SEEN_MOST: Final = 1000
"""So many tasks of one model and size are kept between two writes."""
ROWS_MOST: Final = 1000
"""So many models and sizes are known at once: those that were learned of last."""

Key = tuple[str, str]
"""Model, and size (`durations.size_of`)."""

_MAKE: Final = text("""
    INSERT INTO model_durations (model, size, counts, learned_at)
    SELECT model, size, :counts, now() FROM unnest(CAST(:models AS text[]), CAST(:sizes AS text[])) AS key(model, size)
    ON CONFLICT DO NOTHING
""")
_LOCK: Final = text("""
    SELECT model, size, counts
    FROM model_durations JOIN unnest(CAST(:models AS text[]), CAST(:sizes AS text[])) AS key(model, size)
        USING (model, size)
    ORDER BY model, size
    FOR UPDATE OF model_durations
""")
_WRITE: Final = text("""
    UPDATE model_durations SET counts = :counts, learned_at = now() WHERE model = :model AND size = :size
""")
_READ: Final = text("""
    SELECT model, size, counts FROM model_durations
    WHERE learned_at > now() - interval '90 days'
    ORDER BY learned_at DESC LIMIT :most
""")


@dataclass(frozen=True)
class _Planned:
    plan: Plan | None
    durations: Durations
    at: float


class Experience:
    """For all threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[Key, list[Between]] = defaultdict(list)
        self._known: Mapping[Key, Durations] = {}
        self._planned: dict[Key, _Planned] = {}

    def add(self, key: Key, seen: Between) -> None:
        """A task of this model and size was finished so long after its paid call was begun."""
        with self._lock:
            if len(self._seen[key]) < SEEN_MOST:
                self._seen[key].append(seen)

    def plan(self, key: Key, entry: Entry) -> Plan | None:
        """When to look at tasks of this model and size; None: too few were seen."""
        durations, planned = self._known.get(key), self._planned.get(key)
        if durations is None:
            return None
        now = time.monotonic()
        if planned is None or (planned.durations is not durations and now - planned.at > PLAN_S):
            # Two threads may do this at once; both come to the same.
            planned = self._planned[key] = _Planned(foresight.plan(durations, entry), durations, now)
        return planned.plan

    def learn(self, transaction: Transaction) -> None:
        """Write down what was seen, and read what is known."""
        with self._lock:
            seen, self._seen = self._seen, defaultdict(list)
        if seen:
            with transaction() as session:
                _write(session, seen)
        with transaction() as session:
            rows = session.execute(_READ, {"most": ROWS_MOST}).all()
        self._known = _still(self._known, ((row.model, row.size, row.counts) for row in rows))
        self._planned = {key: planned for key, planned in self._planned.items() if key in self._known}


def _still(before: Mapping[Key, Durations], rows: Iterable[tuple[str, str, Sequence[float]]]) -> dict[Key, Durations]:
    """The rows as values; where nothing was learned, the value that was there before, so that its plan stands."""
    known = {}
    for model, size, counts in rows:
        read = _durations(counts)
        old = before.get((model, size))
        known[model, size] = old if old == read and old is not None else read
    return known


def _durations(counts: Sequence[float]) -> Durations:
    """A row's; one that another release wrote with other buckets begins anew."""
    return Durations(tuple(counts)) if len(counts) == BUCKETS else Durations()


def _write(session: Session, seen: Mapping[Key, Sequence[Between]]) -> None:
    keys = sorted(seen)  # one order for all processes, so no deadlock
    named = {"models": [model for model, _ in keys], "sizes": [size for _, size in keys]}
    session.execute(_MAKE, {**named, "counts": list(Durations().counts)})
    for row in session.execute(_LOCK, named).all():
        durations = _durations(row.counts)
        for one in seen[row.model, row.size]:
            durations = durations.add(one)
        counts = list(durations.forget().counts)
        session.execute(_WRITE, {"model": row.model, "size": row.size, "counts": counts})  # few: one for each model
