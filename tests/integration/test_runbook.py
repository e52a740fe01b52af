"""The runbook's queries fit the schema: each is planned, none is run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import psycopg
import pytest

RUNBOOK: Final = (Path(__file__).parents[2] / "deploy" / "runbook.md").read_text(encoding="utf-8")
QUERIES: Final = re.findall(r"```sql\n(.*?)```", RUNBOOK, re.DOTALL)


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_a_query_of_the_runbook_can_be_planned(query: str, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        assert connection.execute(f"EXPLAIN {query}".encode()).fetchall()


def test_the_runbook_never_sets_a_state() -> None:
    changes = [query for query in QUERIES if query.startswith(("UPDATE", "DELETE", "INSERT"))]
    assert changes
    assert [query for query in changes if re.search(r"SET.*\bstate\s*=.*WHERE", query, re.DOTALL)] == []
