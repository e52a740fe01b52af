"""Why a job waits, its place in line, and an estimate of how long."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlmodel import Session

from api import shapes
from shared.catalog.lookup import Catalog
from shared.lifecycle import State
from shared.tables import Job
from shared.tables.lanes import BURST_S, DAY_LEFT, IS_PROBING, PRESENT_LIMIT

LINE_MOST: Final = 1_000
"""So far back a place in line is told; counting a longer one would cost more than it says."""

_LANES: Final = text(f"""
    SELECT lanes.name, {PRESENT_LIMIT} AS most, rate_per_minute,
        LEAST(GREATEST(1, rate_per_minute * :burst_s / 60.0),
            tokens + rate_per_minute / 60.0 * GREATEST(0, extract(epoch FROM now() - tokens_at))) AS tokens,
        CASE WHEN isfinite(paused_until) THEN CAST(extract(epoch FROM paused_until - now()) AS float8)
            WHEN paused_until > now() THEN CAST('Infinity' AS float8) END AS paused_s,
        (SELECT count(*) FROM jobs WHERE lane = lanes.name AND state IN ('dispatched', 'submitting', 'running'))
            AS in_flight,
        {DAY_LEFT} AS day_left, {IS_PROBING} AS is_probing, pause_reason,
        CAST(extract(epoch FROM date_trunc('day', now() AT TIME ZONE 'UTC') + interval '1 day'
            - now() AT TIME ZONE 'UTC') AS float8) AS day_ends_s
    FROM lanes WHERE lanes.name = ANY(:lanes)
""")  # noqa: S608 - the formulas are constants of ours
_LINE: Final = text("""
    SELECT line.id, line.position, line.due_s
    FROM unnest(CAST(:lanes AS text[])) AS wanted(lane), LATERAL (
        SELECT id, row_number() OVER (ORDER BY priority DESC, id) AS position,
            extract(epoch FROM due_at - now()) AS due_s
        FROM jobs WHERE jobs.lane = wanted.lane AND state = 'queued'
        ORDER BY priority DESC, id LIMIT :most
    ) AS line
    WHERE line.id = ANY(:ids)
""")


@dataclass(frozen=True)
class LaneNow:
    """What a lane has room for."""

    most: int
    in_flight: int
    rate_per_minute: int
    tokens: float
    paused_s: float | None
    """Seconds until it goes on; None or less than 0: it is not paused.  Infinite: until an admin lets it go on."""
    pause_reason: str | None = None
    """Why it is paused, or was and is being probed."""
    is_probing: bool = False
    """A pause is over, and one job at a time goes."""
    day_left: int | None = None
    """Calls that may begin today; None: any number."""
    day_ends_s: float = 0.0
    """Seconds until tomorrow."""


def waits(session: Session, rows: Sequence[Job], catalog: Catalog) -> Mapping[str, shapes.Queue]:
    """By job id, for those that wait."""
    inputs = shapes.Queue(reason="inputs", position=None, eta_seconds=None)
    found = {row.id: inputs for row in _in(rows, State.WAITING)}
    queued = _in(rows, State.QUEUED)
    if queued:
        names = sorted({row.lane for row in queued})
        lanes = {row.name: _lane(row) for row in session.execute(_LANES, {"lanes": names, "burst_s": BURST_S})}
        asked = {"lanes": names, "ids": [row.id for row in queued], "most": LINE_MOST}
        line = {row.id: row for row in session.execute(_LINE, asked)}
        for row in queued:
            place = line.get(row.id)
            position = None if place is None else int(place.position)
            due_s = None if place is None or place.due_s is None else float(place.due_s)
            found[row.id] = wait_of(lanes.get(row.lane), position, due_s, catalog.entry(row.model).typical_s)
    return found


def _in(rows: Sequence[Job], state: State) -> list[Job]:
    return [row for row in rows if row.state is state]


def _lane(row: Any) -> LaneNow:
    paused_s = None if row.paused_s is None else float(row.paused_s)
    return LaneNow(
        most=row.most,
        in_flight=row.in_flight,
        rate_per_minute=row.rate_per_minute,
        tokens=float(row.tokens),
        paused_s=paused_s,
        pause_reason=row.pause_reason,
        is_probing=row.is_probing,
        day_left=row.day_left,
        day_ends_s=float(row.day_ends_s),
    )


def wait_of(lane: LaneNow | None, position: int | None, due_s: float | None, typical_s: float) -> shapes.Queue:
    """Of a queued job.  Pure.

    Args:
        position: in its lane, from 1; None if it is too far back to be counted.
        due_s: seconds until it may be tried again, if it was sent back.
    """
    eta_s = None if lane is None or position is None else _eta_s(lane, position, typical_s)
    paused_s = 0.0 if lane is None or lane.paused_s is None else max(0.0, lane.paused_s)
    tomorrow_s = lane.day_ends_s if lane is not None and _waits_for_tomorrow(lane, position) else 0.0
    later_s = max(paused_s, tomorrow_s, due_s or 0.0)
    reason = _reason(lane, due_s)
    return shapes.Queue(
        reason=reason,
        detail=lane.pause_reason if lane is not None and reason == "lane_paused" else None,
        position=position,
        eta_seconds=None if eta_s is None or math.isinf(later_s) else math.ceil(max(eta_s, later_s)),
    )


def _reason(lane: LaneNow | None, due_s: float | None) -> shapes.Reason | None:
    if lane is not None and (lane.paused_s or 0) > 0:
        return "lane_paused"
    if due_s is not None and due_s > 0:
        return "retry_at"
    if lane is None:
        return None
    if lane.day_left == 0:
        return "rate"
    if lane.is_probing:
        return "lane_paused"
    if lane.in_flight >= lane.most:
        return "lane_limit"
    return "rate" if lane.tokens < 1 else None


def _waits_for_tomorrow(lane: LaneNow, position: int | None) -> bool:
    """Whether those before it use up the day."""
    return lane.day_left is not None and (position or 1) > lane.day_left


def _eta_s(lane: LaneNow, position: int, typical_s: float) -> float | None:
    """Until that many have gone: as slots become free, and not faster than the rate."""
    if lane.most == 0:
        return None
    behind = position - max(0, lane.most - lane.in_flight)
    by_slots = max(0, behind) * typical_s / lane.most
    by_rate = max(0.0, position - lane.tokens) * 60 / lane.rate_per_minute
    return max(by_slots, by_rate)
