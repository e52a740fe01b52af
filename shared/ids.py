"""TypeIDs: a prefix that says what it names, and a UUIDv7 that sorts by time.  Pure.

They are kept in the database as text, as logs and answers show them (docs/decisions/0003).
"""

from __future__ import annotations

from typing import Literal

from typeid import TypeID
from typeid.errors import TypeIDException

Prefix = Literal[
    "job", "batch", "artifact", "asset", "schedule", "endpoint", "delivery", "event", "key", "project", "process"
]


def new(prefix: Prefix) -> str:
    return str(TypeID(prefix=prefix))


def is_id(prefix: Prefix, text: str) -> bool:
    """Whether this could be an id of that kind; what could not be one need not be looked up."""
    try:
        return TypeID.from_string(text).prefix == prefix
    except TypeIDException:
        return False
