"""The document's do and don't, as far as something here can tell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from archon_ops.model.boxes import Box, Evidence, by_hand, checked, elsewhere, health, proven

_MONTH = timedelta(days=31)
_MANY = 1000


def practices(known: Evidence) -> Iterator[Box]:
    """Ten to do, ten not to do."""
    yield from _do(known)
    yield from _dont(known)


def _do(known: Evidence) -> Iterator[Box]:
    yield proven(known, "Do: test restores regularly", _MONTH)
    yield health(known, "Do: monitor backup health")
    yield elsewhere(known, "Do: keep backups offsite")
    yield _on_start(known, "Do: backup before migrations")
    yield by_hand("Do: document credentials", "is the .env of today in the password manager?")
    yield _automated(known, "Do: automate backups")
    yield proven(known, "Do: verify backup integrity", _MONTH)
    yield checked(known, "Do: monitor disk space", "disk", "directory")
    yield _versioned(known, "Do: version control config")
    yield by_hand(
        "Do: encrypt sensitive backups",
        "recipients of the place in archon.toml, or inv encrypt FILE before it leaves here",
    )


def _dont(known: Evidence) -> Iterator[Box]:
    yield checked(known, "Don't: commit .env to git", "env.ignored")
    alone = "a backup holds the database and nothing else"
    yield Box("Don't: backup code", True, alone)
    yield Box("Don't: backup containers", True, alone)
    yield checked(known, "Don't: ignore failing backups", "runs.last")
    yield proven(known, "Don't: skip restore testing", _MONTH)
    yield _limited(known, "Don't: use unlimited retention")
    yield elsewhere(known, "Don't: store backups only locally")
    yield by_hand(
        "Don't: delay restores",
        f"what would be lost is in the plan: inv restore latest --dry-run{known.inv}",
    )
    yield health(known, "Don't: ignore health warnings")
    yield Box(
        "Don't: backup during migrations", True, "a backup waits for one, then refuses beside it"
    )


def _on_start(known: Evidence, text: str) -> Box:
    if known.backup_on_start:
        return Box(text, True, "BACKUP_ON_START=true in .env")
    to_do = f"BACKUP_ON_START=true in .env, or inv backup --label before-migration{known.inv}"
    return Box(text, False, "BACKUP_ON_START is not set", to_do)


def _automated(known: Evidence, text: str) -> Box:
    if known.schedule:
        return Box(text, True, f"{known.schedule} runs inv backup")
    to_do = f"inv schedule.install{known.inv}"
    return Box(text, False, "neither cron nor systemd runs inv backup", to_do)


def _versioned(known: Evidence, text: str) -> Box:
    if known.versioned:
        return Box(text, True, "git has the compose file")
    why = "git does not tell" if known.versioned is None else "git does not have the compose file"
    return Box(text, False, why, "git add docker-compose.yml && git commit")


def _limited(known: Evidence, text: str) -> Box:
    why = f"the last {known.keep} are kept"
    if known.keep <= _MANY:
        return Box(text, True, why)
    return Box(text, False, why, "retention.last in archon.toml")
