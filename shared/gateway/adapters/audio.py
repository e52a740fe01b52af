"""`/v1/audio/…`: a text spoken, speech written down.  Pure.

Contract: gateway/images-text-audio-system.md 5.10 to 5.12.  Literal replies: tests/replies/audio/.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from shared.catalog.operations.table import OPERATIONS
from shared.errors import InputRefused, UnreadableReply
from shared.gateway import classify, reading, sounds
from shared.gateway.adapter import Adapter
from shared.gateway.call import Call, Media
from shared.gateway.outcome import ErrorClass, Outcome, Output, Produced, Source
from shared.gateway.request import Part, Request, Response

# Speech.

FRAMED: Final = frozenset({"audio/mpeg", "audio/mp3", "audio/aac", "audio/aacp"})
RAW: Final = frozenset({"audio/pcm", "audio/x-pcm", "audio/raw", "audio/l16"})
"""Content types of samples without a header."""


def build_speech(call: Call) -> Request:
    """Ask for a text to be spoken: the prompt, or `input` in its place."""
    body = {"model": call.model, "input": call.prompt, **call.params.given()}
    return Request("POST", "/v1/audio/speech", json=body, timeout_s=_timeout_s(call), name=call.operation)


def read_speech(response: Response, call: Call) -> Outcome:
    """The sound in the answer.

    Reply: the bytes of a file, or a stream of events that hold them in base64.  Samples without a header get one.

    Raises:
        UnreadableReply: no sound: the status goes out before the sound is made, so 200 promises nothing (5.10).
    """
    result: Mapping[str, Any] = {}
    content = response.body
    if _is_stream(response):
        events = [event for event in classify.documents(content) if isinstance(event, Mapping)]
        error = next((event for event in events if event.get("error") or event.get("type") == "error"), None)
        if error is not None:
            return classify.failure(classify.said(error), ErrorClass.UNKNOWN_OUTCOME, charged=True)
        content, result = _joined(events)
    return Produced((Output("audio", (Source(content=_playable(content, response, call)),)),), result)


def _is_stream(response: Response) -> bool:
    return _type(response) == "text/event-stream" or response.body.startswith((b"data:", b"event:"))


def _joined(events: list[Mapping[str, Any]]) -> tuple[bytes, Mapping[str, Any]]:
    """The sound in the events, and what the last one tells of it."""
    done = next((event for event in events if event.get("type") == "speech.audio.done"), None)
    pieces = [reading.decoded(str(event["audio"])) for event in events if event.get("audio")]
    if done is None:
        raise UnreadableReply(f"the stream broke off after {len(pieces)} pieces of sound")
    if None in pieces:
        raise UnreadableReply("a piece of sound is no base64")
    return b"".join(filter(None, pieces)), {"usage": done["usage"]} if done.get("usage") else {}


def _playable(content: bytes, response: Response, call: Call) -> bytes:
    """The sound as a file."""
    if not content:
        raise UnreadableReply("nothing came where sound was promised")
    kind = _type(response)
    is_raw = kind in RAW or (call.params.given().get("response_format") == "pcm" and kind not in FRAMED)
    if sounds.is_file(content) or (not is_raw and sounds.is_frame(content)):
        return content
    if is_raw and not _is_text(content):
        return sounds.as_wav(content, _rate_hz(response))
    if content.lstrip()[:1] == b"{":
        raise reading.unreadable("an object came where sound was promised", reading.object_of(response))
    raise UnreadableReply("what came is no sound")


def _is_text(content: bytes) -> bool:
    """Whether this is a page or a message: no sound goes for long without a control character or broken UTF-8."""
    try:
        head = codecs.getincrementaldecoder("utf-8")().decode(content[:512])
    except UnicodeDecodeError:
        return False
    return not re.search(r"[\x00-\x08\x0e-\x1f\x7f]", head)


def _rate_hz(response: Response) -> int:
    """As `audio/L16;rate=16000` says it."""
    told = re.search(r"\brate=(\d{4,6})\b", response.headers.get("content-type", ""))
    return int(told[1]) if told else sounds.RATE_HZ


# Listening.

PATHS: Final = {"audio.transcription": "/v1/audio/transcriptions", "audio.translation": "/v1/audio/translations"}

EXTENSIONS: Final = frozenset(
    {"mp3", "wav", "flac", "m4a", "mp4", "ogg", "oga", "opus", "aiff", "aif", "aifc", "webm", "aac"}
)
"""What the name of the file may end in: from it the gateway knows how to measure its length (5.11)."""

RENAMED: Final = {"mov": "mp4"}
"""QuickTime is made of the same boxes as MP4."""

MOST_BYTES: Final = 25 * 2**20

PLAIN: Final = frozenset({"text", "srt", "vtt"})
"""Formats that come as they are; some relays put them into `{"text": …}` all the same."""

KEPT: Final = ("task", "language", "duration", "text", "segments", "words", "logprobs", "usage")
"""Fields of the answer that the user sees in `result`."""


def build_listen(call: Call) -> Request:
    """Ask for what is said in a file.

    Raises:
        InputRefused: the gateway takes no such file, or none so large.
    """
    form = {"model": call.model}
    if call.prompt:
        form["prompt"] = call.prompt
    files = [_file(call)]
    for name, value in call.params.given().items():
        if isinstance(value, list):
            # Fields that stand several times; a part without the name of a file is a field.
            files += [Part(f"{name}[]", "", "text/plain; charset=utf-8", item.encode()) for item in value]
        else:
            form[name] = json.dumps(value) if isinstance(value, dict) else str(value)
    path = PATHS[call.operation]
    return Request("POST", path, form=form, files=tuple(files), timeout_s=_timeout_s(call), name=call.operation)


def _file(call: Call) -> Part:
    media = call.one("audio")
    if media is None:
        raise InputRefused(f"{call.operation} needs a sound or a film to listen to")
    if len(media.content) > MOST_BYTES:
        raise InputRefused(f"a file of {len(media.content)} bytes is too large to listen to; {MOST_BYTES} are taken")
    return Part("file", _filename(media), media.content_type, media.content)


def _filename(media: Media) -> str:
    stem, _, extension = media.filename.rpartition(".")
    extension = RENAMED.get(extension.lower(), extension.lower())
    if extension not in EXTENSIONS:
        known = ", ".join(sorted(EXTENSIONS))
        raise InputRefused(f"the gateway listens to no file of {media.content_type}; it takes {known}")
    return f"{stem}.{extension}"


def read_listen(response: Response, call: Call) -> Outcome:
    """What was said, as `{"format", "text", …}`: `format` is what came, which need not be what was asked for.

    Reply: an object with `text`, or the text itself: plain, SRT or WebVTT.  Nothing said is a result, too.
    Where one of those was asked for, it is also an output, to be stored as a file.

    Raises:
        UnreadableReply: neither.
    """
    asked = call.params.given().get("response_format", "json")
    is_object = re.match(rb'\s*\{\s*"', response.body) is not None  # a text may begin with a brace, too
    heard = _object(response) if is_object else {"text": _text(response, asked)}
    text = heard["text"]
    if asked in PLAIN or not is_object:
        form = _form(text)
    else:
        form = asked if "segments" in heard or "words" in heard else "json"
    is_file = asked in PLAIN and text.strip() != ""
    return Produced((_file_of(text),) if is_file else (), {"format": form, **heard})


def _file_of(text: str) -> Output:
    """Without what no file of text holds: NUL, and halves of letters."""
    return Output("text", (Source(content=text.replace("\0", "").encode("utf-8", "replace")),))


def _object(response: Response) -> dict[str, Any]:
    body = reading.object_of(response)
    if not isinstance(body.get("text"), str):
        raise reading.unreadable("an object without a text", body)
    return {name: body[name] for name in KEPT if body.get(name) is not None}


def _text(response: Response, asked: str) -> str:
    """The body as text; where JSON was asked for it must call itself one."""
    if not response.body:
        raise UnreadableReply("nothing came, not even an empty line")
    kind = _type(response)
    try:
        text = response.body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableReply("the text is not UTF-8, or cut off") from None
    if kind == "text/html" or re.match(r"\s*<(?:!doctype|html|head|body)\b", text, re.IGNORECASE):
        raise UnreadableReply("a page came where a text was promised")
    if asked not in PLAIN and kind != "text/plain":
        raise UnreadableReply("neither an object nor a text")
    return text


def _form(text: str) -> str:
    if text.lstrip().startswith("WEBVTT"):
        return "vtt"
    return "srt" if re.search(r"^\d\d:\d\d:\d\d,\d{3} --> ", text, re.MULTILINE) else "text"


def _type(response: Response) -> str:
    """The content type without its parameters."""
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _timeout_s(call: Call) -> float:
    return OPERATIONS[call.operation].timeout_s


SPEECH: Final = Adapter("audio.speech", build_speech, read_speech, free_at=frozenset({500, 502, 503, 529}))
TRANSCRIPTION: Final = Adapter("audio.transcription", build_listen, read_listen)
TRANSLATION: Final = Adapter("audio.translation", build_listen, read_listen)
ADAPTERS: Final = (SPEECH, TRANSCRIPTION, TRANSLATION)
