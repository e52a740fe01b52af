"""Which trouble of the database passes by waiting."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import exc

from workers import patience


def dbapi(kind: type[exc.DBAPIError], *, invalidated: bool = False) -> exc.DBAPIError:
    return kind("UPDATE", {}, psycopg.Error("told"), connection_invalidated=invalidated)


@pytest.mark.parametrize(
    "error",
    [
        dbapi(exc.OperationalError),
        dbapi(exc.InterfaceError),
        dbapi(exc.InternalError, invalidated=True),
        exc.TimeoutError("the pool is empty"),
        exc.InvalidRequestError("This connection is closed"),
        exc.PendingRollbackError("roll back first"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_passes_is_tried_again(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    troubles = [error, error]

    def write() -> str:
        if troubles:
            raise troubles.pop()
        return "written"

    assert patience.patiently(write) == "written"


@pytest.mark.parametrize(
    "error",
    [dbapi(exc.DataError), dbapi(exc.IntegrityError), dbapi(exc.ProgrammingError), ValueError(), OSError(28, "full")],
    ids=lambda error: type(error).__name__,
)
def test_what_does_not_is_told_at_once(error: Exception) -> None:
    tries = []

    def write() -> None:
        tries.append(1)
        raise error

    with pytest.raises(type(error)):
        patience.patiently(write)

    assert len(tries) == 1


def test_what_never_passes_is_told_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "WRITE_DOWN_S", 0.0)

    def write() -> None:
        raise dbapi(exc.OperationalError)

    with pytest.raises(exc.OperationalError):
        patience.patiently(write)
