"""Stored results, and inputs that users uploaded."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from shared.db import id_field, time_field


class Stored(SQLModel):
    """One object in S3, measured and hashed before its row was written."""

    kind: str = Field(sa_type=Text)
    """`image`, `video`, `audio` or `text`."""
    content_type: str = Field(sa_type=Text)
    """As its bytes say, whatever the gateway or the uploader called it."""
    size_bytes: int = Field(sa_type=BigInteger)
    sha256: str = Field(sa_type=Text)
    """Hexadecimal."""
    width: int | None = None
    """Pixels; null for what has none."""
    height: int | None = None
    duration_seconds: float | None = None
    object_key: str = Field(sa_type=Text)
    created_at: datetime = time_field()


class Artifact(Stored, table=True):
    """A stored result.  Two processes may store one attempt: key and row are the same for both."""

    __tablename__ = "artifacts"
    __table_args__ = (UniqueConstraint("job_id", "attempt", "index", name="artifacts_one_per_output"),)

    id: str = id_field(primary_key=True)
    project_id: str = id_field(foreign_key="projects.id")
    job_id: str = id_field(foreign_key="jobs.id", ondelete="CASCADE")
    attempt: int
    index: int
    """Place among the outputs of its job, from 0."""
    thumbnail_key: str | None = Field(default=None, sa_type=Text)
    """Thumbnail of an image, poster of a film; null where none could be made."""


class Asset(Stored, table=True):
    """An input that a user uploaded."""

    __tablename__ = "assets"
    __table_args__ = (Index("assets_list", "project_id", text("id DESC")),)

    id: str = id_field(primary_key=True)
    project_id: str = id_field(foreign_key="projects.id")
    filename: str = Field(sa_type=Text)
    """As the uploader called it; shown, and never part of a key."""
