"""API keys: who is calling, and what they may do.

A key is `dk_` and 51 letters and digits: 8 by which it is looked up, and 43 that hold 256 random bits.  Only its
SHA-256 is kept.  Every address but the open ones needs a key before anything else of a request is looked at.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, or_, select, update
from sqlmodel import Session, col
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.ports import AppPorts
from shared import claims
from shared.errors import Unauthorized
from shared.tables import ApiKey
from shared.tables import Scope as KeyScope

ALPHABET: Final = string.ascii_letters + string.digits
MARK: Final = "dk_"
PREFIX_LENGTH: Final = len(MARK) + 8
SECRET_LENGTH: Final = 43
"""62 to this power is just above 2 to the 256th."""
LENGTH_MOST: Final = 256

DOCS: Final = frozenset({"/openapi.json", "/docs", "/docs/plain", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"})
OPEN: Final = frozenset({"/", "/console", "/healthz", "/readyz", *DOCS})
"""Addresses that need no key."""

RANK: Final = {scope: rank for rank, scope in enumerate(KeyScope)}
USED_S: Final = 60.0
"""`last_used_at` is written at most this often, seconds."""


@dataclass(frozen=True)
class Caller:
    """Whose key it is; everything that a request sees or makes belongs to this project."""

    project_id: str
    key_id: str
    scope: KeyScope
    """The widest that the key has; each includes those before it."""

    def may(self, scope: KeyScope) -> bool:
        return RANK[self.scope] >= RANK[scope]


def make_key() -> str:
    return MARK + "".join(secrets.choice(ALPHABET) for _ in range(PREFIX_LENGTH - len(MARK) + SECRET_LENGTH))


def prefix_of(key: str) -> str:
    return key[:PREFIX_LENGTH]


def sha256_of(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


_NOBODY: Final = sha256_of("nobody")


def authenticate(session: Session, key: str) -> Caller:
    """Who has this key.

    Raises:
        Unauthorized: nobody, or not any more.  An unknown prefix takes as long as a wrong key.
    """
    row = session.execute(
        select(
            col(ApiKey.id),
            col(ApiKey.project_id),
            col(ApiKey.sha256),
            col(ApiKey.scopes),
            col(ApiKey.revoked_at),
            or_(col(ApiKey.last_used_at).is_(None), col(ApiKey.last_used_at) < claims.seconds_from_now(-USED_S)).label(
                "unseen"
            ),
        ).where(col(ApiKey.prefix) == prefix_of(key))
    ).one_or_none()
    is_right = hmac.compare_digest(sha256_of(key), row.sha256 if row is not None else _NOBODY)
    if row is None or not is_right or row.revoked_at is not None:
        raise Unauthorized("this API key is not known, or was revoked")
    if row.unseen:
        session.execute(update(ApiKey).where(col(ApiKey.id) == row.id).values(last_used_at=func.now()))
    return Caller(row.project_id, row.id, widest(row.scopes))


def widest(scopes: Iterable[str]) -> KeyScope:
    return max((KeyScope(scope) for scope in scopes), key=RANK.__getitem__, default=KeyScope.READ)


def read_header(authorization: str | None) -> str:
    """The key in `Authorization: Bearer dk_…`.

    Raises:
        Unauthorized: there is none.
    """
    kind, _, key = (authorization or "").partition(" ")
    key = key.strip()
    if kind.lower() != "bearer" or not key:
        raise Unauthorized("an API key is needed: Authorization: Bearer dk_…")
    if not key.startswith(MARK) or not PREFIX_LENGTH < len(key) <= LENGTH_MOST or not key.isascii():
        raise Unauthorized("this API key is not known, or was revoked")
    return key


class Authentication:
    """Asks for the key before the body is read, so that strangers cannot make us do work."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN:
            key = read_header(Headers(scope=scope).get("authorization"))
            scope["state"]["caller"] = await run_in_threadpool(_authenticate, scope["app"].state.ports, key)
        await self.app(scope, receive, send)


def _authenticate(ports: AppPorts, key: str) -> Caller:
    with ports.transaction() as session:
        return authenticate(session, key)
