"""A sandbox in which pgBackRest brings a whole cluster back: data of its own, and no way out.

It reads the repository and does not write to it. The server in it is started and stopped as often
as is needed, and told all that it is told by us: nothing of the source's configuration can start
anything in it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from archon_ops.errors import OpsError, PreconditionError
from archon_ops.model.pitr.config import Config, fitting, render
from archon_ops.model.pitr.failures import AwayError
from archon_ops.model.pitr.recovery import Stop, Stopped, complaint, fetch_script, stopped
from archon_ops.postgres.pitr.inside import ANSWER_SECONDS, Inside, Layout
from archon_ops.postgres.pitr.pgbackrest import Host, PgBackRest, free_bytes
from archon_ops.postgres.server import Server

_POLL_SECONDS = 0.1
# Seconds until a repository that was away is asked again; pgBackRest itself tries for fifteen.
_PAUSES = (5, 15, 30)
# How often it is seen to that what is replayed leaves room for the live server.
_LOOK_SECONDS = 1.0


class Quarters(Protocol):
    """What a sandbox is made in: a container, or a folder of this machine."""

    @property
    def host(self) -> Host:
        """Who runs programs in it, as the user who owns PostgreSQL's files."""

    @property
    def layout(self) -> Layout:
        """Where things lie in it."""

    @property
    def serves(self) -> bool:
        """Whether the cluster in it is to replace the source's."""

    @property
    def spare_bytes(self) -> int:
        """Room that has to be left besides the cluster: for WAL on its way, and for neighbours."""

    @property
    def rules(self) -> bytes:
        """Its pg_hba.conf: who is let in."""

    @property
    def inside(self) -> Inside:
        """The server in it.

        Raises:
            PreconditionError: there is no PostgreSQL that could run what the repository holds.
        """

    def make(self, folders: tuple[str, ...]) -> None:
        """Make folders in it, 0700 and that user's."""

    def no_room(self, needed: int, free: int) -> PreconditionError:
        """The error where a cluster does not fit."""

    def cut_off(self) -> None:
        """Take every road from it by which repositories are reached."""

    def server(self) -> AbstractContextManager[Server]:
        """The server in it, once it answers."""


class Room:
    """Such a sandbox, from the empty quarters to the server that answers.

    Args:
        quarters: that it is made in.
        config: what pgBackRest knows of the source.
        authorities: path there -> certificate authority that the configuration names.
        seconds: how long a restore, and a recovery, may take.
    """

    def __init__(
        self, quarters: Quarters, config: Config, authorities: Mapping[str, bytes], seconds: float
    ) -> None:
        self._quarters = quarters
        self._config = config
        self._authorities = authorities
        self._seconds = seconds

    @property
    def host(self) -> Host:
        """Who runs programs inside, as the user who owns PostgreSQL's files."""
        return self._quarters.host

    @property
    def backrest(self) -> PgBackRest:
        """The pgBackRest inside, which reads the repository and does not write to it."""
        return PgBackRest(self._quarters.host, self._config.stanza, self._quarters.layout.backrest)

    @property
    def inside(self) -> Inside:
        """The server inside.

        Raises:
            PreconditionError: there is no PostgreSQL that could run what the repository holds.
        """
        return self._quarters.inside

    @property
    def _fetch(self) -> str:
        """The script that fetches WAL."""
        return f"{self._quarters.layout.room}/archive-get"

    def furnish(self) -> None:
        """Put in what pgBackRest and the server need; no data yet.

        Raises:
            PreconditionError: there is no pgBackRest.
        """
        layout = self._quarters.layout
        parents = {path.rpartition("/")[0] for path in self._authorities}
        self._quarters.make((*layout.folders, *parents))
        config = replace(
            self._config,
            data_folder=layout.data,
            spool=f"{layout.room}/spool",
            locks=f"{layout.room}/locks",
            asynchronous=False,
        )
        text = render(fitting(config, self.backrest.version()))
        ours = {layout.backrest: text.encode(), layout.hba: self._quarters.rules, layout.conf: b""}
        for path, data in {**ours, **self._authorities}.items():
            self._quarters.host.write(path, data)
        fetch = fetch_script(self.backrest.argv("archive-get"))
        self._quarters.host.write(self._fetch, fetch.encode(), mode=0o700)

    def restore(self, stop: Stop, *, backup: str | None, again: bool = False) -> None:
        """Bring the files of a backup back, and say where the recovery shall stop.

        Args:
            stop: where.
            backup: pgBackRest's label of it; None leaves it to pgBackRest.
            again: whether there are files already, of which most will do.

        Raises:
            UntrustworthyError: the repository is damaged; names what.
            OpsError: pgBackRest failed.
        """
        which = () if backup is None else (f"--set={backup}",)
        more = ("--delta",) if again else ()
        # One that will serve goes on archiving where the live one ended.
        never = () if self._quarters.serves else ("--archive-mode=off",)
        for pause in (*_PAUSES, None):
            try:
                self.backrest.run(
                    "restore",
                    *never,
                    f"--tablespace-map-all={self._quarters.layout.room}/tablespaces",
                    f'--recovery-option=restore_command="{self._fetch}" %f "%p"',
                    *stop.arguments,
                    *which,
                    *more,
                    timeout=self._seconds,
                )
            except AwayError:
                if pause is None:
                    raise
                time.sleep(pause)
                more = ("--delta",)  # what was copied is taken up
            else:
                return

    def room_for(self, needed: int) -> None:
        """Make sure that a cluster of so many bytes fits.

        Raises:
            PreconditionError: it does not.
        """
        wanted = needed + self._quarters.spare_bytes
        free = free_bytes(self._quarters.host, self._quarters.layout.data)
        if free is not None and free < wanted:
            raise self._quarters.no_room(wanted, free)

    def recover(self, **target: str) -> Stopped:
        """Start the server, and wait until it has recovered as far as it shall.

        Args:
            target: recovery settings instead of those that the restore wrote.

        Raises:
            MissedError: the archive did not give all that is needed.
            OpsError: the server did not start, or not in time.
        """
        began = looked = time.monotonic()
        self.inside.start(**self._waiting, **target)
        while not self.inside.recovered():
            if self._quarters.serves and time.monotonic() - looked > _LOOK_SECONDS:
                self._leave_some_room()
                looked = time.monotonic()
            if time.monotonic() - began > self._seconds:
                raise OpsError(
                    f"the recovery did not end within {self._seconds:.0f} s", "deadlines.restore"
                )
            time.sleep(_POLL_SECONDS)
        found = self.inside.ask("SELECT pg_catalog.pg_last_xact_replay_timestamp()")
        return stopped(self.inside.log(), datetime.fromisoformat(found) if found else None)

    def _leave_some_room(self) -> None:
        """Give up before the live server, whose disk it is, has none left for its own WAL."""
        least = self._quarters.spare_bytes // 2
        free = free_bytes(self._quarters.host, self._quarters.layout.data)
        if free is not None and free < least:
            raise self._quarters.no_room(least, free)

    @property
    def _waiting(self) -> dict[str, str]:
        """Has WAL wait for the archive until the cluster serves; one that never will keeps none."""
        return {"archive_mode": "on", "archive_command": ""} if self._quarters.serves else {}

    def promote(self) -> None:
        """Let the server take writes: first every road is gone by which it could be heard.

        One that will serve has to see in the archive which timelines there are: its own would
        else be one that another recovery has taken.
        """
        if not self._quarters.serves:
            self._quarters.cut_off()
        if self.inside.ask("SELECT pg_catalog.pg_is_in_recovery()") == "t":
            self.inside.ask("SELECT pg_catalog.pg_wal_replay_resume()")
        until = time.monotonic() + ANSWER_SECONDS
        while self.inside.ask("SELECT pg_catalog.pg_is_in_recovery()") == "t":
            if time.monotonic() > until:
                raise OpsError(
                    f"the recovered server was not promoted: {complaint(self.inside.log())}"
                )
            time.sleep(_POLL_SECONDS)
        self._quarters.cut_off()

    def server(self) -> AbstractContextManager[Server]:
        """The server inside, once it answers."""
        return self._quarters.server()
