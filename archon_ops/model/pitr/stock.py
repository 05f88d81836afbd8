"""What pgBackRest's repositories hold: `pgbackrest info --output=json`, read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from archon_ops.errors import OpsError
from archon_ops.model.pitr.gaps import Gap, Hole
from archon_ops.model.pitr.labels import Label, Window
from archon_ops.model.pitr.timelines import Branch
from archon_ops.model.pitr.wal import position, timeline_of

_CODE = re.compile("<Code>([A-Za-z0-9]+)</Code>")


@dataclass(frozen=True)
class Stock:
    """What the repositories hold for one stanza.

    Attributes:
        stanza: its name.
        labels: oldest first.
        last_wal: the last archived segment of the newest timeline; None where there is none.
        problems: what pgBackRest says is wrong with a repository, by its number.
        system_identifier: of the server that it was made for; empty where none was.
        version: of that server ("17").
        encrypted: whether every repository is.
        readable: numbers of the repositories that can be read.
        archives: by a repository's number, the folder in its archive that has that server's WAL.
        branch: the only one that counts, once it is decided; None: all of it counts.
        elsewhere: backups of other branches.
    """

    stanza: str
    labels: tuple[Label, ...]
    last_wal: str | None
    problems: dict[int, str]
    system_identifier: str = ""
    version: str = ""
    encrypted: bool = False
    readable: tuple[int, ...] = ()
    archives: dict[int, str] = field(default_factory=dict)
    branch: Branch | None = None
    elsewhere: tuple[Label, ...] = ()

    @property
    def timeline(self) -> int | None:
        """Number of the timeline that is followed, once that is decided."""
        return self.branch.number if self.branch else None

    @property
    def timelines(self) -> set[int]:
        """Those that its backups and its last segment tell of; the archive may have more."""
        segments = (*(label.wal_stop for label in (*self.labels, *self.elsewhere)), self.last_wal)
        return {timeline_of(name) for name in segments if name}

    def on(self, branch: Branch) -> Stock:
        """What of it belongs to a branch: a recovery along that can begin with nothing else."""
        every = sorted((*self.labels, *self.elsewhere), key=lambda label: label.stopped_at)
        fitting = tuple(label for label in every if branch.holds(label.timeline, label.end))
        others = tuple(label for label in every if label not in fitting)
        return replace(self, labels=fitting, elsewhere=others, branch=branch)

    @property
    def exists(self) -> bool:
        """Whether the stanza has been made in any repository."""
        return bool(self.system_identifier)

    @property
    def unreadable(self) -> dict[int, str]:
        """Those of the problems that say more than that nothing was ever made there."""
        found = self.problems.items()
        return {number: said for number, said in found if not said.startswith("missing stanza")}

    @property
    def earliest(self) -> datetime | None:
        """From when on a recovery can end."""
        return min((label.usable_from for label in self.labels if label.usable), default=None)

    def window(
        self, last_commit: datetime | None, lost: Mapping[Gap, datetime | None] | None = None
    ) -> Window:
        """The window. Without a commit since, what the newest backup holds is the latest there is.

        Args:
            last_commit: time of the last one that is archived, if that is known.
            lost: what WAL is missing, and when the last commit before it was.
        """
        ends = [label.usable_from for label in self.labels if label.usable]
        holes = tuple(
            Hole(gap, since or self._held(gap), self._ended(gap))
            for gap, since in (lost or {}).items()
            if self._matters(gap)
        )
        forked = self.branch and (self.branch.number > 1 or self.elsewhere)
        found = Window(self.earliest, None, holes, self.timeline if forked else None)
        reached = found.broken.since if found.broken else last_commit
        latest = max((*ends, *((reached,) if reached else ()))) if ends else None
        return replace(found, latest=latest)

    @property
    def bare(self) -> tuple[int, ...]:
        """Numbers of repositories that hold no backup, while another one does."""
        full = {label.repository for label in self.labels}
        return tuple(number for number in self.readable if full and number not in full)

    def newest_before(self, moment: datetime) -> Label | None:
        """The backup that a recovery to a moment begins with."""
        fitting = [b for b in self.labels if b.usable_from <= moment and b.usable]
        return max(fitting, key=lambda label: label.stopped_at, default=None)

    def _matters(self, gap: Gap) -> bool:
        """Whether a recovery from any backup would come to it."""
        return not gap.after or any(
            label.wal_start[8:] < gap.after[8:] for label in self.labels if label.usable
        )

    def _held(self, gap: Gap) -> datetime | None:
        """The end of the last backup before what is missing, which can surely be restored."""
        ahead = [
            label.usable_from
            for label in self.labels
            if label.wal_stop[8:] <= gap.before[8:] and label.usable
        ]
        return max(ahead, default=None)

    def _ended(self, gap: Gap) -> datetime | None:
        """When the first backup ended that needs nothing of what is missing."""
        behind = [
            label.usable_from
            for label in self.labels
            if gap.after and label.wal_start[8:] >= gap.after[8:] and label.usable
        ]
        return min(behind, default=None)


def parse_info(text: str, stanza: str) -> Stock:
    """Read what `pgbackrest info --output=json` printed.

    Args:
        text: all of it.
        stanza: the one that is asked about; one that is not there is an empty stock.

    Raises:
        OpsError: it is not what that command prints.
    """
    try:
        found = next((item for item in json.loads(text) if item["name"] == stanza), None)
        return Stock(stanza, (), None, {}) if found is None else _stock(found)
    except (ValueError, KeyError, TypeError) as error:
        raise OpsError(f"pgbackrest info printed what cannot be read: {error!r}") from error


def _stock(found: dict[str, Any]) -> Stock:
    current: dict[str, Any] = max(found.get("db") or (), key=lambda db: int(db["id"]), default={})
    # Each repository counts the servers that it has seen by itself.
    same = {
        (db["repo-key"], db["id"])
        for db in found.get("db") or ()
        if (db["system-id"], db["version"]) == (current["system-id"], current["version"])
    }
    labels = sorted(
        (_label(backup, same) for backup in found.get("backup") or ()),
        key=lambda label: label.stopped_at,
    )
    archives = [
        archive
        for archive in found.get("archive") or ()
        if (archive["database"]["repo-key"], archive["database"]["id"]) in same
    ]
    problems = {
        int(repo["key"]): _in_a_line(str(repo["status"]["message"]))
        for repo in found.get("repo") or ()
        if repo["status"]["code"] not in (0, 2)  # 2: no backup yet, which is no fault
    }
    return Stock(
        stanza=found["name"],
        labels=tuple(labels),
        last_wal=max((a["max"] for a in archives if a.get("max")), default=None),
        problems=problems,
        system_identifier=str(current.get("system-id") or ""),
        version=str(current.get("version") or ""),
        encrypted=bool(found.get("repo")) and all(r["cipher"] != "none" for r in found["repo"]),
        readable=tuple(
            int(repo["key"]) for repo in found.get("repo") or () if int(repo["key"]) not in problems
        ),
        archives={int(a["database"]["repo-key"]): str(a["id"]) for a in archives},
    )


def _in_a_line(message: str) -> str:
    """The first line, and the code that an S3 server gave behind pages of headers."""
    code = _CODE.search(message)
    return message.partition("\n")[0] + (f" {code[1]}" if code else "")


def _label(found: dict[str, Any], same: set[tuple[int, int]]) -> Label:
    info, when, archive = found["info"], found["timestamp"], found["archive"]
    end = (found.get("lsn") or {}).get("stop")
    return Label(
        name=found["label"],
        kind=found["type"],
        repository=int(found["database"]["repo-key"]),
        started_at=datetime.fromtimestamp(when["start"], UTC),
        stopped_at=datetime.fromtimestamp(when["stop"], UTC),
        database_bytes=int(info["size"]),
        copied_bytes=int(info["delta"]),
        stored_bytes=int(info["repository"]["delta"]),
        prior=found.get("prior"),
        reference=tuple(found.get("reference") or ()),
        wal_start=archive["start"] or "",
        wal_stop=archive["stop"] or "",
        damaged=bool(found.get("error")),
        annotations={str(k): str(v) for k, v in (found.get("annotation") or {}).items()},
        end=position(end) if end else None,
        older=(found["database"]["repo-key"], found["database"]["id"]) not in same,
    )
