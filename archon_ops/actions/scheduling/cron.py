"""A block in the user's crontab; everything else in it stays byte for byte."""

from __future__ import annotations

from collections.abc import Sequence

from archon_ops.actions.scheduling.jobs import machine_zone
from archon_ops.errors import OpsError, PreconditionError
from archon_ops.hosts import process
from archon_ops.model import crontab
from archon_ops.model.timers import Job

_ANSWER_SECONDS = 30.0


class Cron:
    """The block of one source.

    Args:
        jobs: what is to be done.
        log: file that what they say goes to.
    """

    name = "cron"

    def __init__(self, jobs: Sequence[Job], log: str) -> None:
        self.jobs = jobs
        self._label = f"{jobs[0].source} in {jobs[0].root}"
        self._log = log

    def files(self) -> dict[str, str]:
        """What is to be there."""
        return {"crontab": crontab.block(self.jobs, self._label, self._log)}

    def state(self) -> dict[str, str]:
        """Job -> "installed", "changed" (by somebody, or by the settings), or "missing"."""
        found = crontab.found_block(self._read(), self._label)
        if not found:
            return {job.name: "missing" for job in self.jobs}
        lines = self.files()["crontab"].splitlines()[1:-1]
        return {
            job.name: "installed" if line in found.splitlines() else "changed"
            for job, line in zip(self.jobs, lines, strict=True)
        }

    def install(self) -> tuple[str, ...]:
        """Put the block in, or exchange it; what was written.

        Raises:
            PreconditionError: there is no cron, or it does not know the zone that is meant.
        """
        zone = self.jobs[0].zone
        if zone not in ("", machine_zone()):
            raise PreconditionError(
                f"cron knows no time zone but the machine's ({machine_zone() or 'unknown'}), and "
                f"schedule.zone is {zone}",
                "leave schedule.zone out, or use --with systemd",
            )
        before = self._read()
        after = crontab.with_block(before, self.files()["crontab"], self._label)
        return self._write(before, after)

    def remove(self) -> tuple[str, ...]:
        """Take the block out; what was written."""
        before = self._read()
        return self._write(before, crontab.without_block(before, self._label))

    def _read(self) -> str:
        done = self._run(["crontab", "-l"])
        if done.returncode and "no crontab for" not in done.stderr:
            raise OpsError(f"crontab -l failed: {done.reason}")
        text = done.stdout if not done.returncode else ""
        if crontab.torn(text, self._label):
            raise PreconditionError(
                f"our block in the crontab ({self._label}) has lost its end; nothing was touched",
                "crontab -e: take the lines behind its BEGIN out",
            )
        return text

    def _write(self, before: str, after: str) -> tuple[str, ...]:
        if before == after:
            return ()
        done = self._run(["crontab", "-"], after.encode())
        if done.returncode:
            raise OpsError(f"crontab refuses it: {done.reason}; the old one is still there")
        return ("crontab",)

    def _run(self, argv: list[str], stdin: bytes | None = None) -> process.Finished:
        try:
            return process.run(argv, timeout=_ANSWER_SECONDS, stdin=stdin)
        except PreconditionError as error:
            raise PreconditionError(error.message, "install the package cron") from error
