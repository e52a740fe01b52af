"""What `/metrics` reads from the database when it is asked.

What jobs wait for is read each time, by the partial indexes of the states that pass.  What grows without end
(finished jobs, stored bytes) costs a look at every row, so it is read again only when that took less than a
twentieth of the time since.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import text
from sqlmodel import Session

from shared.db import Transaction
from shared.figures import BUCKETS_S
from shared.settings import Settings

LATE_S: Final = 60.0
"""What is due for longer than this, nobody looks at."""
SHARE: Final = 20
"""The slow figures take at most one part in so many of a connection's time."""

_PASSING: Final = text("""
    SELECT lane, state, count(*) FROM jobs WHERE state = 'queued' GROUP BY lane, state
    UNION ALL SELECT lane, state, count(*) FROM jobs
        WHERE state IN ('dispatched', 'submitting', 'running') GROUP BY lane, state
    UNION ALL SELECT lane, state, count(*) FROM jobs WHERE state = 'storing' GROUP BY lane, state
    UNION ALL SELECT lane, state, count(*) FROM jobs WHERE state = 'waiting' GROUP BY lane, state
""")
_LASTING: Final = text("""
    SELECT lane, state, count(*) FROM jobs
    WHERE state IN ('held', 'succeeded', 'failed', 'canceled') GROUP BY lane, state
""")
_LAGS: Final = text("""
    SELECT 'queued' AS kind, lane, extract(epoch FROM max(now() - GREATEST(moved_at, due_at))) AS lag_s
        FROM jobs WHERE state = 'queued' AND (due_at IS NULL OR due_at <= now()) GROUP BY lane
    UNION ALL SELECT 'running', lane, extract(epoch FROM max(now() - due_at))
        FROM jobs WHERE state = 'running' AND due_at <= now() GROUP BY lane
    UNION ALL SELECT 'storing', lane, extract(epoch FROM max(now() - due_at))
        FROM jobs WHERE state = 'storing' AND claimed_by IS NULL AND due_at <= now() GROUP BY lane
    UNION ALL SELECT 'dispatched', lane, extract(epoch FROM max(now() - moved_at))
        FROM jobs WHERE state = 'dispatched' GROUP BY lane
""")
# What the sweep is there for, by partial indexes; that it finds nothing is the normal case.
_ORPHANS: Final = text("""
    WITH dead AS (
        SELECT id, state FROM jobs
        WHERE claimed_by IS NOT NULL AND state IN ('submitting', 'storing') AND claimed_by NOT IN (
            SELECT id FROM processes WHERE heartbeat_at > now() - make_interval(secs => :dead_after_s)
        )
    )
    SELECT 'call' AS kind, count(*) AS jobs FROM dead WHERE state = 'submitting'
    UNION ALL SELECT 'store', count(*) FROM dead WHERE state = 'storing'
    UNION ALL SELECT 'hint', count(*) FROM jobs
        WHERE state = 'dispatched' AND moved_at < now() - make_interval(secs => :hint_lost_after_s)
    UNION ALL SELECT 'result', count(*) FROM jobs
        WHERE state = 'storing' AND claimed_by IS NULL AND due_at < now() - make_interval(secs => :late_s)
    UNION ALL SELECT 'task', count(*) FROM jobs
        WHERE state = 'running' AND due_at < now() - make_interval(secs => :late_s)
""")
_LANES: Final = text("""
    SELECT name, limit_in_flight, (COALESCE(paused_until > now(), false))::int AS paused FROM lanes
""")
_CALLS: Final = text("""
    SELECT call, outcome, count AS ended, seconds_sum, buckets FROM gateway_calls ORDER BY call, outcome
""")
_BYTES: Final = text("""
    SELECT 'artifact' AS what, kind, count(*) AS stored, sum(size_bytes) AS bytes FROM artifacts GROUP BY kind
    UNION ALL SELECT 'asset', kind, count(*), sum(size_bytes) FROM assets GROUP BY kind
""")
_SPOOLS: Final = text("""
    SELECT spools.host, spools.name, files, size_bytes, free_bytes, seen_at < now() - interval '5 minutes' AS is_silent,
        (SELECT count(*) FROM jobs WHERE state = 'storing' AND spool_host = spools.name) AS waiting
    FROM spools ORDER BY host, name
""")
_PROCESSES: Final = text("SELECT count(*) FROM processes WHERE heartbeat_at > now() - interval '30 seconds'")


class DatabaseFigures(Collector):
    """Asked by the registry of one app."""

    def __init__(self, transaction: Transaction, settings: Settings) -> None:
        self._transaction = transaction
        self._ages = {
            "dead_after_s": settings.dead_after_s,
            "hint_lost_after_s": settings.hint_lost_after_s,
            "late_s": LATE_S,
        }
        self._lock = threading.Lock()
        self._lasting: tuple[Sequence[Any], Sequence[Any]] = ((), ())
        self._read_at = float("-inf")
        self._took_s = 0.0

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering needs no database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        with self._transaction() as session:
            lasting, stored = self._slow(session)
            yield _jobs([*session.execute(_PASSING), *lasting])
            yield from _lags(session)
            yield _orphans(session.execute(_ORPHANS, self._ages))
            yield from _lanes(session)
            yield from _calls(session)
            yield from _stored(stored)
            yield from _spools(session)
            processes = GaugeMetricFamily("darkroom_worker_processes", "Worker processes that live.")
            processes.add_metric((), session.execute(_PROCESSES).scalar_one())
            yield processes

    def _slow(self, session: Session) -> tuple[Sequence[Any], Sequence[Any]]:
        with self._lock:
            now = time.monotonic()
            if now - self._read_at >= self._took_s * SHARE:
                self._lasting = session.execute(_LASTING).all(), session.execute(_BYTES).all()
                self._read_at, self._took_s = time.monotonic(), time.monotonic() - now
            return self._lasting


def _jobs(rows: Iterable[Any]) -> Metric:
    jobs = GaugeMetricFamily("darkroom_jobs", "Jobs by state and lane.", labels=("state", "lane"))
    for lane, state, count in rows:
        jobs.add_metric((state, lane), count)
    return jobs


def _lags(session: Session) -> Iterator[Metric]:
    rows = session.execute(_LAGS).all()
    by_lane = GaugeMetricFamily(
        "darkroom_dispatch_lag_seconds", "Age of the oldest job that may be dispatched and is not.", labels=("lane",)
    )
    oldest = GaugeMetricFamily(
        "darkroom_oldest_due_seconds", "How long the row has been due that waits longest.", labels=("kind",)
    )
    worst = {"queued": 0.0, "running": 0.0, "storing": 0.0, "dispatched": 0.0}
    for kind, lane, lag_s in rows:
        worst[kind] = max(worst[kind], float(lag_s))
        if kind == "queued":
            by_lane.add_metric((lane,), float(lag_s))
    for kind, lag_s in worst.items():
        oldest.add_metric((kind,), lag_s)
    yield by_lane
    yield GaugeMetricFamily(
        "darkroom_poll_lag_seconds", "How late the look at the most overdue task is.", value=worst["running"]
    )
    yield oldest


def _orphans(rows: Iterable[Any]) -> Metric:
    orphans = GaugeMetricFamily(
        "darkroom_orphans",
        "Jobs that nobody holds any more and the sweep has not taken back: paid calls and stores of dead processes, "
        "lost hints, results and tasks that nobody has looked at for a minute.",
        labels=("kind",),
    )
    for row in rows:
        orphans.add_metric((row.kind,), row.jobs)
    return orphans


def _lanes(session: Session) -> Iterator[Metric]:
    limit = GaugeMetricFamily("darkroom_lane_limit", "Jobs that may be in flight at once.", labels=("lane",))
    paused = GaugeMetricFamily("darkroom_lane_paused", "1 while nothing is dispatched.", labels=("lane",))
    for row in session.execute(_LANES):
        limit.add_metric((row.name,), row.limit_in_flight)
        paused.add_metric((row.name,), row.paused)
    yield limit
    yield paused


def _calls(session: Session) -> Iterator[Metric]:
    seconds = HistogramMetricFamily(
        "darkroom_gateway_call_seconds", "Calls of the gateway, by all workers.", labels=("call", "outcome")
    )
    errors = CounterMetricFamily(
        "darkroom_gateway_errors",
        "Calls of the gateway that gave no result, by error class.",
        labels=("call", "error_class"),
    )
    bounds = [*(f"{bound:g}" for bound in BUCKETS_S), "+Inf"]
    for row in session.execute(_CALLS):
        buckets = list(zip(bounds, [*row.buckets[: len(BUCKETS_S)], row.ended], strict=True))
        seconds.add_metric((row.call, row.outcome), buckets, row.seconds_sum)
        if row.outcome != "ok":
            errors.add_metric((row.call, row.outcome), row.ended)
    yield seconds
    yield errors


def _stored(rows: Iterable[Any]) -> Iterator[Metric]:
    size = GaugeMetricFamily("darkroom_stored_bytes", "Bytes in the object store.", labels=("what", "kind"))
    objects = GaugeMetricFamily("darkroom_stored_objects", "Objects in the object store.", labels=("what", "kind"))
    for what, kind, count, total in rows:
        size.add_metric((what, kind), float(total))
        objects.add_metric((what, kind), count)
    yield size
    yield objects


def _spools(session: Session) -> Iterator[Metric]:
    """By host and by the first characters of the spool's name: names of hosts may be used twice."""
    labels = ("host", "spool")
    files = GaugeMetricFamily("darkroom_spool_files", "Results in hand on a host, not in S3 yet.", labels=labels)
    size = GaugeMetricFamily("darkroom_spool_bytes", "Their bytes.", labels=labels)
    free = GaugeMetricFamily("darkroom_spool_free_bytes", "Room on the disk of a host's spool.", labels=labels)
    lone = GaugeMetricFamily(
        "darkroom_spool_lone_results", "Results that wait for a host that was not seen for 5 minutes.", labels=labels
    )
    for row in session.execute(_SPOOLS):
        of = (row.host, row.name[:8])
        files.add_metric(of, row.files)
        size.add_metric(of, row.size_bytes)
        free.add_metric(of, row.free_bytes)
        lone.add_metric(of, row.waiting if row.is_silent else 0)
    yield from (files, size, free, lone)
