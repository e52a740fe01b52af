"""Sound: a text that is spoken, speech that is written down.  Pure.

Source: gateway/images-text-audio-system.md 5.10 to 5.12.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from shared.catalog.entry import Operation, Role
from shared.catalog.params import Params, Short

SPOKEN_MOST: Final = 4_096
"""Longest text that is spoken in one call, characters (5.10)."""


class AudioSpeechParams(Params):
    """`audio.speech`: `POST /v1/audio/speech` (5.10)."""

    input: Annotated[str, StringConstraints(max_length=SPOKEN_MOST, pattern=r"\S")] | None = None
    """The text to speak, in place of the prompt."""
    voice: Short | None = None
    """Who speaks: alloy, echo, fable, onyx, nova, shimmer, ash, ballad, coral, sage, verse, marin, cedar …"""
    instructions: Annotated[str, StringConstraints(max_length=SPOKEN_MOST)] | None = None
    """How to speak it, for models that can be told (gpt-4o-mini-tts)."""
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] | None = None
    """File format of the sound.  `pcm` has no header, so it is stored as WAV: the same samples behind one."""
    speed: float | None = Field(None, ge=0.25, le=4)
    """Pace of the speech; 1 is the voice's own."""
    stream_format: Literal["audio", "sse"] | None = None
    """How the gateway hands the sound over; Darkroom stores it either way."""
    metadata: dict[str, Any] | None = None
    """Fields of a vendor's own, handed on as they are."""


class AudioTranslationParams(Params):
    """`audio.translation`: `POST /v1/audio/translations`, always into English (5.12)."""

    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] | None = None
    """What comes back; `text`, `srt` and `vtt` are stored as a file, too."""
    temperature: float | None = Field(None, ge=0, le=1)
    """How freely the model guesses."""


class AudioTranscriptionParams(Params):
    """`audio.transcription`: `POST /v1/audio/transcriptions` (5.11)."""

    response_format: Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"] | None = None
    """What comes back; `text`, `srt` and `vtt` are stored as a file, too."""
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")] | None = None
    """What is spoken, as `en` or `de` (ISO 639); left out, the model finds out."""
    temperature: float | None = Field(None, ge=0, le=1)
    """How freely the model guesses."""
    timestamp_granularities: Annotated[list[Literal["word", "segment"]], Field(min_length=1, max_length=2)] | None = (
        None
    )
    """What gets times of its own, with `verbose_json`."""
    include: Annotated[list[Short], Field(min_length=1, max_length=16)] | None = None
    """What else to tell, as `logprobs`, where the model can."""
    chunking_strategy: Literal["auto"] | dict[str, Any] | None = None
    """How long sound is cut before it is listened to, where the model can be told."""

    @field_validator("timestamp_granularities")
    @classmethod
    def _need_room(cls, wanted: list[str] | None, told: ValidationInfo) -> list[str] | None:
        if wanted is not None and told.data.get("response_format") != "verbose_json":
            raise PydanticCustomError("needs_verbose_json", "needs response_format verbose_json")
        return wanted


HEARD: Final = Role(1, 1, ("audio", "video"))

OPERATIONS: Final = (
    Operation(
        "audio.speech",
        "A text, spoken",
        AudioSpeechParams,
        gives="audio",
        prompt_required=False,
        prompt_in="input",
        prompt_most=SPOKEN_MOST,
        timeout_s=180,
    ),
    Operation(
        "audio.transcription",
        "What is said in a sound or a film, written down; a prompt helps with names and style",
        AudioTranscriptionParams,
        gives="text",
        prompt_required=False,
        inputs={"audio": HEARD},
        timeout_s=300,
    ),
    Operation(
        "audio.translation",
        "What is said in a sound or a film, written down in English",
        AudioTranslationParams,
        gives="text",
        prompt_required=False,
        inputs={"audio": HEARD},
        timeout_s=300,
    ),
)
