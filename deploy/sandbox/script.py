"""Who behaves how: tags in the prompt, and rules posted to `/_sandbox/script`.

A rule without a route means the paid call, and the task and results that come of it; to spoil a query, a rule names
its route. Later rules add to earlier ones, tags add to rules.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from deploy.sandbox.behaviour import Behaviour
from deploy.sandbox.replies import Refused, openai_error

TAG: Final = re.compile(r"\s*\[\[sandbox(?P<action>\.action)?(?P<words>(?:\s[^\]]*)?)\]\]")
#: Other ways to press a button than `mj.action`; the tags for buttons are for them, too.
MJ_PRESSES: Final = ("mj.change", "mj.simple_change")
PAID_ROUTES: Final = frozenset(
    {
        *("images.generate", "images.edit", "videos.create", "videos.remix", "mj.imagine", "mj.action"),
        *("chat.completions", "gemini.generate", "gemini.stream", "responses.create", "claude.messages"),
        *("mj.blend", "mj.describe", "mj.shorten", "mj.swap_face", "mj.video", "mj.modal", *MJ_PRESSES),
        *("audio.speech", "audio.transcriptions", "audio.translations", "embeddings", "rerank"),
    }
)


class Match(BaseModel):
    """Which calls a rule means; what is left out matches all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    route: str | None = None
    model: str | None = None
    prompt_contains: str | None = None

    def meets(self, route: str, model: str, prompt: str) -> bool:
        return (
            (route in PAID_ROUTES if self.route is None else route == self.route)
            and self.model in (None, model)
            and (self.prompt_contains or "") in prompt
        )


class Rule(BaseModel):
    """Calls that match do this, the first `times` of them (None: all)."""

    model_config = ConfigDict(extra="forbid")

    match: Match = Match()
    times: int | None = Field(None, ge=0)
    do: dict[str, Any]


RULES: Final = TypeAdapter(list[Rule])


class Script:
    """The rules that hold now, kept in a file so that they survive a restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rules = RULES.validate_json(path.read_bytes()) if path.exists() else []

    def add(self, rules: Sequence[Rule]) -> None:
        for rule in rules:
            read(rule.do)
        self.rules.extend(rules)
        self._keep()

    def clear(self) -> None:
        self.rules.clear()
        self._keep()

    def behaviour(self, route: str, *, model: str = "", prompt: str = "") -> Behaviour:
        """What this call does; a rule with `times` is used up by one.

        Raises:
            Refused: a tag that nobody understands (400, naming it).
        """
        return read(self._ruled(route, model, prompt) | tags(prompt, is_action=route in ("mj.action", *MJ_PRESSES)))

    def query_behaviour(self, route: str, *, model: str = "", prompt: str = "") -> Behaviour:
        """What a query does, by the rules that name its route; tags speak of the paid call."""
        return read(self._ruled(route, model, prompt))

    def _ruled(self, route: str, model: str, prompt: str) -> dict[str, Any]:
        said: dict[str, Any] = {}
        for rule in self.rules:
            if rule.times == 0 or not rule.match.meets(route, model, prompt):
                continue
            said |= rule.do
            self._use(rule)
        return said

    def _use(self, rule: Rule) -> None:
        if rule.times is None:
            return
        rule.times -= 1
        self._keep()

    def _keep(self) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps([rule.model_dump(exclude_none=True) for rule in self.rules], ensure_ascii=False))
        os.replace(fresh, self._path)


def read(said: dict[str, Any]) -> Behaviour:
    """The behaviour that these words name, or a 400 that names the wrong one."""
    try:
        return Behaviour.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refused(openai_error(400, "sandbox_script", f"sandbox: {where}: {first['msg']}")) from error


def tags(prompt: str, *, is_action: bool = False) -> dict[str, Any]:
    """What the tags say: `[[sandbox …]]` of its call, `[[sandbox.action …]]` of buttons below its picture."""
    said: dict[str, Any] = {}
    for tag in TAG.finditer(prompt):
        if bool(tag["action"]) is is_action:
            said |= dict(_word(word) for word in tag["words"].split())
    return said


def _word(word: str) -> tuple[str, Any]:
    name, _, value = word.partition("=")
    return name, value or True


def drawn(prompt: str) -> str:
    """The prompt without its tags: what is painted."""
    return TAG.sub("", prompt).strip()
