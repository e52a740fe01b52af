"""Models that speak and that listen: data only.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from shared.catalog.entry import Entry, Limit, Price

ONLY_JSON: Final = {"response_format": Limit(values=("json",))}
NO_SPEAKERS: Final = {"response_format": Limit(values=("json", "text", "srt", "verbose_json", "vtt"))}
DIARIZED: Final = {"response_format": Limit(values=("json", "text", "diarized_json"))}


def _voice(title: str, usd_a_million: str, typical_s: float) -> Entry:
    return Entry(
        title=title,
        operation="audio.speech",
        lane="audio",
        typical_s=typical_s,
        price=Price(per_million_characters=Decimal(usd_a_million)),
        defaults={"voice": "alloy"},  # without one the call is refused (5.10)
    )


def _ear(title: str, usd_a_minute: str, **more: Any) -> Entry:
    price = Price(per_minute=Decimal(usd_a_minute))
    return Entry(title=title, operation="audio.transcription", lane="audio", typical_s=20, price=price, **more)


ENTRIES: Final[Mapping[str, Entry]] = {
    "tts-1": _voice("TTS 1", "15", 15),
    "tts-1-hd": _voice("TTS 1 HD", "30", 25),
    # Paid by the minute of speech, 0.015 USD: some 950 characters.
    "gpt-4o-mini-tts": _voice("GPT-4o Mini TTS", "16", 15),
    "whisper-1": _ear("Whisper", "0.006", limits=NO_SPEAKERS, operations=("audio.translation",)),
    "gpt-4o-transcribe": _ear("GPT-4o Transcribe", "0.006", limits=ONLY_JSON),
    "gpt-4o-mini-transcribe": _ear("GPT-4o Mini Transcribe", "0.003", limits=ONLY_JSON),
    "gpt-4o-transcribe-diarize": _ear(
        "GPT-4o Transcribe, by speaker", "0.006", limits=DIARIZED, defaults={"chunking_strategy": "auto"}
    ),
}
