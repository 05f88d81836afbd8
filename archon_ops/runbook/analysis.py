"""What takes room, down to columns, sources and rows; and what other embeddings would take.

Each function is a cell of runbooks/size_analysis.ipynb; `panel` shows all views with widgets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from archon_ops.actions.audit import Audited
from archon_ops.actions.contents import look_into
from archon_ops.actions.growth import known_rates
from archon_ops.errors import UsageError
from archon_ops.model import sizing
from archon_ops.model.audit import Audit, Table
from archon_ops.model.growth import Rates
from archon_ops.model.shown import Picture, facts
from archon_ops.model.shown import Table as Shown
from archon_ops.model.units import human_size, zulu
from archon_ops.model.whatif import Choice, Cost, costs
from archon_ops.postgres.contents import Contents, LargeRow
from archon_ops.runbook import charts
from archon_ops.runbook.growth import Shown as Things
from archon_ops.runbook.growth import table_of
from archon_ops.runbook.session import Session
from archon_ops.site import Site

STEPS = (
    ("sizes.audit", "Audit the sizes"),
    ("sizes.tree", "Break them down to columns"),
    ("sizes.sources", "Attribute them to knowledge sources"),
    ("sizes.whatif", "Work out other embeddings, growth and retention"),
    ("sizes.rows", "List the largest rows"),
    ("sizes.savings", "Name what could be had back"),
)
_PARTS = ("heap", "indexes", "TOAST")
_MOST_BARS = 15
_DIMENSIONS = range(0, 16_001)


@dataclass(frozen=True)
class Analysis:
    """Everything that the views are drawn from; read once.

    Attributes:
        source: name of the source.
        audited: the audit.
        contents: what is in the tables that the role may read.
        rates: what a backup takes.
    """

    source: str
    audited: Audited
    contents: tuple[Contents, ...]
    rates: Rates

    @property
    def audit(self) -> Audit:
        """The audit itself."""
        return self.audited.audit


@dataclass(frozen=True)
class View:
    """What is picked.

    Attributes:
        days: period over which change is shown.
        tables: names of the tables that are shown; empty for all.
        largest: how many of the largest rows are listed.
        choice: what the what-if assumes.
    """

    days: int
    tables: tuple[str, ...]
    largest: int
    choice: Choice


def plan(run: Session) -> Shown:
    """What will be looked at; nothing is changed."""
    return run.plan(*STEPS)


def view(
    run: Session,
    *,
    days: int,
    tables: str,
    largest: int,
    rows_per_week: int,
    dimension: int,
    half: bool,
    retention: int,
) -> View:
    """What the parameters pick; 0 for retention takes what is set.

    Raises:
        UsageError: a number makes no sense.
    """
    for name, value in (("days", days), ("largest", largest)):
        if value < 1:
            raise UsageError(f"{name}={value} shows nothing", "give at least 1")
    if rows_per_week < 0 or retention < 0 or dimension not in _DIMENSIONS:
        raise UsageError("rows_per_week, dimension and retention cannot be that", "try 0 to 16000")
    kept = retention or run.site.settings.retention.last
    names = tuple(name.strip() for name in tables.split(",") if name.strip())
    return View(days, names, largest, Choice(rows_per_week, dimension, half, kept))


def described(picked: View) -> Shown:
    """What is picked, for people."""
    return facts(
        "Picked",
        ("Change over", f"{picked.days} days"),
        ("Tables", ", ".join(picked.tables) or "all"),
        ("Largest rows", picked.largest),
    )


def read(site: Site, largest: int) -> Analysis:
    """Everything that the views need.

    Raises:
        PreconditionError: the database cannot be reached, or has no Archon tables.
    """
    audited, contents = look_into(site, largest)
    rates = known_rates(site, audited.history, site.directory.catalog())
    return Analysis(site.name, audited, contents, rates)


def audit(run: Session, picked: View) -> Analysis:
    """Read everything, and put the audit into the evidence."""
    with run.step("sizes.audit", "Audit the sizes"):
        found = read(run.site, picked.largest)
        names = {table.size.table for table in found.audit.tables}
        if unknown := [name for name in picked.tables if name not in names]:
            raise UsageError(f"there is no table {', '.join(unknown)}", ", ".join(sorted(names)))
        document = sizing.audit_document(
            found.source, found.audit, found.audited.changes, found.audited.backup, ()
        )
        run.fact("sizes", document)
    return found


def tables(found: Analysis, picked: View) -> Things:
    """Tables with their parts, and how they changed over the period."""
    shown = _picked(found.audit, picked)
    rows: list[charts.Bar] = [
        (t.size.table, (t.size.heap_bytes, t.size.index_bytes, t.size.toast_bytes)) for t in shown
    ]
    past = found.audited.history
    then = past.at(found.audit.at - timedelta(days=picked.days)) or next(iter(past.points), None)
    old = {f"{s.schema}.{s.table}": s.total_bytes for s in then.sizes} if then else {}
    since = f"change since {zulu(then.at)}" if then else "no history yet"
    cells: list[tuple[object, ...]] = [
        (
            t.size.table,
            t.rows.text,
            human_size(t.size.total_bytes),
            f"{found.audit.share(t.size.total_bytes):.1f} %",
            t.dead_rows,
            sizing.signed(t.size.total_bytes - old[t.name]) if t.name in old else None,
        )
        for t in shown
    ]
    whole = table_of(
        f"Database {found.audit.database} of {found.source}",
        ("part", "bytes", "share", "what"),
        sizing.whole_rows(found.audit, found.audited.backup, found.audited.ratio),
    )
    columns = ("table", "rows", "total", "share", "dead rows", since)
    picture = charts.bars("Archon's tables", _PARTS, rows)
    return Things((picture, table_of("Tables", columns, cells), whole))


def tree(run: Session, found: Analysis, picked: View) -> Shown:
    """The same down to columns and indexes."""
    with run.step("sizes.tree", "Break them down to columns"):
        return tree_view(found, picked)


def tree_view(found: Analysis, picked: View) -> Shown:
    """A tree of sizes, as indented rows."""
    rows = [
        line
        for table in _picked(found.audit, picked)
        for line in _branch(table, _contents(found, table))
    ]
    return table_of(
        "Tree of sizes",
        ("what", "bytes", "of its table", ""),
        rows,
    )


def _branch(table: Table, inside: Contents | None) -> Iterator[tuple[object, ...]]:
    total = table.size.total_bytes
    yield (table.size.table, human_size(total), None, f"{table.rows.text or '?'} rows")
    kinds = {column.column: column for column in table.vectors}
    columns = inside.columns if inside else {}
    ordered = sorted(columns.items(), key=lambda item: -item[1])
    for name, size in ordered:
        if size:
            kind = kinds.get(name)
            what = f"embeddings of {kind.dimension} dimensions" if kind else "column"
            yield _leaf(name, size, total, what)
    rest = table.size.heap_bytes + table.size.toast_bytes - sum(columns.values())
    what = "heads, maps and free space" if inside else "not to be read by this role"
    yield _leaf("(rows)", max(rest, 0), total, what)
    for index in table.indexes:
        used = "" if index.scans or index.needed else ", not used"
        yield _leaf(index.name, index.bytes, total, f"{index.method} index{used}")


def _leaf(name: str, size: int, total: int, what: str) -> tuple[object, ...]:
    share = 100 * size / total if total else 0.0
    return (f"\u2003{name}", human_size(size), f"{share:.1f} %", what)


def sources(run: Session, found: Analysis, picked: View) -> Things:
    """Knowledge sources by the bytes that they occupy."""
    with run.step("sizes.sources", "Attribute them to knowledge sources"):
        return sources_view(found, picked)


def sources_view(found: Analysis, picked: View) -> Things:
    """The largest knowledge sources; a table's indexes and maps are shared out by its rows."""
    taken: Counter[str] = Counter()
    for table in _picked(found.audit, picked):
        inside = _contents(found, table)
        if inside is None or not inside.sources:
            continue
        values = sum(inside.sources.values()) or 1
        for name, size in inside.sources.items():
            taken[name] += round(size / values * table.size.total_bytes)
    rows = taken.most_common(_MOST_BARS)
    more = len(taken) - len(rows)
    cells: list[tuple[object, ...]] = [
        (name, human_size(size), f"{found.audit.share(size):.1f} %") for name, size in rows
    ]
    note = [*(["estimated from a sample"] if not _whole(found) else [])]
    note += [f"{more} smaller sources are not shown"] if more > 0 else []
    listed = table_of("Knowledge sources", ("source", "bytes", "share of the database"), cells)
    shown = replace(listed, note="; ".join(note))
    bars: list[charts.Bar] = [(_short(name), (size,)) for name, size in rows]
    if not bars:
        return Things((shown,))
    return Things((charts.bars("Knowledge sources", ("bytes",), bars), shown))


def whatif(run: Session, found: Analysis, picked: View) -> Things:
    """What other embeddings, more rows and another retention would take."""
    with run.step("sizes.whatif", "Work out other embeddings, growth and retention"):
        return whatif_view(found, picked)


def whatif_view(found: Analysis, picked: View) -> Things:
    """The projected cost of what is assumed."""
    choice = picked.choice
    worked = costs(found.audit, choice, found.rates.backup_bytes)
    assumed = facts(
        "What if",
        ("Rows a week", choice.rows_per_week),
        ("Embedding dimension", choice.dimension or "as now"),
        ("Type", "halfvec" if choice.half else "vector, as now"),
        ("Backups kept", choice.retention),
    )
    return Things((assumed, _cost_table(worked, found.rates.basis)))


def _cost_table(worked: Sequence[Cost], basis: str) -> Shown:
    rows: list[tuple[object, ...]] = [
        (
            cost.name,
            human_size(cost.database_bytes),
            human_size(cost.vector_bytes),
            None if cost.backup_bytes is None else human_size(cost.backup_bytes),
            None if cost.storage_bytes is None else human_size(cost.storage_bytes),
        )
        for cost in worked
    ]
    columns = ("", "database", "embeddings with indexes", "a backup", "all kept backups")
    table = table_of("What that takes", columns, rows)
    return replace(table, note=f"backups as measured: {basis}")


def rows(run: Session, found: Analysis, picked: View) -> Shown:
    """The largest rows, by key."""
    with run.step("sizes.rows", "List the largest rows"):
        return rows_view(found, picked)


def rows_view(found: Analysis, picked: View) -> Shown:
    """The largest rows of the picked tables."""
    names = {table.name for table in _picked(found.audit, picked)}
    every = (row for inside in found.contents if inside.table in names for row in inside.largest)
    largest = sorted(every, key=lambda row: -row.bytes)[: picked.largest]
    table = table_of(
        "Largest rows",
        ("table", "key", "bytes", "largest column", "its bytes"),
        [_row(row) for row in largest],
    )
    note = "" if _whole(found) else "among those of a sample"
    return replace(table, note=note)


def _row(row: LargeRow) -> tuple[object, ...]:
    table = row.table.removeprefix("public.")
    return (table, row.key, human_size(row.bytes), row.column, human_size(row.column_bytes))


def savings(run: Session, found: Analysis) -> Shown:
    """What could be had back; nothing is done."""
    with run.step("sizes.savings", "Name what could be had back"):
        return savings_view(found)


def savings_view(found: Analysis) -> Shown:
    """Unused indexes, dead rows, several embeddings a row, orphans, with their bytes."""
    table = table_of(
        "What could be had back",
        ("what", "where", "bytes", "note"),
        sizing.saving_rows(found.audit),
    )
    return replace(table, note="; ".join(found.audit.notes))


def views(found: Analysis, picked: View) -> tuple[Shown | Picture, ...]:
    """All views, one under the other."""
    return (
        *tables(found, picked).things,
        tree_view(found, picked),
        *sources_view(found, picked).things,
        *whatif_view(found, picked).things,
        rows_view(found, picked),
        savings_view(found),
    )


def _picked(audit: Audit, picked: View) -> tuple[Table, ...]:
    return tuple(t for t in audit.tables if not picked.tables or t.size.table in picked.tables)


def _contents(found: Analysis, table: Table) -> Contents | None:
    return next((inside for inside in found.contents if inside.table == table.name), None)


def _whole(found: Analysis) -> bool:
    return all(inside.whole for inside in found.contents)


def _short(name: str) -> str:
    return name if len(name) <= 32 else f"{name[:31]}…"
