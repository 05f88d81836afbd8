"""A data directory in which clusters change places, and the ones that wait in it.

All of it lies in one folder there, a folder in that for each run:

    DATA/archon_ops/cluster-RUN/data     a cluster that was recovered and shall serve
    DATA/archon_ops/cluster-RUN/kept     the one that served until then
    DATA/archon_ops/cluster-RUN/state    how far that run's exchange is
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from archon_ops.errors import OpsError
from archon_ops.hosts.process import Finished
from archon_ops.model.pitr.config import ASIDE
from archon_ops.model.pitr.exchange import (
    FORWARD,
    Move,
    Progress,
    Step,
    parse_progress,
    way_back,
)
from archon_ops.model.pitr.recovery import next_transaction
from archon_ops.model.report import Report
from archon_ops.postgres.kept import Kept, mark, newest_first, parse_mark
from archon_ops.postgres.pitr.pgbackrest import Host

_SECONDS = 120.0
# Moving is quick; removing, measuring and writing out a large cluster is not.
_LONG_SECONDS = 3600.0
# What one was replaced by that was written to, and did not stay.
CAME_BACK = "the cluster of before, which was taken back"
# Of a file system's own, at the top of a volume; it belongs to neither.
_NOT_THEIRS = (ASIDE, "lost+found")
_SAID = {
    Move.OLD_OUT: "The present cluster moves aside",
    Move.NEW_IN: "The other cluster moves in",
    Move.NEW_OUT: "The other cluster moves out again",
    Move.OLD_IN: "The cluster of before moves in again",
}


def name_of(run_id: str) -> str:
    """What the folder of a run is called, and the cluster that it keeps."""
    return f"cluster-{run_id}"


def folders_for(data: str, run_id: str) -> tuple[str, ...]:
    """Those in which a run builds a cluster, one in the other."""
    aside = f"{data}/{ASIDE}"
    own = f"{aside}/{name_of(run_id)}"
    return (aside, own, f"{own}/data")


@dataclass(frozen=True)
class Exchange:
    """A data directory, as a container sees it that may write there.

    Attributes:
        host: that container, as the user who owns the directory.
        data: the data directory.
        report: is told each step.
        programs: folder of PostgreSQL's programs there; empty: on PATH.
    """

    host: Host = field(repr=False)
    data: str
    report: Report = field(repr=False)
    programs: str = ""

    @property
    def _aside(self) -> str:
        return f"{self.data}/{ASIDE}"

    def carry_out(self, kept: Kept, arriving: str) -> None:
        """Let another cluster take the place of the present one, whose server is stopped.

        Args:
            kept: how the present one is described; its name is that of the run's folder.
            arriving: folder of the other one, below the common one.

        Raises:
            OpsError: it was not possible; `take_back` mends whatever is half done.
        """
        progress = Progress(Step.PREPARED, arriving, mark(kept))
        self._do("mkdir", "-p", f"{self._aside}/{kept.name}/kept")
        for step, move in FORWARD:
            self._move(kept.name, replace(progress, step=step), move)
        self._note(kept.name, replace(progress, step=Step.ARRIVED, ran=True))

    def settle(self, name: str) -> None:
        """The new one is trusted: the old one is now an undo's, and its own folder goes."""
        progress = self._noted(name)
        if progress is None or progress.step is not Step.ARRIVED:
            raise OpsError(f"exchange {name} cannot be settled: it is not done")
        self._note(name, replace(progress, step=Step.SERVING))
        source = f"{self._aside}/{progress.arriving}"
        self._do("rmdir", source)
        if (folder := str(PurePosixPath(source).parent)) != f"{self._aside}/{name}":
            self._do("rm", "-f", f"{folder}/state")
            self._do("rmdir", folder)

    def begun(self, name: str) -> bool:
        """Whether an exchange was begun whose end is open: maybe no server can be started now."""
        progress = self._noted(name)
        return progress is not None and progress.step is not Step.SERVING

    def take_back(self, name: str) -> bool:
        """Have the old cluster in place again, whatever was done; may be asked for twice.

        The new one goes, unless it may have served and somebody wrote to it: then it is kept.

        Returns:
            Whether it is: the new one may have been trusted already.

        Raises:
            OpsError: it is not possible now.
        """
        progress = self._noted(name)
        if progress is not None and progress.step is Step.SERVING:
            return False
        folder = f"{self._aside}/{name}"
        if progress is not None:
            # Broken off while all of it was removed, this one was the first to go.
            self._do("mkdir", "-p", f"{folder}/kept")
            for step, move in way_back(progress.step):
                self._move(name, replace(progress, step=step), move)
            self._do("rmdir", f"{folder}/kept")  # which fails where anything is left in it
            if progress.ran and progress.arriving == f"{name}/data":
                written = self._written(name, progress)
                if written:
                    self._keep_arrived(name, progress, written)
                    return True
        # A cluster that waits for an undo lies in another run's folder, and stays.
        self._do("rm", "-rf", folder, seconds=_LONG_SECONDS)
        return True

    def kept(self) -> tuple[Kept, ...]:
        """The clusters that can come back, newest first; also one that is damaged."""
        found = self.host.run(
            ("find", self._aside, "-mindepth", "3", "-maxdepth", "3", "-path", "*/kept/*"),
            timeout=_SECONDS,
        )
        if found.returncode != 0:  # nothing was ever exchanged here
            return ()
        clusters = []
        for folder in sorted({PurePosixPath(path).parent for path in found.stdout.splitlines()}):
            progress = self._noted(folder.parent.name) if folder.name == "kept" else None
            if progress is None or progress.step is not Step.SERVING:
                continue
            kept = parse_mark(folder.parent.name, progress.kept, self._bytes(str(folder)))
            clusters += [kept] if kept else []
        return newest_first(clusters)

    def drop(self, kept: Kept) -> None:
        """Remove a cluster that was kept; there is no undo after that."""
        self._do("rm", "-rf", f"{self._aside}/{kept.name}", seconds=_LONG_SECONDS)

    def snapshot(self, folder: str) -> str:
        """All that a cluster at rest holds, as a snapshot's text; empty where it does not say.

        Args:
            folder: of that cluster.
        """
        program = f"{self.programs}/pg_controldata" if self.programs else "pg_controldata"
        done = self.host.run((program, f"--pgdata={folder}"), timeout=_SECONDS)
        following = next_transaction(done.stdout) if done.returncode == 0 else None
        return "" if following is None else f"{following}:{following}:"

    def _written(self, name: str, progress: Progress) -> Kept | None:
        """How the new cluster is described if somebody may have written to it; None: nobody did."""
        there = parse_mark(name, progress.kept, 0)
        now = self.snapshot(f"{self._aside}/{progress.arriving}")
        if there is None or (now and now == there.snapshot):
            return None
        return replace(there, replaced_by=CAME_BACK, snapshot=self.snapshot(self.data))

    def _keep_arrived(self, name: str, progress: Progress, kept: Kept) -> None:
        """Keep what was written to a cluster that did not stay: it is an undo's."""
        folder = f"{self._aside}/{name}"
        self._note(name, replace(progress, step=Step.SERVING, kept=mark(kept)))
        self._do("mv", f"{folder}/data", f"{folder}/kept")
        self.report.warn(
            f"what was written to the other cluster while it served is kept as {name}: inv undo "
            "exchanges them again"
        )

    def _move(self, name: str, progress: Progress, move: Move) -> None:
        """Write down what is moved, then move it, in one rename for each entry."""
        kept, other = f"{self._aside}/{name}/kept", f"{self._aside}/{progress.arriving}"
        source, target = {
            Move.OLD_OUT: (self.data, kept),
            Move.NEW_IN: (other, self.data),
            Move.NEW_OUT: (self.data, other),
            Move.OLD_IN: (kept, self.data),
        }[move]
        self._note(name, progress)
        self.report.step(f"cluster.{move.replace(' ', '-')}", _SAID[move])
        self._do("mkdir", "-p", target)
        names = [
            n for n in self._do("ls", "-A", source).stdout.splitlines() if n not in _NOT_THEIRS
        ]
        if names:
            self._do("mv", "--", *(f"{source}/{name}" for name in names), f"{target}/")
        self._do("sync", seconds=_LONG_SECONDS)

    def _note(self, name: str, progress: Progress) -> None:
        self.host.write(f"{self._aside}/{name}/state", progress.text().encode())
        self._do("sync", seconds=_LONG_SECONDS)

    def _noted(self, name: str) -> Progress | None:
        text = self.host.read(f"{self._aside}/{name}/state")
        if text is None:
            return None
        try:
            return parse_progress(text.decode())
        except ValueError as error:
            raise OpsError(
                f"{self._aside}/{name}/state cannot be read: {error}",
                "nothing there was touched; it tells whose the files beside it are",
            ) from error

    def _bytes(self, folder: str) -> int:
        done = self._do("du", "-sk", folder, seconds=_LONG_SECONDS)
        return int(done.stdout.split()[0]) * 1024

    def _do(self, *argv: str, seconds: float = _SECONDS) -> Finished:
        done = self.host.run(argv, timeout=seconds)
        if done.returncode != 0:
            raise OpsError(f"{argv[0]} in {self.host.name} failed: {done.reason}")
        return done
