"""Lanes: the limits that models share, and how full they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from api.client.transport import Transport


@dataclass(frozen=True)
class Lane:
    """One lane as it stands now; `raw` has the rest."""

    name: str
    limit: int
    in_flight: int
    queued: int
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        return cls(
            name=str(raw["name"]),
            limit=int(raw.get("limit") or 0),
            in_flight=int(raw.get("in_flight") or 0),
            queued=int(raw.get("queued") or 0),
            raw=raw,
        )


class Lanes:
    """`darkroom.lanes`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> tuple[Lane, ...]:
        return tuple(Lane.read(each) for each in self._transport.get("/v1/lanes").get("data", []))
