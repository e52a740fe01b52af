"""Writing down what must not be lost while the database is away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidRequestError, OperationalError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

T = TypeVar("T")

READ_ONLY: Final = "25006"
"""What a server says that was the primary until a moment ago."""
WRITE_DOWN_S: Final = 900.0
"""So long we try."""


def passes(error: BaseException) -> bool:
    """Whether the database may take the same statement a little later.

    InvalidRequestError itself is what the pool says when all its tries to connect have failed; its kin are bugs.
    """
    if isinstance(error, DBAPIError):
        is_read_only = getattr(error.orig, "sqlstate", None) == READ_ONLY
        return isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated or is_read_only
    return isinstance(error, PoolTimeout) or type(error) in (InvalidRequestError, PendingRollbackError)


def patiently(write: Callable[[], T]) -> T:
    """Do a guarded write; while the database is away, again and again.

    It may have been committed although we were not told so: then the guard matches nothing the next time.
    """
    tries = Retrying(
        retry=retry_if_exception(passes),
        stop=stop_after_delay(WRITE_DOWN_S),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        reraise=True,
    )
    return tries(write)
