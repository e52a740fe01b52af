"""Every way in which a sound, or what was said in one, comes back or does not.  Pure.

Contract: gateway/images-text-audio-system.md 2.5, 5.10 to 5.12.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from deploy.sandbox.replies import Reply
from deploy.sandbox.routes.image_view import ERROR_200, PAGE_200

MEDIA_TYPES: Final = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
SEGMENT_S: Final = 4.0
PIECE_BYTES: Final = 4_097
"""Of a stream; odd, so that a piece may end within a sample."""


def spoken(variant: str, content: bytes, form: str) -> Reply:
    """A sound in this shape; as its bytes where the shape is another route's."""
    make = SPOKEN.get(variant)
    return make(content) if make is not None else Reply(200, content, MEDIA_TYPES[form])


def _events(content: bytes) -> Reply:
    pieces = [content[at : at + PIECE_BYTES] for at in range(0, len(content), PIECE_BYTES)]
    usage = {"input_tokens": 14, "output_tokens": len(pieces), "total_tokens": 14 + len(pieces)}
    events: list[dict[str, Any]] = [
        *({"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()} for piece in pieces),
        {"type": "speech.audio.done", "usage": usage},
    ]
    text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    return Reply(200, f"{text}data: [DONE]\n\n", "text/event-stream")


SPOKEN: Final[Mapping[str, Callable[[bytes], Reply]]] = {
    "octet_stream": lambda content: Reply(200, content, "application/octet-stream"),
    "sse": _events,
    "short": lambda content: Reply(200, content[: len(content) // 2], "audio/mpeg"),
    "empty": lambda content: Reply(200, b"", "audio/mpeg"),
    "error200": lambda content: Reply(200, {"error": ERROR_200}),
    "html200": lambda content: Reply(200, PAGE_200, "text/html; charset=utf-8"),
}


@dataclass(frozen=True)
class Heard:
    """A sound that was listened to."""

    kind: str
    model: str
    name: str
    """Of the file."""
    seconds: float
    response_format: str
    language: str
    granularities: tuple[str, ...]


@dataclass(frozen=True)
class Segment:
    """What is said from one second to another."""

    start_s: float
    end_s: float
    text: str


def formats(kind: str, model: str) -> tuple[str, ...]:
    """What the model can answer with (5.11, 5.12)."""
    if "diarize" in model:
        return ("json", "text", "diarized_json")
    if model.startswith("gpt-4o"):
        return ("json",)
    return ("json", "text", "srt", "verbose_json", "vtt")


def heard(variant: str, sound: Heard) -> Reply:
    """What was said in this shape; in the one that was asked for where the shape is another route's."""
    if variant in HEARD:
        return HEARD[variant]
    said = list(segments(sound))
    text = " ".join(segment.text for segment in said)
    if sound.response_format in TEXTS:
        written = TEXTS[sound.response_format](said)
        return Reply(200, {"text": written}) if variant == "wrapped" else Reply(200, written, "text/plain")
    return Reply(200, OBJECTS[sound.response_format](sound, text, said))


def segments(sound: Heard) -> Iterator[Segment]:
    """The file's name, its length and its parts, in equal times."""
    count = max(math.ceil(sound.seconds / SEGMENT_S), 1)
    for part in range(count):
        start_s, end_s = sound.seconds * part / count, sound.seconds * (part + 1) / count
        said = f"Part {part + 1} of {count} of {sound.name}, which lasts {sound.seconds:.1f} seconds."
        yield Segment(round(start_s, 2), round(end_s, 2), said)


def _plain(said: list[Segment]) -> str:
    return " ".join(segment.text for segment in said) + "\n"


def _srt(said: list[Segment]) -> str:
    return "".join(
        f"{number}\n{_time(one.start_s, ',')} --> {_time(one.end_s, ',')}\n{one.text}\n\n"
        for number, one in enumerate(said, 1)
    )


def _vtt(said: list[Segment]) -> str:
    cues = (f"{_time(one.start_s, '.')} --> {_time(one.end_s, '.')}\n{one.text}\n\n" for one in said)
    return "WEBVTT\n\n" + "".join(cues)


def _time(seconds: float, point: str) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{thousandths:03}"


def _json(sound: Heard, text: str, said: list[Segment]) -> dict[str, Any]:
    return {"text": text, "usage": _usage(sound)}


def _verbose(sound: Heard, text: str, said: list[Segment]) -> dict[str, Any]:
    task = "translate" if sound.kind == "audio.translation" else "transcribe"
    whole = {"task": task, "language": "english", "duration": sound.seconds, "text": text, "usage": _usage(sound)}
    if "segment" in sound.granularities or not sound.granularities:
        whole["segments"] = [_segment(number, one) for number, one in enumerate(said)]
    if "word" in sound.granularities:
        whole["words"] = [word for one in said for word in _words(one)]
    return whole


def _segment(number: int, one: Segment) -> dict[str, Any]:
    more = {"temperature": 0, "avg_logprob": -0.28, "compression_ratio": 1.2, "no_speech_prob": 0.01}
    times = {"start": one.start_s, "end": one.end_s}
    return {"id": number, "seek": 0, **times, "text": f" {one.text}", "tokens": [50364, 50529], **more}


def _words(one: Segment) -> Iterator[dict[str, Any]]:
    words = one.text.split()
    step_s = (one.end_s - one.start_s) / len(words)
    for place, word in enumerate(words):
        start_s = one.start_s + step_s * place
        yield {"word": word, "start": round(start_s, 2), "end": round(start_s + step_s, 2)}


def _diarized(sound: Heard, text: str, said: list[Segment]) -> dict[str, Any]:
    turns = [
        {
            "type": "transcript.text.segment",
            "id": f"seg_{number:03}",
            "start": one.start_s,
            "end": one.end_s,
            "text": one.text,
            "speaker": "AB"[number % 2],
        }
        for number, one in enumerate(said)
    ]
    whole = {"task": "transcribe", "duration": sound.seconds, "text": text, "segments": turns}
    return {**whole, "usage": _usage(sound)}


def _usage(sound: Heard) -> dict[str, Any]:
    if not sound.model.startswith("gpt-4o"):
        return {"type": "duration", "seconds": math.ceil(sound.seconds)}
    heard_tokens, said_tokens = math.ceil(sound.seconds * 10), 12
    return {
        "type": "tokens",
        "input_tokens": heard_tokens,
        "input_token_details": {"text_tokens": 0, "audio_tokens": heard_tokens},
        "output_tokens": said_tokens,
        "total_tokens": heard_tokens + said_tokens,
    }


TEXTS: Final[Mapping[str, Callable[[list[Segment]], str]]] = {"text": _plain, "srt": _srt, "vtt": _vtt}
OBJECTS: Final[Mapping[str, Callable[[Heard, str, list[Segment]], dict[str, Any]]]] = {
    "json": _json,
    "verbose_json": _verbose,
    "diarized_json": _diarized,
}
HEARD: Final[Mapping[str, Reply]] = {
    "silence": Reply(200, {"text": ""}),
    "empty": Reply(200, b"", "application/json"),
    "error200": Reply(200, {"error": ERROR_200}),
    "html200": Reply(200, PAGE_200, "text/html; charset=utf-8"),
}
