"""What setting up point-in-time recovery is about to do, in full, before anything is done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from archon_ops.model.pitr.changes import Change


@dataclass(frozen=True)
class SetupPlan:
    """A setup, decided but not done.

    Attributes:
        target: as it has to be typed.
        host: where the server's files are.
        server_version, backrest_version: as they say it; the latter empty where it is missing.
        stanza: name of the server in the repositories.
        made: whether the stanza is there already.
        upgrade: whether it has to follow an upgrade of the server.
        repositories: where they are, without secrets.
        unencrypted: numbers of those that are not encrypted.
        config: path of pgBackRest's configuration on the host.
        config_text: what will stand in it, secrets masked.
        config_changes: whether that differs from what stands there.
        changes: in the server's settings.
        sharing: who else works with the server, and so feels a restart.
        lacking: what keeps it from being done now, one line each.
        files: path on this machine -> text of what is written there to mend that.
        commands: what to type for it.
        notes: what else to know.
    """

    target: str
    host: str
    server_version: str
    backrest_version: str
    stanza: str
    made: bool
    upgrade: bool
    repositories: tuple[str, ...]
    unencrypted: tuple[int, ...]
    config: str
    config_text: str
    config_changes: bool
    changes: tuple[Change, ...]
    sharing: tuple[str, ...]
    lacking: tuple[str, ...]
    files: dict[str, str]
    commands: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def restarts(self) -> bool:
        """Whether the server has to restart."""
        return any(change.restarts for change in self.changes)

    @property
    def nothing_to_do(self) -> bool:
        """Whether all is in place already."""
        return self.made and not (
            self.upgrade or self.config_changes or self.changes or self.lacking
        )

    def text(self) -> str:
        """For people."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"Point-in-time recovery of {self.target}"
        yield f"  server       PostgreSQL {self.server_version} of {self.host}"
        yield f"  pgBackRest   {self.backrest_version or 'missing'}"
        state = "to be upgraded" if self.upgrade else "there already" if self.made else "to be made"
        yield f"  stanza       {self.stanza}, {state}"
        for shown in self.repositories:
            yield f"  repository   {shown}"
        for number in self.unencrypted:
            yield f"  [WARN]       repository {number} is not encrypted: whoever reads it reads all"
        if self.lacking:
            yield from self._lacking()
            return
        yield f"  {self.config}: {'written anew' if self.config_changes else 'stays as it is'}"
        if self.config_changes:
            yield from (f"    {line}" for line in self.config_text.splitlines() if line)
        yield "  postgresql.conf: " + ("" if self.changes else "stays as it is")
        for change in self.changes:
            after = " (holds after a restart)" if change.restarts else ""
            yield f"    {change.line}   # was '{change.before}'{after}"
        yield from self._restart()
        yield from (f"  note: {note}" for note in self.notes)

    def _restart(self) -> Iterator[str]:
        if not self.restarts:
            yield "  no restart is needed"
            return
        yield "  THE SERVER RESTARTS, for all who share it:"
        yield from (f"    {line}" for line in self.sharing or ("nobody is connected now",))

    def _lacking(self) -> Iterator[str]:
        yield "  It cannot be done yet:"
        yield from (f"    {line}" for line in self.lacking)
        for path, text in self.files.items():
            yield f"  {path}:"
            yield from (f"    {line}" for line in text.splitlines())
        if self.commands:
            yield "  Then:"
            yield from (f"    {command}" for command in self.commands)

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "target": self.target,
            "host": self.host,
            "server_version": self.server_version,
            "pgbackrest_version": self.backrest_version or None,
            "stanza": self.stanza,
            "stanza_exists": self.made,
            "stanza_upgrade": self.upgrade,
            "repositories": self.repositories,
            "config": {"path": self.config, "changes": self.config_changes}
            | {"text": self.config_text},
            "settings": [
                {"name": c.name, "before": c.before, "after": c.after, "restart": c.restarts}
                for c in self.changes
            ],
            "restart": self.restarts,
            "sharing": self.sharing,
            "lacking": self.lacking,
            "files": self.files,
            "commands": self.commands,
            "notes": self.notes,
        }
