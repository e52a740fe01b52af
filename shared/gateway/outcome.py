"""What a reply of the gateway means.  Pure.

An adapter turns a reply into one of these outcomes; `policy.py` alone decides what follows from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shared.gateway.request import Request, Response


class ErrorClass(StrEnum):
    """Why a call or an upstream task did not give a result."""

    INVALID_REQUEST = "invalid_request"  #: our request is wrong; the same one will be refused again
    AUTH = "auth"  #: our key is wrong, disabled or not allowed here
    QUOTA_EXHAUSTED = "quota_exhausted"  #: the account or the key has no money left
    CONTENT_POLICY = "content_policy"  #: the prompt or the result was blocked
    NO_MEDIA = "no_media"  #: a whole answer, with a text in place of the media
    RATE_LIMITED = "rate_limited"  #: too many; nothing was generated or charged
    UNAVAILABLE = "unavailable"  #: not sent, or known not to have been charged
    TASK_FAILED = "task_failed"  #: the upstream task itself failed (refunded)
    UNKNOWN_OUTCOME = "unknown_outcome"  #: it may have been done and charged
    STORAGE = "storage"  #: the result exists, and could not be fetched or kept


@dataclass(frozen=True)
class GatewayError:
    """One refusal, whatever envelope it came in."""

    error_class: ErrorClass
    code: str
    """The gateway's own code where it sent one, else ours; lower case, machine-readable."""
    message: str
    """For people; at most 500 characters, never a key, a prompt or a data URL."""
    upstream_status: int | None = None
    """HTTP status, if there was an answer."""
    upstream_request_id: str | None = None
    retry_after_s: float | None = None
    """What `Retry-After` asked for."""
    charged: bool = False
    """True where the contract says that this error is billed all the same."""
    body: str = field(default="", repr=False)
    """Of an outcome that nobody knows: the beginning of what came back, cleaned; for the person who must decide."""


@dataclass(frozen=True)
class Source:
    """One place where an output may be found: exactly one field is set."""

    url: str | None = None
    """Absolute; to be used byte for byte, since it may be signed."""
    path: str | None = None
    """A path at the gateway itself, fetched with the key."""
    content: bytes | None = field(default=None, repr=False)
    """The decoded bytes, in hand."""


@dataclass(frozen=True)
class Output:
    """One result: its kind as asked for, and its sources in the order to try them."""

    kind: str
    """`image`, `video`, `audio`, `text` or `document`: what the bytes must turn out to be."""
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Accepted:
    """The gateway took the work and will do it; look at `task_id` later."""

    task_id: str
    status: str = ""


@dataclass(frozen=True)
class Pending:
    """The upstream task is not finished.  `progress` is whole percent, None if it did not say."""

    progress: int | None = None
    status: str = ""


@dataclass(frozen=True)
class Produced:
    """The work is done and paid for."""

    outputs: tuple[Output, ...]
    """Empty where all that came is text or data, in `result`."""
    result: Mapping[str, Any] = field(default_factory=dict)
    """What is not media and the user wants: buttons, revised prompts, usage, delivered and requested counts."""
    status: str = ""
    took_s: float | None = field(default=None, compare=False)
    """How long an upstream task took by its own account; None: it tells nothing.  No part of what came of it."""


@dataclass(frozen=True)
class Refused:
    """No result, and why."""

    error: GatewayError


@dataclass(frozen=True)
class Unseen:
    """A look that told nothing about the task: not found, no access, trouble on the way, an unreadable reply.

    Never a failure of the task itself; the poller counts these and looks again (video 10.2).
    """

    reason: str
    upstream_status: int | None = None
    retry_after_s: float | None = None
    is_missing: bool = False
    """The gateway said that there is no such task; believed only when it says so again and again."""


@dataclass(frozen=True)
class Continued:
    """Half of a paid call that takes two requests: the answer asked for another one, of the same attempt.

    Or the first was refused, surely uncharged, and there is another way to ask.
    """

    request: Request
    charged: bool = False
    """The first half is billed already: then nothing that follows is taken for free."""
    read: Callable[[Response], Outcome] | None = None
    """How its answer is read; None: as the first was."""


Outcome = Accepted | Pending | Produced | Refused | Continued
"""What a paid call came to."""

Look = Pending | Produced | Refused | Unseen
"""What a look at an upstream task came to; `Refused` says that the task itself failed."""
