"""Passwords and keys of one data folder: made once, kept in `DIR/secrets.json` (mode 0600)."""

from __future__ import annotations

import secrets
from pathlib import Path

from deploy.local import records

NAMES = (
    "postgres_password",
    "redis_password",
    "s3_access_key_id",
    "s3_secret_access_key",
    "s3_signing_key",
    "sandbox_key",
    "flower_password",
)
"""What is made here.  `admin_key` joins them once `api.cli prepare` has said it."""


def load(data_dir: Path) -> dict[str, str]:
    """All secrets of this folder, those made earlier and those that were still missing."""
    known: dict[str, str] = records.read(path(data_dir))
    missing = {name: secrets.token_hex(20) for name in NAMES if name not in known}
    return keep(data_dir, **missing) if missing else known


def keep(data_dir: Path, **more: str) -> dict[str, str]:
    """Add to the secrets of this folder, or replace some."""
    known: dict[str, str] = records.read(path(data_dir)) | more
    records.write(path(data_dir), known)
    return known


def path(data_dir: Path) -> Path:
    return data_dir / "secrets.json"
