"""The file of `DARKROOM_CATALOG`, checked before anything is started: what is wrong with it, and where, in one line."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from shared.catalog import wording
from shared.catalog.checking import nearest
from shared.catalog.entry import Entry, Lane, Limit, Price
from shared.catalog.lookup import Catalog, CatalogFile
from shared.errors import SettingsError


def check(path: Path) -> None:
    """
    Raises:
        SettingsError: the file cannot be read, or names what does not exist; each mistake once, on one line.
    """
    try:
        wrong = list(_wrong(tomllib.loads(path.read_text(encoding="utf-8"))))
    except OSError as error:
        wrong = [error.strerror or type(error).__name__]
    except UnicodeDecodeError:
        wrong = ["is not UTF-8 text"]
    except tomllib.TOMLDecodeError as error:
        wrong = [f"is not TOML: {error}"]
    if wrong:
        raise SettingsError(f"DARKROOM_CATALOG ({path}): {'; '.join(wrong)}")


def _wrong(file: Mapping[str, Any]) -> Iterator[str]:
    known = CatalogFile.model_fields
    for part in file:
        if part not in known:
            yield f"there is no [{part}]{nearest(part, known)}"
    lanes, models = file.get("lanes", {}), file.get("models", {})
    for part, given in (("lanes", lanes), ("models", models)):
        if not isinstance(given, dict) or not all(isinstance(one, dict) for one in given.values()):
            yield f"{part} must be tables, as [{part}.NAME]"
            return
    built_in = Catalog.built_in()
    yield from _wrong_ones("lanes", lanes, Lane, lambda one: built_in.overlaid(CatalogFile(lanes=one)))
    with_lanes = replace(built_in, lanes={**built_in.lanes, **{name: Lane() for name in lanes}})
    yield from _wrong_ones("models", models, Entry, lambda one: with_lanes.overlaid(CatalogFile(models=one)))


def _wrong_ones(
    part: str, given: Mapping[str, Any], kind: type[BaseModel], lay_over: Callable[[dict[str, Any]], object]
) -> Iterator[str]:
    """One after the other, so that each mistake is told with the name of its table."""
    for name, fields in given.items():
        try:
            lay_over({name: fields})
        except ValidationError as error:
            yield from (f"{part}.{name}.{told}" for told in _told(error, fields, kind))
        except ValueError as error:  # it names its model itself
            yield str(error)


def _told(error: ValidationError, given: Mapping[str, Any], kind: type[BaseModel]) -> Iterator[str]:
    for wrong in wording.told(error.errors(), given):
        place = ".".join(map(str, wrong.path))
        if wrong.kind == "extra_forbidden":
            known = kind.model_fields if len(wrong.path) == 1 else {**Price.model_fields, **Limit.model_fields}
            yield f"{place}: there is no such field{nearest(str(wrong.path[-1]), known)}"
        else:
            yield f"{place} {wrong.told}"
