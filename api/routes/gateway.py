"""The gateway, seen through: what a worker last saw there.  This process never asks it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from fastapi import APIRouter
from sqlalchemy import text
from sqlmodel import Session

from api import shapes
from api.deps import Ports, Reader
from api.problems import responses
from shared.credentials import Credential
from shared.errors import Unavailable

router = APIRouter(prefix="/v1/gateway", tags=["gateway"])

_VIEWS: Final = text("""
    SELECT name, data, status, error, seen_at, tried_at, extract(epoch FROM now() - seen_at) AS age_s
    FROM gateway_views WHERE name = ANY(:names)
""")


def seen(session: Session, known: Iterable[Credential], *what: str) -> dict[tuple[str, str], Mapping[str, Any]]:
    """The rows of these views by credential and what they show; one that nobody has looked for yet is missing."""
    names = {f"{credential.name}.{one}": (credential.name, one) for credential in known for one in what}
    rows = session.execute(_VIEWS, {"names": list(names)}).mappings()
    return {names[row["name"]]: dict(row) for row in rows}


@router.get(
    "/balance",
    response_model=shapes.GatewayBalance,
    summary="What is left at the gateway",
    responses=responses(Unavailable),
)
def read_balance(_: Reader, ports: Ports) -> shapes.GatewayBalance:
    """As a worker last saw it: every two minutes the key's, every five the user's, since the gateway wants no more.

    What was seen stays when the gateway cannot be asked: then `error` says why, and `age_seconds` how old it is.
    """
    known = ports.settings.credentials
    with ports.transaction() as session:
        found = seen(session, known, "token", "user")
    each = [_of_credential(one.name, found) for one in known]
    told = [Decimal(one.remaining_usd) for one in each if one.remaining_usd is not None]
    return shapes.GatewayBalance(
        remaining_usd=str(sum(told)) if told else None, token=each[0].token, user=each[0].user, credentials=each
    )


def _of_credential(name: str, found: Mapping[tuple[str, str], Mapping[str, Any]]) -> shapes.CredentialBalance:
    key = _key(found.get((name, "token"), {}))
    user = _user(found[name, "user"]) if (name, "user") in found else None
    return shapes.CredentialBalance(name=name, remaining_usd=_remaining_usd(key, user), token=key, user=user)


def _key(row: Mapping[str, Any]) -> shapes.KeyBalance:
    data = row.get("data") or {}
    return shapes.KeyBalance(
        **_balance(row, data),
        name=data.get("name"),
        unlimited=data.get("unlimited"),
        expires_at=data.get("expires_at"),
        allowed_models=data.get("models"),
        source=data.get("source"),
    )


def _user(row: Mapping[str, Any]) -> shapes.UserBalance:
    data = row.get("data") or {}
    return shapes.UserBalance(
        **_balance(row, data),
        username=data.get("username"),
        group=data.get("group"),
        requests=data.get("requests"),
    )


def _balance(row: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    age_s = row.get("age_s")
    return {
        **{name: data.get(name) for name in ("remaining_usd", "used_usd", "total_usd")},
        **{name: row.get(name) for name in ("status", "seen_at", "tried_at", "error")},
        "age_seconds": None if age_s is None else max(0, int(age_s)),
    }


def _remaining_usd(key: shapes.KeyBalance, user: shapes.UserBalance | None) -> str | None:
    """The lesser of both; of a key that nobody has seen nobody knows whether it has a limit."""
    if key.seen_at is None:
        return None
    known = [one.remaining_usd for one in (key, user) if one is not None and one.remaining_usd is not None]
    return min(known, key=Decimal, default=None)
