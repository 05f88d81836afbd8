"""What of the neighbours' hangs on Archon's objects: it would follow the old ones out of service.

A dependency is on the object, not on its name: a view over archon_tasks goes on showing the old
table when another one takes the name.
"""

from __future__ import annotations

from dataclasses import dataclass

from archon_ops.postgres.archon.objects import Things
from archon_ops.postgres.session import Connection


@dataclass(frozen=True)
class Dependants:
    """What hangs on Archon's objects and is not Archon's.

    Attributes:
        shared: OIDs of routines that neighbours use too, with who uses them.
        others: everything else, described as PostgreSQL does: what, and on what it hangs.
    """

    shared: dict[int, str]
    others: tuple[str, ...]


def dependants(connection: Connection, things: Things) -> Dependants:
    """Find them, by pg_depend."""
    rows = connection.execute(
        """WITH ours AS (
             SELECT 'pg_catalog.pg_class'::regclass::oid AS classid,
               unnest(%(relations)s::oid[]) AS oid
             UNION ALL SELECT 'pg_catalog.pg_proc'::regclass, unnest(%(routines)s::oid[])
             UNION ALL SELECT 'pg_catalog.pg_statistic_ext'::regclass, unnest(%(statistics)s::oid[])
             UNION ALL SELECT 'pg_catalog.pg_type'::regclass, t.oid FROM pg_catalog.pg_type t
               WHERE t.oid = ANY (%(types)s) OR t.typrelid = ANY (%(relations)s)
                  OR (t.typelem <> 0 AND (t.typelem = ANY (%(types)s) OR t.typelem IN (
                        SELECT r.oid FROM pg_catalog.pg_type r
                        WHERE r.typrelid = ANY (%(relations)s))))),
           hanging AS (
             SELECT d.classid, d.objid, d.objsubid, d.refclassid, d.refobjid,
               CASE d.classid
                 WHEN 'pg_catalog.pg_class'::regclass THEN coalesce(
                   (SELECT i.indrelid FROM pg_catalog.pg_index i WHERE i.indexrelid = d.objid),
                   (SELECT c.oid FROM pg_catalog.pg_class c
                    WHERE c.oid = d.objid AND c.relkind <> 't'))
                 WHEN 'pg_catalog.pg_rewrite'::regclass THEN
                   (SELECT w.ev_class FROM pg_catalog.pg_rewrite w WHERE w.oid = d.objid)
                 WHEN 'pg_catalog.pg_constraint'::regclass THEN
                   (SELECT coalesce(nullif(o.conrelid, 0), o.contypid)
                    FROM pg_catalog.pg_constraint o WHERE o.oid = d.objid)
                 WHEN 'pg_catalog.pg_trigger'::regclass THEN
                   (SELECT g.tgrelid FROM pg_catalog.pg_trigger g WHERE g.oid = d.objid)
                 WHEN 'pg_catalog.pg_policy'::regclass THEN
                   (SELECT p.polrelid FROM pg_catalog.pg_policy p WHERE p.oid = d.objid)
                 WHEN 'pg_catalog.pg_attrdef'::regclass THEN
                   (SELECT a.adrelid FROM pg_catalog.pg_attrdef a WHERE a.oid = d.objid)
                 ELSE d.objid END AS owner
             FROM pg_catalog.pg_depend d
             JOIN ours ON ours.classid = d.refclassid AND ours.oid = d.refobjid
             WHERE d.classid <> 'pg_catalog.pg_publication_rel'::regclass)
           SELECT DISTINCT h.refclassid = 'pg_catalog.pg_proc'::regclass, h.refobjid::bigint,
             CASE WHEN h.classid = 'pg_catalog.pg_rewrite'::regclass
                  THEN pg_describe_object('pg_catalog.pg_class'::regclass, h.owner, 0)
                  ELSE pg_describe_object(h.classid, h.objid, 0) END,
             pg_describe_object(h.refclassid, h.refobjid, 0)
           FROM hanging h
           WHERE h.owner IS NOT NULL AND NOT EXISTS (SELECT FROM ours WHERE ours.oid = h.owner)
           -- A neighbour's table shows the rows of its parts: of the old ones and of the new ones.
           UNION SELECT false, i.inhrelid::bigint,
             pg_describe_object('pg_catalog.pg_class'::regclass, i.inhparent, 0),
             pg_describe_object('pg_catalog.pg_class'::regclass, i.inhrelid, 0)
           FROM pg_catalog.pg_inherits i
           WHERE i.inhrelid = ANY (%(relations)s) AND i.inhparent <> ALL (%(relations)s)
           ORDER BY 3, 4""",
        {
            "relations": [t.oid for t in things.relations],
            "routines": [t.oid for t in things.routines],
            "statistics": [t.oid for t in things.statistics],
            "types": [t.oid for t in things.types],
        },
    ).fetchall()
    shared = {oid: who for is_routine, oid, who, _ in rows if is_routine}
    others = tuple(f"{who} (on {what})" for is_routine, _, who, what in rows if not is_routine)
    return Dependants(shared, tuple(dict.fromkeys(others)))
