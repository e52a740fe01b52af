"""What goes to the gateway and what comes back, as plain values.  Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Part:
    """One file of a multipart form.

    The gateway guesses the type from the extension of `filename` (images 4.4), so both must be true.
    """

    name: str
    filename: str
    """Empty: a text field, which unlike one of `form` may stand several times."""
    content_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Request:
    """One call to the gateway: a path under its base URL, never a whole URL and never a key."""

    method: str
    path: str
    """Begins with a slash; ids inside are percent-encoded."""
    json: Any = None
    """A body that is sent as JSON; None with `form`, or for a call without a body."""
    form: Mapping[str, str] | None = None
    """Text fields of a multipart form; not None makes the call multipart, also without `files`."""
    files: tuple[Part, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    """What a protocol wants said besides; never a key, which the client alone adds."""
    timeout_s: float = 90.0
    """Longest silence while waiting for the answer, and half of the whole call's deadline at least."""
    name: str = ""
    """What figures and logs call it, for example `video.create`; one of few, never an id."""


@dataclass(frozen=True)
class Response:
    """A whole answer.  Header names are lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)

    def json(self) -> Any:
        """The body as JSON whatever its type says (Midjourney answers as `text/plain`, 1.2).

        Raises:
            ValueError: it is not JSON, or not UTF-8.
        """
        return json.loads(self.body)

    @property
    def request_id(self) -> str | None:
        """The gateway's own id of this exchange; keep it in every error."""
        return self.headers.get("x-oneapi-request-id") or self.headers.get("x-request-id")


@dataclass(frozen=True)
class NotSent:
    """The request surely never reached the gateway: no name, no connection, no TLS, no free connection."""

    reason: str


@dataclass(frozen=True)
class Ambiguous:
    """The request may have reached the gateway, and nobody told us what came of it."""

    reason: str


Reply = Response | NotSent | Ambiguous
