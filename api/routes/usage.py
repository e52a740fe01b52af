"""What a project used: jobs, stored bytes and spend, in one query over a bounded time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from sqlalchemy import (
    Date,
    Label,
    Numeric,
    Row,
    Select,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    union_all,
)
from sqlmodel import col

from api import shapes
from api.auth import Caller
from api.deps import Ports, Reader, Time
from api.problems import nearest, responses
from api.routes.models import dollars
from shared import ids
from shared.errors import FieldError, InvalidRequest, Unavailable
from shared.lifecycle import State
from shared.tables import Artifact, Job, JobRequest

router = APIRouter(prefix="/v1/usage", tags=["usage"])

GROUPS: Final[Mapping[str, Any]] = {
    "day": cast(func.timezone("UTC", col(Job.created_at)), Date),
    "model": col(Job.model),
    "operation": col(Job.operation),
    "state": col(Job.state),
}
"""What can be grouped by, and the column that it is."""
USUAL_DAYS: Final = 30
MOST_DAYS: Final = 366
MOST_GROUPS: Final = 10_000
FIRST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LAST: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""Far from where the calendar ends, and sums of times with it."""
SKEW: Final = timedelta(hours=1)
"""An id has the time of the process that made it, its row the database's: so far apart they are at most."""

_MAY_HAVE_COST: Final = or_(
    col(Job.state).in_([State.SUBMITTING, State.RUNNING, State.STORING, State.HELD, State.SUCCEEDED]),
    # The gateway cannot be stopped: what was under way when it was canceled is paid for.
    and_(col(Job.state) == State.CANCELED, col(Job.submitted_at).is_not(None)),
)
_COST: Final = cast(col(JobRequest.estimated_cost_usd), Numeric)


@router.get("", response_model=shapes.Usage, summary="What your project used", responses=responses(Unavailable))
def read(
    caller: Reader,
    ports: Ports,
    group_by: Annotated[
        str,
        Query(max_length=64, description=f"Any of {', '.join(GROUPS)}, with commas.", examples=["day,model"]),
    ] = "day,model",
    from_: Annotated[
        Time | None,
        Query(alias="from", description=f"Not before this time. Left out: the last {USUAL_DAYS} days, today included."),
    ] = None,
    to: Annotated[Time | None, Query(description="Before this time. Left out: now.")] = None,
) -> shapes.Usage:
    """Jobs by the time of their creation, with what they stored and what that cost by the catalog's list prices.

    The gateway's own bill may differ: its operator sets the prices, and some failures are charged.
    """
    groups = _groups(group_by)
    with ports.transaction() as session:
        now = session.execute(select(func.now())).scalar_one()
        begin, end = _time(from_, to or now)
        rows = session.execute(_query(caller, groups, begin, end)).all()
    if len(rows) > MOST_GROUPS:
        raise _wrong("group_by", f"makes more than {MOST_GROUPS} groups of this time; ask for less of one of them")
    return shapes.Usage(
        from_=begin,
        to=end,
        group_by=groups,
        data=[shapes.UsageGroup(**_keys(row, groups), **_counts([row])) for row in rows],
        total=shapes.UsageCounts(**_counts(rows)),
    )


def _groups(group_by: str) -> list[str]:
    """
    Raises:
        InvalidRequest: one of them is none, or stands there twice.
    """
    found = [part.strip() for part in group_by.split(",")]
    for name in found:
        if name not in GROUPS:
            raise _wrong("group_by", f"must be any of {', '.join(GROUPS)}, not {name[:40]!r}{nearest(name, [*GROUPS])}")
    if len(set(found)) < len(found):
        raise _wrong("group_by", "names one of them twice")
    return found


def _time(begin: datetime | None, end: datetime) -> tuple[datetime, datetime]:
    """The time that is meant, in UTC; without a beginning it has `USUAL_DAYS` days, of which the last may be cut.

    Raises:
        InvalidRequest: it is none, or too long, or of another age.
    """
    for name, moment in (("from", begin), ("to", end)):
        if moment is not None and not FIRST < moment < LAST:
            raise _wrong(name, f"must be a time between {FIRST:%Y} and {LAST:%Y}")
    end = end.astimezone(UTC)
    midnight = end.replace(hour=0, minute=0, second=0, microsecond=0)
    begin = midnight - timedelta(days=USUAL_DAYS - 1) if begin is None else begin.astimezone(UTC)
    if begin >= end:
        raise _wrong("from", "must be before to")
    if end - begin > timedelta(days=MOST_DAYS):
        raise _wrong("from", f"must be at most {MOST_DAYS} days before to")
    return begin, end


def _wrong(name: str, told: str) -> InvalidRequest:
    return InvalidRequest(f"{name} {told}", (FieldError(f"/query/{name}", told),))


def _query(caller: Caller, groups: list[str], begin: datetime, end: datetime) -> Select[Any]:
    """One row for each group: its keys, `jobs`, `bytes`, `spend` and `unpriced`.

    Ids sort by time, so `jobs_list` finds those of the time without a look at all others.
    """
    keys = [GROUPS[name].label(name) for name in groups]
    first, last = (ids.first_of("job", moment) for moment in (begin - SKEW, end + SKEW))
    chosen = (
        select(
            col(Job.id).label("job_id"),
            *keys,
            case((_MAY_HAVE_COST, func.coalesce(_COST, 0)), else_=0).label("spend"),
            case((and_(_MAY_HAVE_COST, _COST.is_(None)), 1), else_=0).label("unpriced"),
        )
        .join(JobRequest, col(JobRequest.job_id) == col(Job.id))
        .where(
            col(Job.project_id) == caller.project_id,
            col(Job.id) >= first,
            col(Job.id) < last,
            col(Job.created_at) >= begin,
            col(Job.created_at) < end,
        )
        .cte("chosen")
    )
    named = [chosen.c[name] for name in groups]
    stored = select(*named, *_numbers(0, col(Artifact.size_bytes), 0, 0)).join_from(
        chosen, Artifact, col(Artifact.job_id) == chosen.c.job_id
    )
    counted = union_all(select(*named, *_numbers(1, 0, chosen.c.spend, chosen.c.unpriced)), stored).subquery()
    sums = [func.sum(counted.c[name]).label(name) for name in ("jobs", "bytes", "spend", "unpriced")]
    order = [counted.c[name].desc() if name == "day" else counted.c[name] for name in groups]
    by = [counted.c[name] for name in groups]
    return select(*by, *sums).group_by(*by).order_by(*order).limit(MOST_GROUPS + 1)


def _numbers(jobs: Any, size_bytes: Any, spend: Any, unpriced: Any) -> list[Label[Any]]:
    """What a row adds to its group."""
    named = {"jobs": jobs, "bytes": size_bytes, "spend": spend, "unpriced": unpriced}
    return [(literal(value) if isinstance(value, int) else value).label(name) for name, value in named.items()]


def _keys(row: Row[Any], groups: list[str]) -> dict[str, Any]:
    return {name: row._mapping[name] for name in groups}


def _counts(rows: Iterable[Row[Any]]) -> dict[str, Any]:
    """The sums of these groups."""
    rows = list(rows)
    spend = sum((Decimal(row.spend) for row in rows), Decimal(0))
    return {
        "jobs": sum(int(row.jobs) for row in rows),
        "bytes": sum(int(row.bytes) for row in rows),
        "spend": shapes.Cost(estimated=dollars(spend)),
        "unpriced_jobs": sum(int(row.unpriced) for row in rows),
    }
