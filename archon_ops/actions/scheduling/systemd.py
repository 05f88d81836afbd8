"""Timers of systemd, for the machine or for one user: only files that we wrote are touched."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from archon_ops.errors import OpsError, PreconditionError
from archon_ops.hosts import process
from archon_ops.model.timers import Job, is_ours, units
from archon_ops.settings import user_config
from archon_ops.storage.atomic import write_atomic
from archon_ops.storage.explain import explained

_SYSTEM = Path("/etc/systemd/system")
_BOOTED = Path("/run/systemd/system")
_ANSWER_SECONDS = 30.0
_RUN = "schedule"


class Systemd:
    """The timers of one source.

    Args:
        jobs: what is to be done.
        every: what could be: of those that are not wanted any more, nothing is left.
        system: for the whole machine, not for one user.
    """

    def __init__(self, jobs: Sequence[Job], every: Sequence[Job], *, system: bool) -> None:
        self.jobs = jobs
        self._every = every
        self.system = system
        self.name = "systemd" if system else "systemd-user"
        self.folder = _SYSTEM if system else user_config() / "systemd" / "user"

    def files(self) -> dict[str, str]:
        """Path -> text of everything that is to be there."""
        return self._files(self.jobs)

    def state(self) -> dict[str, str]:
        """Job -> "installed", "changed" (by somebody, or by the settings), or "missing"."""
        return {job.name: self._state(job) for job in self.jobs}

    def install(self) -> tuple[str, ...]:
        """Write what is missing or differs, and start the timers; the paths that were written.

        Raises:
            PreconditionError: a file is there that we did not write, or systemd does not run.
        """
        self._require_running()
        wanted = self.files()
        self._refuse_foreign(self._files(self._every))
        self._drop([path for path in self._there() if path not in wanted])
        changed = [path for path, text in wanted.items() if self._read(Path(path)) != text]
        with explained("make the folder", self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        for path in changed:
            write_atomic(Path(path), wanted[path].encode(), _RUN, overwrite=True)
            if self.system:  # nothing secret is in it, and systemctl shows it to everybody
                Path(path).chmod(0o644)
        self._systemctl("daemon-reload")
        self._systemctl("enable", "--now", *(f"{job.unit}.timer" for job in self.jobs))
        return tuple(changed)

    def remove(self) -> tuple[str, ...]:
        """Stop the timers and remove their files; the paths that were removed.

        Raises:
            PreconditionError: somebody changed a file, or systemd does not run.
        """
        there = self._there()
        if there:
            self._require_running()
            self._refuse_foreign(there)
            self._drop(there)
        return tuple(there)

    def lingers(self) -> bool:
        """Whether a user's timers run when nobody is logged in."""
        return self.system or Path("/var/lib/systemd/linger", _user()).exists()

    def _files(self, jobs: Sequence[Job]) -> dict[str, str]:
        made = (units(job, system=self.system) for job in jobs)
        return {str(self.folder / name): text for files in made for name, text in files.items()}

    def _there(self) -> list[str]:
        return [path for path in self._files(self._every) if self._read(Path(path)) is not None]

    def _drop(self, paths: Sequence[str]) -> None:
        if timers := [Path(path).name for path in paths if path.endswith(".timer")]:
            self._systemctl("disable", "--now", *timers)
        for path in paths:
            with explained("remove", Path(path)):
                Path(path).unlink(missing_ok=True)
        if paths:
            self._systemctl("daemon-reload")

    def _state(self, job: Job) -> str:
        wanted = units(job, system=self.system)
        found = {name: self._read(self.folder / name) for name in wanted}
        if all(text is None for text in found.values()):
            return "missing"
        return "installed" if found == wanted else "changed"

    def _refuse_foreign(self, paths: Iterable[str]) -> None:
        for path in paths:
            text = self._read(Path(path))
            if text is not None and not is_ours(text, self.jobs[0].root):
                raise PreconditionError(
                    f"{path} was not written from here, or was changed since; nothing was touched",
                    "move it away, then run it again",
                )

    def _read(self, path: Path) -> str | None:
        try:
            with explained("read", path):
                return path.read_text(encoding="utf-8")
        except PreconditionError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise
        except UnicodeDecodeError:
            return ""

    def _require_running(self) -> None:
        if not _BOOTED.is_dir():
            raise PreconditionError(
                "systemd does not run on this machine", "inv schedule.install --with cron"
            )

    def _systemctl(self, *words: str) -> None:
        scope = () if self.system else ("--user",)
        done = process.run(["systemctl", *scope, *words], timeout=_ANSWER_SECONDS)
        if done.returncode:
            raise OpsError(
                f"systemctl {' '.join((*scope, words[0]))} failed: {done.reason}",
                "as another user: su - USER; the whole machine: --with systemd as root",
            )


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def booted() -> bool:
    """Whether systemd runs this machine."""
    return _BOOTED.is_dir()
