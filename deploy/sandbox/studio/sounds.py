"""Sounds out of letters: a short tone for each, the same text the same tune; and how long a sound lasts."""

from __future__ import annotations

import io
import math
from array import array
from fractions import Fraction
from functools import lru_cache
from typing import Final

import av
import av.error

RATE_HZ: Final = 24_000
LETTER_S: Final = 0.06
#: Steps of a scale in which any order sounds well, semitones above A.
SCALE: Final = (0, 2, 4, 7, 9)
LOUDNESS: Final = 9_000

#: By the name that callers know: FFmpeg's container and codec, and the rate that the codec wants.
FORMS: Final[dict[str, tuple[str, str, int]]] = {
    "mp3": ("mp3", "libmp3lame", RATE_HZ),
    "opus": ("ogg", "libopus", 48_000),
    "aac": ("adts", "aac", RATE_HZ),
    "flac": ("flac", "flac", RATE_HZ),
    "wav": ("wav", "pcm_s16le", RATE_HZ),
}


class NotASound(ValueError):
    """These bytes hold nothing that can be heard."""


def samples(text: str, speed: float = 1.0) -> bytes:
    """The tune of a text: 16 bits, mono, little-endian, `RATE_HZ`."""
    length = max(int(RATE_HZ * LETTER_S / speed), 1)
    return b"".join(_tone(_step(letter), length) for letter in text or "-")


def encode(text: str, form: str, speed: float = 1.0) -> bytes:
    """The tune as a file of this form, or its bare samples as `pcm`."""
    raw = samples(text, speed)
    if form == "pcm":
        return raw
    container, codec, rate_hz = FORMS[form]
    file = io.BytesIO()
    with av.open(file, "w", format=container) as sound:
        stream = sound.add_stream(codec, rate=rate_hz)
        assert isinstance(stream, av.AudioStream)
        context = stream.codec_context
        resampler = av.AudioResampler(context.format, "mono", rate_hz, frame_size=context.frame_size or 1024)
        context.layout = "mono"
        for frame in [*resampler.resample(_frame(raw)), *resampler.resample(None)]:
            sound.mux(stream.encode(frame))
        sound.mux(stream.encode(None))
    return file.getvalue()


def seconds(content: bytes) -> float:
    """How long a sound or a film with sound lasts, as far as it can be decoded.

    Raises:
        NotASound: it cannot.
    """
    try:
        with av.open(io.BytesIO(content), "r") as sound:
            heard = sum((Fraction(frame.samples, frame.sample_rate) for frame in sound.decode(audio=0)), Fraction())
    except (av.error.FFmpegError, ValueError, IndexError) as error:
        raise NotASound(str(error)) from error
    if not heard:
        raise NotASound("nothing to hear")
    return float(heard)


def _step(letter: str) -> int | None:
    """Which tone a letter has: none for a blank."""
    return None if letter.isspace() else ord(letter.lower()) % 24


@lru_cache(256)
def _tone(step: int | None, length: int) -> bytes:
    if step is None:
        return bytes(2 * length)
    octave, degree = divmod(step % 15, len(SCALE))
    pitch_hz = 220 * 2 ** (octave + SCALE[degree] / 12)
    swell = [min(at, length - at, 120) / 120 for at in range(length)]  # no click where two tones meet
    wave = (LOUDNESS * swell[at] * math.sin(math.tau * pitch_hz * at / RATE_HZ) for at in range(length))
    return array("h", map(round, wave)).tobytes()


def _frame(raw: bytes) -> av.AudioFrame:
    frame = av.AudioFrame(format="s16", layout="mono", samples=len(raw) // 2)
    frame.planes[0].update(raw)
    frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, 0, Fraction(1, RATE_HZ)
    return frame
