"""Answers of text: one shape of `result` for all formats, and what an answer without a text means.  Pure.

What every `result` has, whatever the format:

    text           all that was said, without thoughts; "" if the model only called tools or thought
    tool_calls     [{"id", "name", "arguments"}]; arguments are an object, or the text that came if it is none
    finish_reason  stop, length (cut off: a budget was spent, perhaps on thoughts alone), tool_calls, or the vendor's
                   own word; null where the gateway gave none
    usage          tokens, as the vendor counts them

and, where there is something to say: `model`, `id`, `reasoning` (thoughts, as text), `annotations` (citations as they
came), `details` (what the vendor says besides), and the answer as its format has it, to be sent back in the next
turn: `message` (chat, Claude, Gemini) or `output` (Responses).

Contract: gateway/images-text-audio-system.md 2.4, 2.5, 5.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shared.gateway import classify, enclosed, reading
from shared.gateway.outcome import ErrorClass, Outcome, Produced, Refused

FREE_AT: Final = frozenset({503, 529})
"""Statuses of an upstream that has too much to do: nothing was said, and nothing is charged (2.3)."""

FINISHES: Final[Mapping[str, str]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "completed": "stop",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_context_window_exceeded": "length",
}
"""The vendors' words for why an answer ended, folded, in those of the first format (5.1)."""


@dataclass(frozen=True)
class Answer:
    """What a model said, whatever the format."""

    text: str
    finish_reason: str
    """In the vendor's own word; empty where there is none."""
    tool_calls: Sequence[Mapping[str, Any]] = ()
    """As `tool_call` makes them."""
    reasoning: str = ""
    usage: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)
    """What its format has besides; fields that are empty are left out."""

    @property
    def finish(self) -> str:
        """Why it ended, in the words of the first format.  A call that was cut off is `length`, not a call."""
        word = reading.fold(self.finish_reason)
        known = FINISHES.get(word, word)
        return "tool_calls" if self.tool_calls and known in ("", "stop") else known


def tool_call(call_id: Any, name: Any, arguments: Any) -> dict[str, Any]:
    """One call of a tool; arguments that are JSON text become what they say, and nothing becomes `{}` (5.4)."""
    return {"id": call_id or None, "name": name, "arguments": _arguments(arguments)}


def produced(answer: Answer, *, holds_more: bool) -> Outcome:
    """A whole answer as a result; media that stand in it become artifacts, in the order in which they stand there.

    Args:
        holds_more: without a word it is an answer, too: something else is in it, or silence is one.
    """
    own, outputs = enclosed.taken_out({name: value for name, value in answer.own.items() if value})
    is_told = answer.text or answer.tool_calls or answer.reasoning or outputs
    if not (is_told or holds_more or answer.finish == "length"):
        return nothing(answer.finish)
    result = {
        "text": answer.text,
        "tool_calls": list(answer.tool_calls),
        "finish_reason": answer.finish or None,
        "usage": answer.usage or None,
        **({"reasoning": answer.reasoning} if answer.reasoning else {}),
        **own,
    }
    return Produced(outputs, result)


def blocked(code: str, words: str) -> Refused:
    """A refusal on policy in an answer that is paid for (2.4)."""
    told = words or "the prompt or the answer was blocked"
    return classify.refused(ErrorClass.CONTENT_POLICY, reading.fold(code), told, charged=True)


def failed(error: Mapping[str, Any]) -> Refused:
    """An error in the midst of an answer that said 200: what came before it is paid for, and may be all there is."""
    return classify.failure(classify.said(error), ErrorClass.UNKNOWN_OUTCOME, charged=True)


def nothing(finish: str = "") -> Refused:
    """A whole answer in which there is nothing, and the word with which it ended."""
    code = "empty_answer" if finish in ("", "stop") else finish
    return classify.refused(ErrorClass.NO_MEDIA, code, f"the answer holds nothing ({code})", charged=True)


def _arguments(value: Any) -> Any:
    if not isinstance(value, str):
        return {} if value is None else value
    try:
        found = json.loads(value) if value.strip() else {}
    except (ValueError, RecursionError):
        return value
    return found if isinstance(found, Mapping) else value
