"""`/v1/audio/…`: texts become tunes, and sounds are described by their name and length.

Contract: gateway/images-text-audio-system.md 5.10 to 5.12.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import FormData, UploadFile

from deploy.sandbox import bodies, calls, door, models, parts
from deploy.sandbox.calls import Price
from deploy.sandbox.door import Key
from deploy.sandbox.models import Family
from deploy.sandbox.replies import Refused, Reply, openai_error, upstream_error
from deploy.sandbox.routes import audio_view
from deploy.sandbox.routes.audio_view import Heard
from deploy.sandbox.script import drawn
from deploy.sandbox.studio import sounds
from deploy.sandbox.studio.sounds import NotASound

router = APIRouter(dependencies=[Depends(door.counted)])

SPOKEN_MOST: Final = 4_096
HEARD_MOST_BYTES: Final = 25 * 2**20

#: The gateway measures a file before it sends it on, by the end of its name, in lower case (5.11).
EXTENSIONS: Final = frozenset(
    {"mp3", "wav", "flac", "m4a", "mp4", "ogg", "oga", "opus", "aiff", "aif", "aifc", "webm", "aac"}
)


@dataclass(frozen=True)
class Speech:
    """A text to be spoken, checked."""

    model: str
    text: str
    format: str
    speed: float
    is_stream: bool


@router.post("/v1/audio/speech", name="audio.speech")
async def speak(request: Request, key: Key) -> Response:
    """A tune in place of a voice; its length follows from the text and the speed."""
    house = parts.of(request)
    fields = await bodies.json_fields(request)
    model, prompt = str(fields.get("model", "")), str(fields.get("input") or "")
    call = calls.begin(request, key, family="audio", kind="audio.speech", model=model, prompt=prompt)
    speech, family = _speech(fields, drawn(prompt)), _family(model, models.SPEAKING)

    async def work(_: int | None) -> Reply:
        ready_at = house.now() + calls.work_seconds(house, call, family.takes_s)
        content = await asyncio.to_thread(sounds.encode, speech.text, speech.format, speech.speed)
        await calls.until(house, ready_at)
        return audio_view.spoken(call.behaviour.variant or ("sse" if speech.is_stream else ""), content, speech.format)

    return await calls.carry(house, call, Price(family.price_usd * len(speech.text)), work)


@router.post("/v1/audio/transcriptions", name="audio.transcriptions")
async def transcribe(request: Request, key: Key) -> Response:
    return await _listen(request, key, "audio.transcription")


@router.post("/v1/audio/translations", name="audio.translations")
async def translate(request: Request, key: Key) -> Response:
    return await _listen(request, key, "audio.translation")


async def _listen(request: Request, key: str, kind: str) -> Response:
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Refused(openai_error(500, "invalid_request", "request Content-Type isn't multipart/form-data"))
    house = parts.of(request)
    async with request.form() as form:
        model, prompt = _text(form, "model"), _text(form, "prompt")
        call = calls.begin(request, key, family="audio", kind=kind, model=model, prompt=prompt)
        family = _family(model, models.LISTENING)
        heard = await _heard(form, kind, model)

    async def work(_: int | None) -> Reply:
        await calls.until(house, house.now() + calls.work_seconds(house, call, family.takes_s))
        return audio_view.heard(call.behaviour.variant or "", heard)

    # By the second, rounded up.
    return await calls.carry(house, call, Price(family.price_usd * math.ceil(heard.seconds) / 60), work)


def _family(model: str, families: tuple[Family, ...]) -> Family:
    family = models.family_of(model, "audio", families)
    if family is None:
        raise Refused(models.no_channel(model))
    return family


def _speech(fields: Mapping[str, Any], text: str) -> Speech:
    """Check the fields in the order in which new-api and then OpenAI does."""
    if not fields.get("input"):
        raise Refused(openai_error(500, "invalid_request", "input is required"))
    if len(text) > SPOKEN_MOST:
        raise Refused(_wrong("string_above_max_length", f"Invalid 'input': string too long, {len(text)} characters."))
    if not isinstance(fields.get("voice"), str):
        raise Refused(_wrong("missing_required_parameter", "Missing required parameter: 'voice'."))
    form, speed = fields.get("response_format") or "mp3", fields.get("speed") or 1
    if form not in audio_view.MEDIA_TYPES:
        raise Refused(_wrong("invalid_value", f"Invalid value: '{form}' for 'response_format'."))
    if not isinstance(speed, int | float) or not 0.25 <= speed <= 4:
        raise Refused(_wrong("invalid_value", f"Invalid 'speed': {speed}."))
    return Speech(str(fields["model"]), text, form, speed, fields.get("stream_format") == "sse")


async def _heard(form: FormData, kind: str, model: str) -> Heard:
    """Check the fields, and measure the file, as new-api does before it sends it on."""
    files = [file for file in form.getlist("file") if isinstance(file, UploadFile)]
    if len(files) != 1:
        raise Refused(openai_error(500, "convert_request_failed", "file is required"))
    name, content = files[0].filename or "", await files[0].read()
    extension = name.rpartition(".")[2]
    if extension not in EXTENSIONS:
        raise Refused(openai_error(500, "count_token_failed", f"unsupported audio format: .{extension}"))
    if len(content) > HEARD_MOST_BYTES:
        raise Refused(upstream_error(413, None, "Maximum content size limit exceeded", type_="server_error"))
    response_format = _text(form, "response_format") or "json"
    if response_format not in audio_view.formats(kind, model):
        message = f"response_format '{response_format}' is not compatible with model '{model}'. Use 'json' instead."
        raise Refused(_wrong("unsupported_value", message))
    granularities = tuple(str(one) for one in form.getlist("timestamp_granularities[]"))
    if granularities and response_format != "verbose_json":
        raise Refused(_wrong("invalid_value", "timestamp_granularities needs response_format 'verbose_json'."))
    try:
        lasts_s = await asyncio.to_thread(sounds.seconds, content)
    except NotASound as error:
        raise Refused(openai_error(500, "count_token_failed", "failed to get audio duration")) from error
    language = _text(form, "language") or "en"
    return Heard(kind, model, name, lasts_s, response_format, language, granularities)


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def _wrong(code: str, message: str) -> Reply:
    return upstream_error(400, code, message, type_="invalid_request_error")
