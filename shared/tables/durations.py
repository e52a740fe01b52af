"""How long each model takes, as all worker processes together have seen it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import REAL, Column, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from shared.db import time_field


class ModelDuration(SQLModel, table=True):
    """The upstream tasks of one model and size.  Each process adds what it saw every few seconds, the row locked."""

    __tablename__ = "model_durations"

    model: str = Field(primary_key=True, sa_type=Text)
    size: str = Field(primary_key=True, sa_type=Text)
    """What else moves the duration (`durations.size_of`)."""
    counts: list[float] = Field(sa_column=Column(ARRAY(REAL), nullable=False))
    """By the buckets of `durations.EDGES_S`."""
    learned_at: datetime = time_field()
    """When something was last added."""
