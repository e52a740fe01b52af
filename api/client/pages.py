"""One page of a list, and how the values of an answer are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some of a list, newest first; `next_cursor` fetches what follows."""

    data: tuple[T, ...]
    has_more: bool
    next_cursor: str | None

    @classmethod
    def read(cls, answer: dict[str, Any], item: Callable[[dict[str, Any]], T]) -> Page[T]:
        data = tuple(item(each) for each in answer.get("data", []))
        return cls(data, bool(answer.get("has_more")), answer.get("next_cursor"))


def moment(text: str | None) -> datetime | None:
    """An aware time of the API's."""
    return datetime.fromisoformat(text) if text else None
