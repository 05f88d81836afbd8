"""Checking evidence as it is asked for on the command line: which folder, which key, which head."""

from __future__ import annotations

import re
from pathlib import Path

from archon_ops.errors import PreconditionError, UsageError
from archon_ops.runbook.checking import Checked, check
from archon_ops.runbook.keep import REPORTS
from archon_ops.runbook.seal import Head, head_of
from archon_ops.settings import Settings
from archon_ops.storage.keys import Keys, PublicKey, read_public

_HEAD = re.compile(r"([0-9]{1,9}):([0-9a-f]{64})")


def audit(settings: Settings, folder: Path | None, key: Path | None, head: str | None) -> Checked:
    """Check a folder of runs.

    Args:
        settings: of the installation.
        folder: another folder than the installation's own; its own head does not apply there.
        key: file with the public key; None: the installation's own.
        head: the chain's head as it was printed; None: as it is kept.

    Raises:
        UsageError: the head is malformed, or the key lies in the folder that it shall prove.
        PreconditionError: the folder, the key or the kept head cannot be read.
    """
    reports = folder or settings.root / REPORTS
    if folder is not None and not folder.is_dir():
        raise PreconditionError(f"{folder} is no folder", "inv evidence.verify --folder FOLDER")
    known = _head(head) if head is not None else None
    if known is None and folder is None:
        known = head_of(settings.state)
    if key is not None:
        return check(reports, (_key(reports, key),), known, whole=folder is None)
    keys = Keys(settings.state)
    own = keys.public()
    ours = (own,) if own is not None else ()
    others = tuple(one for one in keys.known() if one not in ours)
    return check(reports, ours, known, others=others, whole=folder is None)


def _key(reports: Path, key: Path) -> PublicKey:
    if key.resolve().is_relative_to(reports.resolve()):
        raise UsageError(
            f"the key {key} lies in the folder that it shall prove",
            "take it from elsewhere: whoever changed the one can have changed the other",
        )
    return read_public(key)


def _head(text: str) -> Head:
    match = _HEAD.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no head of a chain", "write it as it was printed: N:SHA256")
    return Head(int(match[1]), "", match[2])
