"""A sandbox gateway for each file of contract tests, in which nothing takes time."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.sandbox import SandboxServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    with SandboxServer(tmp_path_factory.mktemp("sandbox"), speed=0) as server:
        yield server


@pytest.fixture
def client(server: SandboxServer) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture
def ruled(server: SandboxServer) -> Iterator[SandboxServer]:
    """The server, for a test that writes rules."""
    yield server
    server.forget()
