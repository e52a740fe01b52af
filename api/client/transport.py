"""How the client speaks: one connection pool, tries that never double, errors as one class.

Asking again is safe for every call: reads change nothing, a PATCH says how something shall be, and each POST carries
an `Idempotency-Key`, which stays the same over the tries of one call.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any, Final

import httpx
import tenacity

from api.client.errors import ApiError, Unreachable, retry_after_s

Json = dict[str, Any]

ASKED_AGAIN: Final = frozenset({429, 502, 503, 504})
"""Statuses that pass.  So does a 409 with `Retry-After`: the first try of this very call is still being served."""
TRANSIENT: Final = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError)
MOST_TRIES: Final = 100
CONNECT_S: Final = 5.0
ANSWER_S: Final = 60.0

_backoff = tenacity.wait_exponential_jitter(multiplier=0.2, max=4.0, jitter=0.2)


class Transport:
    """Sends requests until there is an answer, or patience ends."""

    def __init__(
        self, base_url: str, api_key: str, patience_s: float, transport: httpx.BaseTransport | None = None
    ) -> None:
        """
        Raises:
            ValueError: not an http(s) address, or a key that no header can carry.
        """
        self.base_url = checked_url(base_url)
        if not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("the API key has characters that no key has")
        self._patience_s = patience_s
        self._http = httpx.Client(
            base_url=self.base_url,
            headers={"Authorization": f"Bearer {api_key}", "User-Agent": "darkroom-client"},
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            transport=transport,
            trust_env=not is_loopback(self.base_url),  # a proxy could not reach this machine
        )

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, params: Mapping[str, Any] | None = None, wait_s: float = 0) -> Json:
        """The JSON object at `path`; the API may take `wait_s` longer than usual to answer."""
        return self._json(lambda: self._http.get(path, params=_given(params), timeout=_timeout(wait_s)))

    def post(
        self,
        path: str,
        json: Mapping[str, Any] | None = None,
        *,
        files: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        params: Mapping[str, Any] | None = None,
        wait_s: float = 0,
    ) -> Json:
        """Create something, once; without a key of the caller's the call gets one of its own."""
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        return self._json(
            lambda: self._http.post(
                path, json=json, files=files, headers=headers, params=_given(params), timeout=_timeout(wait_s)
            )
        )

    def patch(self, path: str, json: Mapping[str, Any]) -> Json:
        """Change something to what is said, which again is the same as once."""
        return self._json(lambda: self._http.patch(path, json=json))

    def delete(self, path: str) -> None:
        self._answer(lambda: self._http.delete(path))

    @contextmanager
    def stream(self, path_or_url: str, headers: Mapping[str, str] | None = None) -> Iterator[httpx.Response]:
        """One try at a large body, redirects followed; the key stays with the API's own address.

        Raises:
            ApiError: an answer that is an error.
            Unreachable: no answer, or it broke off.
        """
        try:
            with self._http.stream("GET", path_or_url, headers=headers, follow_redirects=True) as response:
                if response.is_error:
                    response.read()
                    raise ApiError.of(response)
                yield response
        except httpx.TransportError as error:
            raise Unreachable(f"a download broke off ({type(error).__name__})") from error

    def again(self, act: Callable[[], Any], transient: tuple[type[Exception], ...]) -> Any:
        """`act`, tried again after each error of these kinds for as long as there is patience."""
        return self._retrying(retry=tenacity.retry_if_exception_type(transient))(act)

    def _json(self, send: Callable[[], httpx.Response]) -> Json:
        response = self._answer(send)
        try:
            value = response.json()
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise Unreachable(f"{self.base_url} answers, but not as Darkroom does")
        return value

    def _answer(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        retry = tenacity.retry_if_exception_type(TRANSIENT) | tenacity.retry_if_result(_asks_for_another_try)
        try:
            response: httpx.Response = self._retrying(retry=retry)(send)
        except httpx.HTTPError as error:
            raise Unreachable(f"{self.base_url} does not answer ({type(error).__name__})") from error
        if not response.is_success:
            raise ApiError.of(response)
        return response

    def _retrying(self, retry: tenacity.retry_base) -> tenacity.Retrying:
        return tenacity.Retrying(
            retry=retry,
            wait=_wait_s,
            stop=tenacity.stop_before_delay(self._patience_s) | tenacity.stop_after_attempt(MOST_TRIES),
            retry_error_callback=_last_outcome,
        )


def checked_url(text: str) -> str:
    """An http(s) address without its last slash.

    Raises:
        ValueError: it is none.
    """
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ValueError(f"{text!r} is not an address: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"{text!r} is not an address such as http://127.0.0.1:8000")
    return text.rstrip("/")


def is_loopback(url: str) -> bool:
    host = httpx.URL(url).host
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _given(params: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (params or {}).items() if value is not None}


def _timeout(wait_s: float) -> httpx.Timeout:
    return httpx.Timeout(ANSWER_S + wait_s, connect=CONNECT_S)


def _asks_for_another_try(response: httpx.Response) -> bool:
    return response.status_code in ASKED_AGAIN or (response.status_code == 409 and "retry-after" in response.headers)


def _wait_s(state: tenacity.RetryCallState) -> float:
    """What the API asked for, or a little longer each time."""
    outcome = state.outcome
    if outcome is not None and not outcome.failed and isinstance(outcome.result(), httpx.Response):
        asked_s = retry_after_s(outcome.result())
        if asked_s is not None:
            return asked_s
    return _backoff(state)


def _last_outcome(state: tenacity.RetryCallState) -> Any:
    """When patience ends: the last answer, or the last error raised again."""
    return state.outcome.result() if state.outcome is not None else None
