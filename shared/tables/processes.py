"""Worker processes: who lives, and so whose claims stand."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text
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
