"""Work moves to where there is room: a lane lends its queued jobs to the same family's lanes of other credentials.

A lane that is paused, full, or of a credential that the settings no longer name gives; a lane that has room left after
its own jobs takes.  Only what is queued moves, so what was or may have been sent never does, and nothing that goes
on from an upstream task (`jobs.pinned`), which its own credential alone knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import text
from sqlmodel import Session

from shared import credentials
from shared.credentials import Credential
from workers.lanes import OF_CREDENTIAL

log = structlog.get_logger(__name__)

# Lane by lane, as the index has them: with all lanes at once each look would sort whatever is queued in them.
# `due_at` of what waits for the key or the balance of its lane means nothing in another one.
_LEND: Final = text(r"""
    WITH picked AS (
        SELECT best.id FROM unnest(CAST(:givers AS text[])) AS giver(lane), LATERAL (
            SELECT id, priority FROM jobs
            WHERE jobs.lane = giver.lane AND state = 'queued' AND NOT pinned
                AND (
                    due_at IS NULL OR due_at <= now()
                    OR (waits_for = ANY(:of_credential) AND giver.lane = ANY(CAST(:paused AS text[])))
                )
                AND model LIKE ANY(CAST(:models AS text[]))
            ORDER BY priority DESC, id
            LIMIT :most
            FOR UPDATE SKIP LOCKED
        ) AS best
        ORDER BY best.priority DESC, best.id
        LIMIT :most
    )
    UPDATE jobs SET lane = :taker, due_at = NULL FROM picked WHERE jobs.id = picked.id
    RETURNING jobs.id
""")


@dataclass(frozen=True)
class Loan:
    """Jobs that may change their lane."""

    taker: str
    givers: tuple[str, ...]
    most: int
    models: tuple[str, ...]
    """What the taker's credential serves, as SQL's LIKE says it."""


def siblings(waiting: Iterable[str], known: Sequence[Credential]) -> set[str]:
    """The lanes that might take jobs of these: those of the same families, whoever's."""
    return {one.lane(credentials.family_of(name)) for name in waiting for one in known}


def loans(
    waiting: Mapping[str, bool], rooms: Mapping[str, int], released: Mapping[str, int], known: Sequence[Credential]
) -> list[Loan]:
    """Who may take from whom.  Pure.

    Args:
        waiting: lanes with jobs to let go, and whether they are paused.
        rooms: what the lanes that we hold had room for.
        released: what they let go of their own.
    """
    found = []
    by_name = {one.name: one for one in known}
    for taker, room in sorted(rooms.items()):
        left = room - released.get(taker, 0)
        givers = tuple(
            sorted(
                name
                for name, is_paused in waiting.items()
                if name != taker
                and credentials.family_of(name) == credentials.family_of(taker)
                and (is_paused or credentials.of_lane(name) not in by_name or _is_full(name, rooms, released))
            )
        )
        if left > 0 and givers:
            models = tuple(credentials.as_like(glob) for glob in by_name[credentials.of_lane(taker)].models)
            found.append(Loan(taker, givers, left, models))
    return found


def _is_full(lane: str, rooms: Mapping[str, int], released: Mapping[str, int]) -> bool:
    """Of a lane that we hold; of one that another dispatcher holds we cannot tell."""
    return lane in rooms and released.get(lane, 0) >= rooms[lane]


def lend(session: Session, loan: Loan, paused: Sequence[str], most: int) -> int:
    """Put jobs into the taker's lane, the best ones first; how many they were.  The caller holds its row locked."""
    lent = session.execute(
        _LEND,
        {
            "taker": loan.taker,
            "givers": list(loan.givers),
            "paused": list(paused),
            "models": list(loan.models),
            "of_credential": list(OF_CREDENTIAL),
            "most": min(loan.most, most),
        },
    ).all()
    if lent:
        log.info("lane.lent", to=loan.taker, givers=list(loan.givers), jobs=len(lent))
    return len(lent)
