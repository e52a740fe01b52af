"""What may be asked of the four operations that give pictures."""

from __future__ import annotations

from typing import Any

import pytest

from shared.catalog.lookup import Catalog, Resolved
from shared.errors import InvalidRequest

CATALOG = Catalog.built_in()
TURN = {"role": "user", "content": "a boat"}
CONTENT = {"role": "user", "parts": [{"text": "a boat"}]}
UNSAFE = {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}


def resolve(
    operation: str, *, model: str = "nano-banana-pro", prompt: str = "a boat", images: int = 0, **asked: Any
) -> Resolved:
    counts = {"images": images} if images else {}
    return CATALOG.resolve(model=model, operation=operation, prompt=prompt, params=asked, inputs_by_role=counts)


def wrong(operation: str, **request: Any) -> dict[str, str]:
    """The fields that are wrong, by pointer."""
    with pytest.raises(InvalidRequest) as caught:
        resolve(operation, **request)
    return {problem.pointer: problem.detail for problem in caught.value.errors}


@pytest.mark.parametrize("operation", ["image.generate", "image.edit", "image.chat", "image.gemini"])
@pytest.mark.parametrize("model", ["nano-banana", "gpt-4o-image", "doubao-seedream-4-0-250828"])
def test_a_model_that_draws_serves_every_format_when_it_is_named(model: str, operation: str) -> None:
    resolved = resolve(operation, model=model, images=1)

    assert (resolved.operation.name, resolved.operation.gives) == (operation, "image")
    assert resolved.estimated_cost_usd is not None


def test_the_images_format_is_the_default() -> None:
    for model in ("nano-banana", "gpt-4o-image", "doubao-seedream-4-0-250828"):
        resolved = CATALOG.resolve(model=model, operation=None, prompt="a boat", params={}, inputs_by_role={})

        assert resolved.operation.name == "image.generate"


@pytest.mark.parametrize(
    ("operation", "name", "turns"), [("image.chat", "messages", [TURN]), ("image.gemini", "contents", [CONTENT])]
)
def test_a_conversation_may_stand_in_the_prompts_place(operation: str, name: str, turns: list[Any]) -> None:
    resolved = resolve(operation, prompt="", **{name: turns})

    assert resolved.params.given()[name] == turns
    assert set(wrong(operation, **{name: turns})) == {f"/params/{name}"}
    assert set(wrong(operation, prompt="")) == {"/prompt"}


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "someone", "content": "a boat"}],
        [{"role": "user", "content": 7}],
        [{"role": "system", "content": "Draw."}],
        [TURN] * 201,
    ],
)
def test_messages_of_no_conversation_are_refused(messages: list[Any]) -> None:
    assert set(wrong("image.chat", prompt="", messages=messages)) >= {"/params/messages"}


@pytest.mark.parametrize(
    "contents", [[], [{"role": "user"}], [{"role": "user", "parts": []}], [{**CONTENT, "role": "x"}]]
)
def test_contents_of_no_conversation_are_refused(contents: list[Any]) -> None:
    assert set(wrong("image.gemini", prompt="", contents=contents)) >= {"/params/contents"}


@pytest.mark.parametrize(
    ("operation", "asked", "pointer"),
    [
        ("image.chat", {"n": 0}, "/params/n"),
        ("image.chat", {"n": 16, "model": "unlisted"}, "/params/n"),
        ("image.chat", {"temperature": 2.1}, "/params/temperature"),
        ("image.chat", {"top_p": 0}, "/params/top_p"),
        ("image.chat", {"aspect_ratio": "wide"}, "/params/aspect_ratio"),
        ("image.chat", {"modalities": ["sound"]}, "/params/modalities/0"),
        ("image.chat", {"quality": "high"}, "/params/quality"),
        ("image.gemini", {"aspect_ratio": "7:5"}, "/params/aspect_ratio"),
        ("image.gemini", {"image_size": "8K"}, "/params/image_size"),
        ("image.gemini", {"n": 2}, "/params/n"),
        ("image.gemini", {"generation_config": {"temperature": 3}}, "/params/generation_config/temperature"),
        ("image.gemini", {"generation_config": {"shutter": 1}}, "/params/generation_config/shutter"),
        ("image.gemini", {"safety_settings": [{**UNSAFE, "threshold": "x"}]}, "/params/safety_settings/0/threshold"),
        ("image.gemini", {"tools": []}, "/params/tools"),
    ],
)
def test_what_the_format_does_not_keep_or_the_models_do_not_take_is_refused(
    operation: str, asked: dict[str, Any], pointer: str
) -> None:
    assert pointer in wrong(operation, **asked)


@pytest.mark.parametrize(
    ("model", "n", "most"),
    [
        ("nano-banana", 2, 1),
        ("gpt-4o-image", 5, 4),
        ("gpt-image-1", 11, 10),
        ("doubao-seedream-4-0-250828", 2, 1),
    ],
)
@pytest.mark.parametrize("operation", ["image.generate", "image.chat"])
def test_more_pictures_than_a_model_makes_are_refused_before_anything_is_sent(
    operation: str, model: str, n: int, most: int
) -> None:
    assert wrong(operation, model=model, n=n) == {"/params/n": f"n must be at most {most}, not {n} (model {model})"}
    assert resolve(operation, model=model, n=most).params.given()["n"] == most


def test_the_smaller_nano_banana_has_one_size() -> None:
    assert "/params/image_size" in wrong("image.gemini", model="nano-banana", image_size="4K")
    assert resolve("image.gemini", model="nano-banana-pro", image_size="4K").params.given() == {"image_size": "4K"}


def test_a_prompt_may_be_as_long_as_gpt_image_takes_it() -> None:
    assert resolve("image.generate", model="gpt-image-1", prompt="x" * 32_000).operation.name == "image.generate"
    assert "/prompt" in wrong("image.generate", model="gpt-image-1", prompt="x" * 32_001)


def test_gemini_words_are_taken_in_either_spelling() -> None:
    told = {
        "generationConfig": {"imageConfig": {"aspectRatio": "3:2"}, "thinkingConfig": {"thinkingLevel": "low"}},
        "safetySettings": [UNSAFE],
    }

    given = resolve("image.gemini", **told).params.given()

    assert given == {
        "generation_config": {
            "image_config": {"aspect_ratio": "3:2"},
            "thinking_config": {"thinking_level": "low"},
        },
        "safety_settings": [UNSAFE],
    }
