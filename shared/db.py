"""The database: engine, transactions, and the column helpers that every table uses.

One engine per process.  A transaction is a `with` block that you can see whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import DateTime, Engine, Enum, Text, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from sqlmodel import Field, Session

Transaction = Callable[[], AbstractContextManager[Session]]
"""Begins a transaction; the block's end commits it, an exception rolls it back."""

IDLE_S: Final = 2.0
"""A connection that was used within so many seconds is taken to stand; if it does not, one transaction fails."""
STATEMENT_TIMEOUT_MS: Final = 15_000
LOCK_TIMEOUT_MS: Final = 5_000
IDLE_TIMEOUT_MS: Final = 10_000


def engine(url: str, pool: int, application_name: str, disable_timeouts: bool = False) -> Engine:
    """One pool of connections; `url` is any PostgreSQL URL, with or without a driver named."""
    timeouts = (
        ""
        if disable_timeouts
        else (
            f" -c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS}"
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
    return made


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
