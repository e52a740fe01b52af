"""Fixtures that most rings share: services for the run, and a database, a bucket and ports for each xdist worker."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr
from sqlalchemy import text
from sqlmodel import Session

from shared import db, ids
from shared.db import Transaction
from shared.settings import Settings
from shared.storage import Store
from tests import stack as services
from tests.factories import RecordedHints
from tests.sandbox import SandboxServer
from workers import ports as worker_ports
from workers.experience import Experience
from workers.near import Near
from workers.ports import Ports
from workers.spool import Spool


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    for name in [name for name in os.environ if name.startswith("DARKROOM_") and name != services.FOLDER]:
        del os.environ[name]  # what a developer has set must not reach a test
    # Plain, to standard output, which pytest keeps: structlog's own tracebacks take a second each.
    structlog.configure([structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])
    if not hasattr(config, "workerinput"):
        folder = services.begin()
        if config.option.basetemp is None:  # before pytest makes one that it would leave behind
            config.option.basetemp = str(folder / "tmp")


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        services.end()


@pytest.fixture(scope="session")
def stack() -> dict[str, Any]:
    """Addresses and keys of PostgreSQL, Redis and S3."""
    return services.services()


@pytest.fixture(scope="session")
def database_url(stack: dict[str, Any]) -> str:
    """A migrated database of this xdist worker."""
    return services.new_database(stack["database_url"], f"tests-{uuid.uuid4().hex}")


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    """A sandbox gateway of this xdist worker, in which nothing takes time."""
    server = SandboxServer(tmp_path_factory.mktemp("sandbox"), speed=0)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def settings(
    stack: dict[str, Any], database_url: str, sandbox: SandboxServer, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """Everything real, and nothing from the environment."""
    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        data_dir=tmp_path_factory.mktemp("data"),
        gateway_base_url=sandbox.url,
        gateway_api_key=SecretStr(sandbox.key),
        database_url=database_url,
        broker_url=stack["broker_url"],
        s3_endpoint_url=stack["s3_endpoint_url"],
        s3_access_key_id=stack["s3_access_key_id"],
        s3_secret_access_key=SecretStr(stack["s3_secret_access_key"]),
        s3_bucket=f"tests-{uuid.uuid4().hex}",
        database_pool=8,
    )


@pytest.fixture(scope="session")
def store(settings: Settings) -> Iterator[Store]:
    made = Store.from_settings(settings)
    made.ensure_bucket()
    yield made
    made.close()


@pytest.fixture(scope="session")
def transaction(settings: Settings) -> Iterator[Transaction]:
    engine = db.engine(settings.database_url, 8, "darkroom-tests")
    yield db.transactions(engine)
    engine.dispose()


@pytest.fixture
def session(transaction: Transaction) -> Iterator[Session]:
    """A transaction that is rolled back at the end of the test."""
    with transaction() as session:
        yield session
        session.rollback()


@pytest.fixture(scope="session")
def worker(settings: Settings, store: Store) -> Iterator[Ports]:
    """What a worker process has, with hints that are only recorded."""
    made = worker_ports.build(settings, lambda: None)
    made = replace(made, hints=RecordedHints())
    yield made
    made.close()


@pytest.fixture
def ports(worker: Ports, tmp_path: Path) -> Ports:
    """A worker process of this test's own, as far as claims can tell, and no work that another test left."""
    with worker.transaction() as session:
        session.execute(
            text("UPDATE jobs SET state = 'canceled' WHERE state NOT IN ('succeeded', 'failed', 'canceled')")
        )
        session.execute(text("DELETE FROM late_results"))
        session.execute(text("DELETE FROM held_attempts"))
    return replace(
        worker,
        process_id=ids.new("process"),
        hints=RecordedHints(),
        spool=Spool(tmp_path / "spool"),
        near=Near(0),  # everything goes by hints, which the test sees
        experience=Experience(),
    )


@pytest.fixture
def homely(ports: Ports) -> Ports:
    """A process that may call this machine's own addresses, for inputs and results."""
    return replace(ports, outbound=replace(ports.outbound, networks=(ip_network("127.0.0.0/8"),)))
