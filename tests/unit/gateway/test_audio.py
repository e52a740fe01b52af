from __future__ import annotations

import base64
import io
import json
import wave
from dataclasses import replace
from typing import Any, Final

import pytest

from shared.errors import InputRefused
from shared.gateway import reading
from shared.gateway.adapters import audio
from shared.gateway.call import Call, Media
from shared.gateway.outcome import ErrorClass, Outcome, Produced, Refused
from shared.gateway.request import Part, Response
from tests.unit.gateway.replies import IN_NO_CONTRACT, ROOT, call, reply

SAID: Final = "High tide is at six twelve."
SRT: Final = (ROOT / "audio/5.11-srt.txt").read_text(encoding="utf-8")
VTT: Final = (ROOT / "audio/5.11-vtt.txt").read_text(encoding="utf-8")
SONG: Final = Media("audio/mpeg", "audio-0.mp3", b"ID3-song", "audio", duration_seconds=3.0)

#: By file, the format that was asked for, the one that came, and the text.
HEARD: Final[dict[str, tuple[str | None, str, str]]] = {
    "5.11-json-tokens.json": (None, "json", SAID),
    "5.11-json-duration.json": ("json", "json", SAID),
    "5.11-json-bare.json": ("json", "json", SAID),
    "5.11-json-silence.json": ("json", "json", ""),
    "5.11-verbose.json": ("verbose_json", "verbose_json", f"{SAID} Low tide is at noon."),
    "5.11-verbose-words.json": ("verbose_json", "verbose_json", "High tide"),
    "5.11-diarized.json": ("diarized_json", "diarized_json", "When is high tide? At six twelve."),
    "5.11-text.txt": ("text", "text", f"{SAID}\n"),
    "5.11-text-silence.txt": ("text", "text", "\n"),
    "5.11-text-begins-with-a-brace.txt": ("text", "text", f"{{laughs}} {SAID}\n"),
    "5.11-text-wrapped.json": ("text", "text", f"{SAID}\n"),
    "5.11-srt.txt": ("srt", "srt", SRT),
    "5.11-srt-wrapped.json": ("srt", "srt", f"1\n00:00:00,000 --> 00:00:03,300\n{SAID}\n\n"),
    "5.11-vtt.txt": ("vtt", "vtt", VTT),
    "5.11-vtt-wrapped.json": ("vtt", "vtt", f"WEBVTT\n\n00:00:00.000 --> 00:00:03.300\n{SAID}\n\n"),
    "5.12-verbose.json": ("verbose_json", "verbose_json", "The boat leaves at noon."),
}

#: By file, the class and code of what it says; the status stands in the name.
FAILED: Final = {
    "2.5-200-error.json": (200, ErrorClass.INVALID_REQUEST, "invalid_value"),
    "2.1-E12-200.json": (200, ErrorClass.UNKNOWN_OUTCOME, "unreadable_reply"),
    "5.11-500-unsupported-audio-format.json": (500, ErrorClass.INVALID_REQUEST, "count_token_failed"),
    "5.11-500-not-implemented.json": (500, ErrorClass.INVALID_REQUEST, "convert_request_failed"),
    **dict.fromkeys(IN_NO_CONTRACT, (200, ErrorClass.UNKNOWN_OUTCOME, "unreadable_reply")),
}

#: Of a stream that gave no sound: class, code, and whether it is counted as paid.
BROKEN: Final = {
    "5.10-sse-broke-off.txt": (ErrorClass.UNKNOWN_OUTCOME, "unreadable_reply", False),
    "5.10-sse-piece-is-no-base64.txt": (ErrorClass.UNKNOWN_OUTCOME, "unreadable_reply", False),
    "5.10-sse-error.txt": (ErrorClass.UNKNOWN_OUTCOME, "unknown_outcome", True),
}

REPLIES: Final = frozenset(
    f"audio/{name}" for name in (*HEARD, *FAILED, *BROKEN, "5.10-sse.txt", "5.11-object-without-a-text.json")
)


def spoken(response: Response, **params: Any) -> Outcome:
    asked = call("audio.speech", **params)
    return reading.outcome_of(response, lambda answer: audio.read_speech(answer, asked))


def sound_of(outcome: Outcome) -> bytes:
    assert isinstance(outcome, Produced)
    (output,) = outcome.outputs
    assert output.kind == "audio"
    content = output.sources[0].content
    assert content is not None
    return content


def listening(operation: str = "audio.transcription", media: Media = SONG, prompt: str = "", **params: Any) -> Call:
    return replace(call(operation, **params), prompt=prompt, inputs={"audio": (media,)})


def heard(response: Response, asked_format: str | None = None) -> Outcome:
    asked = listening(response_format=asked_format)
    return reading.outcome_of(response, lambda answer: audio.read_listen(answer, asked))


def result_of(outcome: Outcome) -> dict[str, Any]:
    assert isinstance(outcome, Produced)
    return dict(outcome.result)


def is_unreadable(outcome: Outcome) -> bool:
    return isinstance(outcome, Refused) and outcome.error.code == "unreadable_reply"


# Speech.


def test_the_prompt_is_spoken_as_it_is() -> None:
    request = audio.SPEECH.build(call("audio.speech", voice="nova"))

    assert (request.method, request.path, request.name) == ("POST", "/v1/audio/speech", "audio.speech")
    assert request.json == {"model": "the-model", "input": "a tin robot", "voice": "nova"}
    assert request.timeout_s == 180


def test_the_text_may_stand_among_the_parameters_and_all_that_was_asked_for_is_sent() -> None:
    asked = call(
        "audio.speech",
        input="Mind the gap.",
        voice="ash",
        instructions="Whisper.",
        response_format="flac",
        speed=1.25,
        stream_format="sse",
        metadata={"emotion": "calm"},
    )

    assert audio.SPEECH.build(asked).json == {
        "model": "the-model",
        "input": "Mind the gap.",
        "voice": "ash",
        "instructions": "Whisper.",
        "response_format": "flac",
        "speed": 1.25,
        "stream_format": "sse",
        "metadata": {"emotion": "calm"},
    }


@pytest.mark.parametrize(
    "content",
    [
        b"ID3\x04-tagged",
        b"\xff\xfb\x90\x00-mp3",
        b"\xff\xf3\x84\xc4-mp3",
        b"\xff\xf1\x50\x80-aac",
        b"OggS\x00\x02-opus",
        b"fLaC\x00\x00-flac",
        b"RIFF\x24\x00\x00\x00WAVE",
        b"\x1a\x45\xdf\xa3-webm",
        b"\x00\x00\x00\x20ftypM4A ",
    ],
)
@pytest.mark.parametrize("kind", ["audio/mpeg", "application/octet-stream", ""])
def test_the_bytes_of_a_sound_are_the_result_whatever_they_are_called(content: bytes, kind: str) -> None:
    assert sound_of(spoken(Response(200, {"content-type": kind}, content))) == content


def read_wav(content: bytes) -> tuple[int, int, int, bytes]:
    with wave.open(io.BytesIO(content)) as sound:
        return sound.getframerate(), sound.getnchannels(), sound.getsampwidth(), sound.readframes(sound.getnframes())


SAMPLES: Final = b"\x01\x00\xff\xff\x10\x27\xf0\xd8" * 50
LOUD: Final = b"\xff\xfb\x90\x64" * 100
"""Samples that begin as a frame of MP3 does."""


@pytest.mark.parametrize("kind", ["audio/pcm", "application/octet-stream", "audio/wav", ""])
@pytest.mark.parametrize("samples", [SAMPLES, bytes(400), LOUD])
def test_samples_without_a_header_become_a_wav_of_the_same_samples(samples: bytes, kind: str) -> None:
    content = sound_of(spoken(Response(200, {"content-type": kind}, samples), response_format="pcm"))

    assert read_wav(content) == (24_000, 1, 2, samples)


def test_samples_that_nobody_asked_for_are_known_by_their_type_and_rate() -> None:
    response = Response(200, {"content-type": "audio/L16;codec=pcm;rate=16000"}, SAMPLES)

    assert read_wav(sound_of(spoken(response)))[0] == 16_000


def test_half_a_sample_at_the_end_is_left_out() -> None:
    response = Response(200, {"content-type": "audio/pcm"}, SAMPLES + b"\x01")

    assert read_wav(sound_of(spoken(response, response_format="pcm")))[3] == SAMPLES


@pytest.mark.parametrize(
    ("kind", "content"), [("audio/wav", b"RIFF\x24\x00\x00\x00WAVEfmt "), ("audio/mpeg", b"\xff\xfb\x90\x00-mp3")]
)
def test_a_file_that_came_in_place_of_samples_stays_as_it_is(kind: str, content: bytes) -> None:
    response = Response(200, {"content-type": kind}, content)

    assert sound_of(spoken(response, response_format="pcm")) == content


@pytest.mark.parametrize("asked", ["mp3", "pcm"])
@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("audio/mpeg", b""),
        ("audio/pcm", b""),
        ("audio/mpeg", b"upstream closed the connection"),
        ("audio/pcm", b"upstream closed the connection"),
        ("audio/mpeg", '{"code": 5, "message": "上游"}'.encode()),
        ("text/html", "<html>维护中</html>".encode()),
        ("application/octet-stream", ("<html>" + "维护中" * 200).encode()),
    ],
)
def test_what_is_no_sound_leaves_it_unknown_whether_it_was_paid(asked: str, kind: str, content: bytes) -> None:
    assert is_unreadable(spoken(Response(200, {"content-type": kind}, content), response_format=asked))


def test_bytes_of_no_form_are_no_sound_unless_samples_were_asked_for() -> None:
    response = Response(200, {"content-type": "application/octet-stream"}, SAMPLES)

    assert is_unreadable(spoken(response))


def test_a_stream_of_pieces_is_one_sound() -> None:
    response = replace(reply("audio/5.10-sse.txt"), headers={"content-type": "text/event-stream"})

    outcome = spoken(response)

    assert sound_of(outcome) == b"ID3\x04" + bytes(6) + b"\xff\xfb\x90\xc4\x00\x00"
    assert result_of(outcome) == {"usage": {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}}


def test_a_stream_is_known_by_its_first_line_too() -> None:
    assert sound_of(spoken(reply("audio/5.10-sse.txt"))).startswith(b"ID3")


def test_a_stream_of_samples_gets_one_header_wherever_it_was_cut_into_pieces() -> None:
    pieces = (SAMPLES[:33], SAMPLES[33:])
    deltas = [{"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()} for piece in pieces]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in (*deltas, {"type": "speech.audio.done"}))
    response = Response(200, {"content-type": "text/event-stream"}, body.encode())

    assert read_wav(sound_of(spoken(response, response_format="pcm"))) == (24_000, 1, 2, SAMPLES)


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_stream_that_did_not_end_well_is_no_sound(name: str) -> None:
    outcome = spoken(replace(reply(f"audio/{name}"), headers={"content-type": "text/event-stream"}))

    assert isinstance(outcome, Refused)
    assert (outcome.error.error_class, outcome.error.code, outcome.error.charged) == BROKEN[name]


@pytest.mark.parametrize("cut", range(0, 300, 7))
def test_a_stream_that_broke_off_anywhere_gives_all_of_the_sound_or_an_unknown_outcome(cut: int) -> None:
    whole = (ROOT / "audio/5.10-sse.txt").read_bytes()

    outcome = spoken(Response(200, {"content-type": "text/event-stream"}, whole[: len(whole) - cut]))

    assert is_unreadable(outcome) or len(sound_of(outcome)) == 16


@pytest.mark.parametrize("name", sorted(FAILED))
@pytest.mark.parametrize("listens", [False, True])
def test_an_error_says_what_it_is(name: str, listens: bool) -> None:
    status, error_class, code = FAILED[name]

    outcome = heard(reply(f"audio/{name}", status)) if listens else spoken(reply(f"audio/{name}", status))

    assert isinstance(outcome, Refused)
    assert outcome.error.code == code
    assert outcome.error.error_class == error_class
    assert outcome.error.message


# Listening.


@pytest.mark.parametrize("name", sorted(HEARD))
def test_each_form_of_what_was_said_is_read(name: str) -> None:
    asked, came, text = HEARD[name]

    result = result_of(heard(reply(f"audio/{name}"), asked))

    assert (result["format"], result["text"]) == (came, text)


@pytest.mark.parametrize("name", sorted(HEARD))
def test_what_was_asked_for_as_a_text_is_a_file_too_unless_nothing_was_said(name: str) -> None:
    asked, _, text = HEARD[name]

    outcome = heard(reply(f"audio/{name}"), asked)

    assert isinstance(outcome, Produced)
    files = [(output.kind, output.sources[0].content) for output in outcome.outputs]
    assert files == ([("text", text.encode())] if asked in ("text", "srt", "vtt") and text.strip() else [])


def test_letters_that_no_file_can_hold_do_not_keep_the_rest_from_it() -> None:
    body = json.dumps({"text": "a\x00b\ud800c"}).encode()

    outcome = heard(Response(200, {"content-type": "application/json"}, body), "text")

    assert isinstance(outcome, Produced)
    assert outcome.outputs[0].sources[0].content == b"ab?c"


def test_times_words_speakers_and_usage_are_kept() -> None:
    verbose = result_of(heard(reply("audio/5.11-verbose.json"), "verbose_json"))
    words = result_of(heard(reply("audio/5.11-verbose-words.json"), "verbose_json"))
    speakers = result_of(heard(reply("audio/5.11-diarized.json"), "diarized_json"))

    assert [segment["end"] for segment in verbose["segments"]] == [3.3, 8.47]
    assert (verbose["task"], verbose["language"], round(verbose["duration"], 2)) == ("transcribe", "english", 8.47)
    assert verbose["usage"] == {"type": "duration", "seconds": 9}
    assert words["words"][1] == {"word": "tide", "start": 0.4, "end": 0.9}
    assert [segment["speaker"] for segment in speakers["segments"]] == ["A", "B"]


@pytest.mark.parametrize("name", ["5.11-text.txt", "5.11-srt.txt", "5.11-vtt.txt"])
def test_a_text_that_came_although_json_was_asked_for_is_taken_if_it_calls_itself_one(name: str) -> None:
    response = reply(f"audio/{name}")

    assert result_of(heard(response, "json"))["format"] == name.removeprefix("5.11-").removesuffix(".txt")
    assert is_unreadable(heard(replace(response, headers={"content-type": "application/json"}), "json"))


def test_a_relay_that_knows_no_subtitles_is_told_by_the_format() -> None:
    assert result_of(heard(reply("audio/5.11-text.txt"), "srt"))["format"] == "text"
    assert result_of(heard(reply("audio/5.11-json-bare.json"), "verbose_json"))["format"] == "json"


@pytest.mark.parametrize("asked", ["json", "text", "srt"])
@pytest.mark.parametrize("name", ["5.11-object-without-a-text.json", *IN_NO_CONTRACT])
def test_what_holds_no_text_leaves_it_unknown_whether_it_was_paid(name: str, asked: str) -> None:
    assert is_unreadable(heard(reply(f"audio/{name}"), asked))


def test_a_text_that_was_cut_within_a_letter_is_none() -> None:
    response = Response(200, {"content-type": "text/plain"}, "die Flut läuft".encode()[:11])

    assert is_unreadable(heard(response, "text"))


def test_a_mark_at_the_beginning_of_a_text_is_no_part_of_it() -> None:
    response = Response(200, {"content-type": "text/plain"}, b"\xef\xbb\xbf" + VTT.encode())

    assert result_of(heard(response, "vtt")) == {"format": "vtt", "text": VTT}


def test_a_transcription_is_a_form_with_one_file_whose_name_ends_as_its_kind_does() -> None:
    request = audio.TRANSCRIPTION.build(listening())

    assert (request.method, request.path, request.json) == ("POST", "/v1/audio/transcriptions", None)
    assert request.form == {"model": "the-model"}
    assert request.files == (Part("file", "audio-0.mp3", "audio/mpeg", b"ID3-song"),)
    assert (request.name, request.timeout_s) == ("audio.transcription", 300)


def test_what_was_asked_for_goes_as_fields_and_a_list_as_one_field_several_times() -> None:
    asked = listening(
        prompt="Tides of Brest",
        response_format="verbose_json",
        language="en",
        temperature=0,
        timestamp_granularities=["word", "segment"],
        include=["logprobs"],
        chunking_strategy={"type": "server_vad", "threshold": 0.5},
    )

    request = audio.TRANSCRIPTION.build(asked)

    assert request.form == {
        "model": "the-model",
        "prompt": "Tides of Brest",
        "response_format": "verbose_json",
        "language": "en",
        "temperature": "0.0",
        "chunking_strategy": json.dumps({"type": "server_vad", "threshold": 0.5}),
    }
    fields = [(part.name, part.filename, part.content) for part in request.files[1:]]
    assert fields == [
        ("timestamp_granularities[]", "", b"word"),
        ("timestamp_granularities[]", "", b"segment"),
        ("include[]", "", b"logprobs"),
    ]


def test_a_translation_goes_to_an_address_of_its_own() -> None:
    request = audio.TRANSLATION.build(listening("audio.translation", response_format="srt"))

    assert (request.path, request.form) == (
        "/v1/audio/translations",
        {"model": "the-model", "response_format": "srt"},
    )


def test_a_quicktime_film_is_called_by_a_name_that_the_gateway_knows() -> None:
    film = Media("video/quicktime", "audio-0.mov", b"film", "video")

    assert audio.TRANSCRIPTION.build(listening(media=film)).files[0].filename == "audio-0.mp4"


@pytest.mark.parametrize("extension", ["mkv", "mka", "ogv"])
def test_a_file_that_the_gateway_cannot_measure_is_refused_unsent(extension: str) -> None:
    film = Media("video/x-of-its-own", f"audio-0.{extension}", b"film", "video")

    with pytest.raises(InputRefused, match=r"no file of video/x-of-its-own; it takes aac, aif, .*, webm"):
        audio.TRANSCRIPTION.build(listening(media=film))


def test_a_file_that_is_too_large_is_refused_unsent() -> None:
    large = replace(SONG, content=bytes(25 * 2**20 + 1))

    with pytest.raises(InputRefused, match="26214401 bytes is too large"):
        audio.TRANSCRIPTION.build(listening(media=large))
    assert audio.TRANSCRIPTION.build(listening(media=replace(SONG, content=bytes(25 * 2**20))))


def test_without_a_file_nothing_is_sent() -> None:
    with pytest.raises(InputRefused, match="needs a sound"):
        audio.TRANSCRIPTION.build(call("audio.transcription"))
