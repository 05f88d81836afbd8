"""Compare the needed part of a backup with the live tables, and decide which rows come back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from archon_ops.actions.part import Part
from archon_ops.actions.rescue.choosing import Chooser, Side
from archon_ops.errors import PreconditionError, UntrustworthyError, UsageError
from archon_ops.model.plan import target_of
from archon_ops.model.rescue import Key, RescuePlan, TablePlan
from archon_ops.postgres import facts
from archon_ops.postgres.expression import matching, tables_read
from archon_ops.postgres.relations import (
    Name,
    Reference,
    Relation,
    qualified,
    references,
    relations,
    shared,
)
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection
from archon_ops.postgres.writing import missing_rights
from archon_ops.site import Site


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        reference: latest, a name, or a path.
        table: a table in public, or schema.table.
        where: an expression over its columns that chooses rows of the backup; None for all.
        changed: whether rows that changed since go back too.
        trust: whether the backup may be another server's.
    """

    reference: str
    table: str
    where: str | None = None
    changed: bool = False
    trust: bool = False

    @property
    def name(self) -> Name:
        """Schema and table.

        Raises:
            UsageError: it is no name.
        """
        schema, dot, table = self.table.rpartition(".")
        if not table or (dot and not schema):
            raise UsageError(
                f"--table {self.table!r} is not a table", "write TABLE or SCHEMA.TABLE"
            )
        return schema or "public", table


def make_plan(
    site: Site, server: Server, live: Connection, part: Part, request: Request
) -> RescuePlan:
    """Compare, and decide.

    Args:
        site: where.
        server: the live server.
        live: session on the live database.
        part: the backup, no table loaded yet.
        request: what is asked for.

    Raises:
        UsageError: there is no such table, or `where` is no expression.
        PreconditionError: it has no primary key, or something else is in the way.
        UntrustworthyError: the backup is another server's.
    """
    name = request.name
    identity = _identity_notes(server, live, part, request)
    now, then = relations(live), part.relations()
    _require_table(part, name, now, then)
    links = tuple(link for link in references(live) if {link.child, link.parent} <= then.keys())
    needed = tables_needed(name, links, changed=request.changed)
    read = _tables_of_where(part, then[name], request.where)
    part.load({table for table in needed | read if part.holds(table)})
    both = _both(part, now, needed & now.keys() & part.relations().keys())
    site.report.step("rescue.compare", f"Comparing {qualified(name)} with the live table")
    keyed = {table: pair for table, pair in both.items() if _same_key(*pair)}
    _require_key(name, both[name], keyed)
    keys = _keys(part, both[name][0], request.where)
    with part.server.connect(part.database) as backup:
        chooser = Chooser(
            Side(backup, {table: pair[0] for table, pair in keyed.items()}),
            Side(live, {table: pair[1] for table, pair in keyed.items()}),
            links,
            site.settings.deadlines.proof,
        )
        chooser.ask(name, keys, changed=request.changed)
        chooser.follow_deletions(name, changed=request.changed)
        chooser.follow_references()
    return _plan(site, server, live, part, request, chooser, both, now, identity)


def tables_needed(name: Name, links: tuple[Reference, ...], *, changed: bool) -> frozenset[Name]:
    """The table, those that its deletions reach, and those that any of them refers to."""
    reached = ("cascade", "clear") if changed else ("cascade",)
    below = {name}
    while more := {k.child for k in links if k.parent in below and k.on_delete in reached} - below:
        below |= more
    every = set(below)
    while more := {k.parent for k in links if k.child in every} - every:
        every |= more
    return frozenset(every)


def _require_table(
    part: Part,
    name: Name,
    now: dict[Name, Relation],
    then: dict[Name, Relation],
) -> None:
    backup = part.located.backup.name
    if name not in then or not part.holds(name):
        raise UsageError(
            f"{backup} holds no rows of a table {qualified(name)}",
            f"inv rescue {backup} --diff lists its tables; of a partitioned one name a partition",
        )
    if name not in now:
        raise PreconditionError(
            f"there is no table {qualified(name)} in the live database to bring rows back into",
            f"inv restore {backup} --table {qualified(name)} --into SCHEMA makes it beside; "
            f"inv restore {backup} brings all back",
        )
    if not now[name].key:
        raise PreconditionError(
            f"{qualified(name)} has no primary key: its rows cannot be told apart",
            f"inv restore {backup} --table {qualified(name)} --into SCHEMA makes it beside",
        )


def _same_key(backup: Relation, live: Relation) -> bool:
    """Whether rows of both sides can be told apart, and found again, by the same columns."""
    return bool(live.key) and set(live.key) <= set(live.column_names) and backup.key == live.key


def _require_key(
    name: Name,
    pair: tuple[Relation, Relation],
    keyed: dict[Name, tuple[Relation, Relation]],
) -> None:
    if name not in keyed:
        then, now = (", ".join(relation.key) or "none" for relation in pair)
        raise PreconditionError(
            f"the primary key of {qualified(name)} was ({then}) and is ({now}): rows of the "
            "backup cannot be matched with live ones",
            f"inv restore … --table {qualified(name)} --into SCHEMA makes it beside",
        )


def _tables_of_where(part: Part, relation: Relation, where: str | None) -> frozenset[Name]:
    """Tables whose rows an expression needs: all of them are in the backup."""
    if where is None:
        return frozenset()
    with part.server.connect(part.database) as connection:
        found = tables_read(connection, relation, where)
    if absent := [qualified(name) for name in sorted(found) if not part.holds(name)]:
        raise UsageError(
            f"--where reads {', '.join(absent)}, of which the backup holds no rows",
            "choose rows by what the backup covers",
        )
    return found


def _keys(part: Part, relation: Relation, where: str | None) -> tuple[Key, ...] | None:
    if where is None:
        return None
    seconds = part.site.settings.deadlines.stall
    return matching(part.server, part.database, relation, where, timeout=seconds)


def _both(
    part: Part, now: dict[Name, Relation], names: frozenset[Name] | set[Name]
) -> dict[Name, tuple[Relation, Relation]]:
    then = part.relations()
    return {name: shared(then[name], now[name]) for name in sorted(names) if part.holds(name)}


def _plan(
    site: Site,
    server: Server,
    live: Connection,
    part: Part,
    request: Request,
    chooser: Chooser,
    both: dict[Name, tuple[Relation, Relation]],
    now: dict[Name, Relation],
    identity: list[str],
) -> RescuePlan:
    backup = part.located.backup
    tables = tuple(t for t in chooser.plans() if t.rows or t.name == qualified(request.name))
    written = {(t.schema, t.table) for t in tables if t.rows}
    unkeyed = sorted(both.keys() - chooser.live.relations.keys())
    _require_rights(live, tables)
    then = part.relations()
    notes = [
        *identity,
        *(n for t in sorted(written) for n in _column_notes(then[t], now[t], both[t][0])),
        *(
            f"{qualified(t)} has no primary key by which its rows could be matched: what the "
            "deletion took from it does not come back"
            for t in unkeyed
        ),
        *_cleared(request, chooser),
    ]
    return RescuePlan(
        target=target_of(site.name, server.host, site.database, facts.system_identifier(live)),
        source=site.name,
        made_at=site.clock(),
        backup=backup.name,
        sha256=part.manifest.sha256,
        path=str(part.located.path),
        snapshot_at=backup.taken_at,
        table=qualified(request.name),
        where=request.where,
        changed=request.changed,
        tables=tables,
        notes=tuple(notes),
        incomplete=bool(unkeyed) and bool(written),
    )


def _identity_notes(server: Server, live: Connection, part: Part, request: Request) -> list[str]:
    """Rows of another Archon must not slip into this one."""
    theirs, ours = part.manifest.server.system_identifier, facts.system_identifier(live)
    if theirs == ours:
        return []
    told = (
        f"the backup is of server {theirs} ({part.manifest.source}), the target is server {ours} "
        f"({server.host})"
    )
    if not request.trust:
        raise UntrustworthyError(
            f"{told}; nothing was changed",
            "if rows of that Archon really belong into this one, add --trust",
        )
    return [told]


def _require_rights(live: Connection, tables: tuple[TablePlan, ...]) -> None:
    inserted = [(t.schema, t.table) for t in tables if t.inserts]
    updated = [(t.schema, t.table) for t in tables if t.updates]
    if statements := missing_rights(live, inserted, updated):
        raise PreconditionError(
            f"the role {live.info.user} may not write these rows; nothing was changed",
            f"have an administrator run: {'; '.join(statements)}",
        )


def _column_notes(then: Relation, now: Relation, common: Relation) -> Iterator[str]:
    """Columns that came, went, or changed their type since the backup."""
    table = qualified(then.name)
    for column in sorted(set(then.column_names) - set(now.column_names)):
        yield f"{table}.{column} was dropped since: its values stay in the backup"
    for column in sorted(set(now.column_names) - set(then.column_names)):
        if column in now.required:
            raise PreconditionError(
                f"{table}.{column} was added since the backup, is NOT NULL and has no default: "
                "rows of the backup do not fit",
                f"give it a default: inv psql --command 'ALTER TABLE {table} ALTER {column} SET "
                "DEFAULT …'",
            )
        yield f"{table}.{column} was added since: rows that come back get its default"
    for column in common.column_names:
        if then.types[column] != now.types[column]:
            yield f"{table}.{column} was {then.types[column]} and is {now.types[column]} now"


def _cleared(request: Request, chooser: Chooser) -> Iterator[str]:
    if request.changed or not any(r.live is None for r in chooser.chosen[request.name].values()):
        return
    for link in chooser.links:
        if link.parent == request.name and link.on_delete == "clear":
            yield (
                f"references of {qualified(link.child)} ({', '.join(link.child_columns)}) to these "
                "rows were cleared by the deletion; --changed sets them again"
            )
