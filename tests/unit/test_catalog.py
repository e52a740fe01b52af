"""Finding, checking and pricing what a job asks for."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from shared.catalog.entry import Entry, Lane, Limit, Price
from shared.catalog.lookup import UNLISTED, Catalog, Resolved
from shared.catalog.models.table import ENTRIES, LANES
from shared.catalog.operations.table import OPERATIONS
from shared.errors import InvalidRequest, SettingsError
from shared.gateway.adapters.table import BY_OPERATION

CATALOG = Catalog.built_in()
PARAMS = sorted({operation.params for operation in OPERATIONS.values()}, key=lambda kind: kind.__name__)
#: What some operations cannot be asked without, besides a prompt and inputs.
NEEDED: dict[str, dict[str, Any]] = {"rerank": {"documents": ["the tide", "a boat"]}}


def resolve(
    model: str = "nano-banana",
    *,
    operation: str | None = None,
    prompt: str | None = "a boat",
    images: int = 0,
    audio: int = 0,
    catalog: Catalog = CATALOG,
    **asked: Any,
) -> Resolved:
    counts = {role: count for role, count in {"images": images, "audio": audio}.items() if count}
    return catalog.resolve(model=model, operation=operation, prompt=prompt, params=asked, inputs_by_role=counts)


def is_writer(entry: Entry) -> bool:
    """Whether it is paid by the tokens of its answer, which nobody knows before."""
    return OPERATIONS[entry.operation].family == "text"


def wrong(**request: Any) -> dict[str, str]:
    """The fields that are wrong, by pointer."""
    with pytest.raises(InvalidRequest) as caught:
        resolve(**request)
    return {problem.pointer: problem.detail for problem in caught.value.errors}


@pytest.mark.parametrize("name", ENTRIES)
def test_every_model_has_operations_lane_and_bounds_that_exist(name: str) -> None:
    entry = ENTRIES[name]
    operations = [entry.operation, *filter(None, [entry.operation_with_images])]

    assert set(operations) <= set(OPERATIONS)
    assert entry.lane in LANES
    for operation in operations:
        fields = set(OPERATIONS[operation].params.model_fields)
        assert {*entry.limits, *entry.defaults} <= fields


@pytest.mark.parametrize("name", ENTRIES)
def test_every_model_has_a_title_a_price_and_times_that_fit_each_other(name: str) -> None:
    entry = ENTRIES[name]

    assert entry.title
    assert any(entry.price.model_dump().values()) != is_writer(entry)
    assert entry.first_look_s <= entry.typical_s < entry.stuck_after_s


@pytest.mark.parametrize("name", ENTRIES)
def test_every_model_can_be_asked_with_a_prompt_and_what_its_operation_cannot_do_without(name: str) -> None:
    entry = ENTRIES[name]
    operation = OPERATIONS[entry.operation]
    least = {role: allowed.least for role, allowed in operation.inputs.items() if allowed.least}
    if entry.min_images or operation.images_or:
        least["images"] = 1

    resolved = CATALOG.resolve(
        model=name, operation=None, prompt="a boat", params=NEEDED.get(operation.name, {}), inputs_by_role=least
    )

    assert (resolved.estimated_cost_usd is None) == (bool(entry.price.per_minute) or is_writer(entry))
    assert resolved.estimated_cost_usd is None or resolved.estimated_cost_usd > 0
    assert resolved.family == entry.lane


@pytest.mark.parametrize(
    ("model", "operation", "served"),
    [
        ("tts-1", "audio.transcription", "audio.speech"),
        ("whisper-1", "audio.speech", "audio.transcription, audio.translation"),
        ("gpt-4o-transcribe", "audio.translation", "audio.transcription"),
        ("text-embedding-3-small", "rerank", "embedding.create"),
    ],
)
def test_a_model_that_speaks_does_not_listen(model: str, operation: str, served: str) -> None:
    told = wrong(model=model, operation=operation, audio=1, **NEEDED["rerank"])["/operation"]

    assert told == f"model {model} does not serve {operation}; it serves {served}"


def test_a_model_that_listens_may_translate_if_it_can() -> None:
    assert resolve("whisper-1", operation="audio.translation", audio=1).operation.name == "audio.translation"


def test_an_operation_that_a_model_cannot_serve_is_refused_and_those_that_it_can_are_named() -> None:
    told = wrong(model="sora-2", operation="midjourney.imagine")["/operation"]

    assert told.startswith("model sora-2 does not serve midjourney.imagine; it serves video.")


def test_a_catalog_file_may_say_that_a_model_serves_more(tmp_path: Path) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text('[models."sora-2"]\noperations = ["midjourney.imagine"]')

    found = resolve("sora-2", operation="midjourney.imagine", catalog=Catalog.load(path))

    assert found.operation.name == "midjourney.imagine"


@pytest.mark.parametrize(
    ("operation", "usd"), [("midjourney.video", "0.80"), ("midjourney.imagine", "0.10"), ("midjourney.seed", "0.00")]
)
def test_what_an_operation_costs_is_estimated_whichever_model_is_named(operation: str, usd: str) -> None:
    params = {"task_id": "1"} if operation != "midjourney.imagine" else {}

    assert (
        str(
            resolve(
                "midjourney", operation=operation, prompt="a boat" if params == {} else None, **params
            ).estimated_cost_usd
        )
        == usd
    )


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_served_and_looks_for_its_task_if_it_has_one(name: str) -> None:
    operation = OPERATIONS[name]

    assert operation.name == name
    assert operation.title
    assert (BY_OPERATION[name].looking is not None) == operation.is_asynchronous


@pytest.mark.parametrize("kind", [*PARAMS, Entry, Lane, Limit, Price])
def test_every_field_that_users_write_is_described(kind: type[BaseModel]) -> None:
    silent = {name for name, field in kind.model_fields.items() if not field.description}

    assert silent <= {"minimum", "maximum", "price"}  # whose names and types say it all


def test_input_images_choose_the_operation() -> None:
    assert resolve("gpt-image-1").operation.name == "image.generate"
    assert resolve("gpt-image-1", images=1).operation.name == "image.edit"
    assert resolve("doubao-seedream-4-0-250828", images=1).operation.name == "image.generate"
    assert resolve("sora-2", images=1).operation.name == "video.create"


def test_an_operation_that_is_named_wins() -> None:
    assert resolve("gpt-image-1", operation="image.generate", images=1).operation.name == "image.generate"


def test_a_model_that_nobody_listed_can_be_used_with_an_operation() -> None:
    resolved = resolve("brand-new", operation="video.create", seconds=5)

    assert resolved.entry is UNLISTED
    assert (resolved.model, resolved.gateway_model, resolved.family) == ("brand-new", "brand-new", "other")
    assert resolved.estimated_cost_usd is None


@pytest.mark.parametrize(("model", "meant"), [("nano-bananna", "nano-banana"), ("sora2", "sora-2"), ("veo-3", "veo3")])
def test_an_unknown_model_is_told_with_the_nearest_name(model: str, meant: str) -> None:
    assert wrong(model=model)["/model"] == f"unknown model; did you mean {meant}?"


def test_a_name_that_is_near_nothing_is_told_without_a_guess() -> None:
    assert wrong(model="qqqqqqqqqq") == {"/model": "unknown model"}


def test_an_unknown_operation_is_told_with_the_nearest_name() -> None:
    assert wrong(operation="image.generat") == {"/operation": "unknown operation; did you mean image.generate?"}


def test_an_unknown_parameter_is_told_with_the_nearest_name() -> None:
    assert wrong(aspect_ration="3:2") == {
        "/params/aspect_ration": "image.generate has no such parameter; did you mean aspect_ratio?"
    }


def test_an_input_of_an_unknown_role_is_told_with_the_nearest_name() -> None:
    with pytest.raises(InvalidRequest) as caught:
        CATALOG.resolve(model="nano-banana", operation=None, prompt="x", params={}, inputs_by_role={"image": 1})

    assert caught.value.errors[0].pointer == "/inputs/image"
    assert "did you mean images?" in caught.value.errors[0].detail


@pytest.mark.parametrize(
    ("request_", "pointer", "told"),
    [
        ({"model": "sora-2", "seconds": 9}, "/params/seconds", "seconds must be 4, 8 or 12, not 9 (model sora-2)"),
        ({"model": "nano-banana", "n": 2}, "/params/n", "n must be at most 1, not 2 (model nano-banana)"),
        ({"model": "sora-2", "size": "640x480"}, "/params/size", "size must be 720x1280 or 1280x720, not 640x480"),
        ({"model": "nano-banana", "images": 4}, "/inputs/images", "must be 1 to 3, not 4 (model nano-banana)"),
        ({"model": "veo3", "images": 3}, "/inputs/images", "must be 0 to 2, not 3 (model veo3)"),
        ({"operation": "image.edit"}, "/inputs/images", "must be 1 to 3, not 0 (model nano-banana)"),
        ({"prompt": "  "}, "/prompt", "image.generate needs a prompt"),
        ({"prompt": None}, "/prompt", "image.generate needs a prompt"),
        ({"prompt": "x" * 32_001}, "/prompt", "must have at most 32000 characters"),
        ({"model": "midjourney", "prompt": "x" * 6_001}, "/prompt", "must have at most 6000 characters"),
        ({"model": "sora-2", "seconds": 61}, "/params/seconds", "must be 4, 8 or 12, not 61"),
        ({"size": "huge"}, "/params/size", "size must be WIDTHxHEIGHT as 1024x1024, a ratio as 16:9"),
        ({"model": "tts-1", "prompt": "x" * 4_097}, "/prompt", "must have at most 4096 characters"),
        ({"model": "tts-1", "prompt": None, "input": "x" * 4_097}, "/params/input", "at most 4096 characters"),
        ({"model": "tts-1", "prompt": None, "input": "  "}, "/params/input", "more than blanks"),
        ({"model": "tts-1", "speed": 5}, "/params/speed", "speed must be at most 4, not 5"),
        ({"model": "whisper-1"}, "/inputs/audio", "must be 1, not 0 (model whisper-1)"),
        ({"model": "whisper-1", "audio": 2}, "/inputs/audio", "must be 1, not 2 (model whisper-1)"),
        (
            {"model": "whisper-1", "audio": 1, "timestamp_granularities": ["word"], "response_format": "json"},
            "/params/timestamp_granularities",
            "needs response_format verbose_json",
        ),
        (
            {"model": "gpt-4o-transcribe", "audio": 1, "response_format": "srt"},
            "/params/response_format",
            "response_format must be json, not srt",
        ),
        (
            {"model": "text-embedding-3-small", "dimensions": 3072},
            "/params/dimensions",
            "dimensions must be at most 1536, not 3072",
        ),
        ({"model": "bge-reranker-v2-m3"}, "/params/documents", "documents is needed"),
        ({"model": "bge-reranker-v2-m3", "documents": []}, "/params/documents", "documents must not be empty"),
    ],
)
def test_what_is_out_of_bounds_is_told_with_its_field(request_: dict[str, Any], pointer: str, told: str) -> None:
    assert told in wrong(**request_)[pointer]


OWN_WORDS = [
    ("tts-1", "input", {}),
    ("text-embedding-3-small", "input", {}),
    ("bge-reranker-v2-m3", "query", NEEDED["rerank"]),
    ("gpt-5", "input", {}),
]


@pytest.mark.parametrize(("model", "name", "needed"), OWN_WORDS)
def test_a_parameter_may_stand_in_the_prompts_place(model: str, name: str, needed: dict[str, Any]) -> None:
    assert resolve(model, prompt=None, **{name: "a boat"}, **needed).params.given()[name] == "a boat"


@pytest.mark.parametrize(("model", "name", "needed"), OWN_WORDS)
def test_of_the_two_there_must_be_one_and_not_both(model: str, name: str, needed: dict[str, Any]) -> None:
    neither = wrong(model=model, prompt=" ", **needed)
    both = wrong(model=model, prompt="a boat", **{name: "a boat"}, **needed)

    assert neither["/prompt"].endswith(f"needs a prompt, or {name} in its parameters")
    assert "one of the two must be left out" in both[f"/params/{name}"]


TURN = {"role": "user", "content": "a boat"}
TOOL = {"type": "function", "function": {"name": "get_tide"}}
CONVERSATIONS: list[tuple[str, str, dict[str, Any]]] = [
    ("gpt-4.1-mini", "messages", TURN),
    ("claude-sonnet-4-5-20250929", "messages", TURN),
    ("gpt-5", "input", TURN),
    ("gemini-2.5-flash", "contents", {"role": "user", "parts": [{"text": "a boat"}]}),
]


@pytest.mark.parametrize(("model", "name", "turn"), CONVERSATIONS)
def test_a_conversation_may_stand_in_the_prompts_place(model: str, name: str, turn: dict[str, Any]) -> None:
    assert resolve(model, prompt=None, **{name: [turn]}).params.given()[name] == [turn]
    assert f"or {name} in its parameters" in wrong(model=model, prompt=None)["/prompt"]
    assert "one of the two" in wrong(model=model, **{name: [turn]})[f"/params/{name}"]


def test_free_json_goes_through_as_it_came() -> None:
    turns = [
        TURN,
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "topLevel": None}], "reasoning_content": ""},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "High"}]},
    ]
    schema = {"name": "tide", "schema": {"properties": {"high_at": {"type": ["string", "null"], "default": None}}}}

    asked = resolve(
        "gpt-4.1-mini",
        prompt=None,
        messages=turns,
        responseFormat={"type": "json_schema", "jsonSchema": schema},
        tools=[{**TOOL, "camelCase": None}],
    ).params.given()

    assert asked == {
        "messages": turns,
        "response_format": {"type": "json_schema", "json_schema": schema},
        "tools": [{**TOOL, "camelCase": None}],
    }


GPT, CLAUDE, GPT_5, GEMINI = (model for model, _, _ in CONVERSATIONS)


@pytest.mark.parametrize(
    ("model", "asked", "pointer", "told"),
    [
        (GPT, {"messages": []}, "/params/messages", "messages must not be empty"),
        (GPT, {"messages": [TURN, {"role": "bot", "content": "x"}]}, "/params/messages", "which item 1 is not"),
        (GPT, {"messages": [{"role": "user", "content": 7}]}, "/params/messages", "which item 0 is not"),
        (GPT, {"messages": ["a boat"]}, "/params/messages/0", "messages.0 must be an object"),
        (GPT, {"tools": [{"type": "function", "name": "get_tide"}]}, "/params/tools", "functions with a name"),
        (GPT, {"temperature": 2.5}, "/params/temperature", "at most 2"),
        (GPT, {"top_p": 0}, "/params/top_p", "more than 0"),
        (GPT, {"seed": 0}, "/params/seed", "at least 1"),
        (GPT, {"reasoning_effort": "huge"}, "/params/reasoning_effort", "xhigh"),
        (GPT, {"tool_choice": "any"}, "/params/tool_choice", "auto"),
        (GPT, {"response_format": {"type": "json_schema"}}, "/params/response_format", "must have a json_schema"),
        (
            GPT,
            {"web_search_options": {"search_context_size": "all"}},
            "/params/web_search_options/search_context_size",
            "low",
        ),
        (GPT, {"service_tier": "flex"}, "/params/service_tier", "has no such parameter"),
        (GPT_5, {"input": [{"content": "x"}]}, "/params/input", "items with a role or a type"),
        (GPT_5, {"input": "  "}, "/params/input", "more than blanks"),
        (GPT_5, {"background": True}, "/params/background", "has no such parameter"),
        (GPT_5, {"reasoning": {"effort": "low", "budget": 1}}, "/params/reasoning/budget", "no such parameter"),
        (CLAUDE, {"messages": [{"role": "system", "content": "x"}]}, "/params/messages", "user or assistant"),
        (CLAUDE, {"temperature": 1.5}, "/params/temperature", "at most 1"),
        (CLAUDE, {"thinking": {"type": "enabled"}}, "/params/thinking", "must have budget_tokens"),
        (
            CLAUDE,
            {"thinking": {"type": "enabled", "budget_tokens": 100}},
            "/params/thinking/budget_tokens",
            "at least 1024",
        ),
        (
            CLAUDE,
            {"max_tokens": 2_000, "thinking": {"type": "enabled", "budget_tokens": 2_000}},
            "/params/thinking",
            "must be less than max_tokens",
        ),
        (CLAUDE, {"anthropic_beta": ["a b"]}, "/params/anthropic_beta/0", "anthropic_beta"),
        (GEMINI, {"contents": [{"role": "user", "parts": []}]}, "/params/contents", "with parts"),
        (
            GEMINI,
            {"generation_config": {"thinking_config": {"thinking_budget": 128, "thinking_level": "low"}}},
            "/params/generation_config/thinking_config/thinking_level",
            "must be left out with thinking_budget",
        ),
    ],
)
def test_what_cannot_be_asked_of_a_writer_is_told_with_its_field(
    model: str, asked: dict[str, Any], pointer: str, told: str
) -> None:
    prompt = None if {"messages", "input", "contents"} & asked.keys() else "a boat"

    assert told in wrong(model=model, prompt=prompt, **asked)[pointer]


@pytest.mark.parametrize("operation", ["chat.completion", "response.create", "claude.message", "gemini.generate"])
@pytest.mark.parametrize("model", [GPT, GPT_5, CLAUDE, GEMINI])
def test_a_writer_serves_every_format_of_conversation(model: str, operation: str) -> None:
    assert resolve(model, operation=operation, images=2).operation.name == operation


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert set(wrong(prompt="", images=99, colour="red")) == {"/prompt", "/inputs/images", "/params/colour"}


def test_the_summary_names_how_many_fields_are_wrong() -> None:
    with pytest.raises(InvalidRequest, match="2 fields are wrong"):
        resolve(prompt="", n=2)


def test_a_parameter_may_be_spelled_as_the_gateway_does() -> None:
    assert resolve(aspectRatio="3:2").params.given() == {"aspect_ratio": "3:2"}


@pytest.mark.parametrize("name", ["a/b", "a~b"])
def test_a_pointer_is_escaped(name: str) -> None:
    assert list(wrong(**{name: 1})) == ["/params/" + name.replace("~", "~0").replace("/", "~1")]


def test_times_of_words_are_told_with_the_format_that_has_room_for_them() -> None:
    asked = {"timestamp_granularities": ["word", "segment"], "response_format": "verbose_json"}

    assert resolve("whisper-1", audio=1, **asked).params.given() == asked


def test_a_voice_is_there_if_none_was_asked_for() -> None:
    assert resolve("tts-1").params.given() == {"voice": "alloy"}
    assert resolve("tts-1", voice="nova").params.given() == {"voice": "nova"}


def test_the_defaults_of_a_model_are_sent_and_can_be_overridden() -> None:
    assert resolve("doubao-seedream-4-0-250828").params.given() == {"watermark": False}
    assert resolve("doubao-seedream-4-0-250828", watermark=True).params.given() == {"watermark": True}


@pytest.mark.parametrize(
    ("request_", "usd"),
    [
        ({"model": "nano-banana"}, "0.039"),
        ({"model": "gpt-image-1", "n": 3}, "0.126"),
        ({"model": "sora-2"}, "0.40"),
        ({"model": "sora-2", "seconds": 12}, "1.20"),
        ({"model": "veo3.1", "seconds": 8}, "3.20"),
        ({"model": "midjourney"}, "0.10"),
        ({"model": "tts-1", "prompt": "x" * 2_000}, "0.03"),
        ({"model": "tts-1-hd", "prompt": None, "input": "x" * 2_000}, "0.06"),
        ({"model": "text-embedding-3-small", "prompt": "x" * 4_000}, "0.00002"),
        ({"model": "text-embedding-3-small", "prompt": None, "input": ["x" * 2_000] * 2}, "0.00002"),
        ({"model": "text-embedding-3-small", "prompt": "x"}, "0.000001"),
        (
            {
                "model": "bge-reranker-v2-m3",
                "prompt": None,
                "query": "x" * 1_000,
                "documents": ["x" * 1_000, {"text": "x" * 2_000, "pages": 7}],
            },
            "0.00001",
        ),
    ],
)
def test_a_job_is_priced_by_pictures_by_seconds_and_by_words(request_: dict[str, Any], usd: str) -> None:
    assert str(resolve(**request_).estimated_cost_usd) == usd


def test_a_price_is_a_plain_decimal() -> None:
    catalog = Catalog({"dear": Entry(operation="image.generate", lane="other", price=Price(per_call=Decimal(100)))},
                      LANES, OPERATIONS)  # fmt: skip

    assert str(resolve("dear", catalog=catalog).estimated_cost_usd) == "100.00"


def overlaid(tmp_path: Path, toml: str) -> Catalog:
    path = tmp_path / "catalog.toml"
    path.write_text(toml, encoding="utf-8")
    return Catalog.load(path)


def test_without_a_file_the_catalog_is_the_built_in_one() -> None:
    assert Catalog.load(None) == Catalog.built_in()


def test_a_file_adds_a_model_and_a_lane(tmp_path: Path) -> None:
    catalog = overlaid(
        tmp_path,
        """
        [lanes.mine]
        limit = 2
        [models.flux]
        title = "Flux"
        operation = "image.generate"
        lane = "mine"
        gateway_model = "black-forest/flux"
        price = {per_call = "0.05"}
        limits = {n = {maximum = 1}}
        """,
    )

    resolved = resolve("flux", catalog=catalog)

    assert (resolved.family, resolved.gateway_model, resolved.estimated_cost_usd) == (
        "mine",
        "black-forest/flux",
        Decimal("0.05"),
    )
    assert catalog.lanes["mine"] == Lane(limit=2)
    assert resolve("nano-banana", catalog=catalog) == resolve("nano-banana")


def test_a_file_changes_only_the_fields_that_it_names(tmp_path: Path) -> None:
    catalog = overlaid(tmp_path, "[models.sora-2]\ntypical_s = 7\n[lanes.sora]\nlimit = 0")

    built_in = ENTRIES["sora-2"]
    assert catalog.models["sora-2"] == built_in.model_copy(update={"typical_s": 7})
    assert catalog.lanes["sora"] == Lane(limit=0, rate_per_minute=LANES["sora"].rate_per_minute)


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("[models.x", "catalog.toml"),
        ("[model.x]\nlane='other'", "model"),
        ("[models.x]\nlane = 'other'", "operation"),
        ("[models.x]\noperation = 'image.make'\nlane = 'other'", "did you mean image"),
        ("[models.x]\noperation = 'image.generate'\nlane = 'sorra'", "did you mean sora"),
        ("[models.x]\noperation = 'image.generate'\nlane = 'other'\ncolour = 1", "colour"),
        ("[lanes.x]\nlimit = -1", "limit"),
        ("[lanes.x]\nrate_per_minute = 0", "rate_per_minute"),
    ],
)
def test_a_file_that_is_wrong_is_told_by_name(tmp_path: Path, toml: str, told: str) -> None:
    with pytest.raises(SettingsError, match=r"^DARKROOM_CATALOG \(catalog\.toml\)") as caught:
        overlaid(tmp_path, toml)

    assert told in str(caught.value)


def test_a_file_that_is_not_there_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"DARKROOM_CATALOG \(nowhere\.toml\)"):
        Catalog.load(tmp_path / "nowhere.toml")


def test_a_file_that_is_not_text_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(SettingsError, match=r"binary\.toml"):
        Catalog.load(tmp_path / "binary.toml")


def test_a_model_of_the_file_with_a_limit_nobody_knows_still_resolves(tmp_path: Path) -> None:
    catalog = overlaid(
        tmp_path,
        "[models.x]\noperation='image.generate'\nlane='other'\nlimits={seed={minimum=5}}",
    )

    with pytest.raises(InvalidRequest, match="seed must be at least 5, not 4"):
        resolve("x", catalog=catalog, seed=4)
    assert resolve("x", catalog=catalog, seed=5)
