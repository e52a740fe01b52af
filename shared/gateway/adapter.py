"""The shape of an adapter: pairs of pure functions, one that builds a request and one that reads the reply.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shared.gateway.call import Call
from shared.gateway.outcome import Look, Outcome
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
