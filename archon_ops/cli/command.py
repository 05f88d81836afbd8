"""One decorator for every command: common flags, help, signals, and the only error boundary.

A task parses nothing and catches nothing. It imports what is heavy inside its body, builds what
an action needs, calls that one action, and prints its answer:

    from archon_ops.cli.command import Run, command
    from archon_ops.errors import ExitCode

    @command(
        positional="backup_file",
        help={"backup_file": "latest, a name, or a path", "scope": "archon or database"},
    )
    def restore(
        run: Run,
        backup_file: str,
        scope: str = "",
        yes: bool = False,
        retention: int | None = None,
        exclude_schema: tuple[str, ...] = (),
    ) -> ExitCode | None:
        '''Bring a backup back, proven equal.'''
        from archon_ops.actions.restore import restore as action
        ...
        if run.options.json:
            run.console.json(answer)
        return None

- The first line of the docstring is what `inv --list` shows.
- Flags are the parameters; their types are str, str | None, bool, int, int | None, float,
  float | None and tuple[str, ...] (repeatable). `from_` is --from. At most one parameter is
  positional: required, without a default.
- `--source --json --verbose --quiet` are added here and arrive in `run.options`; so does the
  value of a parameter `yes`, which also lets `run.console.confirm` pass.
- Return None or ExitCode.DONE when all is well, another ExitCode when the command worked and
  has something to tell; raise one of archon_ops.errors when it failed.
- A signal arrives as InterruptedByUser: let it pass, clean up in `finally`.
- To add a file of tasks, see archon_ops/cli/__init__.py.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser import Argument, ParserContext
from invoke.program import Program
from invoke.tasks import Task

from archon_ops.cli.boundary import guarded
from archon_ops.cli.console import Console
from archon_ops.cli.flags import COMMON, Flag, flags_of, positional_value, value_of
from archon_ops.cli.stream import until_nobody_reads
from archon_ops.errors import ExitCode, UsageError

Body = Callable[..., int | None]
_HELP = ("--help", "-h")


@dataclass(frozen=True)
class Options:
    """The common flags of one run.

    Attributes:
        source: name given with --source; None leaves it to the settings.
        json: one JSON document is wanted on standard output.
        verbose: more is to be said.
        quiet: nothing but warnings and errors is to be said.
        yes: the person agreed beforehand.
    """

    source: str | None = None
    json: bool = False
    verbose: bool = False
    quiet: bool = False
    yes: bool = False


@dataclass(frozen=True)
class Run:
    """What every task body is given first."""

    options: Options
    console: Console


@dataclass(frozen=True)
class _Spec:
    """A task as declared: its body and its flags."""

    body: Body
    name: str
    own: tuple[Flag, ...]
    common: tuple[Flag, ...]
    positional: str | None


class _Command(Task[Body]):
    """invoke's task, less two surprises.

    It takes two tasks of one name for the same when their code is, and all of ours share one
    wrapper: `offsite.verify evidence.verify` would run one. And it forgets the help of flags
    once it was asked for, so that it could not be printed a second time.
    """

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        kept = dict(self.help)
        try:
            return super().get_arguments(ignore_unknown_help)
        finally:
            self.help = kept


def command(
    *,
    positional: str | None = None,
    help: Mapping[str, str] | None = None,
    json: bool = True,
    default: bool = False,
    name: str | None = None,
) -> Callable[[Body], Task[Body]]:
    """Make a task of a function; the module's docstring shows one.

    Args:
        positional: the parameter that is given without its flag; it is required.
        help: parameter -> one line for `--help`.
        json: whether the task has --json.
        default: whether the name of its collection alone means this task.
        name: its name on the command line where Python cannot have it.

    Raises:
        TypeError: the function declares what the command line cannot offer.
    """

    def decorate(body: Body) -> Task[Body]:
        own = flags_of(body, help or {})
        common = tuple(flag for flag in COMMON if json or flag.name != "json")
        task_name = name or body.__name__.strip("_").replace("_", "-")
        return _task(_Spec(body, task_name, own, common, positional), default)

    return decorate


def _task(spec: _Spec, default: bool) -> Task[Body]:
    flags = spec.own + spec.common
    names = [flag.name for flag in flags]
    if len(set(names)) < len(names):
        raise TypeError(f"{spec.name}: {sorted(names)} name a flag twice")
    if spec.positional and spec.positional not in names:
        raise TypeError(f"{spec.name}: the positional {spec.positional} is no parameter")

    def wrapper(context: Context, **given: Any) -> None:
        _run_to_exit_code(task, spec, context, given)

    first = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    signature = inspect.Signature([first, *(flag.parameter() for flag in flags)])
    wrapper.__signature__ = signature  # type: ignore[attr-defined]
    wrapper.__doc__, wrapper.__module__ = spec.body.__doc__, spec.body.__module__
    wrapper.__name__ = spec.body.__name__
    task = _Command(
        wrapper,
        name=spec.name,
        positional=[spec.positional] if spec.positional else [],
        iterable=[flag.name for flag in flags if flag.kind is tuple],
        help={flag.name: flag.shown for flag in flags},
        auto_shortflags=False,
        default=default,
    )
    return task


def _run_to_exit_code(
    task: Task[Body], spec: _Spec, context: Context, given: dict[str, Any]
) -> None:
    """Run a task; return when it is done, else raise invoke's Exit with the exit code."""
    if any(given.get(flag.name) in _HELP for flag in spec.own if flag.kind is str):
        with until_nobody_reads():
            _print_help(task, spec)
        raise Exit(code=0)
    from archon_ops.settings import pause_point  # heavy, and not needed for any help

    console = Console(
        wants_json=bool(given.get("json")),
        verbose=bool(given.get("verbose")),
        quiet=bool(given.get("quiet")),
        yes=bool(given.get("yes")),
        source=given.get("source"),
        pause_at=pause_point(),
    )
    code = guarded(console, lambda: _call(spec, context, given, console))
    if code:
        raise Exit(code=code)


def _call(spec: _Spec, context: Context, given: dict[str, Any], console: Console) -> int:
    _refuse_what_would_be_ignored(context)
    common = {flag.name: value_of(flag, given.get(flag.name)) for flag in spec.common}
    if common["quiet"] and common["verbose"]:
        raise UsageError("--quiet and --verbose contradict each other")
    values = {flag.name: value_of(flag, given.get(flag.name)) for flag in spec.own}
    for flag in spec.own:
        if flag.name == spec.positional:
            values[flag.name] = positional_value(spec.name, flag, given.get(flag.name))
    options = Options(**common, yes=bool(values.get("yes")))
    return int(spec.body(Run(options, console), **values) or ExitCode.DONE)


def _refuse_what_would_be_ignored(context: Context) -> None:
    """What invoke accepts and no task of ours heeds, though the person meant something by it."""
    if context.config.run.dry:
        raise UsageError(
            "--dry belongs to inv and would not keep this command from acting",
            "use --dry-run, where the command has it",
        )
    if context.remainder:
        raise UsageError(f"nothing may follow --, and {context.remainder!r} does")


def _print_help(task: Task[Body], spec: _Spec) -> None:
    """What `inv --help TASK` prints, for `inv TASK --help`, which a positional swallows."""
    binary = Program(binary="archon-ops" if _own_program() else "inv[oke]")
    context = ParserContext(name=spec.name, args=task.get_arguments())
    print(f"Usage: {binary.binary} [--core-opts] {_called_as(spec.name)} [--options] ...\n")
    print("Docstring:")
    for line in (inspect.getdoc(spec.body) or "none").splitlines():
        print(f"  {line}".rstrip())
    print("\nOptions:")
    binary.print_columns(context.help_tuples())


def _called_as(name: str) -> str:
    """The task with its collection, as the person typed it."""
    return next((word for word in sys.argv[1:] if word.split(".")[-1] == name), name)


def _own_program() -> bool:
    return os.path.basename(sys.argv[0]) == "archon-ops"  # noqa: PTH119 - a name, not a path
