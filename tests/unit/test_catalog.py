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


def resolve(
    model: str = "nano-banana",
    *,
    operation: str | None = None,
    prompt: str | None = "a boat",
    images: int = 0,
    catalog: Catalog = CATALOG,
    **asked: Any,
) -> Resolved:
    counts = {"images": images} if images else {}
    return catalog.resolve(model=model, operation=operation, prompt=prompt, params=asked, inputs_by_role=counts)


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
    assert entry.price.per_call or entry.price.per_second
    assert entry.first_look_s <= entry.typical_s < entry.stuck_after_s


@pytest.mark.parametrize("name", ENTRIES)
def test_every_model_can_be_asked_with_a_prompt_alone(name: str) -> None:
    resolved = resolve(name)

    assert resolved.estimated_cost_usd > 0
    assert resolved.lane == f"default.{ENTRIES[name].lane}"


def test_an_operation_that_a_model_cannot_serve_is_refused_and_those_that_it_can_are_named() -> None:
    told = wrong(model="sora-2", operation="midjourney.imagine")["/operation"]

    assert told.startswith("model sora-2 does not serve midjourney.imagine; it serves video.")


def test_a_catalog_file_may_say_that_a_model_serves_more(tmp_path: Path) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text('[models."sora-2"]\noperations = ["midjourney.imagine"]')

    found = resolve("sora-2", operation="midjourney.imagine", catalog=Catalog.load(path))

    assert found.operation.name == "midjourney.imagine"


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
    assert (resolved.model, resolved.gateway_model, resolved.lane) == ("brand-new", "brand-new", "default.other")
    assert resolved.estimated_cost_usd == 0


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
        ({"model": "sora-2", "seconds": 61}, "/params/seconds", "less than or equal to 60"),
        ({"size": "huge"}, "/params/size", "pattern"),
    ],
)
def test_what_is_out_of_bounds_is_told_with_its_field(request_: dict[str, Any], pointer: str, told: str) -> None:
    assert told in wrong(**request_)[pointer]


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
    ],
)
def test_a_job_is_priced_by_pictures_and_by_seconds(request_: dict[str, Any], usd: str) -> None:
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

    assert (resolved.lane, resolved.gateway_model, resolved.estimated_cost_usd) == (
        "default.mine",
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
