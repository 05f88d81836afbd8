"""File names of backups: archon_postgres-YYYYMMDD_HHMMSS[-LABEL].dump."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from archon_ops.errors import UsageError

DUMP_SUFFIX = ".dump"
PREFIX = "archon_postgres-"
# No label ends in ".verify": NAME-x.verify.json would be two files' name.
_LABEL_TEXT = r"[a-z0-9](?:[a-z0-9_.-]{0,47})(?<!\.verify)"
_NAME = re.compile(rf"archon_postgres-([0-9]{{8}}_[0-9]{{6}})(?:-({_LABEL_TEXT}))?\.dump")
_LABEL = re.compile(_LABEL_TEXT)


def dump_name(at: datetime, label: str | None = None) -> str:
    """The file name of a backup taken at `at` (UTC): archon_postgres-YYYYMMDD_HHMMSS.dump.

    Raises:
        UsageError: the label could not be part of a file name.
    """
    if label is not None and not _LABEL.fullmatch(label):
        raise UsageError(
            f"label {label!r} is not usable in a file name",
            "use up to 48 of a-z 0-9 _ . - and begin with a letter or digit",
        )
    stamp = at.astimezone(UTC).strftime("%Y%m%d_%H%M%S")
    return f"{PREFIX}{stamp}{f'-{label}' if label else ''}{DUMP_SUFFIX}"


def is_dump_name(name: str) -> bool:
    """Whether a file name is one that this tool, or the document's script, gives to a dump."""
    return _NAME.fullmatch(name) is not None


def named_at(name: str) -> datetime | None:
    """The time in the file name of one of our dumps (UTC); None if it is not such a name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        return datetime.strptime(match.group(1), "%Y%m%d_%H%M%S").replace(tzinfo=UTC)
    except ValueError:  # the 99th of a month
        return None
