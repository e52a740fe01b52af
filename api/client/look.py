"""One short look at any HTTP address: does it answer, and what time is it there?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from api.client.errors import Unreachable
from api.client.transport import checked_url, is_loopback

TIMEOUT_S: Final = 5.0


@dataclass(frozen=True)
class Look:
    """What came back."""

    status: int
    body: object
    """As JSON; None if it is none."""
    ahead_s: float | None
    """How far that server's clock is ahead of ours, to about a second; None if it does not tell the time."""
    took_s: float


def look(url: str, headers: Mapping[str, str] | None = None) -> Look:
    """
    Raises:
        Unreachable: nobody answers there.
    """
    try:
        trust_env = not is_loopback(checked_url(url))
        began_at, began = time.time(), time.monotonic()
        response = httpx.get(url, headers=headers, timeout=TIMEOUT_S, trust_env=trust_env)
    except (httpx.HTTPError, ValueError) as error:
        raise Unreachable(f"{url} does not answer ({type(error).__name__})") from error
    took_s = time.monotonic() - began
    return Look(response.status_code, _json(response), _ahead_s(response, began_at + took_s / 2), took_s)


def _json(response: httpx.Response) -> object:
    try:
        value: object = response.json()
    except ValueError:
        return None
    return value


def _ahead_s(response: httpx.Response, here: float) -> float | None:
    try:
        there = parsedate_to_datetime(response.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return None
    return there + 0.5 - here  # `Date` has whole seconds
