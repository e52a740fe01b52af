"""Assets: inputs that you upload once and name in jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from api.client.transport import Transport


@dataclass(frozen=True)
class Asset:
    """An uploaded input; its `id` stands for it in a job's `inputs`."""

    id: str
    content_type: str
    size_bytes: int | None
    width: int | None
    height: int | None
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        return cls(
            id=str(raw["id"]),
            content_type=str(raw.get("content_type") or ""),
            size_bytes=raw.get("bytes"),
            width=raw.get("width"),
            height=raw.get("height"),
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
