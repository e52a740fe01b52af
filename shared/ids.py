"""TypeIDs: a prefix that says what it names, and a UUIDv7 that sorts by time.  Pure.

They are kept in the database as text, as logs and answers show them (docs/decisions/0003).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from typeid import TypeID
from typeid.errors import TypeIDException
from uuid_utils import UUID

Prefix = Literal[
    "job", "batch", "artifact", "asset", "schedule", "endpoint", "delivery", "event", "key", "project", "process"
]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def new(prefix: Prefix) -> str:
    return str(TypeID(prefix=prefix))


def is_id(prefix: Prefix, text: str) -> bool:
    """Whether this could be an id of that kind; what could not be one need not be looked up."""
    try:
        return TypeID.from_string(text).prefix == prefix
    except TypeIDException:
        return False


def first_of(prefix: Prefix, moment: datetime) -> str:
    """The least id of a moment, to the millisecond: what was made before it sorts before it."""
    milliseconds = (moment - EPOCH) // timedelta(milliseconds=1)
    return str(TypeID.from_uuid(UUID(int=max(0, milliseconds) << 80), prefix))
