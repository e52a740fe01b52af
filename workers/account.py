"""Looks at the gateway's account: balances, and the models of our key.  The API shows what was last seen.

The gateway answers an address 20 such questions in 20 minutes, ours and other people's together (system 6.1).  So the
claim is one for the fleet: whoever moves `tried_at` of a view on looks, and the next look of anybody is due an interval
later.  What was seen stays until something else is seen; a look that told nothing leaves its reason beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from pydantic import SecretStr
from sqlalchemy import Row, and_, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col

from shared import claims, credentials
from shared.credentials import Credential
from shared.gateway.adapters import account
from shared.gateway.adapters.account import Seen, Standing, Untold, Way
from shared.settings import Settings
from shared.tables import GatewayView
from workers import evidence, lanes
from workers.gateway.client import Gateway
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

_EARLIER: Final = text("""
    CASE WHEN data ? 'remaining_usd' THEN jsonb_path_query_array(
        jsonb_build_array(jsonb_build_object(
            'remaining_usd', data -> 'remaining_usd', 'used_usd', data -> 'used_usd', 'at', seen_at
        )) || earlier, '$[0 to 19]'
    ) ELSE earlier END
""")
"""What a balance was before: what is held later is told how much there was when its call was begun."""


@dataclass(frozen=True)
class View:
    """One thing to look at."""

    name: str
    """As its row is called."""
    base_url: str
    """Who is asked."""
    every_s: float
    again_s: float
    """In place of `every_s` after a look that told nothing."""
    ways: tuple[Way, ...]
    """How to ask, the best way first."""
    token: SecretStr | None = None
    """What opens it, where that is not our key."""


def views(settings: Settings) -> list[View]:
    """What there is to look at with these settings."""
    known = settings.credentials
    hosts = Counter(urlsplit(one.base_url).netloc for one in known)
    return [view for one in known for view in _views(one, hosts[urlsplit(one.base_url).netloc])]


def _views(credential: Credential, sharing: int) -> Iterator[View]:
    """
    Args:
        sharing: credentials of one gateway, which counts the questions of all of them together.
    """
    name, base_url = credential.name, credential.base_url
    if credential.api_key.get_secret_value():
        yield View(f"{name}.token", base_url, TOKEN_S * sharing, TOKEN_S * sharing, account.TOKEN)
        yield View(f"{name}.models", base_url, MODELS_S, AGAIN_S, account.MODELS)
    if credential.access_token is not None and credential.user_id is not None:
        ways = account.user(credential.user_id)
        yield View(f"{name}.user", base_url, USER_S * sharing, USER_S * sharing, ways, credential.access_token)


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
        changes |= {"data": dict(told.data), "seen_at": func.now(), "error": None, "earlier": _EARLIER}
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
        seen = select(col(GatewayView.data), col(GatewayView.seen_at)).where(col(GatewayView.name) == view.name)
        before = session.execute(seen).one_or_none()
        is_kept = keep(session, view, tried_at, told)
        woken = _woken(session, view, before, told) if is_kept and isinstance(told, Seen) else []
        if isinstance(told, Seen) and view.name.endswith(".token"):
            evidence.keep_balance(session, credentials.of_lane(view.name), told.data, tried_at)
    say = log.info if told.standing in (None, Standing.OK) else log.warning
    error = told.error if isinstance(told, Untold) else None
    if woken:
        log.info("lane.paid_up", lanes=woken)
        ports.wake_dispatch()
    say("account.looked", view=view.name, standing=told.standing, error=error, is_kept=is_kept)


def _woken(session: Session, view: View, before: Row[Any] | None, told: Seen) -> list[str]:
    """The lanes that had no balance, where there is one now."""
    if not has_balance(told.data):
        return []
    known = (before.data if before is not None else None) or {}
    seen_at = before.seen_at if before is not None else None
    is_more = bool(known) and is_higher(told.data, known)
    return lanes.paid_up(session, credentials.of_lane(view.name), is_more=is_more, seen_at=seen_at)


def has_balance(data: Mapping[str, Any]) -> bool:
    """Whether a look shows anything to spend; a list of models shows nothing."""
    return bool(data.get("unlimited")) or Decimal(data.get("remaining_usd") or 0) > 0


def is_higher(now: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Whether there is more to spend than there was; of what has no limit, more than of what has one."""
    if now.get("unlimited") or before.get("unlimited"):
        return bool(now.get("unlimited")) and not before.get("unlimited")
    return Decimal(now.get("remaining_usd") or 0) > Decimal(before.get("remaining_usd") or 0)


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
        yield ports.gateways.of(view.name)
        return
    gateway = Gateway(view.base_url, view.token.get_secret_value(), ports.figures)
    try:
        yield gateway
    finally:
        gateway.stop()
