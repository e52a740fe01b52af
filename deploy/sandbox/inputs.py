"""Pictures that callers send: checked to be pictures, kept small, to be shown inside what is drawn from them."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import io
import re
from pathlib import Path
from typing import Final

from PIL import Image

from deploy.sandbox.shelf import Folder

#: What models take; gif, bmp, tiff and heic are refused (images 3.6).
TAKEN: Final = ("PNG", "JPEG", "WEBP")
SHOWN_SIDE: Final = 1024
MOST_BYTES: Final = 256 * 2**20
DATA_URL: Final = re.compile(r"data:[\w/+.-]+;base64,", re.IGNORECASE)


class NotAPicture(ValueError):
    """These bytes are not a picture that a model takes."""


class Inputs:
    def __init__(self, data_dir: Path) -> None:
        self._files = Folder(data_dir / "inputs", MOST_BYTES)

    async def keep(self, content: bytes) -> str:
        """The path of a small copy.

        Raises:
            NotAPicture: they are not.
        """
        path = self._files.path / f"{hashlib.sha256(content).hexdigest()[:24]}.jpeg"
        if not path.exists():
            await asyncio.to_thread(_copy, content, path)
            self._files.keep(path.name)
        return str(path)

    async def keep_words(self, words: list[str]) -> list[str]:
        """The same for data URLs and bare base64; http addresses are believed and not fetched."""
        return [await self.keep(_decoded(word)) for word in words if not word.startswith(("http://", "https://"))]


def _copy(content: bytes, path: Path) -> None:
    try:
        with Image.open(io.BytesIO(content), formats=TAKEN) as image:
            image.load()
            image.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
            image.convert("RGB").save(path, "JPEG", quality=90)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise NotAPicture(str(error)) from error


def _decoded(word: str) -> bytes:
    try:
        return base64.b64decode(DATA_URL.sub("", word, count=1), validate=True)
    except binascii.Error as error:
        raise NotAPicture("not base64") from error
