"""What values of settings have in common: how they are read, and that none is ever changed."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict

from archon_ops.errors import UsageError
from archon_ops.model import schedule
from archon_ops.model.units import parse_age

FROZEN = ConfigDict(frozen=True, extra="forbid")


def _age(value: object) -> object:
    try:
        return parse_age(value) if isinstance(value, str) else value
    except UsageError as error:
        raise ValueError(f"{error.message}: {error.hint}") from error


Age = Annotated[timedelta, BeforeValidator(_age)]


def _entry(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return schedule.parse(value) if value.strip() else None
    except UsageError as error:
        raise ValueError(f"{error.message}: {error.hint}") from error


Entry = Annotated[schedule.Entry | None, BeforeValidator(_entry)]
