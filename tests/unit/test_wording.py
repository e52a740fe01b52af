"""What pydantic finds wrong, in our words."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from shared.catalog import wording
from shared.catalog.lookup import Catalog
from shared.catalog.operations.table import OPERATIONS
from shared.errors import InvalidRequest

CATALOG = Catalog.built_in()


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    place: str


class Form(BaseModel):
    whole: int = Field(5, ge=0, le=9)
    part: float = Field(1, gt=0, lt=2.5)
    flag: bool = True
    text: Annotated[str, StringConstraints(min_length=1, max_length=3)] = "a"
    texts: Annotated[list[str], Field(max_length=2)] = []
    choice: Literal["red", "blue"] = "red"
    form: Annotated[str, StringConstraints(pattern="^[abc]$")] = Field("a", description="One letter, as `a`.\nMore.")
    either: str | list[str] | None = None
    mixed: Literal["auto"] | dict[str, Any] = "auto"
    inner: Inner | None = None


def told(**given: Any) -> dict[tuple[str | int, ...], str]:
    described = {name: field.description or "" for name, field in Form.model_fields.items()}
    with pytest.raises(ValidationError) as caught:
        Form.model_validate(given)
    return {wrong.path: wrong.told for wrong in wording.told(caught.value.errors(), given, described)}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"whole": "x"}, 'must be a whole number, not "x"'),
        ({"whole": 1.5}, "must be a whole number, not 1.5"),
        ({"whole": None}, "must be a whole number, not null"),
        ({"whole": [1]}, "must be a whole number, not a list"),
        ({"whole": 10}, "must be at most 9, not 10"),
        ({"whole": -1}, "must be at least 0, not -1"),
        ({"part": "x" * 100}, f'must be a number, not "{"x" * 39}…'),
        ({"part": 0}, "must be more than 0, not 0"),
        ({"part": 3}, "must be less than 2.5, not 3"),
        ({"flag": "perhaps"}, 'must be true or false, not "perhaps"'),
        ({"text": 5}, "must be a string, not a number"),
        ({"text": {}}, "must be a string, not an object"),
        ({"text": ""}, "must not be empty"),
        ({"text": "abcd"}, "must have at most 3 characters"),
        ({"texts": "a"}, "must be a list, not a string"),
        ({"texts": ["a", "b", "c"]}, "must have at most 2 items"),
        ({"choice": "green"}, "must be red or blue, not green"),
        ({"choice": ""}, 'must be red or blue, not ""'),
        ({"choice": True}, "must be red or blue, not true"),
        ({"form": "z"}, "must be one letter, as a, not z"),
        ({"inner": 5}, "must be an object, not a number"),
    ],
)
def test_what_is_wrong_is_a_plain_sentence(given: dict[str, Any], said: str) -> None:
    (name,) = given

    assert told(**given) == {(name,): said}


@pytest.mark.parametrize(
    ("given", "path", "said"),
    [
        ({"either": 5}, ("either",), "must be a string or a list, not a number"),
        ({"either": ["a", 5]}, ("either", 1), "must be a string, not a number"),
        ({"mixed": 5}, ("mixed",), "must be auto or an object, not a number"),
        ({"mixed": "fast"}, ("mixed",), "must be auto or an object, not a string"),
        ({"inner": {}}, ("inner", "place"), "is needed"),
    ],
)
def test_of_a_union_one_thing_is_told_at_the_place_that_the_caller_wrote(
    given: dict[str, Any], path: tuple[str | int, ...], said: str
) -> None:
    assert told(**given) == {path: said}


SECRET = "a confession that nobody may repeat"


@pytest.mark.parametrize("given", [{"texts": SECRET}, {"text": SECRET}, {"mixed": SECRET}, {"inner": SECRET}])
def test_a_text_that_may_be_a_prompt_is_not_repeated(given: dict[str, Any]) -> None:
    assert SECRET[:10] not in str(told(**given))


def patterns() -> list[tuple[str, str]]:
    """Every parameter of every operation whose text has a form."""
    return [
        (operation.name, name)
        for operation in OPERATIONS.values()
        for name, field in operation.params.model_json_schema(by_alias=False)["properties"].items()
        if any("pattern" in option for option in (field, *field.get("anyOf", ())))
    ]


@pytest.mark.parametrize(("operation", "name"), patterns())
def test_a_form_is_told_in_words_and_never_as_a_pattern(operation: str, name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        CATALOG.resolve(model="any", operation=operation, prompt="x", params={name: "   "}, inputs_by_role={})

    said = next(problem.detail for problem in caught.value.errors if problem.pointer == f"/params/{name}")
    assert said.startswith(f"{name} must be ")
    assert not re.search(r"[\\^$|\[\]]", said)
    assert "written otherwise" not in said


def wrong(model: str, **params: Any) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        CATALOG.resolve(model=model, operation=None, prompt="x", params=params, inputs_by_role={})
    return {problem.pointer: problem.detail for problem in caught.value.errors}


@pytest.mark.parametrize(
    ("seconds", "shown"), [(999, "999"), ("x", '"x"'), (4.5, "4.5"), (True, "true"), ([], "a list")]
)
def test_the_values_of_a_model_are_told_whatever_its_operation_would_say(seconds: Any, shown: str) -> None:
    assert wrong("sora-2", seconds=seconds) == {
        "/params/seconds": f"seconds must be 4, 8 or 12, not {shown} (model sora-2)"
    }


def test_a_bound_of_a_model_is_told_in_place_of_its_operations() -> None:
    assert wrong("nano-banana", n=99) == {"/params/n": "n must be at most 1, not 99 (model nano-banana)"}


def test_what_is_wrong_by_the_model_and_what_is_wrong_by_its_operation_are_told_together() -> None:
    assert wrong("sora-2", seconds=9, watermark="perhaps", foo=1) == {
        "/params/seconds": "seconds must be 4, 8 or 12, not 9 (model sora-2)",
        "/params/watermark": 'watermark must be true or false, not "perhaps"',
        "/params/foo": "video.create has no such parameter",
    }


def test_a_parameter_in_both_spellings_is_refused_with_both_names() -> None:
    assert wrong("nano-banana", aspect_ratio="1:1", aspectRatio="3:2") == {
        "/params/aspectRatio": "aspect_ratio and aspectRatio are the same parameter; one of the two must be left out"
    }


def test_what_is_wrong_is_pointed_at_in_the_callers_spelling() -> None:
    assert wrong("nano-banana", outputFormat="gif") == {
        "/params/outputFormat": "output_format must be png, jpeg or webp, not gif"
    }


def test_a_default_of_a_model_gives_way_to_the_gateways_spelling_of_it() -> None:
    resolved = CATALOG.resolve(
        model="gpt-4o-transcribe-diarize",
        operation=None,
        prompt="",
        params={"chunkingStrategy": {"type": "server_vad"}},
        inputs_by_role={"audio": 1},
    )

    assert resolved.params.given() == {"chunking_strategy": {"type": "server_vad"}}


@pytest.mark.parametrize("name", ["n", "seed"])
def test_true_is_no_number(name: str) -> None:
    assert wrong("gpt-image-2", **{name: True}) == {f"/params/{name}": f"{name} must be a number, not true"}
