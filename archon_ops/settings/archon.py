"""Archon's own .env: its encryption key and its switches; read, never written."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import (
    SecretStr,
)

from archon_ops.errors import UsageError


def archon_secret(home: Path) -> tuple[str, SecretStr] | None:
    """The key that Archon encrypts its credentials with, and the variable that held it.

    Archon takes ENCRYPTION_KEY, else SUPABASE_SERVICE_KEY.
    """
    values = _archon_environment(home)
    for variable in ("ENCRYPTION_KEY", "SUPABASE_SERVICE_KEY"):
        if value := values.get(variable):
            return variable, SecretStr(value)
    return None


def backup_on_start(home: Path) -> bool:
    """Whether Archon's BACKUP_ON_START asks for a backup before its services start."""
    value = _archon_environment(home).get("BACKUP_ON_START") or ""
    return value.strip().lower() in ("1", "true", "yes", "on")


def _archon_environment(home: Path) -> dict[str, str | None]:
    """What Archon's containers are given: its own .env, and behind it our environment."""
    from dotenv import dotenv_values

    file = home / ".env"
    try:
        return {**os.environ, **(dotenv_values(file) if file.is_file() else {})}
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(file, error) from error


def archon_variables(file: Path) -> dict[str, SecretStr]:
    """What one of Archon's .env files sets; nothing where there is no such file.

    Raises:
        UsageError: it cannot be read.
    """
    from dotenv import dotenv_values

    try:
        values = dotenv_values(file, interpolate=False) if file.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(file, error) from error
    return {name: SecretStr(value or "") for name, value in values.items()}


def unreadable(file: Path, error: OSError | UnicodeDecodeError) -> UsageError:
    """What a file that cannot be read means to an operator."""
    why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
    return UsageError(f"{file} cannot be read: {why}", f"look at it: ls -l {file}")
