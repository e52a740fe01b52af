"""Answers while they come: in memory, on the disk, and in memory again when the disk takes no more."""

from __future__ import annotations

import errno
import io
import tempfile
from pathlib import Path
from typing import Any

import pytest

from workers.gateway.gathered import Gathered

CHUNKS = [bytes([number]) * 700 for number in range(10)]
WHOLE = b"".join(CHUNKS)


class Disk:
    """A file that takes so many bytes, the last of them in a short write, and then is full."""

    def __init__(self, room_bytes: int) -> None:
        self._file = io.BytesIO()
        self._room_bytes = room_bytes
        self.is_closed = False

    def write(self, chunk: Any) -> int:
        if self._room_bytes == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        some = bytes(chunk)[: self._room_bytes]
        self._room_bytes -= len(some)
        return self._file.write(some)

    def seek(self, place: int) -> int:
        return self._file.seek(place)

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def close(self) -> None:
        self.is_closed = True

    def __enter__(self) -> Disk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def content(gathered: Gathered) -> bytes:
    gathered.file.seek(0)
    return gathered.file.read()


def gather(memory_bytes: int, folder: Path | None = None) -> Gathered:
    gathered = Gathered(memory_bytes, folder)
    for chunk in CHUNKS:
        gathered.write(chunk)
    return gathered


def test_a_small_answer_stays_in_memory(tmp_path: Path) -> None:
    gathered = gather(len(WHOLE), tmp_path)

    assert isinstance(gathered.file, io.BytesIO)
    assert (content(gathered), gathered.size_bytes) == (WHOLE, 7000)


def test_a_large_answer_is_in_a_file_without_a_name(tmp_path: Path) -> None:
    gathered = gather(1000, tmp_path)

    with gathered.file:
        assert not isinstance(gathered.file, io.BytesIO)
        assert list(tmp_path.iterdir()) == []
        assert content(gathered) == WHOLE


@pytest.mark.parametrize("room_bytes", [0, 1, 699, 700, 1399, 1400, 1401, 3333, 6999])
def test_whatever_the_disk_had_taken_when_it_was_full_nothing_is_lost(
    room_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(room_bytes)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: disk)

    gathered = gather(1000)

    assert isinstance(gathered.file, io.BytesIO)
    assert content(gathered) == WHOLE
    assert disk.is_closed


def test_a_disk_on_which_no_file_can_be_made_costs_memory_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> Any:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", broken)

    assert content(gather(1000)) == WHOLE
