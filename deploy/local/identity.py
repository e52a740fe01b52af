"""As whom a process runs.  PostgreSQL refuses to be root; everything else runs as we do.

Started by root, there are two ways, and no folder is opened to anybody for either of them:

1. a user without rights who can reach the programs and the data folder as they are;
2. a user namespace: the process sees itself as an ordinary user and to the system it is still us, so it
   owns our files and reaches what we reach (programs and data below a closed `/root`, for example).
"""

from __future__ import annotations

import ctypes
import os
import pwd
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import SettingsError

CLONE_NEWUSER = 0x10000000
USERS = ("postgres", "nobody")
"""Users that a server may borrow, best first."""

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Identity:
    """`uid` None: as ourselves.  `namespace`: `uid` is what the process sees, its files stay ours."""

    uid: int | None = None
    gid: int | None = None
    namespace: bool = False

    @property
    def owner(self) -> tuple[int, int]:
        """Who must own this process's files, as (uid, gid)."""
        if self.namespace or self.uid is None or self.gid is None:
            return os.geteuid(), os.getegid()
        return self.uid, self.gid

    def popen_arguments(self) -> dict[str, Any]:
        if self.namespace or self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def enter(self) -> None:
        """In the child, between fork and exec."""
        if self.namespace:
            _enter_namespace(self.uid or 0, self.gid or 0)

    def own(self, folder: Path) -> None:
        """Give the folder and all in it to this identity, unless it has it already."""
        if (folder.stat().st_uid, folder.stat().st_gid) == self.owner:
            return
        # From the leaves up: the folder itself, whose owner is looked at above, changes hands last.
        for parent, _, names in os.walk(folder, topdown=False):
            for path in (parent, *(os.path.join(parent, name) for name in names)):
                os.chown(path, *self.owner, follow_symlinks=False)


OURSELVES = Identity()


def unprivileged(program: Path, folder: Path) -> Identity:
    """An identity that is not root, can run the program and reach the folder.

    Raises:
        SettingsError: we are root and there is none; says how to mend it.
    """
    if os.geteuid() != 0:
        return OURSELVES
    for candidate in _candidates():
        if _can(candidate, str(program), "--version") and _can(candidate, "test", "-x", str(folder)):
            return candidate
    raise SettingsError(
        f"PostgreSQL refuses to run as root, user {' or '.join(USERS)} cannot reach both {program} and {folder},"
        " and this machine allows no user namespaces. Start darkroom as another user, or move the installation"
        " and the data folder (--data-dir) to where everybody may pass, or set DARKROOM_DATABASE_URL"
    )


def _candidates() -> Iterator[Identity]:
    accounts = {account.pw_name: account for account in pwd.getpwall()}
    for name in USERS:
        if name in accounts:
            yield Identity(accounts[name].pw_uid, accounts[name].pw_gid)
    # initdb looks the user that it sees up by name, so it must be one that exists.
    for account in accounts.values():
        if account.pw_uid != 0:
            yield Identity(account.pw_uid, account.pw_gid, namespace=True)
            return


def _can(identity: Identity, *argv: str) -> bool:
    try:
        done = subprocess.run(  # noqa: S603 - our own programs
            argv,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=identity.enter,
            timeout=10,
            check=False,
            **identity.popen_arguments(),
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def _enter_namespace(uid: int, gid: int) -> None:
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    if _libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{uid} {outer_uid} 1")
    _write("/proc/self/gid_map", f"{gid} {outer_gid} 1")


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
