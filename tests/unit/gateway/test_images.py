from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any, Final

import pytest

from shared.errors import InputRefused
from shared.gateway import reading
from shared.gateway.adapters import images
from shared.gateway.call import Call, Media
from shared.gateway.outcome import ErrorClass, Outcome, Produced, Refused, Source
from shared.gateway.request import Part, Response
from tests.unit.gateway.replies import IN_NO_CONTRACT, JPEG, PNG, ROOT, call, reply

URL: Final = Source(url="https://cdn.example.net/i/8f2a.png")
TOS: Final = "https://ark-content.example.com/a.jpeg"

#: By file, the sources of each picture in it; `bytes` where the picture is in the answer.
PICTURES: Final[dict[str, list[list[Source | type[bytes]]]]] = {
    "3.3-V1-url.json": [[URL]],
    "3.3-V1-url-signed.json": [[Source(url=f"{TOS}?X-Tos-Expires=86400&X-Tos-Signature=ab%2Bcd")]],
    "3.3-V2-b64.json": [[bytes]],
    "3.3-V3-url-empty.json": [[bytes]],
    "3.3-V3-b64-empty.json": [[URL]],
    "3.3-V4-data-url-in-url.json": [[bytes]],
    "3.3-V4-data-url-in-b64.json": [[bytes]],
    "3.4-b64-url-safe-in-lines-unpadded.json": [[bytes]],
    "3.4-b64-jpeg-begins-with-a-slash.json": [[bytes]],
    "3.3-V5-mixed.json": [[Source(url=f"{TOS}?X-Tos-Expires=86400&X-Tos-Signature=abc")]],
    "3.3-V5-error-beside-data.json": [[URL]],
    "3.3-V7-openai.txt": [[bytes]],
    "3.3-V7-ark.txt": [[Source(url=TOS)]],
    "4.10-stream-one-of-two-failed.txt": [[URL]],
    "4.10-reverse-with-usage.json": [[Source(url="https://cdn.example.net/g/51.png")]],
    "3.4-data-one-object.json": [[URL]],
    "3.4-images.json": [[URL]],
    "3.4-output-strings.json": [[URL]],
    "3.4-nested-image-url.json": [[URL]],
    "3.4-image-url-text.json": [[URL]],
    "3.4-image.json": [[URL]],
    "3.4-the-same-twice.json": [[URL]],
    "3.5-relative-url.json": [[Source(path="/v1/files/img_1/content?sig=abc")]],
    "3.5-url-without-scheme.json": [[URL]],
    "3.5-url-at-the-gateway.json": [[Source(url="https://gw.example/files/img_1.png")]],
}

#: By file, why there is no picture in it: class, code, and whether it is counted as paid.
NO_PICTURE: Final[dict[str, tuple[ErrorClass, str, bool]]] = {
    "3.3-V5-empty.json": (ErrorClass.NO_MEDIA, "empty_data", True),
    "3.3-V5-null.json": (ErrorClass.NO_MEDIA, "empty_data", True),
    "3.3-V5-both-keys-empty.json": (ErrorClass.NO_MEDIA, "empty_data", True),
    "2.4-success-beside-no-data.json": (ErrorClass.NO_MEDIA, "empty_data", True),
    "2.4-refusal-in-an-item.json": (ErrorClass.NO_MEDIA, "refusal_text", True),
    "2.4-refusal-beside-no-data.json": (ErrorClass.NO_MEDIA, "refusal_text", True),
    "4.14-all-failed-policy.json": (ErrorClass.CONTENT_POLICY, "outputimagesensitivecontentdetected", True),
    "4.14-all-failed.json": (ErrorClass.NO_MEDIA, "internalserviceerror", True),
    "4.14-error-beside-error-items.json": (ErrorClass.NO_MEDIA, "internalserviceerror", True),
    "3.3-V7-ark-all-failed.txt": (ErrorClass.CONTENT_POLICY, "outputimagesensitivecontentdetected", True),
    "4.10-stream-error.txt": (ErrorClass.UNKNOWN_OUTCOME, "unknown_outcome", True),
    "4.10-stream-error-without-a-key.txt": (ErrorClass.CONTENT_POLICY, "moderation_blocked", True),
    "3.3-V6-task.json": (ErrorClass.UNKNOWN_OUTCOME, "async_receipt", True),
    "3.3-V6-task-in-data.json": (ErrorClass.UNKNOWN_OUTCOME, "async_receipt", True),
    "1.3-null.json": (ErrorClass.UNKNOWN_OUTCOME, "unreadable_reply", False),
    "1.3-object-of-another-kind.json": (ErrorClass.UNKNOWN_OUTCOME, "unreadable_reply", False),
    **dict.fromkeys(IN_NO_CONTRACT, (ErrorClass.UNKNOWN_OUTCOME, "unreadable_reply", False)),
}

REPLIES: Final = frozenset(f"images/{name}" for name in (*PICTURES, *NO_PICTURE))


def read(response: Response, asked: Call | None = None) -> Outcome:
    asked = asked or call("image.generate")
    return reading.outcome_of(response, lambda answer: images.read(answer, asked))


def produced(name: str, asked: Call | None = None) -> Produced:
    outcome = read(reply(f"images/{name}"), asked)
    assert isinstance(outcome, Produced)
    return outcome


def refused(name: str) -> Refused:
    outcome = read(reply(f"images/{name}"))
    assert isinstance(outcome, Refused)
    return outcome


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_each_way_a_picture_comes_back_is_read(name: str) -> None:
    outputs = produced(name).outputs

    assert [output.kind for output in outputs] == ["image"] * len(PICTURES[name])
    found = [[bytes if source.content else source for source in output.sources] for output in outputs]
    assert found == PICTURES[name]


@pytest.mark.parametrize("name", sorted(name for name, found in PICTURES.items() if found == [[bytes]]))
def test_a_picture_in_the_answer_is_decoded(name: str) -> None:
    content = produced(name).outputs[0].sources[0].content

    assert content is not None
    assert content.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"))
    assert content.endswith((b"IEND\xaeB`\x82", b"\xff\xd9"))


@pytest.mark.parametrize("name", sorted(NO_PICTURE))
def test_an_answer_without_a_picture_says_why(name: str) -> None:
    error = refused(name).error

    assert (error.error_class, error.code, error.charged) == NO_PICTURE[name]
    assert error.upstream_status == 200
    assert error.message


def test_a_refusal_is_handed_on_in_the_models_own_words() -> None:
    message = refused("2.4-refusal-in-an-item.json").error.message

    assert message == "I can't create that image because it shows a real event."


def test_a_receipt_names_the_task_that_may_be_paid_for() -> None:
    assert "task_Qm3k9sT2vX7p" in refused("3.3-V6-task.json").error.message


def test_fewer_pictures_than_asked_for_are_a_result_that_says_so() -> None:
    result = produced("3.3-V5-mixed.json", call("image.generate", n=2)).result

    assert (result["delivered"], result["requested"]) == (1, 2)
    assert result["usage"]["generated_images"] == 1
    assert result["errors"] == [
        {
            "code": "outputimagesensitivecontentdetected",
            "message": "The output image may contain sensitive information.",
        }
    ]


def test_revised_prompts_are_kept() -> None:
    assert produced("4.10-reverse-with-usage.json").result["revised_prompts"] == ["a tin robot, studio light"]


def test_an_answer_that_is_the_picture_itself_is_taken() -> None:
    outcome = read(Response(200, {"content-type": "image/png"}, PNG.content))

    assert isinstance(outcome, Produced)
    assert outcome.outputs[0].sources == (Source(content=PNG.content),)


def test_base64_goes_before_a_url_of_the_same_picture() -> None:
    text = base64.b64encode(PNG.content * 3).decode()
    body = {"data": [{"url": URL.url, "b64_json": text}]}

    outcome = read(Response(200, body=json.dumps(body).encode()))

    assert isinstance(outcome, Produced)
    assert outcome.outputs[0].sources == (Source(content=PNG.content * 3), URL)


@pytest.mark.parametrize("item", [7, None, "pending", {"image": "img_1"}, {"url": "pending"}, [], {"image_url": {}}])
def test_what_is_no_picture_is_not_taken_for_one(item: Any) -> None:
    outcome = read(Response(200, body=json.dumps({"data": [item]}).encode()))

    assert isinstance(outcome, Refused)
    assert outcome.error.error_class is ErrorClass.NO_MEDIA


@pytest.mark.parametrize("cut", range(0, 600, 7))
def test_a_stream_that_broke_off_anywhere_gives_a_picture_or_an_unknown_outcome(cut: int) -> None:
    whole = (ROOT / "images/3.3-V7-openai.txt").read_bytes()

    outcome = read(Response(200, {"content-type": "text/event-stream"}, whole[: len(whole) - cut]))

    is_unknown = isinstance(outcome, Refused) and outcome.error.error_class is ErrorClass.UNKNOWN_OUTCOME
    assert isinstance(outcome, Produced) or is_unknown


def test_what_was_not_asked_for_is_not_sent() -> None:
    request = images.GENERATE.build(call("image.generate"))

    assert (request.method, request.path, request.name) == ("POST", "/v1/images/generations", "image.generate")
    assert request.json == {"model": "the-model", "prompt": "a tin robot"}
    assert request.timeout_s == 330


def test_what_was_asked_for_is_sent_as_json_has_it() -> None:
    asked = call("image.generate", n=2, size="2K", watermark=False, seed=0, response_format="b64_json")

    assert images.GENERATE.build(asked).json == {
        "model": "the-model",
        "prompt": "a tin robot",
        "n": 2,
        "size": "2K",
        "watermark": False,
        "seed": 0,
        "response_format": "b64_json",
    }


def test_one_picture_is_the_default_and_is_not_mentioned() -> None:
    assert "n" not in images.GENERATE.build(call("image.generate", n=1)).json


@pytest.mark.parametrize(("size", "expected"), [(None, "3:2"), ("1536x1024", "1536x1024")])
def test_a_ratio_is_sent_as_size_too_since_most_builds_drop_the_other_field(size: str | None, expected: str) -> None:
    body = images.GENERATE.build(call("image.generate", aspect_ratio="3:2", size=size)).json

    assert (body["aspect_ratio"], body["size"]) == ("3:2", expected)


def test_references_go_along_as_data_urls() -> None:
    one = images.GENERATE.build(call("image.generate", PNG))
    two = images.GENERATE.build(call("image.generate", PNG, JPEG))

    assert one.json["image"] == PNG.data_url
    assert two.json["image"] == [PNG.data_url, JPEG.data_url]


def test_an_edit_is_a_form_with_files_under_one_name() -> None:
    request = images.EDIT.build(call("image.edit", PNG, JPEG, mask=PNG, n=2, watermark=False, input_fidelity="high"))

    assert (request.method, request.path, request.json) == ("POST", "/v1/images/edits", None)
    assert request.form == {
        "model": "the-model",
        "prompt": "a tin robot",
        "n": "2",
        "watermark": "false",
        "input_fidelity": "high",
    }
    assert request.files == (
        Part("image", "frame.png", "image/png", PNG.content),
        Part("image", "second.jpg", "image/jpeg", JPEG.content),
        Part("mask", "frame.png", "image/png", PNG.content),
    )


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"size": "1024x1024"}, 330),
        ({"size": "2048x2048"}, 330),
        ({"size": "4096x4096"}, 630),
        ({"image_size": "4K"}, 630),
        ({"quality": "high"}, 630),
        ({"quality": "4K"}, 630),
        ({"n": 2}, 630),
    ],
)
def test_large_good_and_several_pictures_are_waited_for_longer(asked: dict[str, Any], expected: int) -> None:
    assert images.GENERATE.build(call("image.generate", **asked)).timeout_s == expected
    assert images.EDIT.build(call("image.edit", PNG, **asked)).timeout_s == expected


def test_pictures_of_a_stream_stand_in_the_order_of_their_numbers() -> None:
    events = [
        {"type": "image_generation.partial_succeeded", "image_index": number, "url": f"https://a.example/{number}.png"}
        for number in (2, 0, 1)
    ]

    outcome = read(Response(200, body="".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()))

    assert isinstance(outcome, Produced)
    found = [source.url for output in outcome.outputs for source in output.sources]
    assert found == [f"https://a.example/{number}.png" for number in range(3)]


def test_an_item_of_the_responses_format_is_a_picture() -> None:
    code = base64.b64encode(PNG.content * 3).decode()
    item = {"type": "image_generation_call", "status": "completed", "result": code}

    outcome = read(Response(200, body=json.dumps({"output": [item]}).encode()))

    assert isinstance(outcome, Produced)
    assert outcome.outputs[0].sources == (Source(content=PNG.content * 3),)


MASK: Final = replace(PNG, width=64, height=48)


@pytest.mark.parametrize("size", [(64, 64), (48, 64), (128, 96)])
def test_a_mask_of_another_size_than_its_picture_is_refused(size: tuple[int, int]) -> None:
    picture = replace(JPEG, width=size[0], height=size[1])

    with pytest.raises(InputRefused, match=f"they have 64x48 and {size[0]}x{size[1]} pixels"):
        images.EDIT.build(call("image.edit", picture, PNG, mask=MASK))


def test_a_mask_fits_the_first_picture_alone() -> None:
    first, second = replace(JPEG, width=64, height=48), replace(PNG, width=9, height=9)

    assert [part.name for part in images.EDIT.build(call("image.edit", first, second, mask=MASK)).files] == [
        "image",
        "image",
        "mask",
    ]


@pytest.mark.parametrize(
    ("mask", "told"),
    [(JPEG, "must be PNG"), (replace(PNG, content=bytes(4_000_000)), "must have less than 4000000")],
)
def test_a_mask_that_is_no_small_png_is_refused(mask: Media, told: str) -> None:
    with pytest.raises(InputRefused, match=told):
        images.EDIT.build(call("image.edit", PNG, mask=mask))
