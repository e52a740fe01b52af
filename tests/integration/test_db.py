"""The database's answers are waited for, but not without end."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import OperationalError

from shared import db
from shared.settings import Settings
from tests.relay import Relay

IMPATIENT = db.Patience(statement_s=0.5, answer_s=1.0)


@pytest.fixture
def relay(settings: Settings) -> Iterator[Relay]:
    url = make_url(settings.database_url)
    assert url.host is not None
    assert url.port is not None
    with Relay(url.host, url.port) as made:
        yield made


@pytest.fixture
def engine(settings: Settings, relay: Relay) -> Iterator[Engine]:
    url = make_url(settings.database_url).set(host="127.0.0.1", port=relay.port)
    made = db.engine(url.render_as_string(hide_password=False), 2, "darkroom-tests", IMPATIENT)
    yield made
    relay.thaw()
    made.dispose()


def one(engine: Engine) -> int:
    with db.transactions(engine)() as session:
        return int(session.execute(text("SELECT 1")).scalar_one())


def test_a_frozen_database_is_given_up_and_found_again(engine: Engine, relay: Relay) -> None:
    assert one(engine) == 1
    relay.freeze()

    began = time.monotonic()
    with pytest.raises(OperationalError, match="did not answer within 1 s"):
        one(engine)
    assert time.monotonic() - began < 8

    relay.thaw()
    assert one(engine) == 1


def test_a_transaction_whose_commit_is_not_answered_is_an_error_and_not_an_endless_wait(
    engine: Engine, relay: Relay
) -> None:
    def commit() -> None:
        with db.transactions(engine)() as session:
            session.execute(text("SELECT 1"))
            relay.freeze()

    with pytest.raises(OperationalError):
        commit()

    relay.thaw()
    assert one(engine) == 1


def test_a_statement_that_takes_too_long_is_ended_by_the_server(engine: Engine) -> None:
    with pytest.raises(OperationalError, match="statement timeout"), db.transactions(engine)() as session:
        session.execute(text("SELECT pg_sleep(20)"))

    assert one(engine) == 1
