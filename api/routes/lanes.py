"""Lanes: the limits that jobs share, how much of them is used, and an admin's hand on them."""

from __future__ import annotations

from typing import Any, Final

import structlog
from fastapi import APIRouter
from sqlalchemy import DateTime, literal_column, text, update
from sqlmodel import Session, col

from api import shapes
from api.deps import Admin, Ports, Reader, missing
from api.jobs import intake
from api.problems import responses
from api.routes.keys import is_operator
from shared.catalog import entry
from shared.errors import FieldError, Forbidden, InvalidRequest, NotFound, Unavailable
from shared.tables import Lane
from shared.tables.lanes import DAY_LEFT, IS_PROBING, PRESENT_LIMIT

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/v1/lanes", tags=["lanes"])

_LANES: Final = text(f"""
    SELECT name, limit_in_flight AS limit, {PRESENT_LIMIT} AS limit_now, slow_reason, rate_per_minute,
        COALESCE(paused_until > now(), false) AS paused, pause_reason, {IS_PROBING} AS probing,
        limit_by_hand, rate_by_hand, per_day_by_hand, per_day, {DAY_LEFT} AS left_today,
        -- A time without end is none for Python.
        CASE WHEN isfinite(paused_until) THEN paused_until END AS paused_until,
        (SELECT count(*) FROM jobs WHERE lane = name AND state IN ('dispatched', 'submitting', 'running'))
            AS in_flight,
        (SELECT count(*) FROM jobs WHERE lane = name AND state = 'queued') AS queued
    FROM lanes WHERE CAST(:name AS text) IS NULL OR name = :name
    ORDER BY name
""")  # noqa: S608 - the formulas are constants of ours
_WITHOUT_END: Final = literal_column("'infinity'", DateTime(timezone=True))
_BY_AN_ADMIN: Final = "an admin paused it"


def show(session: Session, name: str | None) -> list[shapes.Lane]:
    """One lane, or all."""
    return [_shown(row._mapping) for row in session.execute(_LANES, {"name": name})]


def _shown(row: Any) -> shapes.Lane:
    limit_now = int(row["limit_now"])
    by_hand = {
        "limit": row["limit_by_hand"],
        "rate_per_minute": row["rate_by_hand"],
        "per_day": row["per_day_by_hand"],
    }
    return shapes.Lane(
        name=row["name"],
        limit=row["limit"],
        in_flight=row["in_flight"],
        queued=row["queued"],
        rate_per_minute=row["rate_per_minute"],
        per_day=row["per_day"],
        left_today=row["left_today"],
        paused=row["paused"],
        paused_until=row["paused_until"] if row["paused"] else None,
        pause_reason=row["pause_reason"] if row["paused"] or row["probing"] else None,
        probing=row["probing"],
        limit_now=limit_now,
        slow_reason=row["slow_reason"] if limit_now < row["limit"] else None,
        set_by_hand=[name for name, is_set in by_hand.items() if is_set],
    )


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


@router.patch(
    "/{name}",
    response_model=shapes.Lane,
    summary="Change a lane",
    responses=responses(Forbidden, NotFound, Unavailable),
)
def change(name: str, body: shapes.LaneChange, caller: Admin, ports: Ports) -> shapes.Lane:
    """Its limit, its rate, its day, or whether it is paused: for admins of the first project, the operator's.

    All projects share it.  What you set stays through restarts, whatever the catalog says, until you set it to null.
    A pause lets what is dispatched already go on, and has no end of its own.
    """
    _check(body)
    with ports.transaction() as session:
        if not is_operator(session, caller):
            raise Forbidden(
                "all projects share the lanes: only an admin of the first project, the operator's, sets them"
            )
        values = _values(body, intake.listed_lane(name, ports.catalog, ports.settings.credentials))
        changed = session.execute(update(Lane).where(col(Lane.name) == name).values(values).returning(col(Lane.name)))
        if changed.one_or_none() is None:
            raise missing("lane", name)
        [shown] = show(session, name)
    ports.hints.dispatch()
    log.info("lane.changed", lane=name, key_id=caller.key_id, **body.model_dump(exclude_unset=True))
    return shown


def _check(body: shapes.LaneChange) -> None:
    """
    Raises:
        InvalidRequest: nothing is to be different, or a reason stands alone.
    """
    if body.reason is not None and not body.paused:
        told = "goes with paused: true"
        raise InvalidRequest(f"/reason: {told}", (FieldError("/reason", told),))
    if not {"limit", "rate_per_minute", "per_day"} & body.model_fields_set and body.paused is None:
        raise InvalidRequest("say what is to be different: limit, rate_per_minute, per_day or paused")


def _values(body: shapes.LaneChange, listed: entry.Lane) -> dict[str, Any]:
    """The columns that are to be different.

    Args:
        listed: what null brings back.
    """
    values = dict[str, Any]()
    if "limit" in body.model_fields_set:
        is_given = body.limit is not None
        values |= {"limit": body.limit if is_given else listed.limit, "limit_by_hand": is_given}
    if "rate_per_minute" in body.model_fields_set:
        is_given = body.rate_per_minute is not None
        rate_per_minute = body.rate_per_minute if is_given else listed.rate_per_minute
        values |= {"rate_per_minute": rate_per_minute, "rate_by_hand": is_given}
    if "per_day" in body.model_fields_set:
        is_given = body.per_day is not None
        values |= {"per_day": body.per_day if is_given else listed.per_day, "per_day_by_hand": is_given}
    if body.paused is not None:
        reason = (body.reason or _BY_AN_ADMIN) if body.paused else None
        values |= {"paused_until": _WITHOUT_END if body.paused else None, "pause_reason": reason, "paused_for": None}
    if body.paused is False:
        values |= {"pauses": 0, "troubles": 0}  # whoever says so knows that it is well
    return values
