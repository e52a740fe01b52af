"""The sandbox gateway speaks and listens as the contract says: real sounds, one ledger line for each charge.

Contract: gateway/images-text-audio-system.md 5.10 to 5.12.
"""

from __future__ import annotations

import base64
import io
import json
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any, get_args

import av
import httpx
import pytest

from deploy.sandbox import behaviour
from deploy.sandbox.faults import FAULTS
from deploy.sandbox.routes import audio_view
from deploy.sandbox.studio import sounds
from shared import media
from tests.sandbox import SandboxServer

_numbers = count()
FORMS = {
    "mp3": ("audio/mpeg", "mp3"),
    "opus": ("audio/ogg", "opus"),
    "aac": ("audio/aac", "aac"),
    "flac": ("audio/flac", "flac"),
    "wav": ("audio/wav", "pcm_s16le"),
}


def own(words: str) -> str:
    """A text that no other test uses."""
    return f"{words} {next(_numbers)}"


def speak(client: httpx.Client, text: str, **fields: Any) -> httpx.Response:
    return client.post("/v1/audio/speech", json={"model": "tts-1", "voice": "alloy", "input": text, **fields})


def listen(
    client: httpx.Client,
    content: bytes | None = None,
    name: str = "tide.mp3",
    to: str = "transcriptions",
    granularities: tuple[str, ...] = (),
    **fields: str,
) -> httpx.Response:
    """Ask what is said in a file; without one of its own, in a tune of 6 seconds."""
    files: list[Any] = [("file", (name, content or TUNE, "audio/mpeg"))]
    files += [("timestamp_granularities[]", (None, one)) for one in granularities]
    return client.post(f"/v1/audio/{to}", data={"model": "whisper-1", **fields}, files=files)


TUNE = sounds.encode("a" * 100, "mp3")


def lasts(content: bytes) -> float:
    with av.open(io.BytesIO(content), "r") as sound:
        return float(sum(frame.samples / frame.sample_rate for frame in sound.decode(audio=0)))


# Speech.


@pytest.mark.parametrize("form", FORMS)
def test_speech_is_a_sound_of_the_form_asked_for_and_as_long_as_its_text(
    client: httpx.Client, tmp_path: Path, form: str
) -> None:
    text = own("The tide comes in at six.")

    answer = speak(client, text, response_format=form)

    path = tmp_path / "sound"
    path.write_bytes(answer.content)
    facts = media.expect(path, ("audio",), 1)
    content_type, codec = FORMS[form]
    assert answer.headers["content-type"] == audio_view.MEDIA_TYPES[form]
    assert facts.content_type == content_type
    assert facts.duration_seconds == pytest.approx(len(text) * sounds.LETTER_S, abs=0.1)
    with av.open(io.BytesIO(answer.content), "r") as sound:
        assert sound.streams.audio[0].codec_context.name.startswith(codec)
        assert sound.streams.audio[0].codec_context.channels == 1


def test_without_a_format_speech_is_mp3(client: httpx.Client) -> None:
    assert speak(client, own("Tide")).headers["content-type"] == "audio/mpeg"


def test_pcm_is_24000_samples_a_second_of_two_bytes_without_a_header(client: httpx.Client) -> None:
    answer = speak(client, "a" * 50, response_format="pcm")

    assert answer.headers["content-type"] == "audio/pcm"
    assert len(answer.content) == 50 * sounds.LETTER_S * 24_000 * 2


def test_who_speaks_twice_as_fast_is_done_in_half_the_time(client: httpx.Client) -> None:
    slow, fast = (speak(client, "a" * 50, response_format="wav", speed=speed).content for speed in (1, 2))

    assert lasts(fast) == pytest.approx(lasts(slow) / 2, abs=0.01)


def test_the_same_text_is_the_same_tune_and_another_is_another(client: httpx.Client) -> None:
    first, again, other = (speak(client, text, response_format="wav").content for text in ("tide", "tide", "boat"))

    assert first == again
    assert first != other


def test_speech_is_paid_by_the_letter_and_tags_are_not_spoken(server: SandboxServer, client: httpx.Client) -> None:
    text = own("Two hundred thousand boats")

    answer = speak(client, f"{text} [[sandbox latency=0]]", model="tts-1-hd", response_format="wav")

    (entry,) = server.ledger(text)
    assert (entry["kind"], entry["model"]) == ("audio.speech", "tts-1-hd")
    assert Decimal(entry["price_usd"]) == Decimal("0.00003") * len(text)
    assert lasts(answer.content) == pytest.approx(len(text) * sounds.LETTER_S, abs=0.01)


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"model": "no-such-model"}, 503, "model_not_found"),
        ({"model": "whisper-1"}, 503, "model_not_found"),
        ({"input": ""}, 500, "invalid_request"),
        ({"input": "x" * 4_097}, 400, "string_above_max_length"),
        ({"voice": None}, 400, "missing_required_parameter"),
        ({"response_format": "midi"}, 400, "invalid_value"),
        ({"speed": 9}, 400, "invalid_value"),
        ({"speed": "fast"}, 400, "invalid_value"),
    ],
)
def test_wrong_fields_of_speech_are_refused_unpaid(
    server: SandboxServer, client: httpx.Client, fields: dict[str, Any], status: int, code: str
) -> None:
    before = len(server.ledger())

    answer = speak(client, own("wrong"), **fields)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert len(server.ledger()) == before


def test_a_stream_carries_the_same_sound_in_pieces(client: httpx.Client) -> None:
    text = own("A stream of words that is long enough for several pieces")

    whole = speak(client, text).content
    asked, told = speak(client, text, stream_format="sse"), speak(client, f"{text} [[sandbox variant=sse]]")

    for answer in (asked, told):
        events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
        pieces = [base64.b64decode(event["audio"]) for event in events if event["type"] == "speech.audio.delta"]
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert len(pieces) > 1
        assert b"".join(pieces) == whole
        assert events[-1]["type"] == "speech.audio.done"


def test_every_shape_of_speech_is_offered(client: httpx.Client) -> None:
    assert set(audio_view.SPOKEN) == set(get_args(behaviour.SoundVariant))
    text = own("A boat")

    def told(variant: str) -> httpx.Response:
        return speak(client, f"{text} [[sandbox variant={variant}]]")

    whole = speak(client, text).content
    assert (told("octet_stream").content, told("octet_stream").headers["content-type"]) == (
        whole,
        "application/octet-stream",
    )
    assert told("short").content == whole[: len(whole) // 2]
    assert (told("empty").status_code, told("empty").content) == (200, b"")
    assert (told("error200").status_code, told("error200").json()["error"]["type"]) == (200, "upstream_error")
    assert told("html200").text.startswith("<!DOCTYPE html>")


# Listening.


def test_a_transcript_tells_the_name_and_the_length_of_the_file(client: httpx.Client) -> None:
    answer = listen(client).json()

    assert answer["text"] == (
        "Part 1 of 2 of tide.mp3, which lasts 6.0 seconds. Part 2 of 2 of tide.mp3, which lasts 6.0 seconds."
    )
    assert answer["usage"] == {"type": "duration", "seconds": 6}


@pytest.mark.parametrize("form", FORMS)
def test_what_was_spoken_can_be_listened_to(client: httpx.Client, form: str) -> None:
    spoken = speak(client, "a" * 50, response_format=form).content

    answer = listen(client, spoken, f"speech.{form}").json()

    assert f"of speech.{form}, which lasts 3." in answer["text"]


def test_a_verbose_transcript_has_its_times(client: httpx.Client) -> None:
    answer = listen(client, response_format="verbose_json").json()

    assert (answer["task"], answer["language"]) == ("transcribe", "english")
    assert answer["duration"] == pytest.approx(6, abs=0.1)
    first, second = answer["segments"]
    assert (first["start"], second["end"]) == (0, pytest.approx(6, abs=0.1))
    assert first["end"] == second["start"]
    assert answer["text"] == (first["text"] + second["text"]).strip()
    assert "words" not in answer


@pytest.mark.parametrize(
    ("granularities", "names"),
    [(("word",), {"words"}), (("segment",), {"segments"}), (("word", "segment"), {"words", "segments"})],
)
def test_words_and_segments_have_times_as_asked(
    client: httpx.Client, granularities: tuple[str, ...], names: set[str]
) -> None:
    answer = listen(client, response_format="verbose_json", granularities=granularities).json()

    assert {"words", "segments"} & set(answer) == names
    if "words" in names:
        assert [word["word"] for word in answer["words"]] == answer["text"].split()
        assert answer["words"][-1]["end"] == pytest.approx(6, abs=0.1)


def test_texts_and_subtitles_are_no_json(client: httpx.Client) -> None:
    text, srt, vtt = (listen(client, response_format=form) for form in ("text", "srt", "vtt"))

    assert all(answer.headers["content-type"].startswith("text/plain") for answer in (text, srt, vtt))
    assert text.text.endswith("seconds.\n")
    assert srt.text.startswith("1\n00:00:00,000 --> 00:00:03,")
    assert "\n\n2\n00:00:03," in srt.text
    assert vtt.text.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:03.")


def test_a_film_with_sound_may_be_listened_to(client: httpx.Client, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as film, av.open(io.BytesIO(TUNE), "r") as sound:
        stream = film.add_stream("aac", rate=24_000)
        for frame in sound.decode(audio=0):
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))

    assert "film.mp4, which lasts 6" in listen(client, path.read_bytes(), "film.mp4").json()["text"]


def test_a_translation_says_so(server: SandboxServer, client: httpx.Client) -> None:
    prompt = own("Boats")

    answer = listen(client, to="translations", response_format="verbose_json", prompt=prompt).json()

    assert answer["task"] == "translate"
    assert [entry["kind"] for entry in server.ledger(prompt)] == ["audio.translation"]


def test_speakers_are_told_apart_by_the_model_that_can(client: httpx.Client) -> None:
    answer = listen(client, model="gpt-4o-transcribe-diarize", response_format="diarized_json").json()

    assert [turn["speaker"] for turn in answer["segments"]] == ["A", "B"]
    assert answer["usage"]["type"] == "tokens"


def test_listening_is_paid_by_the_second(server: SandboxServer, client: httpx.Client) -> None:
    prompt = own("Tides of Brest")

    listen(client, sounds.encode("a" * 90, "wav"), "tide.wav", prompt=prompt)

    (entry,) = server.ledger(prompt)
    assert Decimal(entry["price_usd"]) == Decimal("0.006") * 6 / 60


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"model": "no-such-model"}, 503, "model_not_found"),
        ({"model": "tts-1"}, 503, "model_not_found"),
        ({"name": "tide.mpga"}, 500, "count_token_failed"),
        ({"name": "tide.MP3"}, 500, "count_token_failed"),
        ({"name": "tide"}, 500, "count_token_failed"),
        ({"content": b"<html>"}, 500, "count_token_failed"),
        ({"content": TUNE[:3] + bytes(25 * 2**20)}, 413, None),
        ({"response_format": "midi"}, 400, "unsupported_value"),
        ({"response_format": "diarized_json"}, 400, "unsupported_value"),
        ({"model": "gpt-4o-transcribe", "response_format": "srt"}, 400, "unsupported_value"),
        ({"granularities": ("word",)}, 400, "invalid_value"),
    ],
)
def test_what_cannot_be_listened_to_is_refused_unpaid(
    server: SandboxServer, client: httpx.Client, asked: dict[str, Any], status: int, code: str | None
) -> None:
    prompt = own("wrong")

    answer = listen(client, prompt=prompt, **asked)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert server.ledger(prompt) == []


def test_without_exactly_one_file_nothing_is_listened_to(client: httpx.Client) -> None:
    form = {"model": "whisper-1"}
    none = client.post("/v1/audio/transcriptions", data=form, files=[("other", ("a.mp3", TUNE))])
    two = client.post("/v1/audio/transcriptions", data=form, files=[("file", ("a.mp3", TUNE))] * 2)
    as_json = client.post("/v1/audio/transcriptions", json=form)

    for answer, code in (
        (none, "convert_request_failed"),
        (two, "convert_request_failed"),
        (as_json, "invalid_request"),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, code)


def test_every_shape_of_a_transcript_is_offered(client: httpx.Client) -> None:
    assert {*audio_view.HEARD, "wrapped"} == set(get_args(behaviour.HeardVariant))

    def told(variant: str, response_format: str = "json") -> httpx.Response:
        return listen(client, prompt=f"{own('A boat')} [[sandbox variant={variant}]]", response_format=response_format)

    assert told("wrapped", "srt").json()["text"].startswith("1\n00:00:00,000 --> ")
    assert told("wrapped").json() == listen(client).json()
    assert told("silence").json() == {"text": ""}
    assert (told("empty").status_code, told("empty").content) == (200, b"")
    assert (told("error200").status_code, told("error200").json()["error"]["type"]) == (200, "upstream_error")
    assert told("html200").text.startswith("<!DOCTYPE html>")


# What all paid calls have in common.


def test_a_missing_key_is_401(server: SandboxServer) -> None:
    for path in ("speech", "transcriptions", "translations"):
        assert httpx.post(f"{server.url}/v1/audio/{path}").status_code == 401


@pytest.mark.parametrize("fault", ["429", "500_do_request_failed", "503"])
def test_a_fault_is_answered_unpaid_and_after_the_charge_paid(
    server: SandboxServer, client: httpx.Client, fault: str
) -> None:
    before, after = own(f"[[sandbox fail={fault}]] boat"), own(f"[[sandbox fail_after={fault}]] boat")

    statuses = [
        answer.status_code for text in (before, after) for answer in (speak(client, text), listen(client, prompt=text))
    ]

    assert set(statuses) == {FAULTS[fault].status}
    assert server.ledger(before) == []
    assert [entry["kind"] for entry in server.ledger(after)] == ["audio.speech", "audio.transcription"]


def test_a_cut_answer_is_paid(server: SandboxServer, client: httpx.Client) -> None:
    text = own("[[sandbox cut=mid_body]] boat")

    with pytest.raises(httpx.RemoteProtocolError):
        speak(client, text)

    assert len(server.ledger(text)) == 1


def test_a_rule_without_a_route_means_these_too(server: SandboxServer, client: httpx.Client) -> None:
    text = own("ruled")
    server.script([{"match": {"prompt_contains": text}, "times": 2, "do": {"fail": "429"}}])

    answers = [speak(client, text), listen(client, prompt=text), speak(client, text)]
    server.forget()

    assert [answer.status_code for answer in answers] == [429, 429, 200]
