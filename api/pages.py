"""Lists: newest first, a page at a time.

A cursor is the last row of the page before, with a mark that ties it to its list and project; one that came from
elsewhere is refused rather than answered with a page that makes no sense.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from shared.errors import FieldError, InvalidRequest


@dataclass(frozen=True)
class PageOf:
    """The page that is asked for, of one list."""

    name: str
    """Of the list, with what it belongs to."""
    limit: int
    after: str | None
    """The row before the page; None for the first page."""

    @property
    def fetch(self) -> int:
        """One more than fits tells whether there is another page."""
        return self.limit + 1

    def cursor(self, last: str) -> str:
        return base64.urlsafe_b64encode(f"{last}.{_mark(self.name, last)}".encode()).decode().rstrip("=")


def page_of(name: str, limit: int, cursor: str | None) -> PageOf:
    """
    Raises:
        InvalidRequest: the cursor is not one of this list.
    """
    return PageOf(name, limit, None if cursor is None else _read(name, cursor))


def _read(name: str, cursor: str) -> str:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    last, _, mark = text.rpartition(".")
    if not last or mark != _mark(name, last):
        told = "is not a cursor of this list; take next_cursor of the page before"
        raise InvalidRequest(f"cursor {told}", (FieldError("/query/cursor", told),))
    return last


def _mark(name: str, last: str) -> str:
    return hashlib.sha256(f"{name}\n{last}".encode()).hexdigest()[:10]
