"""The account at the gateway: what the key and its user have left, and which models the key may use.  Pure.

Asking costs nothing and belongs to no job.  Where builds differ in what they offer there are several ways to ask,
the best first; an answer that says "this route is not here" leads to the next one.

Contract: gateway/images-text-audio-system.md 6.1 to 6.5, 2.1 (E4), 2.2.  Literal replies: tests/replies/account/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from shared.errors import UnreadableReply
from shared.gateway import classify, reading
from shared.gateway.outcome import ErrorClass, GatewayError
from shared.gateway.request import Reply, Request, Response

UNITS_PER_USD: Final = 500_000
"""Quota units of the gateway in one dollar (2.7, 6.1)."""
UNLIMITED_USD: Final = 100_000_000
"""What the older routes say of a key without a limit (6.2)."""
ANSWER_S: Final = 15.0


class Standing(StrEnum):
    """How it stands with a credential."""

    OK = "ok"  #: it may be used
    EXHAUSTED = "exhausted"  #: it is right, and nothing is left to spend
    EXPIRED = "expired"  #: it was right, and its time is over
    REFUSED = "refused"  #: it is unknown or disabled
    BANNED = "banned"  #: its user may do nothing


@dataclass(frozen=True)
class Seen:
    """What an answer told."""

    data: Mapping[str, Any]
    """As JSON; money in USD, as a decimal text."""
    standing: Standing


@dataclass(frozen=True)
class Untold:
    """An answer that told nothing new, or none at all."""

    error: str
    """Why, for people."""
    standing: Standing | None = None
    """What it proves all the same; None: nothing."""
    is_elsewhere: bool = False
    """This build does not have the route: ask in another way."""


@dataclass(frozen=True)
class Way:
    """One way to ask: the requests, and how their answers are read together."""

    requests: tuple[Request, ...]
    read: Callable[..., Seen]
    """From an answer to each request, none of which is an error, and the present time.

    Raises UnreadableReply for what is in no contract.
    """
    standings: Mapping[int, Standing] = field(default_factory=dict)
    """What a refusal with this HTTP status proves."""


def told_by(replies: Sequence[Reply], way: Way, now: datetime) -> Seen | Untold:
    """What the replies mean; nothing is raised for what the gateway said."""
    answers = []
    for reply in replies:
        if not isinstance(reply, Response):
            return Untold(classify.clean(reply.reason))
        refused = classify.refusal(reply)
        if refused is not None:
            return _refusal(refused.error, reply, way)
        answers.append(reply)
    try:
        return way.read(*answers, now)
    except reading.PARSE_TROUBLE as trouble:
        # Such a page is what a build without the route sends: the start page of its console, with status 200.
        reason = str(trouble) if isinstance(trouble, UnreadableReply) else type(trouble).__name__
        return Untold(classify.clean(f"the answer is in no contract: {reason}"), is_elsewhere=True)


def build_token() -> Request:
    """Ask what our key has left.  Without the last slash it is a redirect, which would lose the key (6.1)."""
    return _ask("/api/usage/token/", "account.token")


def read_token(response: Response, now: datetime) -> Seen:
    """The key's balance, as `{source, name, remaining_usd, used_usd, total_usd, unlimited, models, expires_at}`.

    Reply: the object of 6.1.  Of a key without a limit only what was used means anything: then `remaining_usd` and
    `total_usd` are null, and what it may spend is what its user has.  `models` is the allow list; null: all.

    Raises:
        UnreadableReply: it is no such object.
    """
    body = reading.unwrap(reading.object_of(response))
    left, used = _number(body, "total_available"), _number(body, "total_used")
    more = {"name": reading.first_text(body, "name") or None, "models": _allowed(body)}
    is_unlimited = body.get("unlimited_quota") is True
    spent = _Spent(left / UNITS_PER_USD, used / UNITS_PER_USD, is_unlimited, body.get("expires_at"))
    return spent.seen("usage", now, more)


def build_billing() -> tuple[Request, Request]:
    """The same in the older way: what was granted, and what was used."""
    granted, used = "/v1/dashboard/billing/subscription", "/v1/dashboard/billing/usage"
    return _ask(granted, "account.billing"), _ask(used, "account.billing")


def read_billing(granted: Response, used: Response, now: datetime) -> Seen:
    """The balance as `read_token` gives it, from the two objects of 6.2.

    Whose it is, the key's or the user's, and whether it is in dollars at all is the operator's setting.

    Raises:
        UnreadableReply: one of them is no such object.
    """
    limits, usage = reading.object_of(granted), reading.object_of(used)
    limit, spent = _number(limits, "hard_limit_usd"), _number(usage, "total_usage") / 100
    is_unlimited = limit >= UNLIMITED_USD
    return _Spent(limit - spent, spent, is_unlimited, limits.get("access_until")).seen("billing", now)


def build_user(user_id: int) -> Request:
    """Ask what the user has left: with the access token of the console, and never with our key (6.3)."""
    return _ask("/api/user/self", "account.user", {"New-Api-User": str(user_id)})


def read_user(response: Response, now: datetime) -> Seen:
    """The user's balance, as `{username, group, remaining_usd, used_usd, total_usd, requests}`.

    Reply: the object of 6.3, of which all else is left where it is: it holds addresses and settings.

    Raises:
        UnreadableReply: it is no such object.
    """
    body = reading.unwrap(reading.object_of(response))
    left, used = _number(body, "quota") / UNITS_PER_USD, _number(body, "used_quota") / UNITS_PER_USD
    requests = body.get("request_count")
    data = {
        "username": reading.first_text(body, "username") or None,
        "group": reading.first_text(body, "group") or None,
        "remaining_usd": usd(left),
        "used_usd": usd(used),
        "total_usd": usd(left + used),
        "requests": requests if type(requests) is int else None,
    }
    if body.get("status") not in (None, 1):
        return Seen(data, Standing.BANNED)
    return Seen(data, Standing.OK if left > 0 else Standing.EXHAUSTED)


def build_models() -> Request:
    """Ask which models our key may use."""
    return _ask("/v1/models", "account.models")


def read_models(response: Response, now: datetime) -> Seen:
    """`{source, models}`: by name, the types of endpoints that serve it, or null where they are not told.

    Reply: the list of 6.4, or Anthropic's.

    Raises:
        UnreadableReply: it lists nothing, which would take every model from us at once.
    """
    body = reading.object_of(response)
    found = {name: _types(item) for item in _objects(body, "data") if (name := reading.first_text(item, "id"))}
    if not found:
        raise reading.unreadable("no models", body)
    return Seen({"source": "openai", "models": found}, Standing.OK)


def build_gemini_models() -> Request:
    """The same in Gemini's way."""
    return _ask("/v1beta/models", "account.models")


def read_gemini_models(response: Response, now: datetime) -> Seen:
    """The models as `read_models` gives them, from the list of 6.5; Google's own has `models/` before each name.

    Raises:
        UnreadableReply: it lists nothing.
    """
    body = reading.object_of(response)
    names = [reading.first_text(item, "name").removeprefix("models/") for item in _objects(body, "models")]
    if not any(names):
        raise reading.unreadable("no models", body)
    return Seen({"source": "gemini", "models": {name: None for name in names if name}}, Standing.OK)


def usd(amount: Decimal) -> str:
    """A decimal text with cents at least, and no more digits than there are."""
    return f"{amount.normalize() + Decimal('0.00'):f}"


@dataclass(frozen=True)
class _Spent:
    """Dollars of a key, as both ways tell them."""

    left: Decimal
    used: Decimal
    is_unlimited: bool
    expires_at: object
    """Unix seconds; 0: never."""

    def seen(self, source: str, now: datetime, more: Mapping[str, Any] | None = None) -> Seen:
        expires_at = _moment(self.expires_at)
        data = {
            "source": source,
            "name": None,
            "remaining_usd": None if self.is_unlimited else usd(self.left),
            "used_usd": usd(self.used),
            "total_usd": None if self.is_unlimited else usd(self.left + self.used),
            "unlimited": self.is_unlimited,
            "models": None,
            "expires_at": None if expires_at is None else expires_at.isoformat(),
            **(more or {}),
        }
        if expires_at is not None and expires_at <= now:
            return Seen(data, Standing.EXPIRED)
        has_some = self.is_unlimited or self.left > 0
        return Seen(data, Standing.OK if has_some else Standing.EXHAUSTED)


TOLD: Final[Mapping[Standing, str]] = {
    Standing.EXHAUSTED: "nothing is left to spend",
    Standing.REFUSED: "the gateway refuses this credential",
    Standing.BANNED: "the gateway's operator has disabled the user",
}
"""What a refusal proves, for people: what the gateway says itself is Chinese as a rule."""
NOT_HERE: Final = frozenset({301, 302, 307, 308, 404, 405, 501})
"""Statuses of a route that a build does not have, or that its operator has closed (6.6)."""


def _refusal(error: GatewayError, response: Response, way: Way) -> Untold:
    standing = _standing(error, response, way)
    told = error.message if error.code == f"http_{response.status}" else f"{error.code}: {error.message}"
    meaning = TOLD.get(standing) if standing is not None else None
    words = ": ".join(filter(None, (meaning, f"{told} (HTTP {response.status})")))
    return Untold(words, standing, response.status in NOT_HERE)


def _standing(error: GatewayError, response: Response, way: Way) -> Standing | None:
    if error.code == "auth_user_disabled":
        return Standing.BANNED
    if error.error_class is ErrorClass.QUOTA_EXHAUSTED:
        return Standing.EXHAUSTED
    # A page is the edge's, and says nothing about us.
    return way.standings.get(response.status) if classify.documents(response.body) else None


def _ask(path: str, name: str, headers: Mapping[str, str] | None = None) -> Request:
    return Request("GET", path, headers=headers or {}, timeout_s=ANSWER_S, name=name)


def _number(body: Mapping[str, Any], name: str) -> Decimal:
    """
    Raises:
        UnreadableReply: there is no number of that name.
    """
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise reading.unreadable(f"no {name}", body)
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        raise reading.unreadable(f"{name} is no number", body) from None
    if not number.is_finite() or abs(number) > 10**18:
        raise reading.unreadable(f"{name} is no number", body)
    return number


def _allowed(body: Mapping[str, Any]) -> list[str] | None:
    """The allow list of a key; it says something only where it is switched on."""
    allowed = body.get("model_limits")
    if body.get("model_limits_enabled") is not True or not isinstance(allowed, Mapping):
        return None
    return sorted(name for name, may_be_used in allowed.items() if may_be_used)


def _moment(seconds: object) -> datetime | None:
    """From Unix seconds; None for never, which is 0, in some builds -1."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None  # after the year 9999


def _objects(body: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    listed = body.get(key)
    yield from (item for item in (listed if isinstance(listed, list) else ()) if isinstance(item, Mapping))


def _types(model: Mapping[str, Any]) -> list[str] | None:
    types = model.get("supported_endpoint_types")
    return [kind for kind in types if isinstance(kind, str)] if isinstance(types, list) else None


# A key that has nothing left is refused everywhere but in 6.1: there alone a 401 means a wrong key (2.2).
TOKEN: Final = (
    Way((build_token(),), read_token, {401: Standing.REFUSED, 403: Standing.BANNED}),
    Way(build_billing(), read_billing),
)
MODELS: Final = (Way((build_models(),), read_models), Way((build_gemini_models(),), read_gemini_models))


def user(user_id: int) -> tuple[Way, ...]:
    """The one way to ask about a user.  Older builds say with status 200 that the access token is wrong (6.3)."""
    refused = dict.fromkeys((200, 401, 403), Standing.REFUSED)
    return (Way((build_user(user_id),), read_user, refused),)
