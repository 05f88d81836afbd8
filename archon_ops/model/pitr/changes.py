"""What has to change in a server's settings so that it archives its WAL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archon_ops.errors import PreconditionError

NAMES = (
    "archive_mode",
    "archive_command",
    "archive_library",
    "archive_timeout",
    "wal_level",
    "max_wal_senders",
)
_RESTART = ("archive_mode", "wal_level")
# An idle end of the WAL is archived after a minute: that much a lost disk costs.
_TIMEOUT = "60"


@dataclass(frozen=True)
class Change:
    """One line of postgresql.conf.

    Attributes:
        name: of the setting.
        before: what it is now.
        after: what it has to be.
    """

    name: str
    before: str
    after: str

    @property
    def restarts(self) -> bool:
        """Whether it holds only after a restart."""
        return self.name in _RESTART

    @property
    def line(self) -> str:
        """As it stands in postgresql.conf."""
        return f"{self.name} = {_quoted(self.after)}"

    @property
    def statement(self) -> str:
        """The SQL that sets it; the name is one of ours, the value quoted."""
        return f"ALTER SYSTEM SET {self.name} = {_quoted(self.after)}"


def archive_command(program: str, config: str, stanza: str) -> str:
    """What the server runs for every segment."""
    return f"{program} --config={config} --stanza={stanza} archive-push %p"


def changes(now: Mapping[str, str], command: str, *, replace: bool = False) -> tuple[Change, ...]:
    """What is not yet as it has to be.

    Args:
        now: the server's settings.
        command: the archive command that is wanted.
        replace: whether another way of archiving may be given up.

    Raises:
        PreconditionError: the server already archives in another way.
    """
    other = now.get("archive_library") or _foreign(now.get("archive_command", ""), command)
    if other and now["archive_mode"] != "off" and not replace:
        raise PreconditionError(
            f"the server archives its WAL in another way: {other}",
            "to give that up: inv pitr.setup --replace",
        )
    wanted = {"archive_mode": "on", "archive_command": command}
    if now.get("archive_library"):
        wanted["archive_library"] = ""
    if now["wal_level"] == "minimal":
        wanted["wal_level"] = "replica"
    if now["archive_timeout"] == "0":
        wanted["archive_timeout"] = _TIMEOUT
    if now["archive_mode"] == "always":
        del wanted["archive_mode"]
    return tuple(
        Change(name, now.get(name, ""), after)
        for name, after in wanted.items()
        if now.get(name, "") != after
    )


def _foreign(command: str, ours: str) -> str:
    """An archive command that is none of ours; "(disabled)" is how the server shows none."""
    if command in ("", "(disabled)", ours) or " archive-push " in command:
        return ""
    return command


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
