"""Archon's .env again: made from .env.example, and what a person has to fill in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from archon_ops.errors import PreconditionError
from archon_ops.settings import archon_variables
from archon_ops.storage.atomic import write_atomic

# What of the example is not a value: it says where one belongs.
_PLACEHOLDERS = ("changeme", "your-", "your_", "<", "xxx")


@dataclass(frozen=True)
class Prepared:
    """A .env, and what it lacks.

    Attributes:
        file: where it is.
        made: whether it was made from the example; one that was there is never changed.
        empty: names that are without a value, or that only the example has.
    """

    file: Path
    made: bool
    empty: tuple[str, ...]


def prepare(home: Path, run_id: str) -> Prepared:
    """Make .env from .env.example where there is none, 0600.

    Args:
        home: Archon's folder.
        run_id: names the temporary file.

    Raises:
        PreconditionError: there is neither.
    """
    file, example = home / ".env", home / ".env.example"
    made = not file.exists()
    if made:
        if not example.is_file():
            raise PreconditionError(
                f"there is no {file}, and no {example.name} beside it to make one of",
                "check Archon's repository out there first",
            )
        write_atomic(file, example.read_bytes(), run_id)
    values = {name: value.get_secret_value() for name, value in archon_variables(file).items()}
    wanted = (*values, *(name for name in archon_variables(example) if name not in values))
    empty = tuple(name for name in wanted if _is_empty(values.get(name, "")))
    return Prepared(file, made, empty)


def _is_empty(value: str) -> bool:
    plain = value.strip().lower()
    return not plain or plain.startswith(_PLACEHOLDERS)
