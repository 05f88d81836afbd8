"""Execute a notebook by papermill in this process, and tell as it goes what its steps do.

papermill works in a thread of its own, this one reads along: so a signal finds us where we can
answer it, and never inside of an event loop.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from archon_ops.errors import ExitCode, OpsError
from archon_ops.model.masking import Mask
from archon_ops.model.report import Report
from archon_ops.runbook.burrow import burrow
from archon_ops.runbook.journal import Events

if TYPE_CHECKING:  # Jupyter's client takes half a second
    from archon_ops.runbook.kernel import Kernel

EXECUTED = "executed.ipynb"
_LOG = "kernel.log"
_POLL_SECONDS = 0.05
_START_SECONDS = 60
# What a kernel has left to tear its sandbox down, once it was asked to stop.
_GRACE_SECONDS = 60.0


class UnfinishedError(OpsError):
    """A notebook did not come to its end; nothing is known to be wrong with what it tests."""

    exit_code = ExitCode.INCONCLUSIVE


class Execution:
    """A notebook that is being executed.

    Args:
        notebook: the template.
        parameters: values of its parameters.
        folder: the run's folder: events and the executed notebook lie in it.
        environment: of the kernel.
    """

    def __init__(
        self, notebook: Path, parameters: dict[str, Any], folder: Path, environment: dict[str, str]
    ) -> None:
        self._notebook = notebook
        self._parameters = parameters
        self._folder = folder
        self._environment = environment
        self._kernel: Kernel | None = None
        self._error: BaseException | None = None

    def run(self, report: Report, mask: Mask, deadline: float) -> None:
        """Execute it to its end.

        Args:
            report: told what its steps do.
            mask: takes secrets out of what is told.
            deadline: seconds.

        Raises:
            OpsError: a cell failed, the kernel died, or the deadline passed.
            InterruptedByUser: a signal came; the kernel was stopped in order.
        """
        events = Events(self._folder)
        thread = threading.Thread(target=self._papermill, name="papermill", daemon=True)
        thread.start()
        until = time.monotonic() + deadline
        try:
            while thread.is_alive():
                _tell(events, report, mask)
                _refuse_after(until, deadline)
                thread.join(_POLL_SECONDS)
        except BaseException:
            self._stop(thread)
            raise
        finally:
            _tell(events, report, mask)
        if self._error is not None:
            raise _explained(self._error)

    def _papermill(self) -> None:
        try:
            log = self._folder / _LOG
            with burrow() as folder, log.open("wb") as said:
                self._execute(folder, said)
        except BaseException as error:  # noqa: BLE001 - it is raised again in the other thread
            self._error = error

    def _execute(self, folder: str, said: IO[bytes]) -> None:
        with without_slow_import():
            import papermill
        from archon_ops.runbook.kernel import Kernel

        logging.getLogger("papermill").setLevel(logging.CRITICAL)
        self._kernel = Kernel(folder, said, {**self._environment, "IPYTHONDIR": folder})
        papermill.execute_notebook(
            str(self._notebook),
            str(self._folder / EXECUTED),
            parameters=self._parameters,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            start_timeout=_START_SECONDS,
            kernel_manager_class=self._kernel.manager,
        )

    def _stop(self, thread: threading.Thread) -> None:
        """Let the cell that runs come to an orderly end; insist if it does not."""
        thread.join(_POLL_SECONDS)  # it may just be starting the kernel
        kernel = self._kernel
        for end in (kernel.interrupt, kernel.kill) if kernel else ():
            end()
            thread.join(_GRACE_SECONDS)
            if not thread.is_alive():
                return


def _refuse_after(until: float, deadline: float) -> None:
    if time.monotonic() > until:
        raise UnfinishedError(
            f"the runbook did not end within {deadline:.0f} s", "the limit is deadlines.runbook"
        )


def _tell(events: Events, report: Report, mask: Mask) -> None:
    """Pass on what came since."""
    for event in map(mask.document, events.fresh()):
        match event["kind"]:
            case "begin":
                report.phase(event["name"], event["title"])
            case "phase" | "part":
                report.step(event["name"], event["title"])
            case "ok" | "info" | "warn":
                getattr(report, event["kind"])(event["text"])
            case "progress":
                report.progress(event["label"], event["done"], event["total"])


@contextlib.contextmanager
def without_slow_import() -> Iterator[None]:
    """Keep jsonschema from importing rfc3987_syntax, which takes 1.4 s to build a grammar.

    Without it one check of one format is left out, that no notebook has.
    """
    name = "rfc3987_syntax"
    absent = name not in sys.modules
    if absent:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if absent:
            del sys.modules[name]


def _explained(error: BaseException) -> BaseException:
    """What ended papermill, for a person."""
    name = type(error).__name__
    if name == "PapermillExecutionError":
        why = " ".join(str(getattr(error, "evalue", "")).split())
        return OpsError(why or "a cell of the runbook failed")
    if name == "DeadKernelError":
        return UnfinishedError("the runbook's kernel died", "look for who ended it: dmesg, memory")
    return error
