"""Tables as CSV files for other programs; nothing is ever overwritten."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from archon_ops.errors import PreconditionError
from archon_ops.storage.atomic import write_atomic


def require_free(path: Path, flag: str) -> None:
    """Refuse a path that is taken before any work is done.

    Args:
        path: where a file is to be written.
        flag: the flag that named it.

    Raises:
        PreconditionError: something bears the name, or its folder does not exist.
    """
    if os.path.lexists(path):
        raise PreconditionError(
            f"{path} exists already and is not overwritten", f"choose another name for {flag}"
        )
    if not path.parent.is_dir():
        raise PreconditionError(
            f"the folder {path.parent} does not exist", f"make it, or choose another for {flag}"
        )


def write(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]], run_id: str
) -> None:
    """Write a table (RFC 4180, UTF-8), 0600.

    Raises:
        PreconditionError: the path is taken, or the folder refuses.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(rows)
    write_atomic(path, text.getvalue().encode(), run_id)
