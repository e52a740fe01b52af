"""Words over Gemini's own format."""

from __future__ import annotations

from typing import Any, Final

from tests.contract.asks.ask import Ask, Family, Way, json_call
from tests.contract.shapes import Loose

PATH: Final = "/v1beta/models/gemini-2.5-flash"
PORT: Final = {"type": "OBJECT", "properties": {"port": {"type": "STRING"}}}
LIST: Final = {"responseMimeType": "application/json", "responseSchema": {"type": "ARRAY", "items": {"type": "STRING"}}}


def _writes(action: str = "generateContent", question: str = "Which tides?", **fields: Any) -> Way:
    turn = [{"role": "user", "parts": [{"text": f"{question} {{prompt}}"}]}]
    return json_call(f"{PATH}:{action}", contents=turn, **fields)


def _tools(*names: str) -> list[Any]:
    return [{"functionDeclarations": [{"name": name, "parameters": PORT if "tide" in name else {}} for name in names]}]


SSE: Final = "streamGenerateContent?alt=sse"
WHOLE: Final = _writes()
STREAM: Final = _writes(SSE)
JSON: Final = _writes(generationConfig=LIST)
TOOL: Final = _writes(question="get_tide", tools=_tools("get_tide"))
TOOLS_STREAM: Final = _writes(SSE, "get_tide, get_wind", tools=_tools("get_tide", "get_wind"))

COUNTS: Final = Loose(r"(\[\d*\]\.)?usageMetadata", "which answers count tokens, and how, differs by channel (4.7)")
HEAD: Final = Loose(r"(modelVersion|responseId): ", "an answer without candidates may leave both out (2.4)")
OTHER_COUNTS: Final = Loose(
    r"(usage|choices\[\]\.logprobs)", "a completion in the place of an answer is not read, so its counts do not matter"
)


def _stream(words: str, way: Way = STREAM, **more: Any) -> Ask:
    return Ask(way, words, **more)


ASKS: Final = {
    "0-cut-off.txt": Ask(WHOLE, "cut=unnoticed", media_type="application/json"),
    "0-empty.txt": Ask(WHOLE, "fail_after=200_empty"),
    "0-page.html": Ask(WHOLE, "variant=html200"),
    "2.1-E11.txt": _stream("variant=error_event"),
    "2.1-E7.json": Ask(WHOLE, "fail=429_google", 429),
    "2.4-blocked-with-a-message.json": Ask(WHOLE, "say=blocked_with_message"),
    "2.4-blocked.json": Ask(WHOLE, "variant=content_filter"),
    "2.4-empty.json": Ask(WHOLE, "say=blank"),
    "2.4-first-of-two-blocked.json": Ask(WHOLE, "say=first_blocked"),
    "2.4-malformed-call.json": Ask(WHOLE, "say=malformed_call"),
    "2.4-no-candidates.json": Ask(WHOLE, "variant=empty"),
    "2.4-other.json": Ask(WHOLE, "say=other"),
    "2.4-prohibited-with-a-message.json": Ask(WHOLE, "say=prohibited"),
    "2.4-recitation-midway.json": Ask(WHOLE, "say=recitation"),
    "2.4-safety.json": Ask(WHOLE, "say=rated"),
    "3.3-V16.json": Ask(WHOLE, "variant=picture say=signed"),
    "4.5-snake.json": Ask(TOOL, "say=snake", loose=(Loose(r"usage_metadata", COUNTS.why),)),
    "4.7-array.json": Ask(STREAM, "say=ends_in_last+array"),
    "4.7-stream-blocked.txt": _stream("variant=content_filter say=blocked_safety"),
    "4.7-stream-broken-in-an-event.txt": _stream("say=cut_in_event"),
    "4.7-stream-broken.txt": _stream("variant=unfinished"),
    "4.7-stream-empty-end.txt": _stream(""),
    "4.7-stream-functions.txt": _stream("say=functions", TOOLS_STREAM),
    "4.7-stream-safety.txt": _stream("say=safety_in_the_end"),
    "4.7-stream-thoughts.txt": _stream("variant=thoughts say=signed_end"),
    "4.7-stream.txt": _stream("say=ends_in_last"),
    "5.13-budget-spent-no-parts.json": Ask(WHOLE, "say=no_parts"),
    "5.13-budget-spent.json": Ask(WHOLE, "say=no_content"),
    "5.13-code.json": Ask(WHOLE, "say=code"),
    "5.13-cut-off.json": Ask(WHOLE, "variant=length"),
    "5.13-functions.json": Ask(TOOL, "say=second_call"),
    "5.13-grounded.json": Ask(WHOLE, "variant=search say=grounded"),
    "5.13-json.json": Ask(JSON, "say=logprobs"),
    "5.13-of-another-kind.json": Ask(WHOLE, "say=another_kind", loose=(OTHER_COUNTS,)),
    "5.13-thoughts.json": Ask(WHOLE, "variant=thoughts say=signed"),
    "5.13.json": Ask(WHOLE),
}

FAMILY: Final = Family(ASKS, (COUNTS, HEAD))
