"""Lanes: the limits that all workers keep together, because each looks at them under the lane's row lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from sqlalchemy import Row, text
from sqlmodel import Session

from shared.tables.lanes import BURST_S, PRESENT_LIMIT

log = structlog.get_logger(__name__)

_DUE: Final = text("""
    SELECT name FROM lanes
    WHERE (paused_until IS NULL OR paused_until <= now()) AND EXISTS (
        SELECT FROM jobs WHERE lane = name AND state = 'queued' AND (due_at IS NULL OR due_at <= now())
    )
""")
# The count is a statement of its own: it must see what others committed before we got the lock.
_LOCK: Final = text(f"""
    SELECT name, {PRESENT_LIMIT} AS limit_in_flight, moment.now AS tokens_at, LEAST(
        GREATEST(1, rate_per_minute * :burst_s / 60.0),
        tokens + rate_per_minute / 60.0 * GREATEST(0, extract(epoch FROM moment.now - tokens_at))
    ) AS tokens
    FROM lanes, LATERAL (SELECT clock_timestamp() AS now) AS moment
    WHERE name = ANY(:lanes) AND (paused_until IS NULL OR paused_until <= now())
    ORDER BY name
    FOR UPDATE OF lanes SKIP LOCKED
""")  # noqa: S608 - the formula is a constant of ours
_IN_FLIGHT: Final = text("""
    SELECT lane, count(*) FROM jobs
    WHERE state IN ('dispatched', 'submitting', 'running') AND lane = ANY(:lanes)
    GROUP BY lane
""")
_SPEND: Final = text("""
    UPDATE lanes SET tokens = left_over.tokens, tokens_at = left_over.tokens_at
    FROM unnest(CAST(:lanes AS text[]), CAST(:tokens AS float8[]), CAST(:tokens_at AS timestamptz[]))
        AS left_over(name, tokens, tokens_at)
    WHERE lanes.name = left_over.name
""")
_PAUSE: Final = text("""
    UPDATE lanes SET paused_until = now() + make_interval(secs => :seconds), pause_reason = :reason
    WHERE name = :lane AND (paused_until IS NULL OR paused_until < now() + make_interval(secs => :seconds))
""")
# All that is in flight when a gateway is saturated hears of it: only a call that began after the last cut is news.
_SLOW: Final = text(f"""
    UPDATE lanes SET
        slowed_to = GREATEST(1, floor(LEAST({PRESENT_LIMIT}, in_flight.jobs) * :share)),
        slowed_at = clock_timestamp(), slow_reason = :reason
    FROM (
        SELECT count(*) AS jobs FROM jobs
        WHERE state IN ('dispatched', 'submitting', 'running') AND lane = :lane
    ) AS in_flight, jobs AS told
    WHERE lanes.name = :lane AND told.id = :job_id
        AND (slowed_at IS NULL OR slowed_at < told.submitted_at)
    RETURNING slowed_to
""")  # noqa: S608 - the formula is a constant of ours


def due(session: Session) -> list[str]:
    """The lanes that have jobs to let go and are not paused."""
    return list(session.execute(_DUE).scalars())


def lock(session: Session, names: Sequence[str]) -> list[Row[Any]]:
    """Those of these lanes that no other dispatcher looks at now, locked, with `tokens` as they are at `tokens_at`."""
    return list(session.execute(_LOCK, {"lanes": list(names), "burst_s": BURST_S}).all())


def room(session: Session, lanes: list[Row[Any]]) -> dict[str, int]:
    """How many jobs each of these locked lanes may let go: free slots and free tokens, whichever is less."""
    in_flight: dict[str, int] = dict(session.execute(_IN_FLIGHT, {"lanes": [lane.name for lane in lanes]}).all())
    return {
        lane.name: max(0, min(int(lane.limit_in_flight) - in_flight.get(lane.name, 0), int(lane.tokens)))
        for lane in lanes
    }


def spend(session: Session, lanes: list[Row[Any]], released: Mapping[str, int]) -> None:
    """Take the tokens of what was let go, by lane, and write down what is left."""
    session.execute(
        _SPEND,
        {
            "lanes": [lane.name for lane in lanes],
            "tokens": [float(lane.tokens) - released.get(lane.name, 0) for lane in lanes],
            "tokens_at": [lane.tokens_at for lane in lanes],
        },
    )


def pause(session: Session, lane: str, seconds: float, reason: str) -> None:
    """Let nothing of this lane go for a while: its next job would fare no better.  A longer pause stays as it is."""
    session.execute(_PAUSE, {"lane": lane, "seconds": seconds, "reason": reason})
    log.warning("lane.paused", lane=lane, seconds=seconds, reason=reason)


SLOWER: Final = 0.5
"""What is left of a limit that was too much."""


def slow(session: Session, lane: str, job_id: str, reason: str) -> None:
    """Let fewer jobs of this lane be in flight, for the whole fleet; called before the job that heard of it moves.

    Multiplicative decrease of what was in flight, down to one; `PRESENT_LIMIT` is the additive increase.
    """
    cut = session.execute(_SLOW, {"lane": lane, "job_id": job_id, "reason": reason, "share": SLOWER}).one_or_none()
    if cut is not None:
        log.warning("lane.slowed", lane=lane, to=int(cut.slowed_to), reason=reason)
