"""Write the rows of a plan in one transaction, which proves itself before it is committed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg

from archon_ops.actions.part import Part
from archon_ops.errors import LockedError, OpsError, PreconditionError
from archon_ops.model.fingerprint import TableFingerprint
from archon_ops.model.rescue import RescuePlan, RescueProof, Row, TablePlan, TableResult
from archon_ops.postgres import writing
from archon_ops.postgres.fingerprint import Table, one
from archon_ops.postgres.relations import Name, Relation, qualified, relations, shared
from archon_ops.postgres.rows import digests, fetch
from archon_ops.postgres.session import Connection, set_local
from archon_ops.postgres.writing import Staged
from archon_ops.site import Site

# Nobody waits for us longer than this, because we wait no longer for anybody.
_LOCK = "2s"
_STALE = "make a new plan: run inv rescue again, without --plan"


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
    pairs = {_name(t): _pair(t, then, now) for t in tables}
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
        before = {_name(t): _content(site, live, pairs[_name(t)][1]) for t in tables}
        written = _write_all(site, live, backup, tables, pairs)
        site.report.step("rescue.proof", "Comparing the rows, and all others")
        proof = _prove(site, live, tables, pairs, before, written)
        if not proof.equal:
            raise _unequal(live, tables, proof)
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
    wanted = {_name(t): {row.key: row.backup for row in t.rows} for t in tables}
    seconds = site.settings.deadlines.proof
    found = {
        n: dict(digests(live, pairs[n][1], rows, timeout=seconds)) for n, rows in wanted.items()
    }
    if found == wanted:
        return True
    for table in tables:
        rows = found[_name(table)]
        again = [row for row in table.inserts if row.key in rows]
        if again:
            other = sum(rows[row.key] != row.backup for row in again)
            raise PreconditionError(
                f"{len(again)} rows of {table.name} that were missing are live again, {other} of "
                "them not as the backup has them; nothing was changed",
                _STALE,
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
        then, now = pairs[_name(table)]
        for rows, waiting, odd in ((table.inserts, inserts, 0), (table.updates, updates, 1)):
            if rows:
                staged = writing.stage(
                    live, now, 2 * number + odd, fetch(backup, then, [r.key for r in rows])
                )
                _check_staged(site, live, staged, rows)
                waiting.append(staged)
    for table in tables:
        _check_live(site, live, pairs[_name(table)][1], table.updates)
    writing.insert(live, inserts)
    for staged in updates:
        silenced = writing.silence(live, staged.relation.name)
        writing.update(live, staged)
        writing.wake(live, staged.relation.name, silenced)
    for staged in inserts:
        for sequence in writing.advance_sequences(live, staged.relation.name):
            site.report.info(f"sequence {sequence} was behind, and was moved on")
    return {_name(t): (len(t.inserts), len(t.updates)) for t in tables}


def _check_staged(site: Site, live: Connection, staged: Staged, rows: tuple[Row, ...]) -> None:
    """The backup still holds what the plan says, and it arrived."""
    wanted = {row.key: row.backup for row in rows}
    seconds = site.settings.deadlines.proof
    found = dict(digests(live, staged.relation, source=staged.place, timeout=seconds))
    if found != wanted:
        raise PreconditionError(
            f"rows of {qualified(staged.relation.name)} in the backup are not those of the plan; "
            "nothing was changed",
            _STALE,
        )


def _check_live(site: Site, live: Connection, relation: Relation, rows: tuple[Row, ...]) -> None:
    """The live rows that are replaced are still those of the plan."""
    wanted = {row.key: row.live for row in rows}
    found = dict(digests(live, relation, wanted, timeout=site.settings.deadlines.proof))
    if found != wanted:
        raise PreconditionError(
            f"live rows of {qualified(relation.name)} have changed since the plan was made; "
            "nothing was changed",
            _STALE,
        )


def _prove(
    site: Site,
    live: Connection,
    tables: list[TablePlan],
    pairs: dict[Name, tuple[Relation, Relation]],
    before: dict[Name, TableFingerprint],
    written: dict[Name, tuple[int, int]],
) -> RescueProof:
    counted = writing.writes(live)
    results = []
    for table in tables:
        name = _name(table)
        relation = pairs[name][1]
        after = _content(site, live, relation)
        wanted = {row.key: row.backup for row in table.rows}
        found = dict(digests(live, relation, wanted, timeout=site.settings.deadlines.proof))
        others = _sums(after) == _expected(before[name], table)
        results.append(
            TableResult(
                table.name,
                *written[name],
                before[name].rows,
                after.rows,
                restored_equal=found == wanted,
                others_equal=others and after.rows == before[name].rows + len(table.inserts),
            )
        )
    if counted is None:
        note = "other tables: the server does not count writes (track_counts is off)"
        return RescueProof(tuple(results), (), (note,))
    wanted_counts = {name: (*counts, 0) for name, counts in written.items()}
    odd = sorted(n for n in counted.keys() | wanted_counts if _differ(n, counted, wanted_counts))
    lines = tuple(_counted_line(name, counted, wanted_counts) for name in odd)
    return RescueProof(tuple(results), lines)


def _differ(
    name: Name,
    counted: dict[Name, tuple[int, int, int]],
    wanted: dict[Name, tuple[int, int, int]],
) -> bool:
    return counted.get(name, (0, 0, 0)) != wanted.get(name, (0, 0, 0))


def _counted_line(
    name: Name,
    counted: dict[Name, tuple[int, int, int]],
    wanted: dict[Name, tuple[int, int, int]],
) -> str:
    found, meant = counted.get(name, (0, 0, 0)), wanted.get(name, (0, 0, 0))
    words = ("inserted", "updated", "deleted")
    parts = [
        f"{is_} rows {word}, {was} meant"
        for is_, was, word in zip(found, meant, words, strict=True)
        if is_ != was
    ]
    return f"table {qualified(name)}: {', '.join(parts)}"


def _content(site: Site, live: Connection, relation: Relation) -> TableFingerprint:
    """All rows of a table, over the columns that are written."""
    table = Table(*relation.name, relation.columns)
    return one(live, table, timeout=site.settings.deadlines.proof)


def _sums(content: TableFingerprint) -> tuple[int, ...]:
    return tuple(map(int, content.content.split(":")))


def _expected(before: TableFingerprint, table: TablePlan) -> tuple[int, ...]:
    """What the sums must have become, if nothing but the plan's rows came and went."""
    sums = list(_sums(before))
    for row in table.rows:
        for index, (came, went) in enumerate(
            zip(_quarters(row.backup), _quarters(row.live), strict=True)
        ):
            sums[index] += came - went
    return tuple(sums)


def _quarters(digest: str | None) -> tuple[int, ...]:
    """The four numbers that a row adds to its table's sums; all 0 for no row."""
    raw = bytes.fromhex(digest) if digest else bytes(32)
    return tuple(int.from_bytes(raw[i : i + 8], "big", signed=True) for i in (0, 8, 16, 24))


def _name(table: TablePlan) -> Name:
    return table.schema, table.table


def _pair(
    table: TablePlan, then: dict[Name, Relation], now: dict[Name, Relation]
) -> tuple[Relation, Relation]:
    """Both sides of a planned table, as long as they still are what the plan was made of."""
    name = _name(table)
    if name in then and name in now:
        pair = shared(then[name], now[name])
        if all((r.key, r.column_names) == (table.key, table.columns) for r in pair):
            return pair
    raise PreconditionError(
        f"{table.name} has not the key and columns of the plan any more; nothing was changed",
        _STALE,
    )


def _unequal(live: Connection, tables: list[TablePlan], proof: RescueProof) -> OpsError:
    triggers = [
        f"{trigger} on {table.name}"
        for table in tables
        for trigger in writing.user_triggers(live, _name(table))
    ]
    why = f"; triggers that may be the reason: {', '.join(triggers)}" if triggers else ""
    return OpsError(
        f"the rows were written and did not prove right, so nothing was changed: "
        f"{'; '.join(proof.problems[:3])}{why}",
        "if a trigger is the reason: ALTER TABLE … DISABLE TRIGGER NAME, and run it again",
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
            "somebody changed the same rows meanwhile; nothing was changed", _STALE
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
