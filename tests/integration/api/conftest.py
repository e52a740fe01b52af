"""The API as users meet it: a real server on a real socket, over a database of its own."""

from __future__ import annotations

import io
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image
from sqlalchemy import func, select
from sqlmodel import col

from api.auth import make_key
from api.main import create_app
from api.ports import AppPorts
from api.routes import keys
from api.serve import Server, configured
from shared import db
from shared.catalog.lookup import Catalog
from shared.db import Transaction
from shared.outbound import Outbound
from shared.settings import Settings
from shared.storage import Store
from shared.tables import Project, Scope
from tests import factories
from tests import stack as services
from tests.factories import RecordedHints

PUBLIC = "93.184.216.34"
NAMES = {"example.com": [PUBLIC], "shop.example": [PUBLIC], "inside.example": ["10.0.0.7"]}
"""Our name server: no test asks a real one."""


def picture(width: int = 64, height: int = 48, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, form)
    return file.getvalue()


def lookup(host: str) -> list[str]:
    if host not in NAMES:
        raise OSError("no such host")
    return NAMES[host]


class Site:
    """A neighbour that users may name, since the settings allow it."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, bytes]] = {}
        site = self

        class Visit(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = site.pages.get(self.path, (404, b"nothing"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Visit)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    site = Site()
    thread = threading.Thread(target=site.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    site.server.shutdown()
    thread.join()
    site.server.server_close()


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Its address, while it runs in a thread of ours."""
    server = Server(configured(app, "127.0.0.1", 0))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        app.state.waiting.stop_soon()
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="session")
def api_settings(settings: Settings, stack: dict[str, Any]) -> Settings:
    """A database apart: what these tests queue must not be dispatched by others."""
    database_url = services.new_database(stack["database_url"], f"api-{uuid.uuid4().hex}")
    limits = {"json_limit_bytes": 2**20, "upload_limit_bytes": 2 * 2**20}
    return settings.model_copy(update={"database_url": database_url, **limits})


@pytest.fixture(scope="session")
def hints() -> RecordedHints:
    return RecordedHints()


@pytest.fixture(scope="session")
def app_ports(api_settings: Settings, store: Store, site: Site, hints: RecordedHints) -> Iterator[AppPorts]:
    engine = db.engine(api_settings.database_url, 8, "darkroom-tests")
    yield AppPorts(
        settings=api_settings,
        catalog=Catalog.built_in(),
        transaction=db.transactions(engine),
        store=store,
        outbound=Outbound(origins=frozenset({("127.0.0.1", site.port)}), lookup=lookup),
        hints=hints,
    )
    engine.dispose()


@pytest.fixture(scope="session")
def rows(app_ports: AppPorts) -> Transaction:
    """Transactions in the database of this API."""
    return app_ports.transaction


@pytest.fixture(scope="session")
def url(app_ports: AppPorts) -> Iterator[str]:
    with served(create_app(app_ports.settings, app_ports)) as address:
        yield address


@pytest.fixture(scope="session")
def serve(app_ports: AppPorts) -> Callable[..., AbstractContextManager[str]]:
    """Another API over the same database, with some ports or settings that differ."""

    @contextmanager
    def serve(*, store: Store | None = None, **settings: Any) -> Iterator[str]:
        changed = app_ports.settings.model_copy(update=settings)
        ports = replace(app_ports, settings=changed, store=store or app_ports.store)
        with served(create_app(changed, ports)) as address:
            yield address

    return serve


@dataclass
class Team:
    """A project of a test's own, and its keys."""

    project_id: str
    url: str
    transaction: Transaction
    made: list[httpx.Client]

    def key(self, *scopes: Scope) -> str:
        key = make_key()
        with self.transaction() as session:
            keys.make(session, self.project_id, "a key", list(scopes), key)
        return key

    def client(self, *scopes: Scope, url: str = "") -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key(*scopes)}"}
        client = httpx.Client(base_url=url or self.url, headers=headers, timeout=30, trust_env=False)
        self.made.append(client)
        return client


@pytest.fixture
def team(url: str, rows: Transaction) -> Iterator[Team]:
    with rows() as session:
        factories.project(session, "the first one")  # the operator's, so that this one is not
        project = factories.project(session)
    made = Team(project.id, url, rows, [])
    yield made
    for client in made.made:
        client.close()


@pytest.fixture
def strangers(url: str, rows: Transaction) -> Iterator[Team]:
    """Another project."""
    with rows() as session:
        project = factories.project(session, "strangers")
    made = Team(project.id, url, rows, [])
    yield made
    for client in made.made:
        client.close()


@pytest.fixture
def operator(url: str, rows: Transaction, team: Team) -> Iterator[Team]:
    """The first project."""
    with rows() as session:
        project_id = session.execute(select(func.min(col(Project.id)))).scalar_one()
    made = Team(project_id, url, rows, [])
    yield made
    for client in made.made:
        client.close()


@pytest.fixture
def api(team: Team) -> httpx.Client:
    """With a key that may write."""
    return team.client(Scope.WRITE)


@pytest.fixture
def anybody(url: str) -> Iterator[httpx.Client]:
    """Without a key."""
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        yield client
