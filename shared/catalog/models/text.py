"""Models that write: data only.  Pure.

They are paid by the tokens that they read and write, which nobody knows before: so none has a price here, and a job
with one has no estimate.  Any of them serves every format of conversation that is named; each is asked in its own
vendor's unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shared.catalog.entry import Entry


def _writes(title: str, operation: str, typical_s: float) -> Entry:
    return Entry(title=title, operation=operation, lane="text", typical_s=typical_s, first_look_s=1)


ENTRIES: Final[Mapping[str, Entry]] = {
    "gpt-4.1": _writes("GPT-4.1", "chat.completion", 10),
    "gpt-4.1-mini": _writes("GPT-4.1 Mini", "chat.completion", 6),
    "gpt-5": _writes("GPT-5", "response.create", 40),
    "gpt-5-mini": _writes("GPT-5 Mini", "response.create", 20),
    "claude-sonnet-4-5-20250929": _writes("Claude Sonnet 4.5", "claude.message", 15),
    "claude-haiku-4-5-20251001": _writes("Claude Haiku 4.5", "claude.message", 6),
    "gemini-2.5-flash": _writes("Gemini 2.5 Flash", "gemini.generate", 8),
    "gemini-2.5-pro": _writes("Gemini 2.5 Pro", "gemini.generate", 25),
}
