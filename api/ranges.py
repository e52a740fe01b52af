"""`Range` and `If-None-Match` (RFC 9110, 13 and 14).  Pure."""

from __future__ import annotations

import re
from typing import Final

from shared.storage import ByteRange

RANGE: Final = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)", re.IGNORECASE)


class Unsatisfiable:
    """A range that begins behind the end."""


def read(header: str | None, size_bytes: int) -> ByteRange | Unsatisfiable | None:
    """The part that is asked for; None for the whole.

    Several ranges, other units and nonsense are answered with the whole, as the RFC allows.
    """
    asked = RANGE.fullmatch(header.strip()) if header else None
    if asked is None or not (asked[1] or asked[2]) or len(asked[0]) > 60:
        return None
    if not asked[1]:
        length = min(int(asked[2]), size_bytes)
        return ByteRange(size_bytes - length, size_bytes - 1) if length else Unsatisfiable()
    first, last = int(asked[1]), int(asked[2]) if asked[2] else size_bytes - 1
    if last < first and asked[2]:
        return None
    return ByteRange(first, min(last, size_bytes - 1)) if first < size_bytes else Unsatisfiable()


def length(part: ByteRange, size_bytes: int) -> int:
    return (size_bytes - 1 if part.last is None else part.last) - part.first + 1


def matches(header: str | None, etag: str) -> bool:
    """Whether one of the tags is this one; weak and strong count alike here."""
    tags = {tag.strip().removeprefix("W/") for tag in (header or "").split(",")}
    return etag in tags or "*" in tags
