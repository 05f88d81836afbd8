"""Whether live and backup are now what a rescue was to make of them."""

from __future__ import annotations

from archon_ops.errors import OpsError, PreconditionError
from archon_ops.model.fingerprint import TableFingerprint
from archon_ops.model.rescue import RescueProof, TablePlan, TableResult
from archon_ops.postgres import writing
from archon_ops.postgres.fingerprint import Table, one
from archon_ops.postgres.relations import Name, Relation, qualified, shared
from archon_ops.postgres.rows import digests
from archon_ops.postgres.session import Connection
from archon_ops.site import Site

STALE = "make a new plan: run inv rescue again, without --plan"


def name_of(table: TablePlan) -> Name:
    """Schema and name, as the catalogue's keys are."""
    return table.schema, table.table


def prove(
    site: Site,
    live: Connection,
    tables: list[TablePlan],
    pairs: dict[Name, tuple[Relation, Relation]],
    before: dict[Name, TableFingerprint],
    written: dict[Name, tuple[int, int]],
) -> RescueProof:
    """Look at the rows, at all others of their tables, and at what else was written.

    Args:
        site: where.
        live: session that wrote, before its commit.
        tables: of the plan, with rows.
        pairs: table -> what it is in the backup, and live.
        before: table -> its content before anything was written.
        written: table -> rows inserted, and rows updated.
    """
    counted = writing.writes(live)
    results = []
    for table in tables:
        name = name_of(table)
        relation = pairs[name][1]
        after = content(site, live, relation)
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
    name: Name, counted: dict[Name, tuple[int, int, int]], wanted: dict[Name, tuple[int, int, int]]
) -> bool:
    return counted.get(name, (0, 0, 0)) != wanted.get(name, (0, 0, 0))


def _counted_line(
    name: Name, counted: dict[Name, tuple[int, int, int]], wanted: dict[Name, tuple[int, int, int]]
) -> str:
    found, meant = counted.get(name, (0, 0, 0)), wanted.get(name, (0, 0, 0))
    words = ("inserted", "updated", "deleted")
    parts = [
        f"{is_} rows {word}, {was} meant"
        for is_, was, word in zip(found, meant, words, strict=True)
        if is_ != was
    ]
    return f"table {qualified(name)}: {', '.join(parts)}"


def content(site: Site, live: Connection, relation: Relation) -> TableFingerprint:
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


def pair(
    table: TablePlan, then: dict[Name, Relation], now: dict[Name, Relation]
) -> tuple[Relation, Relation]:
    """Both sides of a planned table, as long as they still are what the plan was made of."""
    name = name_of(table)
    if name in then and name in now:
        pair = shared(then[name], now[name])
        if all((r.key, r.column_names) == (table.key, table.columns) for r in pair):
            return pair
    raise PreconditionError(
        f"{table.name} has not the key and columns of the plan any more; nothing was changed", STALE
    )


def unequal(live: Connection, tables: list[TablePlan], proof: RescueProof) -> OpsError:
    """The error that takes all of it back, with what may have interfered."""
    triggers = [
        f"{trigger} on {table.name}"
        for table in tables
        for trigger in writing.user_triggers(live, name_of(table))
    ]
    why = f"; triggers that may be the reason: {', '.join(triggers)}" if triggers else ""
    return OpsError(
        f"the rows were written and did not prove right, so nothing was changed: "
        f"{'; '.join(proof.problems[:3])}{why}",
        "if a trigger is the reason: ALTER TABLE … DISABLE TRIGGER NAME, and run it again",
    )
