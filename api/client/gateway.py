"""The gateway, seen through: what is left there to spend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from api.client.pages import moment
from api.client.transport import Transport


@dataclass(frozen=True)
class Balance:
    """What the gateway's key, or its user, has left; `raw` has the rest."""

    status: str | None
    """`ok`, `exhausted`, `expired`, `refused`, `banned`; None: not known."""
    remaining_usd: Decimal | None
    """None: not known, or without a limit."""
    used_usd: Decimal | None
    total_usd: Decimal | None
    is_unlimited: bool
    expires_at: datetime | None
    seen_at: datetime | None
    """When the gateway said so; None: it has not yet."""
    age_s: int | None
    error: str | None
    """Why nothing newer is known; None: nothing is wrong."""
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        return cls(
            status=raw.get("status"),
            remaining_usd=_usd(raw.get("remaining_usd")),
            used_usd=_usd(raw.get("used_usd")),
            total_usd=_usd(raw.get("total_usd")),
            is_unlimited=bool(raw.get("unlimited")),
            expires_at=moment(raw.get("expires_at")),
            seen_at=moment(raw.get("seen_at")),
            age_s=raw.get("age_seconds"),
            error=raw.get("error"),
            raw=raw,
        )


@dataclass(frozen=True)
class CredentialBalance:
    """What one credential can still spend."""

    name: str
    remaining_usd: Decimal | None
    """The lesser of both, as far as they are known."""
    token: Balance
    user: Balance | None
    """None: this Darkroom was not told how to ask."""

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        user = raw.get("user")
        return cls(
            name=str(raw.get("name") or "default"),
            remaining_usd=_usd(raw.get("remaining_usd")),
            token=Balance.read(raw.get("token") or {}),
            user=None if user is None else Balance.read(user),
        )


@dataclass(frozen=True)
class GatewayBalance:
    """What can still be spent there."""

    remaining_usd: Decimal | None
    """By all credentials, as far as it is known."""
    token: Balance
    """Of the first credential."""
    user: Balance | None
    """The same; None: this Darkroom was not told how to ask."""
    credentials: tuple[CredentialBalance, ...]
    """Each of them, in the order of the settings."""
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        each = tuple(CredentialBalance.read(one) for one in raw.get("credentials") or (raw,))
        return cls(
            remaining_usd=_usd(raw.get("remaining_usd")),
            token=each[0].token,
            user=each[0].user,
            credentials=each,
            raw=raw,
        )


class Gateway:
    """`darkroom.gateway`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def balance(self) -> GatewayBalance:
        """As a worker last saw it: at most some minutes old, unless its `error` says otherwise."""
        return GatewayBalance.read(self._transport.get("/v1/gateway/balance"))


def _usd(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
