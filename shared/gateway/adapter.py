"""The shape of an adapter: pairs of pure functions, one that builds a request and one that reads the reply.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from shared.gateway.call import Call
from shared.gateway.outcome import Continued, GatewayError, Look, Outcome
from shared.gateway.request import Request, Response


@dataclass(frozen=True)
class Looking:
    """How an accepted task is looked at."""

    build: Callable[[str], Request]
    """From an upstream task id."""
    read: Callable[[Response, str], Look]
    """From an answer that holds no error about the look itself, and the id that was asked about.

    Raises UnreadableReply for what is in no contract.
    """
    build_many: Callable[[Sequence[str]], Request] | None = None
    """From up to `most` ids, where the gateway answers for many at once."""
    read_many: Callable[[Response], Mapping[str, Look]] | None = None
    """By task id; an id that is missing was not seen."""
    most: int = 1
    build_elsewhere: Callable[[str], Request] | None = None
    """The same question at another route, where builds differ in which of the two they have; `read` reads both."""

    def ask(self, task_id: str, misses: int) -> Request:
        """The question about one task, after so many looks in a row that told nothing: at each route in turn.

        So what is missing at one was looked for at the other before it is believed.
        """
        if self.build_elsewhere is not None and misses % 2:
            return self.build_elsewhere(task_id)
        return self.build(task_id)


SKEW: Final = timedelta(minutes=1)
"""So far the gateway's clock may be from ours."""


@dataclass(frozen=True)
class Wanted:
    """A paid call whose answer was lost, as its upstream task would tell of it."""

    mark: str
    """What it was sent with (`Call.mark`)."""
    operation: str
    prompt: str
    sent_at: datetime

    @property
    def not_before(self) -> datetime:
        """What the gateway calls older than this is another one."""
        return self.sent_at - SKEW


@dataclass(frozen=True)
class Found:
    """It has our mark, and nothing speaks against it."""

    task_id: str


@dataclass(frozen=True)
class Unfound:
    """Not to be seen; never a proof that nothing was charged."""

    told: str
    """What was seen instead, for people."""


Sight = Found | Unfound


@dataclass(frozen=True)
class Finding:
    """How the upstream task of a call is found whose answer was lost."""

    build: Callable[[Sequence[str], Wanted], Request]
    """From up to `most` ids of tasks that it may be, of which there may be none."""
    read: Callable[[Response, Wanted], Sight]
    """From an answer that holds no error about the question itself.

    Raises UnreadableReply for what is in no contract.
    """
    most: int = 100


@dataclass(frozen=True)
class Adapter:
    """One protocol of the gateway."""

    name: str
    build: Callable[[Call], Request]
    """The paid call."""
    read: Callable[[Response, Call], Outcome]
    """What its answer means, after `classify.refusal` found no error in it.

    Raises UnreadableReply for what is in no contract: then nobody knows what happened to the money.
    """
    looking: Looking | None = None
    """None for calls that answer with the result itself."""
    finding: Finding | None = None
    """None where the gateway shows nothing by which a task could be known for ours."""
    free_at: Container[int] = field(default=(), kw_only=True)
    """HTTP statuses of 5xx at which an error that the gateway tells in JSON costs nothing, unless its words say more.

    The contract names them for text, Gemini's own format, speech and embeddings alone (images 2.3, 5.8, 5.10).  Of
    other pictures and of films nobody knows: they may have been made.  A page is the edge's, which does not know what
    goes on behind it.
    """
    instead: Callable[[GatewayError, Call], Continued | None] | None = field(default=None, kw_only=True)
    """Another way to ask, of the same attempt, where a refusal says that nothing was charged and the channel only
    cannot express this one (images 8); None: there is none."""
