"""Every operation, by name.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shared.catalog.entry import Operation
from shared.catalog.operations import images, midjourney, videos

OPERATIONS: Final[Mapping[str, Operation]] = {
    operation.name: operation for family in (images, videos, midjourney) for operation in family.OPERATIONS
}
