"""Results in hand: bytes that the gateway sent inside its answer, and downloads under way.

What was paid for is on disk, flushed, before the row says that it exists; so a process may die at any moment and
another one of the same host stores it.  Files are named by job, attempt and index.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Spool:
    """A folder of this host that all its worker processes share."""

    def __init__(self, folder: Path) -> None:
        self._kept = folder / "kept"
        self._passing = folder / "passing"
        for part in (self._kept, self._passing):
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
        with tempfile.NamedTemporaryFile(dir=self._passing, delete=False) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).rename(self._kept / name)
        self._flush_folder()
        return name

    def kept(self, name: str) -> Path:
        """Where a kept output lies; it may be gone if it was stored meanwhile."""
        return self._kept / name

    def drop(self, job_id: str, attempt: int) -> None:
        """Forget what was kept of an attempt: it is in S3, or nobody wants it."""
        for path in self._kept.glob(f"{job_id}-{attempt}-*"):
            path.unlink(missing_ok=True)

    def old(self, age_s: float, most: int) -> list[tuple[str, int]]:
        """Job and attempt of some outputs that were kept so long ago, the oldest first."""
        before = time.time() - age_s
        found = sorted((_touched(path), path.name) for path in self._kept.iterdir())
        names = (name.rsplit("-", 2) for touched, name in found[:most] if touched < before)
        return list(dict.fromkeys((job_id, int(attempt)) for job_id, attempt, _ in names))

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

    def free_bytes(self) -> int:
        """Room that is left on its disk."""
        return shutil.disk_usage(self._kept).free

    @contextmanager
    def passing(self) -> Iterator[Path]:
        """A folder for one download, gone at the end of the block."""
        with tempfile.TemporaryDirectory(dir=self._passing, ignore_cleanup_errors=True) as folder:
            yield Path(folder)

    def _flush_folder(self) -> None:
        folder = os.open(self._kept, os.O_RDONLY)
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
