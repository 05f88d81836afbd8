"""The flags of a task: read from its signature, and their values read from the command line."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from archon_ops.errors import UsageError

_KINDS: dict[Any, type] = {
    bool: bool,
    str: str,
    str | None: str,
    int: int,
    int | None: int,
    float: float,
    float | None: float,
    tuple[str, ...]: tuple,
}
_USUAL_HELP = {"yes": "do not ask", "dry_run": "show the plan and change nothing"}
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_SAID = {int: "a whole number", float: "a number", tuple: "may be repeated"}


@dataclass(frozen=True)
class Flag:
    """One parameter of a task.

    Attributes:
        name: as in Python; on the command line it is --name with dashes.
        kind: bool, str, int, float, or tuple (of str, repeatable).
        default: its value when it is not given; the positional has none.
        help: one line for `--help`.
    """

    name: str
    kind: type
    default: Any = None
    help: str = ""

    @property
    def option(self) -> str:
        """As people type it; the parameter `from_` is --from."""
        return "--" + self.name.strip("_").replace("_", "-")

    @property
    def shown(self) -> str:
        """Its help, with the form of its value."""
        return ", ".join(part for part in (self.help, _SAID.get(self.kind, "")) if part)

    def parameter(self) -> inspect.Parameter:
        """What invoke is shown.

        Only truth values have a default there: from that of a number invoke would conclude to
        parse it itself, and end in a traceback where it is malformed.
        """
        default = self.default if self.kind is bool else None
        return inspect.Parameter(self.name, inspect.Parameter.KEYWORD_ONLY, default=default)


COMMON = (
    Flag("source", str, None, "database to work on, a name from archon.toml or demo"),
    Flag("json", bool, False, "print one JSON document on standard output"),
    Flag("verbose", bool, False, "say more, and show where a bug was raised"),
    Flag("quiet", bool, False, "say nothing but warnings and errors"),
)


def flags_of(body: Callable[..., Any], help: Mapping[str, str]) -> tuple[Flag, ...]:
    """The flags that a task body declares after its first parameter, `run`.

    Raises:
        TypeError: a type that no flag can have, or help for a flag that does not exist.
    """
    # Annotations are text until asked for; only builtin types occur in them but for Run.
    found = list(inspect.signature(body, eval_str=True).parameters.values())[1:]
    unknown = set(help) - {parameter.name for parameter in found}
    if unknown:
        raise TypeError(f"{body.__name__}: help for {sorted(unknown)}, which do not exist")
    return tuple(_flag(parameter, help.get(parameter.name, "")) for parameter in found)


def _flag(parameter: inspect.Parameter, help: str) -> Flag:
    if parameter.annotation not in _KINDS:
        raise TypeError(f"{parameter.name}: a flag cannot be {parameter.annotation}")
    help = help or _USUAL_HELP.get(parameter.name, "")
    empty = parameter.default is inspect.Parameter.empty
    return Flag(
        parameter.name,
        _KINDS[parameter.annotation],
        None if empty else parameter.default,
        help,
    )


def value_of(flag: Flag, given: Any) -> Any:
    """The value of a flag as its task declares it.

    Args:
        flag: what the task declares.
        given: what invoke read: text, a truth value, a list of text, or None.

    Raises:
        UsageError: a number that is none.
    """
    if flag.kind is bool:
        return bool(given)
    if flag.kind is tuple:
        return tuple(given or flag.default or ())
    if given is None:
        return flag.default
    if flag.kind is int:
        return _whole_number(flag, given)
    return _number(flag, given) if flag.kind is float else str(given)


def _whole_number(flag: Flag, text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise UsageError(f"{flag.option} {text!r} is not a whole number")
    return int(text)


def _number(flag: Flag, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{flag.option} {text!r} is not a number")
    return number


def positional_value(task: str, flag: Flag, given: str | None) -> str:
    """What stands where a task expects its object.

    invoke hands everything there that it does not know, also a mistyped flag.

    Raises:
        UsageError: nothing, or something that looks like a flag.
    """
    name = flag.name.strip("_").replace("_", " ")
    if not given:
        raise UsageError(f"{task} needs a {name}", f"see: {task} --help")
    if given.startswith("-"):
        raise UsageError(
            f"{task} has no flag {given!r}, and no {name} begins with a dash",
            "a file of that name can be given as ./-name",
        )
    return given
