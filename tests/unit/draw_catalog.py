"""`python -m tests.unit.draw_catalog` writes docs/catalog.md anew: every field of a `DARKROOM_CATALOG` file."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from shared.catalog.entry import Entry, Lane, Limit, Price
from shared.catalog.models.table import LANES

ROOT: Final = Path(__file__).parents[2]
PLACE: Final = ROOT / "docs" / "catalog.md"
EXAMPLE: Final = ROOT / "docs" / "catalog.toml"

PARTS: Final[Mapping[str, type[BaseModel]]] = {
    "`[models.NAME]`": Entry,
    "`[lanes.NAME]`": Lane,
    "`limits.PARAMETER` of a model": Limit,
    "`price` and `prices.OPERATION` of a model": Price,
}
"""Where each class stands in the file."""

TEMPLATE: Final = """\
# The catalog file

`DARKROOM_CATALOG` names a TOML file that adds models and lanes to the built-in catalog, or changes them. This page is
drawn from `shared/catalog/entry.py` by `python -m tests.unit.draw_catalog`; a test compares the two, and another one
loads the example.

- A name that the built-in catalog has changes that model or lane, and only in the fields that are given. Any other
  name adds one.
- A table within a model (`limits`, `defaults`, `price`, `prices`) takes the place of the whole table that was there.
- Operations and their parameters stand in [operations.md](operations.md), with the models that are built in. A model
  also serves those operations that give the same in another format.
- API and workers read the file when they start; `darkroom up` and `darkroom prepare` give the lanes their limits from
  it. A file that is wrong is refused by `darkroom up` before anything is started, with every mistake and its place.
  `darkroom doctor` looks at it, too.
- A model that is in no catalog can be used all the same if the job names its `operation`: it shares the lane `other`,
  and its price is unknown.

{parts}
## The built-in lanes

| lane | jobs in flight | calls a minute |
|---|---|---|
{lanes}

A lane belongs to a credential of the gateway: what the file calls `sora`, `GET /v1/lanes` calls `default.sora`,
and with several credentials (`docs/credentials.md`) each of them has one.

## An example with every field

It stands in [catalog.toml](catalog.toml).

```toml
{example}```
"""


def drawn() -> str:
    """What docs/catalog.md must say."""
    return TEMPLATE.format(
        parts="\n".join(_part(place, kind) for place, kind in PARTS.items()),
        lanes="\n".join(f"| `{name}` | {lane.limit} | {lane.rate_per_minute} |" for name, lane in LANES.items()),
        example=EXAMPLE.read_text(encoding="utf-8"),
    )


def _part(place: str, kind: type[BaseModel]) -> str:
    rows = "\n".join(_row(name, field) for name, field in kind.model_fields.items())
    meaning = " ".join((kind.__doc__ or "").split())
    return f"## {place}\n\n{meaning}\n\n| field | what stands there | default | meaning |\n|---|---|---|---|\n{rows}\n"


def _row(name: str, field: FieldInfo) -> str:
    kind = field.annotation
    of_its_class = kind.__doc__ if isinstance(kind, type) and issubclass(kind, BaseModel) else ""
    meaning = " ".join((field.description or of_its_class or "").split())
    return f"| `{name}` | {', '.join((_kind(field.annotation), *_bounds(field)))} | {_default(field)} | {meaning} |"


KINDS: Final[Mapping[Any, str]] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Decimal: 'number, or text as "0.039"',
    Limit: "table, see below",
    Price: "table, see below",
}
PLURALS: Final[Mapping[Any, str]] = {str: "texts", Limit: "tables, see below", Price: "tables, see below"}


def _kind(annotation: Any) -> str:
    """What TOML calls it."""
    origin, inner = get_origin(annotation), [each for each in get_args(annotation) if each not in (types.NoneType, ...)]
    if origin is tuple:
        return f"list of {_plural(inner[0])}"
    if origin is not None and issubclass(origin, Mapping):
        return f"table of {_plural(inner[1])}"
    return " or ".join(map(_kind, inner)) if inner else KINDS[annotation]


def _plural(annotation: Any) -> str:
    return PLURALS.get(annotation) or f"values, each {_kind(annotation)}"


BOUNDS: Final = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def _bounds(field: FieldInfo) -> Iterator[str]:
    for rule in field.metadata:
        yield from (f"{words} {getattr(rule, name):g}" for name, words in BOUNDS.items() if hasattr(rule, name))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given, for a new one"
    value = field.get_default(call_default_factory=True, validated_data={})
    return f"`{value}`" if isinstance(value, int | float | Decimal) else ""


if __name__ == "__main__":
    PLACE.write_text(drawn(), encoding="utf-8")
    print(PLACE)
