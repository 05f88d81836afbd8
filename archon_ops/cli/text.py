"""Text that is safe to print: names made visible, documents for programs."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

from archon_ops.model.text import clean

__all__ = ["PROGRAM", "as_called", "clean", "document", "plain", "plain_key"]


PROGRAM = "archon-ops"
_COMMAND = re.compile(r"(?<![\w./-])inv (?=[a-z…-])")


def as_called(text: str) -> str:
    """The same, its commands written for the program that runs: inv needs a folder with tasks."""
    return _COMMAND.sub(f"{PROGRAM} ", text) if Path(sys.argv[0]).name == PROGRAM else text


def document(value: object) -> str:
    """A JSON document: times in RFC 3339 with Z, paths as text, dataclasses as objects.

    It is ASCII, so that every terminal and pipe can carry it and nothing in it acts.

    Raises:
        TypeError: a value has no agreed form.
        ValueError: a time without a zone.
    """
    return json.dumps(plain(value), indent=2, allow_nan=False)


def plain(value: Any) -> Any:
    """The same value, of nothing but dict, list, str, int, float, bool and None."""
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {plain_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name)) for field in fields}
    return _scalar(value)


def plain_key(key: object) -> str:
    """The name of a member of an object."""
    return str(_scalar(key.value if isinstance(key, Enum) else key))


def _scalar(value: object) -> object:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float | Decimal):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str | PurePath):
        # A lone surrogate, as of an undecodable file name, is not valid in JSON.
        return str(value).encode("utf-8", "backslashreplace").decode()
    return _time(value)


def _time(value: object) -> object:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone: {value.isoformat()}")
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError(f"{type(value).__name__} has no form in JSON")
