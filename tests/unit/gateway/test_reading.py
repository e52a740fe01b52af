from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from shared.errors import UnreadableReply
from shared.gateway import classify, reading
from shared.gateway.outcome import Accepted, ErrorClass, Look, Outcome, Pending, Produced, Refused, Source, Unseen
from shared.gateway.request import Ambiguous, NotSent, Reply, Response


def answer(body: Any, status: int = 200) -> Response:
    return Response(status, {"x-oneapi-request-id": "2026Ab"}, json.dumps(body).encode())


def never(_: Response) -> Any:
    raise AssertionError("an adapter read what was no answer of its own")


def fails_with(trouble: Exception) -> Any:
    def read(_: Response) -> Any:
        raise trouble

    return read


def refused(outcome: object) -> tuple[ErrorClass, str]:
    assert isinstance(outcome, Refused)
    return outcome.error.error_class, outcome.error.code


TROUBLES = [UnreadableReply("no id"), KeyError("id"), IndexError(), TypeError(), ValueError(), AttributeError()]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (NotSent("no connection"), (ErrorClass.UNAVAILABLE, "not_sent")),
        (Ambiguous("read time-out"), (ErrorClass.UNKNOWN_OUTCOME, "no_answer")),
        (answer({"error": {"message": "no", "type": "new_api_error"}}, 401), (ErrorClass.AUTH, "http_401")),
    ],
)
def test_an_adapter_is_asked_only_about_answers_without_an_error(
    reply: Reply, expected: tuple[ErrorClass, str]
) -> None:
    assert refused(reading.outcome_of(reply, never)) == expected
    assert isinstance(reading.look_of(reply, never), Unseen)


def test_what_an_adapter_reads_is_handed_on() -> None:
    outcome = reading.outcome_of(answer({}), lambda _: Accepted("task_1"))

    assert outcome == Accepted("task_1")


@pytest.mark.parametrize("trouble", TROUBLES, ids=repr)
def test_an_unreadable_answer_to_a_paid_call_is_an_unknown_outcome(trouble: Exception) -> None:
    outcome = reading.outcome_of(answer({}), fails_with(trouble))

    assert refused(outcome) == (ErrorClass.UNKNOWN_OUTCOME, "unreadable_reply")
    assert isinstance(outcome, Refused)
    assert (outcome.error.upstream_status, outcome.error.upstream_request_id) == (200, "2026Ab")


@pytest.mark.parametrize("trouble", TROUBLES, ids=repr)
def test_an_unreadable_answer_to_a_look_is_no_failure(trouble: Exception) -> None:
    look = reading.look_of(answer({}), fails_with(trouble))

    assert isinstance(look, Unseen)
    assert look.upstream_status == 200


def test_a_bug_of_ours_is_not_taken_for_an_answer() -> None:
    with pytest.raises(AssertionError):
        reading.outcome_of(answer({}), never)


def test_a_refusal_says_where_it_came_from() -> None:
    def read(_: Response) -> Outcome:
        return classify.refused(ErrorClass.NO_MEDIA, "empty_data", "nothing")

    outcome = reading.outcome_of(answer({}), read)

    assert isinstance(outcome, Refused)
    assert (outcome.error.upstream_status, outcome.error.upstream_request_id) == (200, "2026Ab")


def test_the_reason_of_a_broken_connection_holds_no_key() -> None:
    outcome = reading.outcome_of(Ambiguous("POST https://gw.example/v1?key=1 with sk-abc"), never)

    assert isinstance(outcome, Refused)
    assert outcome.error.message == "POST https://gw.example/v1 with sk-…"


def test_each_task_of_a_look_at_many_gets_an_answer() -> None:
    def read(_: Response) -> Mapping[str, Look]:
        return {"1": Pending(46), "2": classify.failure(classify.Said()), "9": Produced(())}

    looks = reading.looks_of(answer([]), ["1", "2", "3"], read)

    assert set(looks) == {"1", "2", "3"}
    assert looks["1"] == Pending(46)
    assert isinstance(looks["3"], Unseen)
    assert isinstance(looks["2"], Refused)
    assert looks["2"].error.upstream_request_id == "2026Ab"


@pytest.mark.parametrize("reply", [NotSent("x"), Ambiguous("x"), answer({}, 500)])
def test_a_look_at_many_that_failed_saw_none_of_them(reply: Reply) -> None:
    looks = reading.looks_of(reply, ["1", "2"], never)

    assert [type(look) for look in looks.values()] == [Unseen, Unseen]


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (37, 37),
        (0, 0),
        (1, 1),
        (100, 100),
        (250, 100),
        ("37%", 37),
        ("37", 37),
        ("37.9%", 37),
        ("0.5%", 0),
        (0.93, 93),
        (1.0, 100),
        (37.5, 37),
        ("0.93", 93),
        (0.0, 0),
        ("Waiting to start", None),
        ("(paused)", None),
        ("step 3", 3),
        ("", None),
        (None, None),
        (True, None),
        (float("nan"), None),
        (float("inf"), None),
        (-1, None),
        ([], None),
    ],
)
def test_progress_of_any_form_is_whole_percent(progress: object, expected: int | None) -> None:
    assert reading.percent(progress) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("IN-PROGRESS", "in_progress"),
        (" In progress ", "in_progress"),
        ("SUCCESS", "success"),
        ("", ""),
        (None, ""),
        (3, ""),
    ],
)
def test_status_words_have_one_spelling(word: object, expected: str) -> None:
    assert reading.fold(word) == expected


@pytest.mark.parametrize(
    "word", ["unknown", "queued", "modal", "in_progress", "not_start", "brewing", "video_upsampling"]
)
def test_a_word_that_nobody_listed_ends_nothing(word: str) -> None:
    assert word not in reading.DONE | reading.FAILED


PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(250, 256)) * 9
TEXT = base64.b64encode(PNG).decode()


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"data:image/png;base64,{TEXT}",
        f"DATA:image/png;base64,{TEXT}",
        TEXT.rstrip("="),
        TEXT.replace("+", "-").replace("/", "_"),
        "\r\n".join(TEXT[at : at + 20] for at in range(0, len(TEXT), 20)),
        f"  {TEXT}\n",
    ],
)
def test_base64_is_decoded_however_it_is_written(text: str) -> None:
    assert reading.decoded(text) == PNG


@pytest.mark.parametrize("text", ["", "=", "a", "<html>", "not base64!", "data:image/png;base64,", "abc,def"])
def test_what_is_no_base64_is_no_content(text: str) -> None:
    assert reading.decoded(text) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://a.example/b.png?sig=a%2Fb&x=1", Source(url="https://a.example/b.png?sig=a%2Fb&x=1")),
        (" http://a.example/b ", Source(url="http://a.example/b")),
        ("HTTPS://a.example/b", Source(url="HTTPS://a.example/b")),
        ("//a.example/b", Source(url="https://a.example/b")),
        ("/v1/files/1?sig=2", Source(path="/v1/files/1?sig=2")),
        (f"data:image/png;base64,{TEXT}", Source(content=PNG)),
        ("/9j/4AAQSkZJRgABAQ", None),
        ("任务超时", None),
        ("/ not a path", None),
        ("https://", None),
        ("ftp://a.example/b", None),
        ("", None),
        (None, None),
        (7, None),
        ({"url": "https://a"}, None),
    ],
)
def test_a_place_of_a_result_is_kept_byte_for_byte(value: object, expected: Source | None) -> None:
    assert reading.source(value) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"id": "1", "data": {"id": "2"}}, {"id": "1", "data": {"id": "2"}}),
        (
            {"code": "success", "data": {"status": "x", "data": {"status": "y"}}},
            {"status": "x", "data": {"status": "y"}},
        ),
        ({"data": {"data": {"url": "u"}}}, {"url": "u"}),
        ({"code": "success", "data": None}, {"code": "success", "data": None}),
        ({"data": []}, {"data": []}),
    ],
)
def test_wrappers_are_taken_off_down_to_the_object_itself(body: dict[str, Any], expected: dict[str, Any]) -> None:
    assert reading.unwrap(body) == expected


@pytest.mark.parametrize(
    ("path", "expected"), [("a.0.url", "u"), ("a.1.url", None), ("a.x", None), ("b", "t"), ("b.c", None), ("", None)]
)
def test_a_dotted_path_finds_a_value_or_nothing(path: str, expected: str | None) -> None:
    assert reading.dig({"a": [{"url": "u"}], "b": "t"}, path) == expected


def test_an_id_that_is_a_text_goes_before_one_that_is_a_number() -> None:
    assert reading.first_id({"id": 811, "task_id": "task_1"}, "id", "task_id") == "task_1"
    assert reading.first_id({"id": 1772611200345018999}, "id", "task_id") == "1772611200345018999"
    assert reading.first_id({"id": True, "task_id": ""}, "id", "task_id") == ""


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a":', b"[1]", b"null", b'"a"', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_object_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableReply):
        reading.object_of(Response(200, body=body))


@pytest.mark.parametrize(
    ("text", "expected"), [("veo3.1:17-a", True), ("", False), ("try again", False), ("参数错误", False)]
)
def test_a_sentence_in_the_place_of_an_id_is_none(text: str, expected: bool) -> None:
    assert reading.looks_like_id(text) is expected


def test_an_id_is_one_segment_of_a_path() -> None:
    assert reading.segment("veo3.1:1764/a b") == "veo3.1%3A1764%2Fa%20b"
