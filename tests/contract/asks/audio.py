"""Speech, and what is heard in it."""

from __future__ import annotations

import io
import wave
from typing import Final

import httpx

from tests.contract.asks.ask import Ask, Family, Way, json_call, tagged
from tests.contract.shapes import Loose


def silence(seconds: int = 9) -> bytes:
    """A sound of so many seconds."""
    written = io.BytesIO()
    with wave.open(written, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16_000 * seconds))
    return written.getvalue()


SOUND: Final = silence()


def _hears(
    response_format: str,
    model: str = "whisper-1",
    *,
    name: str = "tide.wav",
    to: str = "transcriptions",
    words: str = "",
) -> Way:
    """A sound that is listened to; with `words`, for their times."""

    def listen(client: httpx.Client, tag: str) -> httpx.Response:
        fields = {"model": model, "response_format": response_format, "prompt": tagged("", tag)}
        more = {"timestamp_granularities[]": words} if words else {}
        return client.post(f"/v1/audio/{to}", data=fields | more, files={"file": (name, SOUND)})

    return listen


SPOKEN: Final = json_call("/v1/audio/speech", model="tts-1", input="{prompt}", voice="alloy")
JSON: Final = _hears("json")
TOKENS: Final = _hears("json", "gpt-4o-transcribe")
VERBOSE: Final = _hears("verbose_json")

COUNTS: Final = Loose(r"usage", "seconds or tokens are counted, which no client needs", True)

ASKS: Final = {
    "0-cut-off.txt": Ask(JSON, "cut=unnoticed", media_type="application/json"),
    "0-empty.txt": Ask(JSON, "fail_after=200_empty"),
    "0-page.html": Ask(JSON, "variant=html200"),
    "2.1-E12-200.json": Ask(SPOKEN, "fail_after=200_coded"),
    "2.5-200-error.json": Ask(SPOKEN, "fail_after=200_invalid_value"),
    "5.10-500-do-request-failed.json": Ask(SPOKEN, "fail=500_do_request_failed"),
    "5.10-500-upstream.json": Ask(SPOKEN, "fail=500_upstream"),
    "5.10-503-placeholder.json": Ask(SPOKEN, "fail=503_placeholder"),
    "5.10-sse-broke-off.txt": Ask(SPOKEN, "variant=sse say=broke_off"),
    "5.10-sse-error.txt": Ask(SPOKEN, "variant=sse say=error"),
    "5.10-sse-piece-is-no-base64.txt": Ask(SPOKEN, "variant=sse say=no_base64"),
    "5.10-sse.txt": Ask(SPOKEN, "variant=sse"),
    "5.11-500-not-implemented.json": Ask(JSON, "fail=500_not_implemented"),
    "5.11-500-unsupported-audio-format.json": Ask(_hears("json", name="tide.mpga")),
    "5.11-diarized.json": Ask(_hears("diarized_json", "gpt-4o-transcribe-diarize")),
    "5.11-json-bare.json": Ask(JSON, "say=no_usage"),
    "5.11-json-duration.json": Ask(JSON),
    "5.11-json-silence.json": Ask(JSON, "variant=silence"),
    "5.11-json-tokens.json": Ask(TOKENS),
    "5.11-object-without-a-text.json": Ask(JSON, "say=no_text"),
    "5.11-srt-wrapped.json": Ask(_hears("srt"), "variant=wrapped"),
    "5.11-srt.txt": Ask(_hears("srt")),
    "5.11-text-begins-with-a-brace.txt": Ask(_hears("text"), "say=a_brace"),
    "5.11-text-silence.txt": Ask(_hears("text"), "say=silence"),
    "5.11-text-wrapped.json": Ask(_hears("text"), "variant=wrapped"),
    "5.11-text.txt": Ask(_hears("text")),
    "5.11-verbose-words.json": Ask(_hears("verbose_json", words="word"), "say=no_usage"),
    "5.11-verbose.json": Ask(VERBOSE),
    "5.11-vtt-wrapped.json": Ask(_hears("vtt"), "variant=wrapped"),
    "5.11-vtt.txt": Ask(_hears("vtt")),
    "5.12-verbose.json": Ask(_hears("verbose_json", to="translations"), "say=no_usage"),
}

FAMILY: Final = Family(ASKS, (COUNTS,))
