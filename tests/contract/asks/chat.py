"""Words over `/v1/chat/completions`."""

from __future__ import annotations

from typing import Any, Final

from tests.contract.asks.ask import Ask, Family, Way, json_call
from tests.contract.shapes import Loose

PORT: Final = {"type": "object", "properties": {"port": {"type": "string"}}}
TIMES: Final = {"type": "object", "properties": {"port": {"type": "string"}, "high": {"type": "string"}}}


def _tool(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def _writes(question: str = "Three colours?", **fields: Any) -> Way:
    told = [{"role": "user", "content": f"{question} {{prompt}}"}]
    return json_call("/v1/chat/completions", model="gpt-4.1-mini", messages=told, **fields)


WHOLE: Final = _writes()
STREAM: Final = _writes(stream=True)
TOOL: Final = _writes("get_tide", tools=[_tool("get_tide", PORT)])
TOOL_STREAM: Final = _writes("get_tide", tools=[_tool("get_tide", PORT)], stream=True)
TOOLS_STREAM: Final = _writes("get_tide, get_wind", tools=[_tool("get_tide", PORT), _tool("get_wind", {})], stream=True)
JSON: Final = _writes(response_format={"type": "json_schema", "json_schema": {"name": "tide", "schema": TIMES}})

COUNTS: Final = Loose(r"(data\.)?usage", "how tokens are counted differs by channel", True)
OPENAIS: Final = Loose(
    r"(data\.)?choices\[\d*\]\.(logprobs: null|message\.(refusal: null|annotations: empty list))|system_fingerprint: ",
    "OpenAI's own fields, empty here, which other channels leave out (5.1)",
)


def _stream(words: str, way: Way = STREAM, **more: Any) -> Ask:
    return Ask(way, words, **more)


ASKS: Final = {
    "0-cut-off.txt": Ask(WHOLE, "cut=unnoticed", media_type="application/json"),
    "0-empty.txt": Ask(WHOLE, "fail_after=200_empty"),
    "0-page.html": Ask(WHOLE, "variant=html200"),
    "2.1-E10.txt": _stream("fail_after=200_after_pings"),
    "2.1-E11-policy.txt": _stream("variant=error_event say=error_policy+no_first"),
    "2.1-E11.txt": _stream("variant=error_event say=no_first"),
    "2.3-503-upstream.json": Ask(WHOLE, "fail=503_upstream"),
    "2.4-content-filter-midway.json": Ask(WHOLE, "say=filtered_midway"),
    "2.4-content-filter-null.json": Ask(WHOLE, "variant=content_filter say=content_null"),
    "2.4-content-filter-stream.txt": _stream("say=filtered"),
    "2.4-content-filter.json": Ask(WHOLE, "variant=content_filter"),
    "2.4-empty-stream.txt": _stream("variant=empty"),
    "2.4-one-of-two-filtered.json": Ask(WHOLE, "say=one_filtered"),
    "2.5-200-error.json": Ask(WHOLE, "fail_after=200_rate_limit"),
    "5.1-citations.json": Ask(WHOLE, "variant=search say=citations"),
    "5.1-content-array.json": Ask(WHOLE, "variant=parts"),
    "5.1-empty.json": Ask(WHOLE, "variant=empty"),
    "5.1-finish-null.json": Ask(WHOLE, "say=finish_null"),
    "5.1-logprobs.json": Ask(WHOLE, "say=logprobs"),
    "5.1-no-choices.json": Ask(WHOLE, "say=no_choices"),
    "5.1-of-another-kind.json": Ask(WHOLE, "say=another_kind"),
    "5.1-picture.json": Ask(WHOLE, "variant=picture"),
    "5.1-several.json": Ask(WHOLE, "say=several"),
    "5.1-sound.json": Ask(WHOLE, "say=sound"),
    "5.1-wrapped.json": Ask(WHOLE, "say=wrapped"),
    "5.1.json": Ask(WHOLE),
    "5.2-broken-in-an-event.txt": _stream("say=cut_in_event"),
    "5.2-broken.txt": _stream("variant=unfinished say=no_usage"),
    "5.2-stream-in-one-chunk.txt": _stream("variant=one_chunk"),
    "5.2-stream-logprobs.txt": _stream("say=stream_logprobs"),
    "5.2-stream-of-messages.txt": _stream("say=messages"),
    "5.2-stream-sound.txt": _stream("say=stream_sound"),
    "5.2-stream-thoughts.txt": _stream("variant=thoughts say=role_with_words"),
    "5.2-stream-tools.txt": _stream("say=role_with_words", TOOLS_STREAM),
    "5.2-stream-vendor-keys.txt": _stream("say=vendor_keys", TOOL_STREAM),
    "5.2-stream-with-pings.txt": _stream("say=role_with_words+no_usage+pings+crlf", holds=b"\r\n\r\n"),
    "5.2-stream.txt": _stream(""),
    "5.3-500-count-token-failed.json": Ask(WHOLE, "fail=500_count_token"),
    "5.4-custom-tool.json": Ask(TOOL, "say=custom_tool"),
    "5.4-function-call.json": Ask(WHOLE, "say=function_call"),
    "5.4-tools-arguments.json": Ask(WHOLE, "say=arguments_broken"),
    "5.4-tools-cut-off.json": Ask(WHOLE, "say=arguments_cut_off"),
    "5.4-tools-stop.json": Ask(WHOLE, "say=calls_but_stops"),
    "5.4-tools.json": Ask(TOOL),
    "5.5-json.json": Ask(JSON),
    "5.5-length.json": Ask(WHOLE, "variant=length"),
    "5.5-refusal.json": Ask(WHOLE, "variant=refusal"),
    "5.6-budget-spent.json": Ask(WHOLE, "variant=budget_spent say=no_thoughts"),
    "5.6-reasoning-content.json": Ask(WHOLE, "variant=thoughts"),
    "5.6-reasoning.json": Ask(WHOLE, "say=reasoning"),
    "5.6-think.json": Ask(WHOLE, "variant=think_tag"),
}

FAMILY: Final = Family(ASKS, (COUNTS, OPENAIS))
