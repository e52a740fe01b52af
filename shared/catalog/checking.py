"""A job's parameters, against those of its operation and the limits of its model.  Pure.

All that is wrong is told at once, each by the name that the caller gave it.  Where a model has limits of its own they
are told, also if a value fails the wider bounds of its operation: `seconds must be 4, 8 or 12, not 999`.
"""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from shared.catalog import wording
from shared.catalog.entry import Entry, Limit, Operation
from shared.catalog.params import Params
from shared.catalog.wording import Wrong, shown_value
from shared.errors import FieldError


def checked(
    operation: Operation, entry: Entry, model: str, given: Mapping[str, Any]
) -> tuple[Params | None, list[FieldError]]:
    """The parameters with the entry's defaults, or None with every one that is wrong.

    Args:
        given: by their names or the gateway's spelling of them.
    """
    fields = operation.params.model_fields
    spelled, doubled = _spelled(operation, given)
    # A default of the model may mean nothing to another operation that was named.
    defaults = {name: value for name, value in entry.defaults.items() if name in fields}
    values = {**defaults, **{name: given[key] for name, key in spelled.items()}}
    params, wrong = _validated(operation.params, values)
    if params is None:
        failed = {str(item.path[0]) for item in wrong if item.path}
        healthy, _ = _validated(operation.params, {name: values[name] for name in values if name not in failed})
    else:
        healthy = params
    problems = [*doubled, *(_problem(operation, entry, model, item, values, spelled) for item in wrong)]
    problems += _limit_problems(entry, model, healthy.given() if healthy is not None else {}, spelled)
    return (None if problems else params), problems


def _spelled(operation: Operation, given: Mapping[str, Any]) -> tuple[dict[str, str], list[FieldError]]:
    """The caller's spelling by name, and what was given in both spellings."""
    names = _names(operation)
    spelled: dict[str, str] = {}
    doubled = []
    for key in given:
        first = spelled.setdefault(names.get(key, key), key)
        if first != key:
            told = f"{first} and {key} are the same parameter; one of the two must be left out"
            doubled.append(FieldError(f"/params/{escaped(key)}", told))
    return spelled, doubled


def _names(operation: Operation) -> dict[str, str]:
    """The name of a parameter by the gateway's spelling of it."""
    return {field.alias or name: name for name, field in operation.params.model_fields.items()}


def _validated(kind: type[Params], values: Mapping[str, Any]) -> tuple[Params | None, list[Wrong]]:
    flags = {name: value for name, value in values.items() if isinstance(value, bool) and _counts(kind, name)}
    wrong = [Wrong((name,), "int_type", f"must be a number, not {shown_value(value)}") for name, value in flags.items()]
    described = {name: field.description or "" for name, field in kind.model_fields.items()}
    try:
        params = kind.model_validate({name: value for name, value in values.items() if name not in flags})
    except ValidationError as error:
        return None, [*wrong, *wording.told(error.errors(include_url=False), values, described)]
    return (None if wrong else params), wrong


def _counts(kind: type[Params], name: str) -> bool:
    """Whether a parameter is a number, for which pydantic would take true as 1."""
    field = kind.model_fields.get(name)
    members = set() if field is None else {field.annotation, *typing.get_args(field.annotation)}
    return bool(members & {int, float}) and bool not in members


def _problem(
    operation: Operation,
    entry: Entry,
    model: str,
    wrong: Wrong,
    values: Mapping[str, Any],
    spelled: Mapping[str, str],
) -> FieldError:
    outer, *inside = wrong.path or ("",)
    name = _names(operation).get(str(outer), str(outer))
    pointer = "/params/" + "/".join(escaped(step) for step in (spelled.get(name, name), *inside))
    if wrong.kind == "extra_forbidden":
        return FieldError(
            pointer, f"{operation.name} has no such parameter{nearest(name, operation.params.model_fields)}"
        )
    limit = None if inside else entry.limits.get(name)
    narrower = None if limit is None else _limit_told(name, values.get(name), limit)
    if narrower is not None:
        return FieldError(pointer, f"{narrower} (model {model})")
    return FieldError(pointer, f"{'.'.join(map(str, (name, *inside)))} {wrong.told}".lstrip())


def _limit_problems(entry: Entry, model: str, asked: Mapping[str, Any], spelled: Mapping[str, str]) -> list[FieldError]:
    told = ((name, _limit_told(name, asked[name], limit)) for name, limit in entry.limits.items() if name in asked)
    return [
        FieldError(f"/params/{escaped(spelled.get(name, name))}", f"{detail} (model {model})")
        for name, detail in told
        if detail
    ]


def _limit_told(name: str, value: Any, limit: Limit) -> str | None:
    """What is wrong with a value, or None."""
    if limit.values is not None and value not in limit.values:
        *most, last = [str(item) for item in limit.values]
        wanted = f"{', '.join(most)} or {last}" if most else last
        is_word = any(isinstance(item, str) for item in limit.values)
        return f"{name} must be {wanted}, not {shown_value(value, is_word=is_word)}"
    if not isinstance(value, int | float):
        return None
    if limit.maximum is not None and value > limit.maximum:
        return f"{name} must be at most {limit.maximum}, not {value}"
    if limit.minimum is not None and value < limit.minimum:
        return f"{name} must be at least {limit.minimum}, not {value}"
    return None


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?`, or nothing."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else ""


def escaped(part: int | str) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return str(part).replace("~", "~0").replace("/", "~1")
