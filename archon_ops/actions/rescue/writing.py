"""Write the rows of a plan in one transaction, which proves itself before it is committed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg

from archon_ops.actions.part import Part
from archon_ops.actions.rescue.proving import STALE, content, name_of, pair, prove, unequal
from archon_ops.errors import LockedError, OpsError, PreconditionError
from archon_ops.model.rescue import RescuePlan, RescueProof, Row, TablePlan
from archon_ops.postgres import writing
from archon_ops.postgres.relations import Name, Relation, qualified, relations
from archon_ops.postgres.rows import digests, fetch
from archon_ops.postgres.session import Connection, set_local
from archon_ops.postgres.writing import Staged
from archon_ops.site import Site

# Nobody waits for us longer than this, because we wait no longer for anybody.
_LOCK = "2s"


def write(site: Site, live: Connection, part: Part, plan: RescuePlan) -> RescueProof:
    """Bring the rows of a plan back, or change nothing.

    Args:
        site: where.
        live: session on the live database.
        part: the backup; the tables of the plan are loaded.
        plan: what was confirmed.

    Returns:
        What was proven; of no table where all rows are there already.

    Raises:
        PreconditionError: the live rows, or the backup's, are not what the plan was made of.
        OpsError: PostgreSQL refuses a row, or the proof does not hold; nothing was changed.
    """
    tables = [table for table in plan.tables if table.rows]
    now, then = relations(live), part.relations()
    pairs = {name_of(t): pair(t, then, now) for t in tables}
    with (
        part.server.connect(part.database) as backup,
        _explained(live, pairs),
        live.transaction(),
    ):
        # One snapshot throughout: what others write meanwhile is neither seen nor counted.
        live.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        set_local(live, "lock_timeout", _LOCK)
        # A check that waits for the end would keep triggers from being switched.
        live.execute("SET CONSTRAINTS ALL IMMEDIATE")
        if _there_already(site, live, tables, pairs):
            site.report.ok(
                f"{plan.rows} of {plan.rows} rows are there already, as the backup has them"
            )
            return RescueProof((), ())
        before = {name_of(t): content(site, live, pairs[name_of(t)][1]) for t in tables}
        written = _write_all(site, live, backup, tables, pairs)
        site.report.step("rescue.proof", "Comparing the rows, and all others")
        proof = prove(site, live, tables, pairs, before, written)
        if not proof.equal:
            raise unequal(live, tables, proof)
        site.report.step("rescue.commit", f"{plan.rows} rows written and proven")
    return proof


def _there_already(
    site: Site,
    live: Connection,
    tables: list[TablePlan],
    pairs: dict[Name, tuple[Relation, Relation]],
) -> bool:
    """Whether the live rows are what the plan would make of them: it was carried out before.

    Raises:
        PreconditionError: some rows that were missing are live again, and that is not all of it.
    """
    wanted = {name_of(t): {row.key: row.backup for row in t.rows} for t in tables}
    seconds = site.settings.deadlines.proof
    found = {
        n: dict(digests(live, pairs[n][1], rows, timeout=seconds)) for n, rows in wanted.items()
    }
    if found == wanted:
        return True
    for table in tables:
        rows = found[name_of(table)]
        again = [row for row in table.inserts if row.key in rows]
        if again:
            other = sum(rows[row.key] != row.backup for row in again)
            raise PreconditionError(
                f"{len(again)} rows of {table.name} that were missing are live again, {other} of "
                "them not as the backup has them; nothing was changed",
                STALE,
            )
    return False


def _write_all(
    site: Site,
    live: Connection,
    backup: Connection,
    tables: list[TablePlan],
    pairs: dict[Name, tuple[Relation, Relation]],
) -> dict[Name, tuple[int, int]]:
    """Stage, insert, update; how many rows of each table were to be inserted and updated."""
    site.report.step("rescue.write", "Writing the rows")
    inserts: list[Staged] = []
    updates: list[Staged] = []
    for number, table in enumerate(tables):
        then, now = pairs[name_of(table)]
        for rows, waiting, odd in ((table.inserts, inserts, 0), (table.updates, updates, 1)):
            if rows:
                staged = writing.stage(
                    live, now, 2 * number + odd, fetch(backup, then, [r.key for r in rows])
                )
                _check_staged(site, live, staged, rows)
                waiting.append(staged)
    for table in tables:
        _check_live(site, live, pairs[name_of(table)][1], table.updates)
    writing.insert(live, inserts)
    for staged in updates:
        silenced = writing.silence(live, staged.relation.name)
        writing.update(live, staged)
        writing.wake(live, staged.relation.name, silenced)
    for staged in inserts:
        for sequence in writing.advance_sequences(live, staged.relation.name):
            site.report.info(f"sequence {sequence} was behind, and was moved on")
    return {name_of(t): (len(t.inserts), len(t.updates)) for t in tables}


def _check_staged(site: Site, live: Connection, staged: Staged, rows: tuple[Row, ...]) -> None:
    """The backup still holds what the plan says, and it arrived."""
    wanted = {row.key: row.backup for row in rows}
    seconds = site.settings.deadlines.proof
    found = dict(digests(live, staged.relation, source=staged.place, timeout=seconds))
    if found != wanted:
        raise PreconditionError(
            f"rows of {qualified(staged.relation.name)} in the backup are not those of the plan; "
            "nothing was changed",
            STALE,
        )


def _check_live(site: Site, live: Connection, relation: Relation, rows: tuple[Row, ...]) -> None:
    """The live rows that are replaced are still those of the plan."""
    wanted = {row.key: row.live for row in rows}
    found = dict(digests(live, relation, wanted, timeout=site.settings.deadlines.proof))
    if found != wanted:
        raise PreconditionError(
            f"live rows of {qualified(relation.name)} have changed since the plan was made; "
            "nothing was changed",
            STALE,
        )


@contextlib.contextmanager
def _explained(live: Connection, names: dict[Name, tuple[Relation, Relation]]) -> Iterator[None]:
    """What PostgreSQL refuses, for people; the transaction was rolled back before this is told."""
    try:
        yield
    except psycopg.errors.LockNotAvailable:
        who = writing.writers(live, names) or "whoever held it has just ended"
        raise LockedError(
            f"waited 2 s in vain for a lock on what is written, nothing was changed: {who}",
            "let that session end, then run it again",
        ) from None  # the sandbox's session, around this, would look for holders there
    except psycopg.errors.SerializationFailure as error:
        raise OpsError(
            "somebody changed the same rows meanwhile; nothing was changed", STALE
        ) from error
    except psycopg.errors.IntegrityError as error:
        raise _refused(error) from error


def _refused(error: psycopg.errors.IntegrityError) -> OpsError:
    found = error.diag
    detail = f": {found.message_detail}" if found.message_detail else ""
    hint = {
        "23505": "a live row holds the same values: delete or rename it, or choose with --where",
        "23503": "neither side has the row that is referred to: choose others with --where",
    }.get(error.sqlstate or "", "choose other rows with --where")
    return OpsError(
        f"PostgreSQL refuses a row of the backup, nothing was changed: "
        f"{found.message_primary}{detail}",
        hint,
    )
