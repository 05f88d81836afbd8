"""Archon's tables in publications: a publication holds the table, not its name."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from archon_ops.postgres.archon.objects import SCHEMA, Things, printed
from archon_ops.postgres.session import Connection


@dataclass(frozen=True)
class Membership:
    """One table in one publication.

    Attributes:
        publication: its name.
        table: the table's name inside of its schema.
        columns: published ones; empty for all.
        condition: which rows are published, as SQL; empty for all.
        changeable: whether this role may change the publication.
        owner: who may.
    """

    publication: str
    table: str
    columns: tuple[str, ...]
    condition: str
    changeable: bool
    owner: str


def memberships(connection: Connection, things: Things) -> tuple[Membership, ...]:
    """In which publications these tables are by name; one of all tables holds them anyway."""
    details = (  # 15 brought columns and conditions
        """(SELECT array_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs)),
           pg_get_expr(r.prqual, r.prrelid)"""
        if connection.info.server_version >= 150000
        else "NULL::text[], NULL::text"
    )
    rows = connection.execute(
        f"""SELECT p.pubname, c.relname, {details}, pg_has_role(p.pubowner, 'USAGE'),
                   pg_get_userbyid(p.pubowner)
            FROM pg_catalog.pg_publication_rel r
            JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid
            JOIN pg_catalog.pg_class c ON c.oid = r.prrelid
            WHERE r.prrelid = ANY (%s) ORDER BY 1, 2""".encode(),
        [[relation.oid for relation in things.relations]],
    ).fetchall()
    return tuple(
        Membership(publication, table, tuple(columns or ()), condition or "", may, owner)
        for publication, table, columns, condition, may, owner in rows
    )


def wide(connection: Connection) -> tuple[str, ...]:
    """What publications that name no tables will do with staged and kept ones, one line each."""
    rows = connection.execute(
        "SELECT pubname FROM pg_catalog.pg_publication WHERE puballtables ORDER BY 1"
    ).fetchall()
    lines = [
        f"publication {name} is of all tables: its subscribers are sent the rows while they are "
        "staged, and it holds what is kept as well"
        for (name,) in rows
    ]
    if connection.info.server_version >= 150000:
        rows = connection.execute(
            """SELECT p.pubname FROM pg_catalog.pg_publication_namespace s
               JOIN pg_catalog.pg_publication p ON p.oid = s.pnpubid
               WHERE s.pnnspid = to_regnamespace(%s) ORDER BY 1""",
            [SCHEMA],
        ).fetchall()
        lines += [
            f"publication {name} is of schema {SCHEMA}: it holds the new tables after the "
            "exchange, but its subscribers are not sent the restored rows"
            for (name,) in rows
        ]
    return tuple(lines)


def existing(connection: Connection, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of these publications that exist, that list their tables, and that we may change."""
    rows = connection.execute(
        """SELECT pubname FROM pg_catalog.pg_publication
           WHERE pubname = ANY (%s) AND NOT puballtables AND pg_has_role(pubowner, 'USAGE')""",
        [list(names)],
    ).fetchall()
    return tuple(name for (name,) in rows)


def leave(connection: Connection, schema: str, members: tuple[Membership, ...]) -> None:
    """Take the tables, which are in `schema` now, out of their publications."""
    for member in members:
        connection.execute(
            sql.SQL("ALTER PUBLICATION {} DROP TABLE {}").format(
                sql.Identifier(member.publication), sql.Identifier(schema, member.table)
            )
        )


def join(connection: Connection, members: tuple[Membership, ...]) -> None:
    """Put the tables of these names, which are in service now, into the publications."""
    for member in members:
        columns = (
            sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Identifier, member.columns)))
            if member.columns
            else sql.SQL("")
        )
        # The condition is what PostgreSQL printed; it puts brackets around it itself.
        where = (
            sql.Composed([sql.SQL("WHERE ("), printed(member.condition), sql.SQL(")")])
            if member.condition
            else sql.SQL("")
        )
        connection.execute(
            sql.SQL("ALTER PUBLICATION {} ADD TABLE {} {} {}").format(
                sql.Identifier(member.publication),
                sql.Identifier(SCHEMA, member.table),
                columns,
                where,
            )
        )
