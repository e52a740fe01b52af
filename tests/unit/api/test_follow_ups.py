"""What a follow-up asks for, from what a result offers and what is wanted."""

from __future__ import annotations

from typing import Any

import pytest

from api.jobs import follow_ups
from api.jobs.follow_ups import FollowUp, Parent, Stored
from api.shapes import NewAction
from shared.errors import Conflict, InvalidRequest

TASK = "1772611200345018"
HASH = "7d2f0c11-0a3b-4f6e-9a77-3f5b2a9e0c41"
GRID = [
    *({"custom_id": f"MJ::JOB::upsample::{n}::{HASH}", "label": f"U{n}"} for n in (1, 2, 3, 4)),
    *({"custom_id": f"MJ::JOB::variation::{n}::{HASH}", "label": f"V{n}"} for n in (1, 2, 3, 4)),
    {"custom_id": f"MJ::JOB::reroll::0::{HASH}::SOLO", "emoji": "🔄"},
]
SINGLE = [
    {"custom_id": f"MJ::JOB::upsample_v6_2x_subtle::1::{HASH}::SOLO", "label": "Upscale (Subtle)"},
    {"custom_id": f"MJ::JOB::low_variation::1::{HASH}::SOLO", "label": "Vary (Subtle)"},
    {"custom_id": f"MJ::JOB::high_variation::1::{HASH}::SOLO", "label": "Vary (Strong)"},
    {"custom_id": f"MJ::Outpaint::50::1::{HASH}::SOLO", "label": "Zoom Out 2x"},
    {"custom_id": f"MJ::CustomZoom::{HASH}", "label": "Custom Zoom"},
    {"custom_id": f"MJ::Inpaint::1::{HASH}::SOLO", "label": "Vary (Region)"},
    {"custom_id": f"MJ::JOB::pan_left::1::{HASH}::SOLO", "emoji": "⬅️"},
    {"custom_id": f"MJ::JOB::pan_right::1::{HASH}::SOLO", "emoji": "➡️"},
]
MASK = {"mask": ["asset_mask"]}


def pictures(count: int, kind: str = "image") -> tuple[Stored, ...]:
    return tuple(Stored(f"artifact_{index}", kind) for index in range(count))


def parent(operation: str = "midjourney.imagine", buttons: Any = (), **facts: Any) -> Parent:
    values = {"prompt": "a boat", "params": {"mode": "relax"}, "task_id": TASK, "artifacts": pictures(1), **facts}
    return Parent(operation, buttons=buttons, **values)


def follow(of: Parent, **said: Any) -> FollowUp:
    return follow_ups.of(of, NewAction(**said))


def pointer(of: Parent, **said: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        follow(of, **said)
    (problem,) = caught.value.errors
    return problem.pointer


def conflict(of: Parent, **said: Any) -> str:
    with pytest.raises(Conflict) as caught:
        follow(of, **said)
    return caught.value.detail


# Buttons.


@pytest.mark.parametrize(
    ("buttons", "said", "custom_id"),
    [
        (GRID, {"action": "upscale", "index": 2}, f"MJ::JOB::upsample::2::{HASH}"),
        (GRID, {"action": "variation", "index": 4}, f"MJ::JOB::variation::4::{HASH}"),
        (GRID, {"action": "reroll"}, f"MJ::JOB::reroll::0::{HASH}::SOLO"),
        (GRID, {"action": "remix", "index": 3, "prompt": "at night"}, f"MJ::JOB::variation::3::{HASH}"),
        (GRID, {"custom_id": f"MJ::JOB::upsample::1::{HASH}"}, f"MJ::JOB::upsample::1::{HASH}"),
        (SINGLE, {"action": "upscale"}, f"MJ::JOB::upsample_v6_2x_subtle::1::{HASH}::SOLO"),
        (SINGLE, {"action": "variation", "direction": "strong"}, f"MJ::JOB::high_variation::1::{HASH}::SOLO"),
        (SINGLE, {"action": "remix", "prompt": "at night"}, f"MJ::JOB::low_variation::1::{HASH}::SOLO"),
        (SINGLE, {"action": "zoom"}, f"MJ::Outpaint::50::1::{HASH}::SOLO"),
        (SINGLE, {"action": "zoom", "prompt": "a bay"}, f"MJ::Outpaint::50::1::{HASH}::SOLO"),
        (SINGLE, {"action": "zoom", "prompt": "a bay --zoom 1.8"}, f"MJ::CustomZoom::{HASH}"),
        (SINGLE, {"action": "inpaint", "inputs": MASK}, f"MJ::Inpaint::1::{HASH}::SOLO"),
        (SINGLE, {"action": "pan", "direction": "right"}, f"MJ::JOB::pan_right::1::{HASH}::SOLO"),
    ],
)
def test_a_button_that_is_offered_is_pressed(buttons: Any, said: dict[str, Any], custom_id: str) -> None:
    asked = follow(parent(buttons=buttons), **said)

    assert asked.operation == "midjourney.action"
    assert (asked.params["custom_id"], asked.params["task_id"], asked.params["mode"]) == (custom_id, TASK, "relax")
    assert asked.prompt == said.get("prompt", "a boat")
    assert asked.inputs == said.get("inputs", {})


@pytest.mark.parametrize(
    ("buttons", "said", "asks"),
    [
        (GRID, {"action": "variation", "index": 1, "prompt": "at night"}, True),
        (GRID, {"action": "reroll", "prompt": "at night"}, True),
        (GRID, {"custom_id": f"MJ::JOB::variation::1::{HASH}", "prompt": "at night"}, True),
        (SINGLE, {"action": "pan", "direction": "left", "prompt": "at night"}, True),
        (SINGLE, {"action": "upscale", "prompt": "at night"}, False),
        (SINGLE, {"action": "zoom", "prompt": "a bay --zoom 2"}, False),
        (GRID, {"action": "variation", "index": 1}, False),
    ],
)
def test_another_prompt_asks_for_the_window_that_takes_it(buttons: Any, said: dict[str, Any], asks: bool) -> None:
    assert follow(parent(buttons=buttons), **said).params.get("enable_remix", False) is asks


def test_the_caller_may_say_otherwise() -> None:
    asked = follow(
        parent(buttons=GRID), action="reroll", prompt="at night", params={"enable_remix": False, "mode": "fast"}
    )

    assert (asked.params["enable_remix"], asked.params["mode"]) == (False, "fast")


@pytest.mark.parametrize(
    ("buttons", "said", "expected"),
    [
        (GRID, {}, "/action"),
        (GRID, {"action": "reroll", "custom_id": "MJ::x"}, "/action"),
        (GRID, {"action": "upscale"}, "/index"),
        (GRID, {"action": "remix", "prompt": "at night"}, "/index"),
        (GRID, {"action": "remix", "index": 1}, "/prompt"),
        (SINGLE, {"action": "pan"}, "/direction"),
        (SINGLE, {"action": "inpaint"}, "/inputs/mask"),
        (SINGLE, {"custom_id": f"MJ::Inpaint::1::{HASH}::SOLO"}, "/inputs/mask"),
        (SINGLE, {"custom_id": f"MJ::CustomZoom::{HASH}"}, "/prompt"),
        (SINGLE, {"custom_id": f"MJ::CustomZoom::{HASH}", "prompt": "a bay --zoom 3"}, "/prompt"),
    ],
)
def test_what_is_not_clear_is_asked_for(buttons: Any, said: dict[str, Any], expected: str) -> None:
    assert pointer(parent(buttons=buttons), **said) == expected


@pytest.mark.parametrize(
    ("buttons", "said"),
    [
        (GRID, {"action": "pan", "direction": "left"}),
        (GRID, {"action": "zoom", "prompt": "a bay --zoom 1.8"}),
        (GRID, {"custom_id": "MJ::JOB::upsample::1::made-up"}),
        (SINGLE, {"action": "upscale", "index": 3}),
        (SINGLE, {"action": "pan", "direction": "up"}),
        ([], {"action": "reroll"}),
    ],
)
def test_what_is_not_offered_is_answered_with_what_is(buttons: Any, said: dict[str, Any]) -> None:
    told = conflict(parent(buttons=buttons), **said)

    assert all(button["custom_id"] in told for button in buttons)
    assert buttons or told.endswith("it offers nothing")


# Films from pictures, and from films.


@pytest.mark.parametrize(
    ("of", "said", "image"),
    [
        (parent("midjourney.action", SINGLE), {}, "artifact_0"),
        (parent("midjourney.swap_face"), {}, "artifact_0"),
        (parent(buttons=GRID, artifacts=pictures(5)), {"index": 2}, "artifact_2"),  # the grid itself comes first
        (parent(buttons=GRID, artifacts=pictures(4)), {"index": 2}, "artifact_1"),
    ],
)
def test_a_single_picture_becomes_the_first_frame_of_a_film(of: Parent, said: dict[str, Any], image: str) -> None:
    asked = follow(of, action="animate", params={"motion": "high"}, **said)

    assert asked == FollowUp("midjourney.video", "", {"mode": "relax", "motion": "high"}, {"images": [image]})


@pytest.mark.parametrize("of", [parent(buttons=GRID), parent(), parent("midjourney.action", GRID)])
def test_four_pictures_in_one_are_not_animated(of: Parent) -> None:
    assert "upscale one of them first" in conflict(of, action="animate")


def test_words_are_not_animated() -> None:
    assert "no picture" in conflict(parent("midjourney.describe", artifacts=()), action="animate")


@pytest.mark.parametrize(("count", "said", "index"), [(4, {"index": 3}, 2), (1, {}, 0)])
def test_a_film_that_is_animated_goes_on(count: int, said: dict[str, Any], index: int) -> None:
    of = parent("midjourney.video", artifacts=pictures(count, "video"))

    asked = follow(of, action="animate", prompt="on and on", **said)

    assert asked == FollowUp("midjourney.video", "on and on", {"mode": "relax", "task_id": TASK, "index": index}, {})


def test_of_several_films_one_must_be_named() -> None:
    of = parent("midjourney.video", artifacts=pictures(4, "video"))

    assert pointer(of, action="animate") == "/index"
    assert "has 2" in conflict(parent("midjourney.video", artifacts=pictures(2, "video")), action="animate", index=3)


# Other models.


@pytest.mark.parametrize("operation", ["video.create", "video.remix"])
def test_a_film_is_remixed_by_another_prompt(operation: str) -> None:
    of = parent(operation, params={"seconds": 4}, task_id="video_1", artifacts=pictures(1, "video"))

    assert follow(of, action="remix", prompt="at night") == FollowUp(
        "video.remix", "at night", {"task_id": "video_1"}, {}
    )
    assert pointer(of, action="remix") == "/prompt"
    assert conflict(of, action="upscale").endswith("it offers remix")
    assert conflict(of, custom_id="MJ::x").endswith("it offers remix")


def test_a_film_whose_task_nobody_knows_is_not_remixed() -> None:
    of = parent("video.chat", params={}, task_id=None, artifacts=pictures(1, "video"))

    assert conflict(of, action="remix", prompt="at night").endswith("it offers nothing")


@pytest.mark.parametrize("action", ["variation", "remix"])
@pytest.mark.parametrize("operation", ["image.generate", "image.edit"])
def test_a_picture_is_changed_by_words(operation: str, action: str) -> None:
    of = parent(operation, params={"size": "1024x1024"}, task_id=None)

    asked = follow(of, action=action, prompt="at night", params={"n": 2})

    assert asked == FollowUp(None, "at night", {"n": 2}, {"images": ["artifact_0"]})
    assert pointer(of, action=action) == "/prompt"


def test_any_of_many_pictures_goes_on() -> None:
    of = parent("image.generate", artifacts=pictures(10), task_id=None)

    asked = follow(of, action="variation", index=10, prompt="at night")

    assert asked.inputs == {"images": ["artifact_9"]}
    assert "no number 11" in conflict(of, action="variation", index=11, prompt="at night")


def test_one_part_of_a_picture_is_changed_behind_a_mask() -> None:
    of = parent("image.generate", artifacts=pictures(3), task_id=None)

    asked = follow(of, action="inpaint", index=2, prompt="a red boat", inputs={**MASK, "images": ["asset_style"]})

    assert asked.inputs == {"images": ["artifact_1", "asset_style"], "mask": ["asset_mask"]}
    assert pointer(of, action="inpaint", index=2, prompt="a red boat") == "/inputs/mask"
    assert pointer(of, action="variation", prompt="a red boat") == "/index"
    assert "no number 4" in conflict(of, action="variation", prompt="a red boat", index=4)
    assert conflict(of, action="reroll").endswith("it offers variation, remix, inpaint")


@pytest.mark.parametrize("operation", ["audio.speech", "embedding.create", "chat.completion"])
def test_what_is_neither_film_nor_picture_has_no_follow_ups(operation: str) -> None:
    assert "has no follow-ups" in conflict(parent(operation, artifacts=()), action="reroll")
