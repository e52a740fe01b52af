"""Sound as bytes: what begins like a file of it, and samples that are none yet.  Pure.

Contract: gateway/images-text-audio-system.md 5.1, 5.10.
"""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Sequence
from typing import Final

from shared.gateway import reading

MAGIC: Final = ((0, b"RIFF"), (0, b"ID3"), (0, b"OggS"), (0, b"fLaC"), (0, b"\x1a\x45\xdf\xa3"), (4, b"ftyp"))
"""Where which bytes begin a file of sound.  MP3 and AAC may also begin with a frame: eleven bits that are set."""

RATE_HZ: Final = 24_000
"""Of raw samples, unless it is said otherwise: 16 bits, mono, little-endian (5.10)."""


def is_file(content: bytes) -> bool:
    return any(content.startswith(magic, at) for at, magic in MAGIC)


def is_frame(content: bytes) -> bool:
    return len(content) > 2 and content[0] == 0xFF and content[1] & 0xE0 == 0xE0


def as_wav(samples: bytes, rate_hz: int = RATE_HZ) -> bytes:
    """The same samples behind a header."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate_hz)
        sound.writeframes(samples[: len(samples) // 2 * 2])
    return file.getvalue()


def joined(pieces: Sequence[str]) -> str:
    """One base64 of the pieces of a sound, each of which is padded for itself; what comes in pieces is raw samples.

    A piece that is none leaves them as they came.
    """
    if len(pieces) == 1:
        return pieces[0]
    decoded = [reading.decoded(piece) for piece in pieces]
    if None in decoded:
        return "".join(pieces)
    content = b"".join(filter(None, decoded))
    return base64.b64encode(content if is_file(content) else as_wav(content)).decode()
