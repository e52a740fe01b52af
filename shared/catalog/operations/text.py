"""What the operations that give text have in common, whatever the format of the conversation.  Pure.

Source: gateway/images-text-audio-system.md 1.4, 1.5, 5.  Each format is a file of its own: `chat`, `responses`,
`claude`, `gemini_text`.  Free JSON (messages, tools, schemas) is handed on as it came: here only its outline is
checked, so that what cannot succeed is told before it is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from shared.catalog.entry import Role
from shared.catalog.params import Short

PROMPT_MOST: Final = 200_000
"""Longest prompt, characters: its words are searched, and PostgreSQL takes no more.  Messages may be longer."""
TURNS_MOST: Final = 4_000
"""Longest conversation, messages."""
TOKENS_MOST: Final = 2**30
"""What the gateway takes for a number of tokens (5.1)."""
TIMEOUT_S: Final = 330.0
"""Longest silence: the gateway ends a stream after 300 s of it (1.5)."""

Free = dict[str, Any]
"""JSON that is handed on as it came."""
Words = Annotated[str, StringConstraints(pattern=r"\S")]
Stops = Annotated[list[Short], Field(min_length=1, max_length=16)]

SEEN: Final[Mapping[str, Role]] = {"images": Role(0, 50), "files": Role(0, 20, ("document",))}
"""What most models look at besides words."""
HEARD: Final[Mapping[str, Role]] = {"audio": Role(0, 10, ("audio",)), "videos": Role(0, 10, ("video",))}
"""What some models listen to and watch."""


def each(wanted: str, is_right: Callable[[Mapping[str, Any]], bool]) -> AfterValidator:
    """A check of every object in a list.

    Args:
        wanted: what the list must hold, for people.
    """

    def check(items: list[Free]) -> list[Free]:
        place = next((place for place, item in enumerate(items) if not is_right(item)), None)
        if place is not None:
            told = "must hold {wanted}, which item {place} is not"
            raise PydanticCustomError("item", told, {"wanted": wanted, "place": place})
        return items

    return AfterValidator(check)


def is_named(value: Any, *names: str) -> bool:
    """Whether an object has a text under one of these names."""
    return isinstance(value, Mapping) and any(isinstance(value.get(name), str) and value[name] for name in names)
