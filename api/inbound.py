"""JSON from outside, checked before anything believes it.  Pure.

What `json.loads` lets through and PostgreSQL or a driver then chokes on (NaN, NUL, lone surrogates), and what
costs far more memory than it has bytes (deep nesting, millions of empty lists), is refused here (reliability 4.2).
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

from shared.errors import FieldError, InvalidRequest

DEPTH_MOST: Final = 32
"""Lists and objects inside each other."""
VALUES_MOST: Final = 200_000
"""Values in one body; each costs some hundred bytes of memory, however short it is."""
KEYS_MOST: Final = 1_000
"""Fields of one object."""

_STRINGS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_BRACKETS: Final = re.compile(rb"[\[\]{}]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def read(body: bytes) -> Any:
    """The value of a JSON body.

    Raises:
        InvalidRequest: it is no JSON, or none that can be kept.
    """
    _check_shape(body)
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise InvalidRequest("the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise InvalidRequest(
            f"the body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except ValueError:
        raise InvalidRequest("the body holds a number that is too long") from None
    _check_values(value, "")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidRequest(f"the body is not valid JSON: {name} is not a number that JSON knows")


def _check_shape(body: bytes) -> None:
    """Before it is parsed: how deep it goes, and how many values it has."""
    skeleton = _STRINGS.sub(b"", body)
    if skeleton.count(b",") + skeleton.count(b"[") + skeleton.count(b"{") > VALUES_MOST:
        raise InvalidRequest(f"the body has more than {VALUES_MOST} values")
    depth = 0
    for bracket in _BRACKETS.findall(skeleton):
        depth += 1 if bracket in b"[{" else -1
        if depth > DEPTH_MOST:
            raise InvalidRequest(f"the body is nested deeper than {DEPTH_MOST} levels")


def _check_values(value: Any, pointer: str) -> None:
    if isinstance(value, str):
        _check_text(value, pointer)
    elif isinstance(value, dict):
        if len(value) > KEYS_MOST:
            raise _wrong(pointer, f"has more than {KEYS_MOST} fields")
        for key, item in value.items():
            _check_text(key, pointer)
            _check_values(item, f"{pointer}/{escaped(key)}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_values(item, f"{pointer}/{index}")
    elif isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise _wrong(pointer, "is a number too large to be kept")


def _check_text(text: str, pointer: str) -> None:
    if "\x00" in text:
        raise _wrong(pointer, "holds a NUL character, which cannot be kept")
    if _SURROGATE.search(text):
        raise _wrong(pointer, "holds half of a surrogate pair, which is not text")


def _wrong(pointer: str, detail: str) -> InvalidRequest:
    return InvalidRequest(f"{pointer or 'the body'} {detail}", (FieldError(pointer, detail),))


def escaped(part: object) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return str(part).replace("~", "~0").replace("/", "~1")
