"""Assets: inputs that you upload once and name in jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from api.client.pages import Page, moment
from api.client.transport import Transport


@dataclass(frozen=True)
class Asset:
    """An uploaded input; its `id` stands for it in a job's `inputs`."""

    id: str
    content_type: str
    size_bytes: int | None
    width: int | None
    height: int | None
    filename: str
    created_at: datetime | None
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        return cls(
            id=str(raw["id"]),
            content_type=str(raw.get("content_type") or ""),
            size_bytes=raw.get("bytes"),
            width=raw.get("width"),
            height=raw.get("height"),
            filename=str(raw.get("filename") or ""),
            created_at=moment(raw.get("created_at")),
            raw=raw,
        )


class Assets:
    """`darkroom.assets`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def upload(self, file: Path | str, *, idempotency_key: str | None = None) -> Asset:
        """Upload a file, or let Darkroom fetch an `https://` address.

        Raises:
            OSError: the file cannot be read.
        """
        if isinstance(file, str):
            return Asset.read(self._transport.post("/v1/assets", {"url": file}, idempotency_key=idempotency_key))
        with file.open("rb") as content:  # httpx rewinds it before each try
            answer = self._transport.post(
                "/v1/assets", files={"file": (file.name, content)}, idempotency_key=idempotency_key
            )
        return Asset.read(answer)

    def get(self, asset_id: str) -> Asset:
        return Asset.read(self._transport.get(_path(asset_id)))

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Asset]:
        return Page.read(self._transport.get("/v1/assets", {"limit": limit, "cursor": cursor}), Asset.read)

    def delete(self, asset_id: str) -> None:
        """With its bytes.  A job that names it and has not been submitted yet will fail."""
        self._transport.delete(_path(asset_id))


def _path(asset_id: str) -> str:
    return f"/v1/assets/{quote(asset_id, safe='')}"
