"""API keys of your project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self
from urllib.parse import quote

from api.client.pages import Page, moment
from api.client.transport import Transport


@dataclass(frozen=True)
class Key:
    """One API key; the secret itself comes once, from `create`."""

    id: str
    name: str
    scopes: tuple[str, ...]
    secret: str | None
    """`dk_…`; None but in the answer of `create`."""
    created_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        return cls(
            id=str(raw["id"]),
            name=str(raw.get("name") or ""),
            scopes=tuple(raw.get("scopes") or ()),
            secret=raw.get("key"),
            created_at=moment(raw.get("created_at")),
            last_used_at=moment(raw.get("last_used_at")),
            revoked_at=moment(raw.get("revoked_at")),
            raw=raw,
        )


class Keys:
    """`darkroom.keys`; needs the scope `admin`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, name: str, scopes: Sequence[str], *, idempotency_key: str | None = None) -> Key:
        """A new key; `scopes` of `read`, `write`, `admin`."""
        body = {"name": name, "scopes": list(scopes)}
        return Key.read(self._transport.post("/v1/api-keys", body, idempotency_key=idempotency_key))

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Key]:
        return Page.read(self._transport.get("/v1/api-keys", {"limit": limit, "cursor": cursor}), Key.read)

    def revoke(self, key_id: str) -> None:
        """From now on the key opens nothing."""
        self._transport.delete(f"/v1/api-keys/{quote(key_id, safe='')}")
