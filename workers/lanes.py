"""Lanes: the limits that all workers keep together, because each looks at them under the lane's row lock.

A lane whose credential is sick is paused, each time for longer.  When a pause is over, one job at a time may try
(`room`), until a paid call succeeds; meanwhile `lending.py` gives its jobs to other credentials.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import structlog
from sqlalchemy import Row, text
from sqlmodel import Session

from shared import policy
from shared.gateway.outcome import ErrorClass
from shared.tables.lanes import BURST_S, DAY_LEFT, IS_PROBING, PRESENT_LIMIT, TODAY

log = structlog.get_logger(__name__)

OF_CREDENTIAL: Final = (ErrorClass.AUTH.value, ErrorClass.QUOTA_EXHAUSTED.value)
"""What a job waits for only where it is: with another credential it may go at once."""

# A job that waits because of its paused lane's key or balance could go elsewhere now.
_WAITING: Final = text("""
    SELECT name, is_paused FROM lanes, LATERAL (SELECT COALESCE(paused_until > now(), false) AS is_paused) AS pause
    WHERE EXISTS (
        SELECT FROM jobs WHERE lane = name AND state = 'queued'
            AND (due_at IS NULL OR due_at <= now() OR (is_paused AND NOT pinned AND waits_for = ANY(:of_credential)))
    )
""")
# The count is a statement of its own: it must see what others committed before we got the lock.
_LOCK: Final = text(f"""
    SELECT name, {PRESENT_LIMIT} AS limit_in_flight, moment.now AS tokens_at, LEAST(
        GREATEST(1, rate_per_minute * :burst_s / 60.0),
        tokens + rate_per_minute / 60.0 * GREATEST(0, extract(epoch FROM moment.now - tokens_at))
    ) AS tokens, {DAY_LEFT} AS day_left, {IS_PROBING} AS is_probing
    FROM lanes, LATERAL (SELECT clock_timestamp() AS now) AS moment
    WHERE name = ANY(:lanes) AND (paused_until IS NULL OR paused_until <= now())
    ORDER BY name
    FOR UPDATE OF lanes SKIP LOCKED
""")  # noqa: S608 - the formulas are constants of ours
_IN_FLIGHT: Final = text("""
    SELECT lane, count(*) FROM jobs
    WHERE state IN ('dispatched', 'submitting', 'running') AND lane = ANY(:lanes)
    GROUP BY lane
""")
# A call that was begun before the pause is no probe: what becomes of it says nothing new.
_PROBES: Final = text("""
    SELECT lane, count(*) FROM jobs JOIN lanes ON lanes.name = jobs.lane
    WHERE state IN ('dispatched', 'submitting') AND lane = ANY(:lanes)
        AND (paused_at IS NULL OR moved_at > paused_at)
    GROUP BY lane
""")
_SPEND: Final = text(f"""
    UPDATE lanes SET tokens = left_over.tokens, tokens_at = left_over.tokens_at,
        day = {TODAY}, day_count = left_over.count + CASE WHEN day = {TODAY} THEN day_count ELSE 0 END
    FROM unnest(
        CAST(:lanes AS text[]), CAST(:tokens AS float8[]), CAST(:tokens_at AS timestamptz[]), CAST(:counts AS int[])
    ) AS left_over(name, tokens, tokens_at, count)
    WHERE lanes.name = left_over.name
""")  # noqa: S608 - the formula is a constant of ours
_PAUSE: Final = text("""
    UPDATE lanes SET paused_until = now() + make_interval(secs => :seconds), pause_reason = :reason, paused_for = :sick
    WHERE name = :lane AND (paused_until IS NULL OR paused_until < now() + make_interval(secs => :seconds))
""")
# All that is in flight when a credential falls sick hears of it: only a call that began after the pause is news.  What
# was dispatched before it may even begin in it, which is none either.
_IS_NEWS: Final = "(paused_at IS NULL OR paused_at < (SELECT submitted_at FROM jobs WHERE id = :job_id))"
_SUFFER: Final = text(f"""
    UPDATE lanes SET troubles = troubles + 1
    WHERE name = :lane AND {_IS_NEWS} AND (paused_until IS NULL OR paused_until <= now())
    RETURNING troubles, pauses
""")  # noqa: S608 - the condition is a constant of ours
_COUNT_PAUSE: Final = text("""
    UPDATE lanes SET pauses = pauses + 1, troubles = 0, paused_at = clock_timestamp() WHERE name = :lane
""")
# Of a lane that is well, none is written: the condition matches nothing, and its row stays unlocked.
_ANSWERED: Final = text(f"""
    UPDATE lanes SET troubles = 0, pauses = CASE WHEN :is_success THEN 0 ELSE pauses END
    WHERE name = :lane AND (troubles > 0 OR (:is_success AND pauses > 0)) AND {_IS_NEWS}
    RETURNING pauses
""")  # noqa: S608 - the condition is a constant of ours
# Whose first pause it is may have been paused after the last look at its balance: then that look is no measure.
_PAID_UP: Final = text("""
    UPDATE lanes SET paused_until = now()
    WHERE split_part(name, '.', 1) = :credential AND paused_for = 'quota_exhausted' AND paused_until > now()
        AND (:is_more OR (pauses <= 1 AND (CAST(:seen_at AS timestamptz) IS NULL OR paused_at > :seen_at)))
    RETURNING name
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


def waiting(session: Session) -> dict[str, bool]:
    """The lanes that have jobs to let go, and whether they are paused."""
    rows = session.execute(_WAITING, {"of_credential": list(OF_CREDENTIAL)})
    return {row.name: row.is_paused for row in rows}


def lock(session: Session, names: Collection[str]) -> list[Row[Any]]:
    """Those of these lanes that are not paused, and that no other dispatcher looks at now, locked.

    `tokens` is as they are at `tokens_at`, and `day_left` None where any number may go in a day.
    """
    return list(session.execute(_LOCK, {"lanes": list(names), "burst_s": BURST_S}).all())


def room(session: Session, lanes: list[Row[Any]]) -> dict[str, int]:
    """How many jobs each of these locked lanes may let go: by free slots, tokens and the day, whichever is least.

    A lane that is being probed lets go one, and the next one when that has failed without pausing it again.
    """
    names = [lane.name for lane in lanes]
    in_flight: dict[str, int] = dict(session.execute(_IN_FLIGHT, {"lanes": names}).all())
    probed = [lane.name for lane in lanes if lane.is_probing]
    probes: dict[str, int] = dict(session.execute(_PROBES, {"lanes": probed}).all()) if probed else {}
    return {
        lane.name: max(
            0,
            min(
                int(lane.limit_in_flight) - in_flight.get(lane.name, 0),
                int(lane.tokens),
                *([] if lane.day_left is None else [int(lane.day_left)]),
                *([1 - probes.get(lane.name, 0)] if lane.is_probing else []),
            ),
        )
        for lane in lanes
    }


def spend(session: Session, lanes: Sequence[Row[Any]], released: Mapping[str, int]) -> None:
    """Take the tokens of what was let go, by lane, count it for the day, and write down what is left."""
    lanes = [lane for lane in lanes if released.get(lane.name, 0) > 0]
    if not lanes:
        return
    session.execute(
        _SPEND,
        {
            "lanes": [lane.name for lane in lanes],
            "tokens": [float(lane.tokens) - released[lane.name] for lane in lanes],
            "tokens_at": [lane.tokens_at for lane in lanes],
            "counts": [released[lane.name] for lane in lanes],
        },
    )


def pause(session: Session, lane: str, seconds: float, reason: str, sick: ErrorClass | None = None) -> None:
    """Let nothing of this lane go for a while: its next job would fare no better.  A longer pause stays as it is."""
    told = None if sick is None else sick.value
    session.execute(_PAUSE, {"lane": lane, "seconds": seconds, "reason": reason, "sick": told})
    log.warning("lane.paused", lane=lane, seconds=seconds, reason=reason)


def suffer(
    session: Session, lane: str, job_id: str, sick: ErrorClass, message: str, random: Callable[[], float]
) -> None:
    """Count a call that the gateway could not serve, and pause the lane when there were enough.

    Each pause is longer than the last one, until a call succeeds.  Called before the job that heard of it moves.
    """
    news = session.execute(_SUFFER, {"lane": lane, "job_id": job_id}).one_or_none()
    if news is None:
        return
    known = policy.PAUSES[sick]
    if news.troubles >= known.after or news.pauses > 0:  # a probe that failed is enough
        pause(session, lane, policy.pause_s(sick, news.pauses, random), f"{known.told}: {message}", sick)
        session.execute(_COUNT_PAUSE, {"lane": lane})


def answered(session: Session, lane: str, job_id: str, *, is_success: bool) -> None:
    """The gateway served a call of this lane: its troubles are over, and with a success its pauses, too."""
    was_sick = session.execute(_ANSWERED, {"lane": lane, "job_id": job_id, "is_success": is_success}).one_or_none()
    if was_sick is not None and is_success:
        log.info("lane.well", lane=lane)


def paid_up(session: Session, credential: str, *, is_more: bool, seen_at: Any) -> list[str]:
    """End the pauses of a credential that had no balance and has one; the lanes that may be probed now.

    Args:
        is_more: its balance is higher than at the last look.
        seen_at: when that was; None: there was none.
    """
    told = {"credential": credential, "is_more": is_more, "seen_at": seen_at}
    return list(session.execute(_PAID_UP, told).scalars())


SLOWER: Final = 0.5
"""What is left of a limit that was too much."""


def slow(session: Session, lane: str, job_id: str, reason: str) -> None:
    """Let fewer jobs of this lane be in flight, for the whole fleet; called before the job that heard of it moves.

    Multiplicative decrease of what was in flight, down to one; `PRESENT_LIMIT` is the additive increase.
    """
    cut = session.execute(_SLOW, {"lane": lane, "job_id": job_id, "reason": reason, "share": SLOWER}).one_or_none()
    if cut is not None:
        log.warning("lane.slowed", lane=lane, to=int(cut.slowed_to), reason=reason)
