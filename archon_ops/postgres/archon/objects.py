"""Which objects of a database are Archon's: by name, by what ties them to those, by what they say.

Relations are Archon's by their name, archon_*. Types are by the columns that use them. Functions
are tied to nothing: theirs is what an Archon object calls, what names an archon_* table, and two
helpers that do neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import sql

from archon_ops.postgres.session import Connection

SCHEMA = "public"
PREFIX = "archon_"
# Nothing calls them in the database, and they speak of no table: the application calls them.
_HELPERS = frozenset({"detect_embedding_dimension", "get_embedding_column_name"})
_SAYS_ARCHON = re.compile(r"\barchon_")

_MEMBER = """EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.objid = {oid} AND e.deptype = 'e'
    AND e.classid = 'pg_catalog.{catalogue}'::pg_catalog.regclass)"""


@dataclass(frozen=True)
class Thing:
    """One object that can be moved to another schema.

    Attributes:
        kind: as ALTER spells it: TABLE, VIEW, SEQUENCE, TYPE, ROUTINE, STATISTICS …
        name: as SQL spells it inside of its schema, quoted; a routine's with its arguments.
        oid: its OID.
        owner: role that owns it.
        tied: whether it moves along with its table (the sequence of a column).
        in_service: a routine's name as it is, or will be, in service: the types of its arguments
            are in its name, and their schema with them. Empty where that is `name`.
    """

    kind: str
    name: str
    oid: int
    owner: str
    tied: bool = False
    in_service: str = ""

    @property
    def label(self) -> str:
        """For people: "table archon_tasks"; the same in whichever schema it is."""
        return f"{self.kind.lower()} {self.in_service or self.name}"


@dataclass(frozen=True)
class Things:
    """Archon's objects in one schema.

    Attributes:
        schema: where they are.
        relations, types, routines, statistics: by kind, each ordered by name.
    """

    schema: str
    relations: tuple[Thing, ...]
    types: tuple[Thing, ...]
    routines: tuple[Thing, ...]
    statistics: tuple[Thing, ...] = ()

    @property
    def all(self) -> tuple[Thing, ...]:
        """All of them; routines first, whose names change when their arguments' types move."""
        return (*self.routines, *self.types, *self.relations, *self.statistics)

    @property
    def movable(self) -> tuple[Thing, ...]:
        """Those that have to be moved, one by one."""
        return tuple(thing for thing in self.all if not thing.tied)

    @property
    def lockable(self) -> tuple[Thing, ...]:
        """What a lock can be taken on, in the fixed order of names."""
        return tuple(t for t in self.relations if t.kind in ("TABLE", "VIEW"))

    @property
    def labels(self) -> frozenset[str]:
        """What they are called, for people and for comparing."""
        return frozenset(thing.label for thing in self.all)

    def without(self, oids: Iterable[int]) -> Things:
        """The same without some routines."""
        gone = frozenset(oids)
        kept = tuple(routine for routine in self.routines if routine.oid not in gone)
        return Things(self.schema, self.relations, self.types, kept, self.statistics)


@dataclass(frozen=True)
class _Routine:
    thing: Thing
    name: str
    body: str
    tied: bool


def archons(
    connection: Connection, also: frozenset[str] = frozenset(), schema: str = SCHEMA
) -> Things:
    """Archon's objects in schema public.

    Args:
        connection: session on the database; its search_path is empty.
        also: labels of types and routines that count as Archon's by their name alone: those that
            a backup holds, and that would be in its way.
        schema: where to look instead.
    """
    relations = _relations(connection, schema, f"{PREFIX}%".replace("_", r"\_"))
    oids = [relation.oid for relation in relations]
    routines = _chosen(_all_routines(connection, schema, oids), also)
    types = _types(connection, schema, [*oids, *(r.oid for r in routines)], also)
    return Things(schema, relations, types, routines, _statistics(connection, schema, oids))


def everything(connection: Connection, schema: str) -> Things:
    """All objects of a schema that is ours alone."""
    relations = _relations(connection, schema, "%")
    oids = [relation.oid for relation in relations]
    routines = tuple(routine.thing for routine in _all_routines(connection, schema, oids))
    types = _types(connection, schema, None, frozenset())
    return Things(schema, relations, types, routines, _statistics(connection, schema, oids))


def _relations(connection: Connection, schema: str, pattern: str) -> tuple[Thing, ...]:
    rows = connection.execute(
        f"""SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                   WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END,
                   quote_ident(c.relname), c.oid::bigint, pg_get_userbyid(c.relowner), o.ours
            FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            LEFT JOIN LATERAL (
              SELECT true AS ours, t.relname FROM pg_catalog.pg_depend d
              JOIN pg_catalog.pg_class t ON t.oid = d.refobjid
              WHERE c.relkind = 'S' AND d.classid = 'pg_catalog.pg_class'::regclass
                AND d.objid = c.oid AND d.refclassid = d.classid AND d.refobjsubid > 0
                AND d.deptype IN ('a', 'i')) AS o ON true
            WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
              AND c.relpersistence <> 't' AND coalesce(o.relname, c.relname) LIKE %s
              AND NOT {_MEMBER.format(oid="c.oid", catalogue="pg_class")}
            ORDER BY c.relname COLLATE "C" """,
        [schema, pattern],
    ).fetchall()
    return tuple(Thing(kind, name, oid, own, bool(tied)) for kind, name, oid, own, tied in rows)


def _types(
    connection: Connection, schema: str, users: list[int] | None, also: frozenset[str]
) -> tuple[Thing, ...]:
    """Types that these relations and routines use, through arrays and domains as well.

    Args:
        connection: session on the database.
        schema: where.
        users: OIDs of relations and routines; None for all types of the schema.
        also: labels that are taken in any case.
    """
    rows = connection.execute(
        f"""WITH RECURSIVE used (oid) AS (
              SELECT d.refobjid FROM pg_catalog.pg_depend d
              WHERE d.refclassid = 'pg_catalog.pg_type'::regclass AND d.objid = ANY (%(users)s)
            UNION
              SELECT x.oid FROM used u JOIN pg_catalog.pg_type t ON t.oid = u.oid,
              LATERAL (VALUES (t.typelem), (t.typbasetype)) AS x (oid) WHERE x.oid <> 0)
            SELECT CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, quote_ident(t.typname),
                   t.oid::bigint, pg_get_userbyid(t.typowner),
                   %(users)s::oid[] IS NULL OR t.oid IN (SELECT oid FROM used)
            FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
            WHERE n.nspname = %(schema)s
              AND (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND EXISTS (SELECT
                     FROM pg_catalog.pg_class k WHERE k.oid = t.typrelid AND k.relkind = 'c')))
              AND NOT {_MEMBER.format(oid="t.oid", catalogue="pg_type")}
            ORDER BY t.typname COLLATE "C" """,
        {"users": users, "schema": schema},
    ).fetchall()
    found = ((Thing(kind, name, oid, owner), used) for kind, name, oid, owner, used in rows)
    return tuple(thing for thing, used in found if used or thing.label in also)


def _all_routines(
    connection: Connection, schema: str, relations: list[int]
) -> tuple[_Routine, ...]:
    """Every function of the schema, and whether one of these relations calls or is read by it."""
    rows = connection.execute(
        f"""WITH callers (classid, oid) AS (
              SELECT 'pg_catalog.pg_trigger'::regclass::oid, oid FROM pg_catalog.pg_trigger
                WHERE tgrelid = ANY (%(relations)s)
              UNION ALL SELECT 'pg_catalog.pg_policy'::regclass, oid FROM pg_catalog.pg_policy
                WHERE polrelid = ANY (%(relations)s)
              UNION ALL SELECT 'pg_catalog.pg_attrdef'::regclass, oid FROM pg_catalog.pg_attrdef
                WHERE adrelid = ANY (%(relations)s)
              UNION ALL SELECT 'pg_catalog.pg_constraint'::regclass, oid
                FROM pg_catalog.pg_constraint WHERE conrelid = ANY (%(relations)s)
              UNION ALL SELECT 'pg_catalog.pg_rewrite'::regclass, oid FROM pg_catalog.pg_rewrite
                WHERE ev_class = ANY (%(relations)s)
              UNION ALL SELECT 'pg_catalog.pg_class'::regclass, indexrelid
                FROM pg_catalog.pg_index WHERE indrelid = ANY (%(relations)s))
            SELECT substr(f.oid::regprocedure::text, length(quote_ident(n.nspname)) + 2),
                   quote_ident(n.nspname) || '.', f.oid::bigint,
                   pg_get_userbyid(f.proowner), f.proname, f.prosrc,
                   EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN callers k
                             ON k.classid = d.classid AND k.oid = d.objid
                           WHERE d.refclassid = 'pg_catalog.pg_proc'::regclass
                             AND d.refobjid = f.oid)
                   OR EXISTS (SELECT FROM pg_catalog.pg_depend d
                           LEFT JOIN pg_catalog.pg_type t
                             ON d.refclassid = 'pg_catalog.pg_type'::regclass AND t.oid = d.refobjid
                           WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = f.oid
                             AND (d.refobjid = ANY (%(relations)s)
                                  OR t.typrelid = ANY (%(relations)s)))
            FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace
            WHERE n.nspname = %(schema)s
              AND NOT {_MEMBER.format(oid="f.oid", catalogue="pg_proc")}
            ORDER BY 1""",
        {"schema": schema, "relations": relations},
    ).fetchall()
    return tuple(
        _Routine(
            Thing("ROUTINE", text, oid, owner, in_service=text.replace(prefix, f"{SCHEMA}.")),
            name,
            body or "",
            tied,
        )
        for text, prefix, oid, owner, name, body, tied in rows
    )


def _chosen(routines: tuple[_Routine, ...], also: frozenset[str]) -> tuple[Thing, ...]:
    """Those that are Archon's, and what those call."""
    chosen = {
        routine
        for routine in routines
        if routine.tied or says_archon(routine.name, routine.body) or routine.thing.label in also
    }
    fresh = set(chosen)
    while fresh:
        said = "\n".join(routine.body for routine in fresh)
        fresh = {r for r in routines if called_by(r.name, said)} - chosen
        chosen |= fresh
    return tuple(routine.thing for routine in routines if routine in chosen)


def says_archon(name: str, body: str) -> bool:
    """Whether a routine is Archon's by its name, or by a table that its body speaks of."""
    return PREFIX in name or name in _HELPERS or bool(_SAYS_ARCHON.search(body))


def called_by(name: str, bodies: str) -> bool:
    """Whether a routine of this name is called in the text of others."""
    return bool(re.search(rf"(?<![\w$]){re.escape(name)}\"?\s*\(", bodies))


def _statistics(connection: Connection, schema: str, relations: list[int]) -> tuple[Thing, ...]:
    rows = connection.execute(
        """SELECT quote_ident(x.stxname), x.oid::bigint, pg_get_userbyid(x.stxowner)
           FROM pg_catalog.pg_statistic_ext x
           JOIN pg_catalog.pg_namespace n ON n.oid = x.stxnamespace
           WHERE n.nspname = %s AND x.stxrelid = ANY (%s) ORDER BY x.stxname COLLATE "C" """,
        [schema, relations],
    ).fetchall()
    return tuple(Thing("STATISTICS", name, oid, owner) for name, oid, owner in rows)


def printed(text: str) -> sql.SQL:
    """A kind, a name, an expression as the server itself has printed and quoted it."""
    return sql.SQL(text)


def quoted(name: str) -> str:
    """A name as the server's quote_ident prints it, but for reserved words."""
    plain = re.fullmatch("[a-z_][a-z0-9_]*", name)
    return name if plain else sql.Identifier(name).as_string(None)
