"""The kernel that executes a runbook: this very Python, nobody's profile, no open port."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import IO, Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

# No history, no startup files, no colours: nothing of the person's own gets in, or out.
_ARGUMENTS = (
    "--HistoryManager.enabled=False",
    "--InteractiveShellApp.exec_PYTHONSTARTUP=False",
    "--InteractiveShell.colors=NoColor",
    "--log-level=CRITICAL",
)


class Kernel:
    """The process of one execution, once papermill has started it.

    Attributes:
        manager: the class that papermill starts it by.
    """

    def __init__(self, folder: str, log: IO[bytes], environment: dict[str, str]) -> None:
        self._started: list[AsyncKernelManager] = []
        self.manager = _manager(folder, log, environment, self._started)

    @property
    def pid(self) -> int | None:
        """The process, if it runs."""
        provisioner: Any = self._started[-1].provisioner if self._started else None
        pid: int | None = getattr(provisioner, "pid", None)
        return pid

    def interrupt(self) -> None:
        """Ask it to stop what it does, as Ctrl-C would."""
        self._send(signal.SIGINT)

    def kill(self) -> None:
        """End it, because it does not answer."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _manager(
    folder: str, log: IO[bytes], environment: dict[str, str], started: list[AsyncKernelManager]
) -> type[AsyncKernelManager]:
    """A kernel manager that asks nobody which Python to start.

    A kernel of the user's own named `python3` would otherwise come first.

    Args:
        folder: where its files and sockets lie; a short path.
        log: what it says, that no cell shows.
        environment: of the kernel.
        started: gets every manager that is made.
    """

    class OwnKernel(AsyncKernelManager):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            self.transport = "ipc"
            self.ip = f"{folder}/k"
            self.connection_file = f"{folder}/kernel.json"
            started.append(self)

        @property
        def kernel_spec(self) -> KernelSpec:
            argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            return KernelSpec(argv=[*argv, *_ARGUMENTS], display_name="archon_ops", env=environment)

        async def start_kernel(self, **given: Any) -> None:  # type: ignore[override]
            await self._async_start_kernel(**given, stdout=log, stderr=log)

    return OwnKernel
