"""Worker processes, who live and so whose claims stand, and the spools of their hosts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Text
from sqlmodel import Field, SQLModel

from shared.db import id_field, time_field


class Process(SQLModel, table=True):
    """One worker process.  Times are the database's, so that no host's clock matters."""

    __tablename__ = "processes"

    id: str = id_field(primary_key=True)
    name: str = Field(sa_type=Text)
    host: str = Field(sa_type=Text)
    pid: int
    started_at: datetime = time_field()
    heartbeat_at: datetime = time_field()


class HostSpool(SQLModel, table=True):
    """The spool of a host, as its worker processes last saw it.  Its row stays when they are gone."""

    __tablename__ = "spools"

    name: str = Field(sa_type=Text, primary_key=True)
    """`Spool.name`, which `Job.spool_host` names."""
    host: str = Field(sa_type=Text)
    seen_at: datetime = time_field()
    files: int
    """Results in hand that are not in S3 yet."""
    size_bytes: int = Field(sa_type=BigInteger)
    free_bytes: int = Field(sa_type=BigInteger)
    """Room that is left on its disk."""
