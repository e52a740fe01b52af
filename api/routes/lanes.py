"""Lanes: the limits that jobs share, and how much of them is used."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from sqlalchemy import text
from sqlmodel import Session

from api import shapes
from api.deps import Ports, Reader, missing
from api.problems import responses
from shared.errors import NotFound, Unavailable

router = APIRouter(prefix="/v1/lanes", tags=["lanes"])

_LANES: Final = text("""
    SELECT name, limit_in_flight AS limit, rate_per_minute, paused_until, pause_reason,
        COALESCE(paused_until > now(), false) AS paused,
        (SELECT count(*) FROM jobs WHERE lane = name AND state IN ('dispatched', 'submitting', 'running'))
            AS in_flight,
        (SELECT count(*) FROM jobs WHERE lane = name AND state = 'queued') AS queued
    FROM lanes WHERE CAST(:name AS text) IS NULL OR name = :name
    ORDER BY name
""")


def show(session: Session, name: str | None) -> list[shapes.Lane]:
    """One lane, or all."""
    shown = []
    for row in session.execute(_LANES, {"name": name}).mappings():
        known = {**row, "paused_until": row["paused_until"] if row["paused"] else None}
        shown.append(shapes.Lane(**known | {"pause_reason": row["pause_reason"] if row["paused"] else None}))
    return shown


@router.get("", response_model=shapes.Page[shapes.Lane], summary="List lanes", responses=responses(Unavailable))
def read_all(_: Reader, ports: Ports) -> shapes.Page[shapes.Lane]:
    """All on one page, by name.  They are shared by all projects."""
    with ports.transaction() as session:
        return shapes.Page[shapes.Lane](data=show(session, None), has_more=False, next_cursor=None)


@router.get("/{name}", response_model=shapes.Lane, summary="Show a lane", responses=responses(NotFound, Unavailable))
def read(name: str, _: Reader, ports: Ports) -> shapes.Lane:
    """Its limit, and how much of it is used."""
    with ports.transaction() as session:
        found = show(session, name)
    if not found:
        raise missing("lane", name)
    return found[0]
