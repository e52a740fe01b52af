"""How a trouble is logged: one line while something that we know of is away, the traceback for everything else."""

from __future__ import annotations

from typing import Any, Final

import structlog

from shared.errors import StorageUnavailable
from workers import patience

log = structlog.get_logger(__name__)

TOLD_MOST: Final = 200


def is_outage(error: BaseException) -> bool:
    """Whether this passes by itself: the database or S3 is away."""
    return patience.passes(error) or isinstance(error, StorageUnavailable)


def tell(event: str, error: BaseException, **fields: Any) -> None:
    """Log it, from within its `except`."""
    if is_outage(error):
        log.warning(event, **fields, error=type(error).__name__, told=told(error))
    else:
        log.error(event, **fields, error=type(error).__name__, exc_info=True)


def told(error: BaseException) -> str:
    """What a driver says, on one line; SQLAlchemy adds the statement and a link."""
    said = str(getattr(error, "orig", None) or error).strip().splitlines()
    return said[0][:TOLD_MOST] if said else ""
