"""Who may do what: projects, their keys, and the answers kept for repeated requests."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, Index, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSON
from sqlmodel import Field, SQLModel

from shared.db import id_field, time_field


class Scope(StrEnum):
    """What a key may do; each includes those before it."""

    READ = "read"  #: look
    WRITE = "write"  #: make, cancel and change jobs, and so spend
    ADMIN = "admin"  #: keys and projects


class Project(SQLModel, table=True):
    """The wall between users: everything else belongs to one."""

    __tablename__ = "projects"

    id: str = id_field(primary_key=True)
    name: str = Field(sa_type=Text)
    created_at: datetime = time_field()


class ApiKey(SQLModel, table=True):
    """A key, of which only the hash is kept."""

    __tablename__ = "api_keys"
    __table_args__ = (Index("api_keys_list", "project_id", "id"),)

    id: str = id_field(primary_key=True)
    project_id: str = id_field(foreign_key="projects.id")
    name: str = Field(sa_type=Text)
    prefix: str = Field(sa_type=Text, unique=True)
    """The first characters of the key, by which it is looked up and shown."""
    sha256: str = Field(sa_type=Text)
    """Of the whole key, hexadecimal.  The key has 256 random bits, so a slow hash would protect nothing."""
    scopes: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    created_at: datetime = time_field()
    last_used_at: datetime | None = time_field(default=None, nullable=True)
    """To the minute."""
    revoked_at: datetime | None = time_field(default=None, nullable=True)


class IdempotencyKey(SQLModel, table=True):
    """The first answer to a request, committed with what the request made."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("idempotency_keys_age", "created_at"),)

    project_id: str = id_field(primary_key=True, foreign_key="projects.id")
    key: str = Field(primary_key=True, sa_type=Text)
    request_sha256: str = Field(sa_type=Text)
    """Of method, path and content: fields and file bytes, not their encoding."""
    status: int
    body: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    """JSON and not JSONB: the order of the fields is the first answer's."""
    location: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = time_field()
