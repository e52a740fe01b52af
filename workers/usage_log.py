"""The usage logs of our keys at the gateway: read when something is searched for, and rarely.

The gateway answers an address 20 questions in 20 minutes about accounts and logs together (system 6.1), and the looks
at the balances take fourteen of them.  So all processes share five looks, and what each of them showed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import func, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col

from shared.gateway.adapters import account, usage_log
from shared.gateway.adapters.account import Seen, Untold
from shared.tables import GatewayView
from workers.ports import Ports

log = structlog.get_logger(__name__)

LOOKS_MOST: Final = 5
WITHIN_S: Final = 1200.0
"""So many looks in so long, of all processes and at all logs."""
FRESH_S: Final = 4.0
"""What was seen so lately is not asked again."""
ENTRIES_MOST: Final = 500
"""So many entries are kept, the newest."""

RESTING: Final = f"it may be read only {LOOKS_MOST} times in {WITHIN_S / 60:g} minutes"

_LOCK: Final = text("SELECT pg_advisory_xact_lock(0x7573616765)")  # "usage"
_LOOKS: Final = text("""
    SELECT count(*) FROM gateway_views, jsonb_array_elements(earlier) AS look
    WHERE name LIKE '%.log' AND CAST(look ->> 'at' AS timestamptz) > now() - make_interval(secs => :within_s)
""")
_IS_FRESH: Final = text("""
    SELECT tried_at IS NOT NULL AND tried_at > now() - make_interval(secs => :fresh_s)
    FROM gateway_views WHERE name = :name
""")
_BEGIN: Final = text("""
    UPDATE gateway_views SET tried_at = now(), earlier = jsonb_path_query_array(
        jsonb_build_array(jsonb_build_object('at', now())) || earlier, '$[0 to 19]'
    )
    WHERE name = :name RETURNING tried_at
""")


@dataclass(frozen=True)
class Log:
    """What was last seen of a log."""

    entries: Sequence[Mapping[str, Any]]
    """As `usage_log.read_log` makes them."""
    trouble: str | None
    """Why nothing newer was seen, for people; None: it was read just now."""


def read(credential: str, ports: Ports) -> Log:
    """The newest paid calls of this credential's key, as far as the gateway tells them.

    Raises:
        NoCredential: this process does not have it.
    """
    name = f"{credential}.log"
    ports.gateways.of(credential)  # before a look is taken: all logs share them
    with ports.transaction() as session:
        tried_at = _begin(session, name)
    if tried_at is not None:
        told = _ask(credential, tried_at, ports)
        with ports.transaction() as session:
            _keep(session, name, tried_at, told)
        log.info("usage_log.looked", credential=credential, error=told.error if isinstance(told, Untold) else None)
    with ports.transaction() as session:
        view = session.get_one(GatewayView, name)
        is_fresh = session.execute(_IS_FRESH, {"name": name, "fresh_s": FRESH_S}).scalar_one()
    return Log((view.data or {}).get("entries", []), view.error or (None if is_fresh else RESTING))


def _begin(session: Session, name: str) -> datetime | None:
    """The time of a look that is ours to make; None: what was seen is fresh, or all looks are used up for now."""
    session.execute(_LOCK)
    session.execute(insert(GatewayView).values(name=name).on_conflict_do_nothing())
    if session.execute(_IS_FRESH, {"name": name, "fresh_s": FRESH_S}).scalar_one():
        return None
    if session.execute(_LOOKS, {"within_s": WITHIN_S}).scalar_one() >= LOOKS_MOST:
        return None
    begun: datetime = session.execute(_BEGIN, {"name": name}).scalar_one()
    return begun


def _ask(credential: str, now: datetime, ports: Ports) -> Seen | Untold:
    timeout_s = min(account.ANSWER_S, ports.settings.poll_timeout_s)
    (way,) = usage_log.LOG
    (request,) = way.requests
    reply = ports.gateways.of(credential).look(replace(request, timeout_s=timeout_s)).result()
    return account.told_by([reply], way, now)


def _keep(session: Session, name: str, tried_at: datetime, told: Seen | Untold) -> None:
    changes: dict[str, Any] = {"error": told.error} if isinstance(told, Untold) else {}
    if isinstance(told, Seen):
        newest = sorted(told.data["entries"], key=lambda entry: -entry["at"])[:ENTRIES_MOST]
        changes = {"data": {"entries": newest}, "seen_at": func.now(), "error": None}
    session.execute(
        update(GatewayView)
        .where(col(GatewayView.name) == name, col(GatewayView.tried_at) == tried_at)
        .values(**changes)
    )
