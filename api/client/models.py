"""The catalog: which models there are, and what they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from api.client.transport import Transport


@dataclass(frozen=True)
class Model:
    """One model of the catalog; `raw` has its parameters as JSON schema and its price."""

    id: str
    title: str
    operation: str
    typical_s: float | None
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        return cls(
            id=str(raw["id"]),
            title=str(raw.get("title") or ""),
            operation=str(raw.get("operation") or ""),
            typical_s=raw.get("typical_seconds"),
            raw=raw,
        )


class Models:
    """`darkroom.models`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> tuple[Model, ...]:
        return tuple(Model.read(each) for each in self._transport.get("/v1/models").get("data", []))
