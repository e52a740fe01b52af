"""Lanes, and the figures of the calls that go through them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

from sqlalchemy import BigInteger, Column, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from shared.db import time_field

BURST_S: Final = 10.0
"""A lane that was idle may begin so many seconds' worth of its rate at once, and one call at least."""


REGAIN_S: Final = 5.0
"""A lane that was slowed down gets a slot back after each so many seconds, a large one several."""
REGAIN_PARTS: Final = 60
"""Whatever its limit, a lane has all of it again after `REGAIN_PARTS * REGAIN_S`: five minutes."""

PRESENT_LIMIT: Final = f"""LEAST(limit_in_flight, COALESCE(floor(
    slowed_to + GREATEST(1, limit_in_flight / {REGAIN_PARTS}.0)
    * extract(epoch FROM clock_timestamp() - slowed_at) / {REGAIN_S}
), limit_in_flight))"""
"""SQL: the limit that holds just now.  It grows with time alone, so nobody has to write it back."""


TODAY: Final = "CAST(clock_timestamp() AT TIME ZONE 'UTC' AS date)"
"""SQL: the day that `day` is compared with."""
DAY_LEFT: Final = f"""CASE WHEN per_day IS NOT NULL
    THEN GREATEST(0, per_day - CASE WHEN day = {TODAY} THEN day_count ELSE 0 END) END"""
"""SQL: paid calls that may still begin today; null: any number."""
IS_PROBING: Final = "(pauses > 0 AND (paused_until IS NULL OR paused_until <= now()))"
"""SQL: a pause is over, and nothing has shown yet that its cause is."""


class Lane(SQLModel, table=True):
    """The jobs that share one limit: a credential × a family of models.  Its row lock makes the limit exact."""

    __tablename__ = "lanes"

    name: str = Field(primary_key=True, sa_type=Text)
    """`<credential>.<family>`."""
    limit: int = Field(sa_column_kwargs={"name": "limit_in_flight"})
    """Jobs in flight at once, by all workers together."""
    rate_per_minute: int
    limit_by_hand: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """An admin has set the limit: the catalog's is not put in its place at the next start."""
    rate_by_hand: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """The same of the rate."""
    per_day: int | None = None
    """Paid calls that may begin in a day (UTC); null: any number."""
    per_day_by_hand: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """The same of the day."""
    day: date | None = None
    """The last day, by the database's clock and in UTC, on which anything was let go."""
    day_count: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """How many were, on that day."""
    tokens: float
    """Paid calls that may begin now; refilled by `rate_per_minute`, at most `BURST_S` ahead."""
    tokens_at: datetime = time_field()
    """When `tokens` was last true."""
    paused_until: datetime | None = time_field(default=None, nullable=True)
    """Nothing is dispatched before; null or past: not paused.  `infinity`: until a person lets it go on."""
    pause_reason: str | None = Field(default=None, sa_type=Text)
    paused_for: str | None = Field(default=None, sa_type=Text)
    """The error class that paused it; null: an admin did, or it never was."""
    paused_at: datetime | None = time_field(default=None, nullable=True)
    """When the gateway's last refusal paused it.  What became of calls that were begun before is no news."""
    pauses: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """Such pauses since a paid call last succeeded; the next one is longer.  Above 0 and not paused: it is being
    probed, by one job at a time."""
    troubles: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """Calls in a row that the gateway could not serve, since the last pause."""
    slowed_to: float | None = None
    """What its limit was cut to when the gateway last said that it is too much; null: never."""
    slowed_at: datetime | None = time_field(default=None, nullable=True)
    """When that was.  From then on the limit grows back (`PRESENT_LIMIT`)."""
    slow_reason: str | None = Field(default=None, sa_type=Text)


class GatewayCalls(SQLModel, table=True):
    """How the calls of one kind ended and how long they took, over all workers: what `/metrics` shows."""

    __tablename__ = "gateway_calls"

    call: str = Field(primary_key=True, sa_type=Text)
    """`Request.name`."""
    outcome: str = Field(primary_key=True, sa_type=Text)
    """`ok`, or an error class."""
    count: int = Field(sa_type=BigInteger)
    seconds_sum: float
    buckets: list[int] = Field(sa_column=Column(ARRAY(BigInteger), nullable=False))
    """Cumulative counts under `figures.BUCKETS_S`."""
