"""What lies in the archive, listed without a server and without its files: timelines, segments."""

from __future__ import annotations

import re
from functools import cached_property

from archon_ops.model.pitr.gaps import archived_segments
from archon_ops.model.pitr.stock import Stock
from archon_ops.model.pitr.timelines import Branch, history_name, history_of, parse_history
from archon_ops.model.pitr.wal import timeline_of
from archon_ops.postgres.pitr.pgbackrest import PgBackRest

_SECONDS = 120.0
_FOLDER = re.compile(r"[0-9A-F]{16}")


class Archive:
    """The archived WAL of a stanza's server, in all repositories together.

    Args:
        backrest: reads the repositories.
        stock: what `pgbackrest info` told of them.
    """

    def __init__(self, backrest: PgBackRest, stock: Stock) -> None:
        self._backrest = backrest
        self._stock = stock

    @property
    def timelines(self) -> tuple[int, ...]:
        """Numbers of all that have a history, a segment or a backup; ascending.

        Raises:
            OpsError: a repository cannot be listed.
        """
        histories = {number for name in self._top if (number := history_of(name)) is not None}
        folders = {timeline_of(name) for name in self._top if _FOLDER.fullmatch(name)}
        return tuple(sorted(histories | folders | self._stock.timelines))

    def branch(self, timeline: int) -> Branch:
        """A timeline with what it came of.

        Raises:
            OpsError: a repository cannot be read, or the history in it.
        """
        name = history_name(timeline)
        if name not in self._top:
            return parse_history(timeline, None)
        repository = self._top[name]
        path = f"{self._path(repository)}/{name}"
        where = f"--repo={repository}"
        text = self._backrest.run("repo-get", where, positional=(path,), timeout=_SECONDS)
        return parse_history(timeline, text)

    def segments(self) -> frozenset[str]:
        """Names of all that are there: a recovery takes each from any repository that has it.

        Raises:
            OpsError: a repository cannot be listed.
        """
        return archived_segments(
            "\n".join(self._listed(number, "--recurse") for number in self._stock.archives)
        )

    @cached_property
    def _top(self) -> dict[str, int]:
        """Histories, and folders of segments -> a repository that has it."""
        return {
            name: number
            for number in self._stock.archives
            for name in self._listed(number).splitlines()
        }

    def _listed(self, repository: int, *how: str) -> str:
        where = (f"--repo={repository}", *how)
        path = (self._path(repository),)
        return self._backrest.run("repo-ls", *where, positional=path, timeout=_SECONDS)

    def _path(self, repository: int) -> str:
        return f"archive/{self._stock.stanza}/{self._stock.archives[repository]}"
