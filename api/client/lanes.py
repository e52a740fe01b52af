"""Lanes: the limits that models share, and how full they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self, TypedDict, Unpack
from urllib.parse import quote

from api.client.pages import moment
from api.client.transport import Transport


class LaneBody(TypedDict, total=False):
    """The body of `PATCH /v1/lanes/{name}`: what is left out stays."""

    limit: int | None
    """Jobs in flight at once; None: the catalog's again."""
    rate_per_minute: int | None
    per_day: int | None
    paused: bool
    reason: str
    """Of a pause."""


@dataclass(frozen=True)
class Lane:
    """One lane as it stands now; `raw` has the rest."""

    name: str
    limit: int
    in_flight: int
    queued: int
    rate_per_minute: int
    per_day: int | None
    """None: any number."""
    is_paused: bool
    paused_until: datetime | None
    """None with `is_paused`: until an admin lets it go on."""
    pause_reason: str | None
    is_probing: bool
    """One job at a time goes, until a paid call succeeds."""
    limit_now: int
    """Less than `limit` while it is slowed down."""
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        return cls(
            name=str(raw["name"]),
            limit=int(raw.get("limit") or 0),
            in_flight=int(raw.get("in_flight") or 0),
            queued=int(raw.get("queued") or 0),
            rate_per_minute=int(raw.get("rate_per_minute") or 0),
            per_day=raw.get("per_day"),
            is_paused=bool(raw.get("paused")),
            paused_until=moment(raw.get("paused_until")),
            pause_reason=raw.get("pause_reason"),
            is_probing=bool(raw.get("probing")),
            limit_now=int(raw.get("limit_now", raw.get("limit")) or 0),
            raw=raw,
        )


class Lanes:
    """`darkroom.lanes`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> tuple[Lane, ...]:
        return tuple(Lane.read(each) for each in self._transport.get("/v1/lanes").get("data", []))

    def update(self, name: str, **change: Unpack[LaneBody]) -> Lane:
        """Set its limit or its rate, pause it or let it go on.  Needs the scope `admin`, of the first project."""
        return Lane.read(self._transport.patch(f"/v1/lanes/{quote(name, safe='')}", change))
