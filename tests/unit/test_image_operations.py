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
        ("image.generate", {"background": "transparent", "output_format": "jpeg"}, "/params/output_format"),
        ("image.edit", {"background": "transparent", "output_format": "jpeg", "images": 1}, "/params/output_format"),
        ("image.generate", {"output_format": "png", "output_compression": 50}, "/params/output_compression"),
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
        (
            "image.gemini",
            {"generation_config": {"thinking_config": {"thinking_budget": -1, "thinking_level": "low"}}},
            "/params/generation_config/thinking_config/thinking_level",
        ),
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


@pytest.mark.parametrize("form", ["png", "webp", None])
def test_a_transparent_picture_is_a_png_or_a_webp(form: str | None) -> None:
    asked = {"background": "transparent", **({"output_format": form} if form else {})}

    assert resolve("image.generate", model="gpt-image-1", **asked).params.given() == asked


@pytest.mark.parametrize("asked", [{"output_format": "webp", "output_compression": 50}, {"output_compression": 50}])
def test_a_picture_that_may_lose_something_is_compressed(asked: dict[str, Any]) -> None:
    assert resolve("image.generate", model="gpt-image-1", **asked).params.given() == asked


def test_the_smaller_nano_banana_has_one_size() -> None:
    assert "/params/image_size" in wrong("image.gemini", model="nano-banana", image_size="4K")
    assert resolve("image.gemini", model="nano-banana-pro", image_size="4K").params.given() == {"image_size": "4K"}


@pytest.mark.parametrize(
    ("model", "asked", "told"),
    [
        ("nano-banana", {"aspect_ratio": "1:8"}, "21:9, not 1:8 (model nano-banana)"),
        ("gemini-2.5-flash-image", {"aspect_ratio": "4:1"}, "21:9, not 4:1 (model gemini-2.5-flash-image)"),
        ("nano-banana-pro", {"aspect_ratio": "1:4"}, "21:9, not 1:4 (model nano-banana-pro)"),
        ("nano-banana-pro", {"image_size": "512"}, "image_size must be 1K, 2K or 4K, not 512"),
        ("doubao-seedream-4-0-250828", {"image_size": "512"}, "image_size must be 1K, 2K or 4K, not 512"),
        ("doubao-seedream-4-5-251128", {"image_size": "1K"}, "image_size must be 2K or 4K, not 1K"),
    ],
)
@pytest.mark.parametrize("operation", ["image.generate", "image.chat", "image.gemini"])
def test_a_shape_that_a_model_does_not_draw_is_refused_whatever_the_format(
    operation: str, model: str, asked: dict[str, Any], told: str
) -> None:
    ((pointer, detail),) = wrong(operation, model=model, **asked).items()

    assert pointer == f"/params/{next(iter(asked))}"
    assert told in detail


def test_the_newest_nano_banana_draws_the_longest_pictures() -> None:
    asked = {"aspect_ratio": "1:8", "image_size": "512"}

    assert resolve("image.gemini", model="nano-banana-2", **asked).params.given() == asked


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
