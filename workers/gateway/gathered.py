"""An answer while it comes: a small one in memory, a large one on the disk, and in memory again if that is full."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

import structlog

log = structlog.get_logger(__name__)


class Gathered:
    """Bytes in the order in which they come.  A paid answer is not lost to a full disk: it costs memory instead."""

    def __init__(self, memory_bytes: int, folder: Path | None = None) -> None:
        """
        Args:
            memory_bytes: beyond this they go to a file without a name.
            folder: where that is; None: where the system keeps such.
        """
        self._memory_bytes = memory_bytes
        self._folder = folder
        self._may_use_disk = True
        self.size_bytes = 0
        self.file: BinaryIO = io.BytesIO()
        """All of them, written to its end."""

    def write(self, chunk: bytes) -> None:
        self.size_bytes += len(chunk)
        if not self._may_use_disk:
            self.file.write(chunk)
            return
        rest = memoryview(chunk)
        try:
            if isinstance(self.file, io.BytesIO) and self.size_bytes > self._memory_bytes:
                self._go_to_disk()
            while rest:
                rest = rest[self.file.write(rest) :]
        except OSError as error:
            log.error("gathered.no_disk", told=error.strerror, size_bytes=self.size_bytes)
            self._come_back()
            self.file.write(rest)

    def _go_to_disk(self) -> None:
        """Unbuffered, so that it is known at each moment what the file has."""
        file = cast(BinaryIO, tempfile.TemporaryFile(buffering=0, dir=self._folder))  # noqa: SIM115 - the reader closes it
        try:
            rest = memoryview(cast(io.BytesIO, self.file).getvalue())
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            file.close()
            raise
        self.file = file

    def _come_back(self) -> None:
        self._may_use_disk = False
        if isinstance(self.file, io.BytesIO):
            return
        memory = io.BytesIO()
        with self.file as file:
            file.seek(0)
            while part := file.read(2**20):
                memory.write(part)
        self.file = memory
