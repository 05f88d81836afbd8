"""Write rows of a backup into a live database, within one transaction of the caller's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import sql

from archon_ops.postgres.relations import Name, Relation
from archon_ops.postgres.session import Connection, scalar

# The trigger that Archon's schema brings along; it would make every row look changed just now.
_UPDATED_AT = "update_updated_at_column"


@dataclass(frozen=True)
class Staged:
    """Rows of one table that wait in a temporary one.

    Attributes:
        relation: the live table, with the columns that are written.
        place: the temporary table, which ends with the transaction.
    """

    relation: Relation
    place: Name


def stage(connection: Connection, relation: Relation, number: int, rows: Iterable[bytes]) -> Staged:
    """Copy rows into a temporary table of the same columns.

    Args:
        connection: session in a transaction.
        relation: the live table, with the columns that come.
        number: tells several of them apart.
        rows: in COPY's text form.
    """
    columns = sql.SQL(", ").join(map(sql.Identifier, relation.column_names))
    place = ("pg_temp", f"archon_ops_rescue_{number}")
    made = sql.SQL(
        "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM ONLY {} WITH NO DATA"
    )
    connection.execute(
        made.format(sql.Identifier(place[1]), columns, sql.Identifier(*relation.name))
    )
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(*place), columns)
    with connection.cursor() as cursor, cursor.copy(into) as copy:
        for block in rows:
            copy.write(block)
    return Staged(relation, place)


def insert(connection: Connection, staged: Iterable[Staged]) -> int:
    """Insert the staged rows of several tables; how many they were.

    It is one statement: foreign keys are checked at its end, so that no order between the tables,
    nor between rows that refer to each other, can be wrong.
    """
    parts, counts = [], []
    for number, one in enumerate(staged):
        columns = sql.SQL(", ").join(map(sql.Identifier, one.relation.column_names))
        name = sql.Identifier(f"i{number}")
        parts.append(
            sql.SQL(
                "{} AS (INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} RETURNING 1)"
            ).format(
                name,
                sql.Identifier(*one.relation.name),
                columns,
                columns,
                sql.Identifier(*one.place),
            )
        )
        counts.append(sql.SQL("(SELECT count(*) FROM {})").format(name))
    if not parts:
        return 0
    query = sql.SQL("WITH {} SELECT {}").format(
        sql.SQL(", ").join(parts), sql.SQL(" + ").join(counts)
    )
    return int(scalar(connection, query))


def update(connection: Connection, staged: Staged) -> int:
    """Give live rows the staged values; how many they were."""
    relation = staged.relation
    skipped = {*relation.key, *relation.fixed}
    columns = [name for name in relation.column_names if name not in skipped]
    if not columns:
        return 0
    query = sql.SQL("UPDATE ONLY {} AS t SET {} FROM {} AS s WHERE {}").format(
        sql.Identifier(*relation.name),
        sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Identifier("s", name))
            for name in columns
        ),
        sql.Identifier(*staged.place),
        sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier("t", name), sql.Identifier("s", name))
            for name in relation.key
        ),
    )
    return connection.execute(query).rowcount


def silence(connection: Connection, name: Name) -> tuple[tuple[str, str], ...]:
    """Switch a table's updated_at triggers off, and no other; their names and states before."""
    rows = connection.execute(
        """SELECT g.tgname, g.tgenabled::text FROM pg_catalog.pg_trigger g
           JOIN pg_catalog.pg_proc f ON f.oid = g.tgfoid
           WHERE g.tgrelid = pg_catalog.to_regclass(%s)
             AND NOT g.tgisinternal AND f.proname = %s AND g.tgenabled <> 'D'""",
        [_quoted(name), _UPDATED_AT],
    ).fetchall()
    for trigger, _ in rows:
        _set_trigger(connection, name, "DISABLE", trigger)
    return tuple((str(trigger), str(state)) for trigger, state in rows)


def wake(connection: Connection, name: Name, triggers: tuple[tuple[str, str], ...]) -> None:
    """Switch triggers on again, as they were."""
    words = {"O": "ENABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}
    for trigger, state in triggers:
        _set_trigger(connection, name, words[state], trigger)


def _set_trigger(connection: Connection, name: Name, what: str, trigger: str) -> None:
    query = sql.SQL("ALTER TABLE {} " + what + " TRIGGER {}")
    connection.execute(query.format(sql.Identifier(*name), sql.Identifier(trigger)))


def advance_sequences(connection: Connection, name: Name) -> tuple[str, ...]:
    """Move the sequences that feed a table past its furthest value; which had to be moved."""
    rows = connection.execute(
        """SELECT n.nspname, s.relname, a.attname, q.seqincrement > 0,
                  pg_catalog.pg_sequence_last_value(s.oid)
           FROM pg_catalog.pg_depend d
           JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S'
           JOIN pg_catalog.pg_sequence q ON q.seqrelid = s.oid AND NOT q.seqcycle
           JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
           JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
           WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = d.classid
             AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
             AND d.refobjid = pg_catalog.to_regclass(%s)
        """,
        [_quoted(name)],
    ).fetchall()
    return tuple(
        f"{schema}.{sequence}"
        for schema, sequence, column, up, last in rows
        if _advanced(connection, (schema, sequence), name, column, up, last)
    )


def _advanced(
    connection: Connection, sequence: Name, table: Name, column: str, up: bool, last: int | None
) -> bool:
    furthest = scalar(
        connection,
        sql.SQL("SELECT {}({}) FROM ONLY {}").format(
            sql.SQL("max" if up else "min"), sql.Identifier(column), sql.Identifier(*table)
        ),
    )
    behind = furthest is not None and (last is None or (furthest > last if up else furthest < last))
    if behind:
        moved = [_quoted(sequence), int(furthest)]
        connection.execute("SELECT pg_catalog.setval(%s::regclass, %s)", moved)
    return behind


def writes(connection: Connection) -> dict[Name, tuple[int, int, int]] | None:
    """Rows that the running transaction inserted, updated and deleted, by table.

    PostgreSQL itself counts them, whoever caused them: a statement, a trigger, a foreign key.

    Returns:
        Tables with any; temporary ones do not count. None where the server does not count.
    """
    if scalar(connection, "SELECT pg_catalog.current_setting('track_counts')") != "on":
        return None
    rows = connection.execute(
        """SELECT schemaname, relname, n_tup_ins, n_tup_upd, n_tup_del
           FROM pg_catalog.pg_stat_xact_user_tables
           WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 AND schemaname !~ '^pg_(temp|toast)'"""
    ).fetchall()
    return {(row[0], row[1]): (int(row[2]), int(row[3]), int(row[4])) for row in rows}


def missing_rights(
    connection: Connection, inserted: Iterable[Name], updated: Iterable[Name]
) -> tuple[str, ...]:
    """Statements that an administrator has to run before this role can write these rows."""
    wanted = [(name, "INSERT") for name in inserted] + [(name, "UPDATE") for name in updated]
    role = _quoted((connection.info.user,))
    return tuple(
        f"GRANT {right} ON {_quoted(name)} TO {role}"
        for name, right in wanted
        if not scalar(
            connection,
            "SELECT pg_catalog.has_table_privilege(%s, %s)",
            _quoted(name),
            right,
        )
    )


def user_triggers(connection: Connection, name: Name) -> tuple[str, ...]:
    """Triggers of a table that are on and not ours to switch off."""
    rows = connection.execute(
        """SELECT g.tgname FROM pg_catalog.pg_trigger g
           JOIN pg_catalog.pg_proc f ON f.oid = g.tgfoid
           WHERE g.tgrelid = pg_catalog.to_regclass(%s)
             AND NOT g.tgisinternal AND f.proname <> %s AND g.tgenabled NOT IN ('D', 'R')
           ORDER BY 1""",
        [_quoted(name), _UPDATED_AT],
    ).fetchall()
    return tuple(trigger for (trigger,) in rows)


def writers(connection: Connection, names: Iterable[Name]) -> str:
    """Which sessions have written to these tables and not ended their transaction, on one line."""
    rows = connection.execute(
        """SELECT DISTINCT a.pid, a.usename, a.state,
                  pg_catalog.date_trunc('second', now() - a.xact_start)::text
           FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
           WHERE l.granted AND l.pid <> pg_catalog.pg_backend_pid() AND l.mode ~ 'Exclusive|Share'
             AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
             AND l.relation = ANY (SELECT pg_catalog.to_regclass(x)::oid
                                   FROM unnest(%s::text[]) AS x)""",
        [[_quoted(name) for name in names]],
    ).fetchall()
    return "; ".join(f"pid {pid} ({user}, {state} for {age})" for pid, user, state, age in rows)


def _quoted(name: tuple[str, ...]) -> str:
    return sql.Identifier(*name).as_string(None)
