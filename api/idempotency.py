"""`Idempotency-Key`: the same request again gets the first answer again, and makes nothing twice.

The key's row commits together with what the request made, so neither is there without the other.  While the first
is being served it holds an advisory lock of the database, and others are told to come back; they never wait.
Only success is kept: after an error the same key may try again.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Final

from fastapi.responses import JSONResponse
from sqlalchemy import func, insert, select
from sqlmodel import Session, col

from shared.errors import Conflict, FieldError, InvalidRequest, KeyReused
from shared.tables import IdempotencyKey

KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
COME_BACK_S: Final = 1


@dataclass(frozen=True)
class Ticket:
    """One request that must not be done twice."""

    project_id: str
    key: str
    sha256: str
    """Of method, path and content."""


@dataclass(frozen=True)
class Kept:
    """The first answer."""

    status: int
    body: dict[str, Any]
    location: str | None

    def response(self) -> JSONResponse:
        headers = {"Idempotency-Replayed": "true"}
        if self.location is not None:
            headers["Location"] = self.location
        return JSONResponse(self.body, self.status, headers)


def ticket(project_id: str, key: str | None, method: str, path: str, content: Any) -> Ticket | None:
    """None for a request without a key.

    Args:
        content: fields and hashes of files, as JSON would hold them; their order and encoding do not count.

    Raises:
        InvalidRequest: it is no key.
    """
    if key is None:
        return None
    if not KEY.fullmatch(key):
        told = "must be 1 to 255 visible ASCII characters"
        raise InvalidRequest(f"Idempotency-Key {told}", (FieldError("/header/Idempotency-Key", told),))
    canonical = json.dumps([method, path, content], sort_keys=True, separators=(",", ":"))
    return Ticket(project_id, key, hashlib.sha256(canonical.encode()).hexdigest())


def find(session: Session, wanted: Ticket | None) -> Kept | None:
    """The first answer, if there is one already.

    Raises:
        KeyReused: the key belongs to another request.
    """
    if wanted is None:
        return None
    row = session.execute(
        select(IdempotencyKey).where(
            col(IdempotencyKey.project_id) == wanted.project_id, col(IdempotencyKey.key) == wanted.key
        )
    ).scalar_one_or_none()
    if row is None:
        return None
    if row.request_sha256 != wanted.sha256:
        raise KeyReused("this Idempotency-Key was used for another request; a new request needs a key of its own")
    return Kept(row.status, row.body, row.location)


def enter(session: Session, wanted: Ticket | None) -> Kept | None:
    """Before anything is made: nobody else with this key may pass until the caller's transaction ends.

    Returns:
        The first answer, if somebody passed before us.

    Raises:
        Conflict: somebody is doing it right now.
        KeyReused: the key belongs to another request.
    """
    if wanted is None:
        return None
    if not session.execute(select(func.pg_try_advisory_xact_lock(_lock(wanted)))).scalar_one():
        raise Conflict("the first request with this Idempotency-Key is still being served", retry_after_s=COME_BACK_S)
    return find(session, wanted)


def keep(session: Session, wanted: Ticket | None, status: int, body: dict[str, Any], location: str | None) -> None:
    """Keep the first answer, in the transaction of what it tells of."""
    if wanted is None:
        return
    session.execute(
        insert(IdempotencyKey).values(
            project_id=wanted.project_id,
            key=wanted.key,
            request_sha256=wanted.sha256,
            status=status,
            body=body,
            location=location,
            created_at=func.now(),
        )
    )


def _lock(wanted: Ticket) -> int:
    digest = hashlib.sha256(f"{wanted.project_id}\n{wanted.key}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
