"""What the gateway last said of itself: balances, and the models of our key.  The API shows it, and never asks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from shared.db import time_field


class GatewayView(SQLModel, table=True):
    """One look at the account, kept until the next one that told something.  Times are the database's."""

    __tablename__ = "gateway_views"

    name: str = Field(primary_key=True, sa_type=Text)
    """`<credential>.<what>`: `token`, `user` or `models`."""
    data: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True), nullable=True))
    """As the readers of `gateway/adapters/account.py` make it; null: nothing was seen yet."""
    earlier: list[dict[str, Any]] = Field(
        default_factory=list, sa_column=Column(JSONB, nullable=False, server_default=text("'[]'::jsonb"))
    )
    """Of a balance, the looks before that, newest first: `[{"remaining_usd", "used_usd", "at"}]`."""
    seen_at: datetime | None = time_field(default=None, nullable=True)
    """When `data` was true."""
    status: str | None = Field(default=None, sa_type=Text)
    """How it stands with the credential (`account.Standing`); null: no answer has told yet."""
    error: str | None = Field(default=None, sa_type=Text)
    """Why the last look told nothing new, for people; null: it went well."""
    tried_at: datetime | None = time_field(default=None, nullable=True)
    """When the last look was begun.  It is the claim: who moves it on looks, and writes only what belongs to it."""
