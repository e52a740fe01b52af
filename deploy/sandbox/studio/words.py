"""What a model says: it follows from what it was asked, so that a test can tell whether all of it arrived.  Pure.

It repeats the question and names what it was shown.  It calls a tool that the question names, answers a schema with
JSON that fits, finds one page where it may search, and stops in the midst of a word where it may say no more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from deploy.sandbox.script import drawn

End = Literal["stop", "length", "calls", "filter", "refusal", "failed"]

CANNOT: Final = "I can't help with that."
THOUGHTS: Final = "Let me see what was asked …"
PAGE: Final = {"url": "https://tides.example/brest", "title": "Tides at Brest"}
"""What every search finds."""
LETTERS_A_TOKEN: Final = 4
LONG_LETTERS: Final = 100_000
ECHO_MOST: Final = 400
DEPTH_MOST: Final = 12
"""How deep a schema is followed; some refer to themselves."""


@dataclass(frozen=True)
class Tool:
    """A tool of the caller's."""

    name: str
    schema: Mapping[str, Any]
    """Of its arguments."""


@dataclass(frozen=True)
class Asked:
    """What the model is asked, whatever the format."""

    prompt: str
    """The last words of the user, with their tags."""
    system: str = ""
    shown: Sequence[str] = ()
    """What it was shown, in words: `a picture of 8x8 pixels`."""
    tools: Sequence[Tool] = ()
    choice: str = "auto"
    """Which tool it has to call: `any`, `none`, one by its name, or one that the question names (`auto`)."""
    may_search: bool = False
    schema: Mapping[str, Any] | None = None
    """Of the answer; an empty one is any JSON object."""
    thinks: bool = False
    most_tokens: int | None = None
    read_tokens: int = 0
    """Of all that it was given to read."""


@dataclass(frozen=True)
class Said:
    """What the model says, whatever the format."""

    text: str = ""
    thoughts: str = ""
    calls: Sequence[tuple[str, Mapping[str, Any]]] = ()
    """Names of tools, and with what they are called."""
    end: End = "stop"
    found: Sequence[Mapping[str, str]] = field(default_factory=tuple)
    """Pages that it read for it."""
    has_picture: bool = False

    @property
    def tokens(self) -> int:
        letters = len(self.text) + len(self.thoughts) + len(json.dumps(self.calls))
        return max(letters // LETTERS_A_TOKEN, 1)


def said(asked: Asked, variant: str) -> Said:
    """The answer, in a variant that is no matter of its form; as usual where it is one."""
    usual = _said(asked)
    make = VARIANTS.get(variant)
    return usual if make is None else make(usual)


def _said(asked: Asked) -> Said:
    prompt = drawn(asked.prompt)
    thoughts = f"The question is: {prompt[:ECHO_MOST]}" if asked.thinks else ""
    calls = [(tool.name, sample(tool.schema)) for tool in asked.tools if _is_meant(tool, asked, prompt)]
    if calls:
        return Said(thoughts=thoughts, calls=calls, end="calls")
    if asked.schema is not None:
        text = json.dumps(sample(asked.schema), ensure_ascii=False)
    else:
        text = _sentences(asked, prompt)
    whole = Said(text, thoughts, found=[PAGE] if asked.may_search else ())
    return _limited(whole, asked.most_tokens)


def _is_meant(tool: Tool, asked: Asked, prompt: str) -> bool:
    return tool.name in prompt if asked.choice == "auto" else asked.choice in ("any", tool.name)


def _sentences(asked: Asked, prompt: str) -> str:
    sentences = [
        f"You asked: {prompt[:ECHO_MOST]}",
        *([f"I was told: {asked.system[:ECHO_MOST]}"] if asked.system else []),
        *([f"I was shown {', '.join(asked.shown)}"] if asked.shown else []),
        *([f"I read {PAGE['title']}"] if asked.may_search else []),
    ]
    return "".join(f"{sentence}.\n" for sentence in sentences).strip()


def _limited(whole: Said, most_tokens: int | None) -> Said:
    """No more than was allowed; thoughts count, and may leave nothing for words."""
    if most_tokens is None or whole.tokens <= most_tokens:
        return whole
    letters = most_tokens * LETTERS_A_TOKEN
    thoughts = whole.thoughts[:letters]
    return replace(whole, thoughts=thoughts, text=whole.text[: letters - len(thoughts)], end="length")


#: What is said otherwise.
VARIANTS: Final[Mapping[str, Callable[[Said], Said]]] = {
    "long": lambda usual: replace(usual, text=(usual.text + "\n") * (LONG_LETTERS // (len(usual.text) + 1) + 1)),
    "length": lambda usual: replace(usual, text=usual.text[: len(usual.text) // 2], end="length"),
    "budget_spent": lambda usual: Said(thoughts=THOUGHTS, end="length"),
    "refusal": lambda usual: Said(CANNOT, end="refusal"),
    "content_filter": lambda usual: Said(end="filter"),
    "empty": lambda usual: Said(),
    "thoughts": lambda usual: replace(usual, thoughts=THOUGHTS),
    "think_tag": lambda usual: replace(usual, thoughts=THOUGHTS),
    "search": lambda usual: replace(usual, found=[PAGE]),
    "picture": lambda usual: replace(usual, has_picture=True),
    "failed": lambda usual: Said(end="failed"),
}


def sample(schema: Any, root: Any = None, depth: int = 0) -> Any:
    """A value that fits a JSON schema, or one in Google's dialect, as far as the usual words go."""
    root = schema if root is None else root
    if not isinstance(schema, Mapping) or depth > DEPTH_MOST:
        return None
    if "$ref" in schema:
        return sample(_referred(str(schema["$ref"]), root), root, depth + 1)
    for word in ("anyOf", "oneOf", "allOf"):
        if schema.get(word):
            return sample(schema[word][0], root, depth + 1)
    if "const" in schema or schema.get("enum"):
        return schema["const"] if "const" in schema else schema["enum"][0]
    kind = schema.get("type", "object")
    kind = str(kind[0] if isinstance(kind, list) else kind).lower()
    if kind == "object":
        return {name: sample(one, root, depth + 1) for name, one in (schema.get("properties") or {}).items()}
    if kind == "array":
        return [sample(schema.get("items", {"type": "string"}), root, depth + 1)]
    return _plain(kind, schema)


def _plain(kind: str, schema: Mapping[str, Any]) -> Any:
    if kind in ("integer", "number"):
        return schema.get("minimum", 1)
    return {"string": "Brest", "boolean": True}.get(kind)


def _referred(path: str, root: Any) -> Any:
    for step in path.removeprefix("#").strip("/").split("/"):
        root = root.get(step) if step and isinstance(root, Mapping) else root
    return root


def tokens_of(value: Any) -> int:
    """How many tokens it takes to read something, media apart."""
    return max(len(json.dumps(_without_media(value), ensure_ascii=False)) // LETTERS_A_TOKEN, 1)


def _without_media(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_media(one) for name, one in value.items() if name not in ("data", "file_data")}
    if isinstance(value, list):
        return [_without_media(one) for one in value]
    return "" if isinstance(value, str) and value.startswith("data:") else value
