"""What pydantic finds wrong, in our words: `must be a whole number, not "x"`.  Pure.

Of a union it tells once for each member, and names the member in the path.  Here the path is what the caller wrote,
and what is said of one place is one sentence.  Texts are never repeated: what was sent for one may be a prompt.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Path = tuple[str | int, ...]

SHOWN_MOST: Final = 40
"""Longest piece of a value that is shown, characters."""


@dataclass(frozen=True)
class Wrong:
    """One place that is wrong."""

    path: Path
    """Keys and indexes, from the outside."""
    kind: str
    """Pydantic's word for it."""
    told: str
    """Goes on where a name was said: `must be …`, `is needed`."""


NUMBERS: Final[Mapping[str, str]] = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}
OTHERS: Final[Mapping[str, str]] = {
    "string_type": "a string",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "an object",
    "mapping_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "none_required": "null",
}
CHOICES: Final = frozenset({"literal_error", "enum"})
BOUNDS: Final[Mapping[str, tuple[str, str]]] = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}
PATTERNS: Final[Mapping[str, str]] = {
    r"\S": "more than blanks",
    r"^[a-z]{2,3}$": "a language code as en or de",
    r"^[1-9]\d?:[1-9]\d?$": "a ratio as 16:9 or 3:2",
    r"^(auto|[1-9]\d{1,4}x[1-9]\d{1,4}|[1-9]\d?:[1-9]\d?|512|0\.5K|1K|2K|4K)$": (
        "WIDTHxHEIGHT as 1024x1024, a ratio as 16:9, 512, 0.5K, 1K, 2K, 4K or auto"
    ),
    r"^([1-9]\d{2,3}x[1-9]\d{2,3}|16x9|9x16|small|large)$": "WIDTHxHEIGHT as 1280x720, 16x9, 9x16, small or large",
}
"""What a pattern means.  One that is not listed is told by the description of its field."""


def told(problems: Iterable[Mapping[str, Any]], given: Any, described: Mapping[str, str] | None = None) -> list[Wrong]:
    """Every place that is wrong, once.

    Args:
        problems: `ValidationError.errors()`, with the inputs.
        given: what was validated.
        described: what the outermost fields are, in the words of their own documentation.
    """
    by_path: defaultdict[Path, list[Mapping[str, Any]]] = defaultdict(list)
    for problem in problems:
        by_path[_path(problem, given)].append(problem)
    return [
        _wrong(path, found, (described or {}).get(str(path[0]) if path else "", ""))
        for path, found in by_path.items()
        if not (_is_of_members(found) and any(path == longer[: len(path)] != longer for longer in by_path))
    ]


def _path(problem: Mapping[str, Any], given: Any) -> Path:
    """Without the names of union members that pydantic puts in between."""
    loc: Sequence[str | int] = problem["loc"]
    path: list[str | int] = []
    for step in loc:
        if _has(given, step):
            given = given[step]
            path.append(step)
    return (*path, loc[-1]) if problem["type"] == "missing" and loc else tuple(path)


def _has(value: Any, step: str | int) -> bool:
    if isinstance(value, Mapping):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and step < len(value)


def _is_of_members(problems: Sequence[Mapping[str, Any]]) -> bool:
    """Whether it is only said what else could have stood here; what is wrong inside of it says more."""
    return all(problem["type"] in {*NUMBERS, *OTHERS, *CHOICES} for problem in problems)


def _wrong(path: Path, problems: Sequence[Mapping[str, Any]], description: str) -> Wrong:
    further = [problem for problem in problems if not _is_of_members([problem])]
    if further:  # a member that it was of the type of
        return Wrong(path, further[0]["type"], _sentence(further[0], description))
    kinds = [problem["type"] for problem in problems]
    wanted = list(dict.fromkeys(_wanted(problem) for problem in problems))
    value = problems[0].get("input")
    if any(kind in OTHERS for kind in kinds):
        shown = called(value)
    else:
        shown = shown_value(value, is_word=any(kind in CHOICES for kind in kinds))
    return Wrong(path, kinds[0], f"must be {' or '.join(wanted)}, not {shown}")


def _wanted(problem: Mapping[str, Any]) -> str:
    kind = problem["type"]
    if kind in CHOICES:
        return str(problem["ctx"]["expected"]).replace("'", "")
    return NUMBERS.get(kind) or OTHERS[kind]


def _sentence(problem: Mapping[str, Any], description: str) -> str:
    kind, told, value = problem["type"], problem.get("ctx", {}), problem.get("input")
    if kind == "missing":
        return "is needed"
    if kind in BOUNDS:
        name, words = BOUNDS[kind]
        return f"must be {words} {_plain(told[name])}, not {shown_value(value)}"
    if kind == "string_pattern_mismatch":
        return f"must be {_in_words(told['pattern'], description)}, not {shown_value(value, is_word=True)}"
    if kind in ("string_too_short", "too_short"):
        least = told["min_length"]
        return "must not be empty" if least == 1 else f"must have at least {least} {_counted(kind)}"
    if kind in ("string_too_long", "too_long"):
        return f"must have at most {told['max_length']} {_counted(kind)}"
    message = str(problem["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return message.replace("Input should be", "must be")


def _counted(kind: str) -> str:
    return "characters" if kind.startswith("string") else "items"


def _plain(bound: Any) -> Any:
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


def _in_words(pattern: str, description: str) -> str:
    if pattern in PATTERNS:
        return PATTERNS[pattern]
    first, _, _ = description.replace("`", "").partition("\n")
    said = first.rstrip(".").strip()
    return f"{said[0].lower() if said[1:2].islower() else said[0]}{said[1:]}" if said else "written otherwise"


def shown_value(value: Any, *, is_word: bool = False) -> str:
    """A value as JSON, cut short; a word that stands among words goes without quotes."""
    if not isinstance(value, str | int | float | None):
        return called(value)
    text = value if is_word and isinstance(value, str) and value.strip() else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_MOST else f"{text[:SHOWN_MOST]}…"


def called(value: Any) -> str:
    """What kind of value it is, without what it says."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | float):
        return "a number"
    return "a string" if isinstance(value, str) else "an object" if isinstance(value, Mapping) else "a list"
