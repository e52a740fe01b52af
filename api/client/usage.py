"""What a project used: jobs, bytes, spend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Self, TypedDict

from api.client.pages import moment
from api.client.transport import Transport


class UsageQuery(TypedDict, total=False):
    """What to ask for; left out, the last 30 days by day and model."""

    group_by: Sequence[str]
    """Any of `day`, `model`, `operation`, `state`."""
    begin: datetime
    """Not before; aware."""
    end: datetime
    """Before; aware."""


@dataclass(frozen=True)
class UsageGroup:
    """One group, or the total of all."""

    keys: Mapping[str, str]
    """By what was grouped: `{"day": "2026-11-20", "model": "sora-2"}`; nothing for the total."""
    jobs: int
    size_bytes: int
    spend_usd: Decimal
    """By the catalog's list price."""
    unpriced_jobs: int
    """Jobs that are not in it, since nobody knows their price."""
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(cls, raw: Mapping[str, Any], keys: Sequence[str] = ()) -> Self:
        return cls(
            keys={name: str(raw[name]) for name in keys},
            jobs=int(raw.get("jobs") or 0),
            size_bytes=int(raw.get("bytes") or 0),
            spend_usd=Decimal((raw.get("spend") or {}).get("estimated") or 0),
            unpriced_jobs=int(raw.get("unpriced_jobs") or 0),
            raw=raw,
        )


@dataclass(frozen=True)
class Usage:
    """What a project used in a time."""

    begin: datetime | None
    end: datetime | None
    groups: tuple[UsageGroup, ...]
    """The newest day first."""
    total: UsageGroup
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        keys = raw.get("group_by") or ()
        return cls(
            begin=moment(raw.get("from")),
            end=moment(raw.get("to")),
            groups=tuple(UsageGroup.read(each, keys) for each in raw.get("data") or ()),
            total=UsageGroup.read(raw.get("total") or {}),
            raw=raw,
        )


def read_usage(transport: Transport, query: UsageQuery) -> Usage:
    """
    Raises:
        ValueError: a time without its zone.
    """
    asked = {"from": _told(query.get("begin")), "to": _told(query.get("end"))}
    groups = query.get("group_by")
    return Usage.read(transport.get("/v1/usage", {"group_by": None if groups is None else ",".join(groups), **asked}))


def _told(when: datetime | None) -> str | None:
    if when is not None and when.tzinfo is None:
        raise ValueError(f"{when} has no zone")
    return None if when is None else when.isoformat()
