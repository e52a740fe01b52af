"""Migrations make what the tables say, one after the other."""

from __future__ import annotations

import uuid
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlmodel import SQLModel

from shared import db, tables
from shared.migrations import migrate
from tests import stack as services


def differences(database_url: str) -> list[Any]:
    """What a database lacks, or has too much of."""
    assert tables  # loaded for their metadata
    engine = db.engine(database_url, 2, "darkroom-tests")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found: list[Any] = compare_metadata(context, SQLModel.metadata)
    engine.dispose()
    return found


def test_a_migrated_database_is_what_the_tables_say(database_url: str) -> None:
    assert differences(database_url) == []


def test_there_is_one_newest_revision() -> None:
    assert len(ScriptDirectory.from_config(migrate.config()).get_heads()) == 1


def test_what_the_previous_release_writes_is_taken_by_the_next_one(stack: dict[str, Any]) -> None:
    """It knows nothing of the columns that were added since."""
    url = services.new_database(stack["database_url"], f"migrations-{uuid.uuid4().hex}")
    engine = db.engine(url, 2, "darkroom-tests")

    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO lanes (name, limit_in_flight, rate_per_minute, tokens, tokens_at)"
                " VALUES ('default.old', 3, 60, 1, now())"
            )
        )
        by_hand = connection.execute(text("SELECT limit_by_hand, rate_by_hand FROM lanes")).one()

    engine.dispose()
    assert tuple(by_hand) == (False, False)


def test_the_revisions_since_the_second_can_be_taken_back_and_made_again(stack: dict[str, Any]) -> None:
    url = services.new_database(stack["database_url"], f"migrations-{uuid.uuid4().hex}")
    engine = db.engine(url, 2, "darkroom-tests", None)
    with engine.connect() as connection:
        config = migrate.config()
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
        connection.commit()
        older = inspect(connection).get_table_names()
    engine.dispose()

    migrate.upgrade(url)

    assert "gateway_views" not in older
    assert differences(url) == []
