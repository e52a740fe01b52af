"""docs/operations.md and the examples say what the catalog says."""

from __future__ import annotations

from shared.catalog.lookup import Catalog
from tests.unit import draw_operations

CATALOG = Catalog.built_in()


def test_the_page_is_drawn_from_the_catalog() -> None:
    committed = draw_operations.PLACE.read_text(encoding="utf-8")

    assert committed == draw_operations.drawn(), "write it anew: python -m tests.unit.draw_operations"


def test_every_operation_has_an_example() -> None:
    shown = {draw_operations.operation_of(wanted) for wanted in draw_operations.examples()}

    assert shown | set(draw_operations.BY_HAND) == set(CATALOG.operations)
