"""The client's front: one object with everything on it."""

from __future__ import annotations

from types import TracebackType
from typing import Self, Unpack

import httpx

from api.client.artifacts import Artifacts
from api.client.assets import Assets
from api.client.gateway import Gateway
from api.client.jobs import Jobs
from api.client.keys import Keys
from api.client.lanes import Lanes
from api.client.models import Models
from api.client.transport import Transport
from api.client.usage import Usage, UsageQuery, read_usage

PATIENCE_S = 30.0


class Darkroom:
    """A connection to one Darkroom.  Safe to share between threads; close it, or use it in a `with` block.

    Every method raises `ApiError` for an answer that is an error and `Unreachable` when there is none.  Lost
    connections, 502, 503, 504 and 429 are tried again for up to `patience_s` seconds; nothing is created twice.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        patience_s: float = PATIENCE_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """
        Args:
            transport: in place of the network, for tests.

        Raises:
            ValueError: not an http(s) address, or a key that no header can carry.
        """
        self._transport = Transport(base_url, api_key, patience_s, transport)
        self.base_url = self._transport.base_url
        self.jobs = Jobs(self._transport)
        self.artifacts = Artifacts(self._transport)
        self.assets = Assets(self._transport)
        self.models = Models(self._transport)
        self.lanes = Lanes(self._transport)
        self.gateway = Gateway(self._transport)
        self.keys = Keys(self._transport)

    def usage(self, **query: Unpack[UsageQuery]) -> Usage:
        """What your project used, by day and model unless told otherwise."""
        return read_usage(self._transport, query)

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
