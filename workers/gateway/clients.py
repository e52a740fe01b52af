"""The clients of all credentials: each sends its own key to its own gateway, all of them on one event loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

from shared import credentials
from shared.credentials import Credential
from shared.errors import DarkroomError
from shared.figures import Figures
from workers.gateway.client import Gateway, Loop


class NoCredential(DarkroomError):
    """A lane whose credential is not in this process's settings."""

    code = "no_credential"

    def __init__(self, name: str) -> None:
        super().__init__(f"no gateway credential named {name} is configured")


class Gateways:
    """Who speaks for which lane."""

    def __init__(self, by_credential: Mapping[str, Gateway], loop: Loop | None = None) -> None:
        """
        Args:
            by_credential: clients by the names of their credentials.
            loop: what they share, and is to be stopped after them.
        """
        self._by_credential = dict(by_credential)
        self._loop = loop

    @classmethod
    def of_credentials(cls, given: Iterable[Credential], figures: Figures, folder: Path | None = None) -> Self:
        loop = Loop()
        clients = {
            one.name: Gateway(one.base_url, one.api_key.get_secret_value(), figures, folder, loop) for one in given
        }
        return cls(clients, loop)

    def knows(self, lane: str) -> bool:
        return credentials.of_lane(lane) in self._by_credential

    def of(self, lane: str) -> Gateway:
        """The client of a lane.

        Raises:
            NoCredential: it was taken out of the settings, or is not there yet.
        """
        name = credentials.of_lane(lane)
        gateway = self._by_credential.get(name)
        if gateway is None:
            raise NoCredential(name)
        return gateway

    def stop(self) -> None:
        for gateway in self._by_credential.values():
            gateway.stop()
        if self._loop is not None:
            self._loop.stop()
