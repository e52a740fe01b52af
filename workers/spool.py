"""Results in hand: bytes that the gateway sent inside its answer, downloads, and manifests of both.

What was paid for is on disk, flushed, before the row says that it exists; so a process may die at any moment and
another one of the same host stores it.  Files are named by job, attempt and index; the manifest of an attempt
(`manifest.py`) by job and attempt.  All of it must survive a restart of the host: a spool in memory loses paid results.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

MANIFEST: Final = re.compile(r"(.+)-(\d+)")
KEPT: Final = re.compile(r"(.+)-(\d+)-\d+")
"""Job and attempt in the names of our files.  What is named otherwise somebody else put there, and it stays."""


class Spool:
    """A folder of this host that all its worker processes share."""

    def __init__(self, folder: Path) -> None:
        self._kept = folder / "kept"
        self._passing = folder / "passing"
        self._manifests = folder / "manifests"
        for part in (self._kept, self._passing, self._manifests):
            part.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = self._passing
        """For files without a name, which are gone with whoever opened them."""
        self.name = _name_of(folder)
        """Whose it is: stays with the folder, while the name of a container's host does not."""

    def keep(self, job_id: str, attempt: int, index: int, content: bytes) -> str:
        """Write an output and flush it to the disk.

        Returns:
            Its name, for `kept`.

        Raises:
            OSError: the disk is full or broken.
        """
        name = f"{job_id}-{attempt}-{index}"
        self._write(self._kept / name, content)
        return name

    def take_in(self, path: Path, job_id: str, attempt: int, index: int) -> str:
        """Keep a download that is whole: it moves here, flushed.  What is kept already stays as it is.

        Returns:
            Its name, for `kept`.

        Raises:
            OSError: the disk is broken.  It takes no room that the download had not taken.
        """
        if path.parent == self._kept:
            return path.name
        name = f"{job_id}-{attempt}-{index}"
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.rename(self._kept / name)
        _flush_folder(self._kept)
        return name

    def kept(self, name: str) -> Path:
        """Where a kept output lies; it may be gone if it was stored meanwhile."""
        return self._kept / name

    def drop(self, job_id: str, attempt: int) -> None:
        """Forget what was kept of an attempt: it is in S3, or nobody wants it."""
        for path in self._kept.glob(f"{job_id}-{attempt}-*"):
            path.unlink(missing_ok=True)
        self.drop_manifest(job_id, attempt)

    def keep_manifest(self, job_id: str, attempt: int, content: bytes) -> None:
        """Write down what came of a paid call, flushed, so that it is known before its row says so.

        Raises:
            OSError: the disk is full or broken.
        """
        self._write(self._manifests / f"{job_id}-{attempt}", content)

    def manifest(self, job_id: str, attempt: int) -> bytes | None:
        """What was written down of an attempt; None: nothing, or its row has it."""
        with suppress(FileNotFoundError):
            return (self._manifests / f"{job_id}-{attempt}").read_bytes()
        return None

    def manifests(self, age_s: float, most: int) -> list[tuple[str, int]]:
        """Job and attempt of some manifests that were written so long ago, the oldest first."""
        before = time.time() - age_s
        found = sorted((_touched(path), path.name) for path in self._manifests.iterdir())
        names = (MANIFEST.fullmatch(name) for touched, name in found[:most] if touched < before)
        return [(name[1], int(name[2])) for name in names if name is not None]

    def drop_manifest(self, job_id: str, attempt: int) -> None:
        """Forget a manifest: its row has it, or nobody wants it."""
        (self._manifests / f"{job_id}-{attempt}").unlink(missing_ok=True)

    def old(self, age_s: float, most: int) -> list[tuple[str, int]]:
        """Job and attempt of some outputs that were kept so long ago, the oldest first."""
        before = time.time() - age_s
        found = sorted((_touched(path), path.name) for path in self._kept.iterdir())
        names = (KEPT.fullmatch(name) for touched, name in found[:most] if touched < before)
        return list(dict.fromkeys((name[1], int(name[2])) for name in names if name is not None))

    def drop_left_over(self, age_s: float) -> int:
        """Remove downloads that nothing was written to for so long: whoever made them is dead.  How many there were."""
        before = time.time() - age_s
        left = [path for path in self._passing.iterdir() if _touched(path) < before]
        for path in left:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return len(left)

    def content(self) -> tuple[int, int]:
        """How many files are kept, and their bytes."""
        sizes = []
        with os.scandir(self._kept) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    sizes.append(entry.stat().st_size)
        return len(sizes), sum(sizes)

    def free_bytes(self) -> int:
        """Room that is left on its disk."""
        return shutil.disk_usage(self._kept).free

    @contextmanager
    def passing(self) -> Iterator[Path]:
        """A folder for one download, gone at the end of the block."""
        with tempfile.TemporaryDirectory(dir=self._passing, ignore_cleanup_errors=True) as folder:
            yield Path(folder)

    def _write(self, place: Path, content: bytes) -> None:
        """All of it or nothing, flushed: a disk that is full is left as it was."""
        path = None
        try:
            with tempfile.NamedTemporaryFile(dir=self._passing, delete=False) as file:
                path = Path(file.name)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            path.rename(place)
        except OSError:
            if path is not None:
                path.unlink(missing_ok=True)
            raise
        _flush_folder(place.parent)


def _flush_folder(path: Path) -> None:
    """Without this a file may be gone after a power cut although its bytes were flushed."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _name_of(folder: Path) -> str:
    """What is written in the folder; the first process that comes writes it."""
    place = folder / "name"
    with tempfile.NamedTemporaryFile("w", dir=folder) as file:
        file.write(uuid.uuid4().hex)
        file.flush()
        with suppress(FileExistsError):
            os.link(file.name, place)
    return place.read_text()


def _touched(path: Path) -> float:
    """When a file, or something in a folder, was last written to; now if it has just gone."""
    try:
        return max(part.stat().st_mtime for part in (path, *path.glob("*")))
    except FileNotFoundError:
        return time.time()
