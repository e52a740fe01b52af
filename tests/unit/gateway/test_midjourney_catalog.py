"""What Midjourney's operations and models take, before anything is sent."""

from __future__ import annotations

from typing import Any, Final

import pytest

from shared.catalog.lookup import Catalog, Resolved
from shared.catalog.models import midjourney
from shared.errors import InvalidRequest

CATALOG: Final = Catalog.built_in()
TASK: Final = "1772611200345018"


def resolve(
    operation: str | None = None, model: str = "midjourney", prompt: str = "", inputs: Any = None, **params: Any
) -> Resolved:
    return CATALOG.resolve(
        model=model,
        operation=f"midjourney.{operation}" if operation else None,
        prompt=prompt,
        params=params,
        inputs_by_role=inputs or {},
    )


def wrong(operation: str, **request: Any) -> list[str]:
    with pytest.raises(InvalidRequest) as caught:
        resolve(operation, **request)
    return [problem.pointer for problem in caught.value.errors]


@pytest.mark.parametrize(
    ("model", "operation", "inputs", "params"),
    [
        ("midjourney", "imagine", {}, {}),
        ("midjourney", "imagine", {"images": 3}, {}),
        ("midjourney-fast", "imagine", {}, {"mode": "fast"}),
        ("midjourney-relax", "imagine", {}, {"mode": "relax"}),
        ("midjourney-turbo", "imagine", {}, {"mode": "turbo"}),
        ("midjourney-blend", "blend", {"images": 2}, {}),
        ("midjourney-describe", "describe", {"images": 1}, {}),
        ("midjourney-shorten", "shorten", {}, {}),
        ("midjourney-swap-face", "swap_face", {"source": 1, "target": 1}, {}),
        ("midjourney-video", "video", {"images": 1}, {}),
    ],
)
def test_each_model_does_its_own_without_an_operation(
    model: str, operation: str, inputs: dict[str, int], params: dict[str, Any]
) -> None:
    resolved = resolve(model=model, prompt="a boat", inputs=inputs)

    assert resolved.operation.name == f"midjourney.{operation}"
    assert resolved.params.given() == params


@pytest.mark.parametrize("model", midjourney.ENTRIES)
def test_each_model_serves_every_operation_that_is_named(model: str) -> None:
    assert resolve("seed", model=model, task_id=TASK).operation.name == "midjourney.seed"
    assert resolve("shorten", model=model, prompt="a boat").operation.gives == "text"


def test_the_speed_of_a_model_goes_with_every_submit_and_no_query() -> None:
    assert resolve("shorten", model="midjourney-relax", prompt="a boat").params.given() == {"mode": "relax"}
    assert resolve("seed", model="midjourney-relax", task_id=TASK).params.given() == {"task_id": TASK}


@pytest.mark.parametrize(
    ("operation", "request_", "pointers"),
    [
        ("imagine", {"inputs": {"images": 6}, "prompt": "x"}, ["/inputs/images"]),
        ("imagine", {}, ["/prompt"]),
        ("shorten", {}, ["/prompt"]),
        ("blend", {"inputs": {"images": 1}}, ["/inputs/images"]),
        ("blend", {"inputs": {"images": 6}}, ["/inputs/images"]),
        ("blend", {"inputs": {"images": 2}, "dimensions": "square"}, ["/params/dimensions"]),
        ("describe", {"inputs": {"images": 2}}, ["/inputs/images"]),
        ("swap_face", {"inputs": {"source": 1}}, ["/inputs/target"]),
        ("swap_face", {"inputs": {"images": 2}}, ["/inputs/images", "/inputs/source", "/inputs/target"]),
        ("action", {"task_id": TASK, "custom_id": "U1"}, ["/params/custom_id"]),
        ("change", {"task_id": TASK, "action": "UPSCALE"}, ["/params/index"]),
        ("change", {"task_id": TASK, "action": "UPSCALE", "index": 5}, ["/params/index"]),
        ("change", {"task_id": TASK, "action": "ZOOM", "index": 1}, ["/params/action"]),
        ("simple_change", {"content": "U2"}, ["/params/content"]),
        ("simple_change", {"content": f"{TASK} U5"}, ["/params/content"]),
        ("simple_change", {"content": f"{TASK}  U2"}, ["/params/content"]),
        ("simple_change", {"content": f"{TASK} U2", "task_id": "1"}, ["/params/task_id"]),
        ("modal", {}, ["/params/task_id"]),
        ("seed", {}, ["/params/task_id"]),
        ("video", {"inputs": {"images": 1}, "index": 0}, ["/params/index"]),
        ("video", {"task_id": TASK, "index": 4}, ["/params/index"]),
        ("video", {"inputs": {"images": 1}, "batch_size": 3}, ["/params/batch_size"]),
        ("video", {}, ["/inputs/images"]),
        ("video", {"inputs": {"end_image": 1}}, ["/inputs/images"]),
        ("video", {"inputs": {"images": 1}, "task_id": TASK}, ["/inputs/images"]),
        ("video", {"inputs": {"images": 1}, "taskId": TASK}, ["/inputs/images"]),
        ("video", {"inputs": {"images": 2}}, ["/inputs/images"]),
    ],
)
def test_what_would_be_refused_or_paid_in_vain_is_told_with_its_field(
    operation: str, request_: dict[str, Any], pointers: list[str]
) -> None:
    assert wrong(operation, **request_) == pointers


@pytest.mark.parametrize("content", [f"{TASK} U2", f"{TASK} v3", f"{TASK} R"])
def test_the_task_that_a_text_names_is_known_apart(content: str) -> None:
    """Else a project could go on from another's task, which is guarded by `task_id`."""
    assert resolve("simple_change", content=content).params.given()["task_id"] == TASK


def test_a_reroll_needs_no_number() -> None:
    assert "index" not in resolve("change", task_id=TASK, action="REROLL").params.given()
