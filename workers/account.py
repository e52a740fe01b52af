"""Looks at the gateway's account: balances, and the models of our key.  The API shows what was last seen.

The gateway answers an address 20 such questions in 20 minutes, ours and other people's together (system 6.1).  So the
claim is one for the fleet: whoever moves `tried_at` of a view on looks, and the next look of anybody is due an interval
later.  What was seen stays until something else is seen; a look that told nothing leaves its reason beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import structlog
from pydantic import SecretStr
from sqlalchemy import and_, func, or_, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col

from shared import claims
from shared.catalog.lookup import CREDENTIAL
from shared.gateway.adapters import account
from shared.gateway.adapters.account import Seen, Standing, Untold, Way
from shared.settings import Settings
from shared.tables import GatewayView
from workers.gateway import Gateway
from workers.ports import Ports

log = structlog.get_logger(__name__)

TOKEN_S: Final = 120.0
"""Between two looks at the key's balance: ten of the twenty questions."""
USER_S: Final = 300.0
"""Between two looks at the user's balance: four more, where the gateway counts both together."""
MODELS_S: Final = 600.0
"""Between two looks at the models; they count for nothing there."""
AGAIN_S: Final = 120.0
"""The same after a look that told nothing."""


@dataclass(frozen=True)
class View:
    """One thing to look at."""

    name: str
    """As its row is called."""
    every_s: float
    again_s: float
    """In place of `every_s` after a look that told nothing."""
    ways: tuple[Way, ...]
    """How to ask, the best way first."""
    token: SecretStr | None = None
    """What opens it, where that is not our key."""


def views(settings: Settings) -> list[View]:
    """What there is to look at with these settings."""
    found = []
    if settings.gateway_api_key is not None:
        found.append(View(f"{CREDENTIAL}.token", TOKEN_S, TOKEN_S, account.TOKEN))
        found.append(View(f"{CREDENTIAL}.models", MODELS_S, AGAIN_S, account.MODELS))
    if settings.gateway_access_token is not None and settings.gateway_user_id is not None:
        ways = account.user(settings.gateway_user_id)
        found.append(View(f"{CREDENTIAL}.user", USER_S, USER_S, ways, settings.gateway_access_token))
    return found


def refresh(ports: Ports) -> bool:
    """Look at one thing that is due and that nobody else looks at; whether there may be another one."""
    for view in views(ports.settings):
        if ports.stopping.is_set():
            return False
        with ports.transaction() as session:
            tried_at = claim(session, view)
        if tried_at is not None:
            _look(view, tried_at, ports)
            return True
    return False


def claim(session: Session, view: View) -> datetime | None:
    """Take a view that is due; the time that what we write must name.  None: it is not due, or another took it."""
    session.execute(insert(GatewayView).values(name=view.name).on_conflict_do_nothing())
    tried_at, error = col(GatewayView.tried_at), col(GatewayView.error)
    is_due = or_(
        tried_at.is_(None),
        tried_at <= claims.seconds_from_now(-view.every_s),
        and_(error.is_not(None), tried_at <= claims.seconds_from_now(-view.again_s)),
    )
    taken = session.execute(
        update(GatewayView)
        .where(col(GatewayView.name) == view.name, is_due)
        .values(tried_at=func.now())
        .returning(tried_at)
    )
    return taken.scalar_one_or_none()


def keep(session: Session, view: View, tried_at: datetime, told: Seen | Untold) -> bool:
    """Write down what a look told; False if a later look has begun, whose word counts."""
    changes: dict[str, Any] = {} if told.standing is None else {"status": told.standing.value}
    if isinstance(told, Seen):
        changes |= {"data": dict(told.data), "seen_at": func.now(), "error": None}
    else:
        changes |= {"error": told.error}
    kept = session.execute(
        update(GatewayView)
        .where(col(GatewayView.name) == view.name, col(GatewayView.tried_at) == tried_at)
        .values(**changes)
        .returning(col(GatewayView.name))
    )
    return kept.one_or_none() is not None


def _look(view: View, tried_at: datetime, ports: Ports) -> None:
    told = _ask(view, tried_at, ports)
    with ports.transaction() as session:
        is_kept = keep(session, view, tried_at, told)
    say = log.info if told.standing in (None, Standing.OK) else log.warning
    error = told.error if isinstance(told, Untold) else None
    say("account.looked", view=view.name, standing=told.standing, error=error, is_kept=is_kept)


def _ask(view: View, now: datetime, ports: Ports) -> Seen | Untold:
    """In one way after the other, until one is offered; each takes no longer than a look at a task may."""
    told: Seen | Untold = Untold("nobody was asked")
    timeout_s = min(account.ANSWER_S, ports.settings.poll_timeout_s)
    with _client(view, ports) as gateway:
        for way in view.ways:
            looks = [gateway.look(replace(request, timeout_s=timeout_s)) for request in way.requests]
            told = account.told_by([look.result() for look in looks], way, now)
            if not (isinstance(told, Untold) and told.is_elsewhere):
                break
    return told


@contextmanager
def _client(view: View, ports: Ports) -> Iterator[Gateway]:
    """The client of our key, or one for the moment that has another: that token opens the whole account."""
    if view.token is None:
        yield ports.gateway
        return
    gateway = Gateway(ports.settings.gateway_base_url, view.token.get_secret_value(), ports.figures)
    try:
        yield gateway
    finally:
        gateway.stop()
