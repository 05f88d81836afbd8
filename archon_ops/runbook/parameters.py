"""Parameters as they are given on the command line: only those that a notebook has, and no secret.

papermill itself only warns of one that a notebook does not know, and writes all of them into the
executed notebook.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archon_ops.errors import UsageError
from archon_ops.model.masking import Mask, named_secret

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def parsed(given: tuple[str, ...], known: Mapping[str, Any]) -> dict[str, Any]:
    """Values of "key=value", each of the type that its default has.

    Args:
        given: as typed.
        known: name -> default.

    Raises:
        UsageError: one is malformed, unknown, given twice, or looks like a secret.
    """
    values: dict[str, Any] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign:
            raise UsageError(f"-p {name!r} has no value", "write it as -p key=value")
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise UsageError(f"the runbook has no parameter {name!r}", f"it has: {names}")
        if name in values:
            raise UsageError(f"the parameter {name} is given twice")
        _refuse_secret(name, value)
        values[name] = _value(name, value, known[name])
    return values


def _refuse_secret(name: str, value: str) -> None:
    if named_secret(name) or Mask(()).text(f" {value} ") != f" {value} ":
        raise UsageError(
            f"the parameter {name} looks like a secret, and parameters are kept in evidence",
            "put it into the environment or ~/.pgpass",
        )


def _value(name: str, text: str, default: Any) -> Any:
    if isinstance(default, bool):
        if text.lower() not in _TRUTH:
            raise UsageError(f"the parameter {name} is true or false, not {text!r}")
        return _TRUTH[text.lower()]
    if isinstance(default, int | float):
        kind = type(default)
        try:
            return kind(text)
        except ValueError:
            raise UsageError(f"the parameter {name} is a number, not {text!r}") from None
    return text
