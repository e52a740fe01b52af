"""The database: engine, transactions, and the column helpers that every table uses.

One engine per process.  A transaction is a `with` block that you can see whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Final

import psycopg
from sqlalchemy import DateTime, Engine, Enum, Text, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from sqlmodel import Field, Session

Transaction = Callable[[], AbstractContextManager[Session]]
"""Begins a transaction; the block's end commits it, an exception rolls it back."""

IDLE_S: Final = 2.0
"""A connection that was used within so many seconds is taken to stand; if it does not, one transaction fails."""
LOCK_TIMEOUT_MS: Final = 5_000
IDLE_TIMEOUT_MS: Final = 10_000


@dataclass(frozen=True)
class Patience:
    """How long a statement may take before the server ends it, and before we take the server for frozen."""

    statement_s: float
    answer_s: float
    """The server keeps the first limit by itself, unless it hangs: a stopped process still accepts what is sent."""


WORKER: Final = Patience(statement_s=15, answer_s=20)
REQUEST: Final = Patience(statement_s=8, answer_s=10)
"""Somebody waits for the answer."""


def engine(url: str, pool: int, application_name: str, patience: Patience | None = WORKER) -> Engine:
    """One pool of connections; `url` is any PostgreSQL URL, with or without a driver named.

    Args:
        patience: None for migrations, which take as long as they take.
    """
    timeouts = (
        ""
        if patience is None
        else (
            f" -c statement_timeout={patience.statement_s * 1000:.0f} -c lock_timeout={LOCK_TIMEOUT_MS}"
            f" -c idle_in_transaction_session_timeout={IDLE_TIMEOUT_MS}"
        )
    )
    made = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=pool,
        max_overflow=0,
        pool_timeout=10,
        pool_recycle=1800,
        hide_parameters=True,  # they hold prompts, and its errors go to the log
        connect_args={
            "connect_timeout": 5,
            "application_name": application_name,
            # A plan for any value of a parameter could not use the partial indexes of a state.
            "options": f"-c timezone=utc -c plan_cache_mode=force_custom_plan{timeouts}",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
        },
    )
    _ping_idle(made)
    if patience is not None:
        _bound(made, patience.answer_s)
    return made


class _Bounded(psycopg.Connection[Any]):
    """A connection that waits for an answer so long, and is then closed: what becomes of its transaction is unknown."""

    answer_s: ClassVar[float]

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        began = time.monotonic()
        try:
            return super().wait(gen, interval, self.answer_s if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if timeout is None and time.monotonic() - began >= self.answer_s:
                self.pgconn.finish()
                raise psycopg.OperationalError(f"the database did not answer within {self.answer_s:g} s") from error
            raise


def _bound(made: Engine, answer_s: float) -> None:
    kind: type[_Bounded] = type("Bounded", (_Bounded,), {"answer_s": answer_s})

    @event.listens_for(made, "do_connect")
    def connect(_dialect: object, _record: object, arguments: Any, named: Any) -> psycopg.Connection[Any]:
        return kind.connect(*arguments, **named)


def _ping_idle(made: Engine) -> None:
    """Find out whether a connection still stands, unless it was used a moment ago: a ping costs as much as a query."""

    @event.listens_for(made, "checkout")
    def ping(connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
        if time.monotonic() - record.info.get("used_at", 0.0) > IDLE_S:
            try:
                made.dialect.do_ping(connection)
            except made.dialect.loaded_dbapi.Error as error:
                raise DisconnectionError from error  # the pool takes another one

    @event.listens_for(made, "checkin")
    def note(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info["used_at"] = time.monotonic()


def transactions(on: Engine) -> Transaction:
    @contextmanager
    def transaction() -> Iterator[Session]:
        with Session(on, expire_on_commit=False) as session, session.begin():
            yield session

    return transaction


def id_field(*, primary_key: bool = False, foreign_key: str | None = None, index: bool = False, **more: Any) -> Any:
    """A TypeID, kept as text in byte order: what stands in a log can be pasted into a query."""
    if foreign_key is not None:
        more["foreign_key"] = foreign_key
    return Field(primary_key=primary_key, index=index, sa_type=Text(collation="C"), **more)


def enum_field(kind: type[StrEnum], **more: Any) -> Any:
    """An enum by value, as text with a CHECK; SQLModel by itself would store the member's name."""
    sa_type = Enum(
        kind,
        values_callable=lambda members: [member.value for member in members],
        native_enum=False,
        create_constraint=True,
        length=None,
        name=f"{kind.__name__.lower()}_value",
    )
    return Field(sa_type=sa_type, **more)


def time_field(**more: Any) -> Any:
    """An aware UTC time."""
    return Field(sa_type=DateTime(timezone=True), **more)
