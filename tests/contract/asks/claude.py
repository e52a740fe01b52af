"""Words over `/v1/messages`."""

from __future__ import annotations

from typing import Any, Final

from tests.contract.asks.ask import Ask, Family, Way, json_call
from tests.contract.shapes import Loose

PORT: Final = {"type": "object", "properties": {"port": {"type": "string"}}}


def _writes(question: str = "When is high tide?", **fields: Any) -> Way:
    told = [{"role": "user", "content": f"{question} {{prompt}}"}]
    return json_call("/v1/messages", model="claude-sonnet-4-5-20250929", max_tokens=4096, messages=told, **fields)


def _tool(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "input_schema": schema}


WHOLE: Final = _writes()
STREAM: Final = _writes(stream=True)
TOOL: Final = _writes("get_tide", tools=[_tool("get_tide", PORT)])
TOOL_STREAM: Final = _writes("get_tide", tools=[_tool("get_tide", PORT)], stream=True)
TOOLS_STREAM: Final = _writes("get_tide, get_wind", tools=[_tool("get_tide", PORT), _tool("get_wind", {})], stream=True)
NOTHING: Final = json_call("/v1/messages", model="claude-sonnet-4-5-20250929", max_tokens=64, messages=[])

OTHER_COUNTS: Final = Loose(
    r"(usage|choices\[\]\.logprobs)", "a completion in the place of a message is not read, so its counts do not matter"
)
CITED: Final = Loose(
    r"content_block\.citations: empty list",
    "a text with sources begins with an empty list, which some relays leave out",
)


def _stream(words: str, way: Way = STREAM, **more: Any) -> Ask:
    return Ask(way, words, **more)


ASKS: Final = {
    "0-cut-off.txt": Ask(WHOLE, "cut=unnoticed", media_type="application/json"),
    "0-empty.txt": Ask(WHOLE, "fail_after=200_empty"),
    "0-page.html": Ask(WHOLE, "variant=html200"),
    "2.1-E2-200.json": Ask(WHOLE, "fail_after=200_e2"),
    "2.1-E2-500-messages-required.json": Ask(NOTHING),
    "2.1-E2-529.json": Ask(WHOLE, "fail=529"),
    "5.14-budget-spent.json": Ask(WHOLE, "variant=budget_spent"),
    "5.14-context-window.json": Ask(WHOLE, "variant=length say=context_window"),
    "5.14-max-tokens.json": Ask(WHOLE, "variant=length"),
    "5.14-nothing-and-no-reason.json": Ask(WHOLE, "say=nothing_and_no_reason"),
    "5.14-nothing-to-add.json": Ask(WHOLE, "variant=empty"),
    "5.14-of-another-kind.json": Ask(WHOLE, "say=another_kind", loose=(OTHER_COUNTS,)),
    "5.14-pause-turn.json": Ask(WHOLE, "variant=search say=pause_turn"),
    "5.14-redacted-thinking.json": Ask(WHOLE, "say=redacted"),
    "5.14-refusal-without-words.json": Ask(WHOLE, "variant=content_filter"),
    "5.14-refusal.json": Ask(WHOLE, "variant=refusal"),
    "5.14-stop-sequence.json": Ask(WHOLE, "say=stop_sequence"),
    "5.14-stream-broken.txt": _stream("variant=thoughts say=broken"),
    "5.14-stream-error.txt": _stream("variant=thoughts say=error"),
    "5.14-stream-refusal.txt": _stream("say=no_pings+refusing"),
    "5.14-stream-tool-cut-off.txt": _stream("say=no_pings+cut_tool", TOOL_STREAM),
    "5.14-stream-tool-use.txt": _stream("say=no_pings", TOOLS_STREAM),
    "5.14-stream-web-search.txt": _stream("variant=search say=no_pings", loose=(CITED,)),
    "5.14-stream-without-stop.txt": _stream("variant=thoughts say=no_stop"),
    "5.14-stream.txt": _stream("variant=thoughts"),
    "5.14-tool-use.json": Ask(TOOL, "say=words_first"),
    "5.14-web-search.json": Ask(WHOLE, "variant=search say=spoken_in_two"),
    "5.14.json": Ask(WHOLE, "variant=thoughts"),
}

FAMILY: Final = Family(ASKS)
