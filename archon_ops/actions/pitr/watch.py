"""A look at repositories and archiver, kept for those who reach no server."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

from archon_ops.actions.pitr.branch import live_branch, newest_branch, ours
from archon_ops.actions.pitr.examine import asked, check_stanza, facts, free_for_wal
from archon_ops.actions.pitr.reach import Reached, last_archived, reached, window
from archon_ops.errors import OpsError
from archon_ops.model.pitr.failures import not_there
from archon_ops.model.pitr.labels import Label
from archon_ops.model.pitr.state import Archiver, State
from archon_ops.model.pitr.stock import Stock
from archon_ops.site import Site
from archon_ops.storage import pitr as kept

_ARCHIVER = """
SELECT json_build_object(
    'archived_at', a.last_archived_time, 'failed_at', a.last_failed_time,
    'failed_wal', a.last_failed_wal, 'failed', a.failed_count,
    'mode', current_setting('archive_mode'),
    'waiting', (SELECT count(*) FROM pg_catalog.pg_ls_archive_statusdir()
                WHERE name LIKE '%.ready')
               * (SELECT setting::bigint FROM pg_catalog.pg_settings
                  WHERE name = 'wal_segment_size'))
FROM pg_catalog.pg_stat_archiver a"""


def look(site: Site, at: Reached) -> State:
    """What is there now; kept for others.

    Args:
        site: the source.
        at: its server.

    Raises:
        OpsError: the server or a repository does not answer.
    """
    archived = last_archived(site, at)  # first: whatever it says has to be in a repository by then
    stock = at.backrest.info()
    before = kept.recall(site.directory)
    if not stock.exists and (stock.unreadable or (before and before.labels)):
        raise not_there(stock)  # and what was known of it stays
    known = ours(site, at, stock)
    branch = live_branch(site, at, stock) if known else newest_branch(at.backrest, stock)
    followed = stock.on(branch)
    found = window(site, at, followed, archived if known else None)
    state = State(
        at=site.clock(),
        stanza=stock.stanza,
        labels=_with_unreadable(stock, before),
        proven=kept.proven_labels(site.directory),
        earliest=found.earliest,
        latest=found.latest,
        holes=found.holes,
        bare=stock.bare,
        archiver=archiver(at),
        trouble=_trouble(stock),
        damaged=before.damaged if before and before.stanza == stock.stanza else (),
        timeline=branch.number,
        elsewhere=tuple(label.name for label in followed.elsewhere),
    )
    kept.remember(site.directory, state, site.run_id)
    return state


def refresh(site: Site) -> None:
    """The same for the alert look: what cannot be asked is trouble, and kept as that.

    What was known before stays: a repository that is gone for an hour is no reason to forget
    what lies in it.
    """
    before = kept.recall(site.directory)
    if before is None:
        return  # it was never set up, or no backup was made yet
    seen = None
    try:
        with reached(site) as at:
            seen = archiver(at)
            stock = at.backrest.info()
            if not stock.exists:
                raise not_there(stock)
            check_stanza(stock, facts(at), at.backrest.host.name)
            look(site, at)
    except OpsError as error:
        trouble = f"{error.message}; {error.hint}" if error.hint else error.message
        state = replace(before, at=site.clock(), archiver=seen, trouble=trouble)
        kept.remember(site.directory, state, site.run_id)


def archiver(at: Reached) -> Archiver:
    """How WAL gets into the repositories."""
    found: dict[str, Any] = json.loads(asked(at).ask(_ARCHIVER))
    return Archiver(
        last_archived_at=_time(found["archived_at"]),
        last_failed_at=_time(found["failed_at"]),
        last_failed_wal=found["failed_wal"],
        failed_count=found["failed"],
        waiting_bytes=found["waiting"],
        free_bytes=free_for_wal(at),
        mode=found["mode"],
    )


def _with_unreadable(stock: Stock, before: State | None) -> tuple[Label, ...]:
    """The backups, and those that were known of repositories that cannot be read now."""
    known = before.labels if before and before.stanza == stock.stanza else ()
    gone = [label for label in known if label.repository in stock.unreadable]
    return tuple(sorted((*stock.labels, *gone), key=lambda label: label.stopped_at))


def _trouble(stock: Stock) -> str:
    if not stock.exists:
        return "its repositories hold nothing of this server: inv pitr.setup"
    if stock.problems:
        number, said = min(stock.problems.items())
        return f"repository {number}: {said}"
    return ""


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
