"""Read the definition of every schema object that a backup covers, from the catalogue.

The session's search_path is empty, so all names come out qualified. Rights are compared as what
they grant, not as they are stored: the default and the same rights spelled out are equal.
"""

from __future__ import annotations

from collections.abc import Container

from archon_ops.model.backup import Extension
from archon_ops.model.inventory import inventory
from archon_ops.postgres.scope import (
    Scope,
    member_condition,
    relation_condition,
    schema_condition,
)
from archon_ops.postgres.session import Connection, deadline


def _rights(stored: str, kind: str, owner: str) -> str:
    """SQL: who may do what, in a fixed order."""
    return f"""(SELECT coalesce(string_agg(concat_ws(' ',
            CASE x.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(x.grantee) END,
            x.privilege_type, CASE WHEN x.is_grantable THEN 'grantable' END), ', '
            ORDER BY CASE x.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(x.grantee)::text END
                     COLLATE "C", x.privilege_type COLLATE "C"), '')
        FROM aclexplode(coalesce({stored}, acldefault('{kind}', {owner}))) AS x)"""


def _comment(oid: str, catalogue: str, column: str = "0") -> str:
    return f"""coalesce((SELECT description FROM pg_description WHERE objoid = {oid}
        AND classoid = '{catalogue}'::regclass AND objsubid = {column}), '')"""


def _later(row: str, column: str) -> str:
    """SQL: a column of the catalogue that older servers do not have; NULL there."""
    return f"to_jsonb({row}) ->> '{column}'"


# PostgreSQL 17.12 notes a version of its own, pg_attver, among a column's options: it is another
# in every database, no dump holds it, and names that begin with pg_ are the server's own.
_OPTIONS = """(SELECT string_agg(o, ',' ORDER BY n)
             FROM unnest(a.attoptions) WITH ORDINALITY AS u(o, n)
             WHERE NOT starts_with(o, 'pg_'))"""
_IN_SCHEMA = schema_condition()
_IN_TABLE = relation_condition()
_TABLE = "format('%%I.%%I', n.nspname, c.relname)"
_ON_TABLE = "JOIN pg_class c ON c.oid = {} JOIN pg_namespace n ON n.oid = c.relnamespace"


def _of_table(name: str) -> str:
    return f"format('%%s on %%I.%%I', quote_ident({name}), n.nspname, c.relname)"


def _functions(body: str) -> str:
    """Those whose body is text, or those whose body PostgreSQL understood and prints itself."""
    return f"""
        SELECT f.oid::regprocedure::text, concat_ws('|', f.prokind, pg_get_userbyid(f.proowner),
            CASE WHEN f.prokind <> 'a' THEN pg_get_functiondef(f.oid)
                 ELSE (SELECT concat_ws(',', aggtransfn, aggfinalfn, agginitval,
                       format_type(aggtranstype, NULL)) FROM pg_aggregate
                       WHERE aggfnoid = f.oid) END,
            {_rights("f.proacl", "f", "f.proowner")}, {_comment("f.oid", "pg_proc")})
        FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace
        WHERE {_later("f", "prosqlbody")} {body}
          AND {_IN_SCHEMA} AND {member_condition("pg_proc", "f.oid")}"""


# Each query answers (identity, definition). `c` is a relation, `n` its schema.
_QUERIES: dict[str, str] = {
    "schema": f"""
        SELECT quote_ident(n.nspname), concat_ws('|', pg_get_userbyid(n.nspowner),
            {_rights("n.nspacl", "n", "n.nspowner")}, {_comment("n.oid", "pg_namespace")})
        FROM pg_namespace n WHERE {_IN_SCHEMA} AND {member_condition("pg_namespace", "n.oid")}""",
    "extension": """
        SELECT quote_ident(e.extname), quote_ident(n.nspname)
        FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace""",
    "table": f"""
        SELECT {_TABLE}, concat_ws('|', c.relkind, c.relpersistence, pg_get_userbyid(c.relowner),
            c.relrowsecurity, c.relforcerowsecurity, c.relreplident, am.amname,
            array_to_string(c.reloptions, ','), pg_get_partkeydef(c.oid),
            pg_get_expr(c.relpartbound, c.oid),
            (SELECT string_agg(i.inhparent::regclass::text, ',' ORDER BY i.inhseqno)
             FROM pg_inherits i WHERE i.inhrelid = c.oid),
            (SELECT concat_ws(' ', s.srvname, f.ftoptions) FROM pg_foreign_table f
             JOIN pg_foreign_server s ON s.oid = f.ftserver WHERE f.ftrelid = c.oid),
            {_rights("c.relacl", "r", "c.relowner")}, {_comment("c.oid", "pg_class")})
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_am am ON am.oid = c.relam
        WHERE c.relkind IN ('r', 'p', 'f') AND {_IN_TABLE}""",
    "column": f"""
        SELECT format('%%I.%%I.%%I', n.nspname, c.relname, a.attname), concat_ws('|',
            (SELECT count(*) FROM pg_attribute b WHERE b.attrelid = c.oid AND b.attnum > 0
             AND NOT b.attisdropped AND b.attnum <= a.attnum),
            format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
            a.attstorage, {_later("a", "attcompression")}, nullif(a.attstattarget, -1),
            {_OPTIONS}, array_to_string(a.attfdwoptions, ','),
            CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END,
            CASE WHEN a.attacl IS NOT NULL THEN {_rights("a.attacl", "c", "c.relowner")} END,
            {_comment("c.oid", "pg_class", "a.attnum")})
        FROM pg_attribute a {_ON_TABLE.format("a.attrelid")} JOIN pg_type t ON t.oid = a.atttypid
        WHERE c.relkind IN ('r', 'p', 'f', 'c', 'v', 'm') AND a.attnum > 0 AND NOT a.attisdropped
          AND {_IN_TABLE}""",
    "default": f"""
        SELECT format('%%I.%%I.%%I', n.nspname, c.relname, a.attname),
            pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attrdef d {_ON_TABLE.format("d.adrelid")}
        JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE {_IN_TABLE}""",
    "view": f"""
        SELECT {_TABLE}, concat_ws('|', c.relkind, pg_get_userbyid(c.relowner),
            pg_get_viewdef(c.oid), array_to_string(c.reloptions, ','),
            {_rights("c.relacl", "r", "c.relowner")}, {_comment("c.oid", "pg_class")})
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('v', 'm') AND {_IN_TABLE}""",
    "sequence": f"""
        SELECT {_TABLE}, concat_ws('|', pg_get_userbyid(c.relowner), format_type(s.seqtypid, NULL),
            s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle, s.seqcache,
            (SELECT format('%%s.%%I', d.refobjid::regclass, a.attname) FROM pg_depend d
             JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
             WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
               AND d.refclassid = d.classid AND d.deptype IN ('a', 'i')),
            {_rights("c.relacl", "s", "c.relowner")}, {_comment("c.oid", "pg_class")})
        FROM pg_sequence s {_ON_TABLE.format("s.seqrelid")} WHERE {_IN_TABLE}""",
    # pg_dump leaves invalid indexes out: a failed CREATE INDEX CONCURRENTLY is not part of it.
    "index": f"""
        SELECT format('%%s on %%I.%%I', i.indexrelid::regclass, n.nspname, c.relname),
            concat_ws('|', pg_get_indexdef(i.indexrelid), i.indisclustered, i.indisreplident,
            {_comment("i.indexrelid", "pg_class")})
        FROM pg_index i {_ON_TABLE.format("i.indrelid")}
        WHERE i.indisvalid AND c.relkind <> 't' AND {_IN_TABLE}""",
    # NOT NULL is told by the column; only PostgreSQL 18 keeps it as a constraint too.
    "constraint": f"""
        SELECT {_of_table("o.conname")}, concat_ws('|', pg_get_constraintdef(o.oid),
            o.convalidated, {_comment("o.oid", "pg_constraint")})
        FROM pg_constraint o {_ON_TABLE.format("o.conrelid")}
        WHERE o.contype NOT IN ('n', 't') AND {_IN_TABLE}""",
    "trigger": f"""
        SELECT {_of_table("g.tgname")}, concat_ws('|', pg_get_triggerdef(g.oid), g.tgenabled,
            {_comment("g.oid", "pg_trigger")})
        FROM pg_trigger g {_ON_TABLE.format("g.tgrelid")}
        WHERE NOT g.tgisinternal AND {_IN_TABLE}""",
    "policy": f"""
        SELECT {_of_table("p.polname")}, concat_ws('|', p.polcmd, p.polpermissive,
            (SELECT string_agg(CASE r WHEN 0 THEN 'public' ELSE pg_get_userbyid(r) END, ','
                ORDER BY CASE r WHEN 0 THEN 'public' ELSE pg_get_userbyid(r)::text END COLLATE "C")
             FROM unnest(p.polroles) AS r),
            pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid),
            {_comment("p.oid", "pg_policy")})
        FROM pg_policy p {_ON_TABLE.format("p.polrelid")} WHERE {_IN_TABLE}""",
    "rule": f"""
        SELECT {_of_table("w.rulename")}, concat_ws('|', pg_get_ruledef(w.oid), w.ev_enabled)
        FROM pg_rewrite w {_ON_TABLE.format("w.ev_class")}
        WHERE w.rulename <> '_RETURN' AND {_IN_TABLE}""",
    "function": _functions("IS NULL"),
    "SQL function": _functions("IS NOT NULL"),
    "type": f"""
        SELECT format('%%I.%%I', n.nspname, t.typname), concat_ws('|', t.typtype,
            pg_get_userbyid(t.typowner),
            (SELECT string_agg(quote_literal(e.enumlabel), ',' ORDER BY e.enumsortorder)
             FROM pg_enum e WHERE e.enumtypid = t.oid),
            CASE WHEN t.typtype = 'd' THEN concat_ws(' ', format_type(t.typbasetype, t.typtypmod),
                 t.typnotnull, t.typdefault) END,
            (SELECT string_agg(concat_ws(' ', o.conname, pg_get_constraintdef(o.oid)), ';'
                ORDER BY o.conname COLLATE "C") FROM pg_constraint o
             WHERE o.contypid = t.oid AND o.contype = 'c'),
            (SELECT format_type(r.rngsubtype, NULL) FROM pg_range r WHERE r.rngtypid = t.oid),
            {_rights("t.typacl", "T", "t.typowner")}, {_comment("t.oid", "pg_type")})
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND EXISTS (
                SELECT FROM pg_class k WHERE k.oid = t.typrelid AND k.relkind = 'c')))
          AND {_IN_SCHEMA} AND {member_condition("pg_type", "t.oid")}""",
    "event trigger": f"""
        SELECT quote_ident(v.evtname), concat_ws('|', v.evtevent, v.evtfoid::regprocedure,
            v.evtenabled, array_to_string(v.evttags, ','), pg_get_userbyid(v.evtowner))
        FROM pg_event_trigger v WHERE {member_condition("pg_event_trigger", "v.oid")}""",
    "publication": f"""
        SELECT quote_ident(p.pubname), concat_ws('|', pg_get_userbyid(p.pubowner), p.puballtables,
            p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, p.pubviaroot,
            {_later("p", "pubgencols")},
            (SELECT string_agg(concat_ws(' ', t.schemaname, t.tablename,
                {_later("t", "attnames")}, {_later("t", "rowfilter")}), ','
                ORDER BY t.schemaname, t.tablename)
             FROM pg_publication_tables t WHERE t.pubname = p.pubname),
            {_comment("p.oid", "pg_publication")})
        FROM pg_publication p""",
    "statistics": f"""
        SELECT format('%%I.%%I', n.nspname, x.stxname), concat_ws('|',
            pg_get_statisticsobjdef(x.oid), pg_get_userbyid(x.stxowner),
            nullif((to_jsonb(x) ->> 'stxstattarget')::int, -1),
            {_comment("x.oid", "pg_statistic_ext")})
        FROM pg_statistic_ext x JOIN pg_namespace n ON n.oid = x.stxnamespace WHERE {_IN_SCHEMA}""",
    "default rights": f"""
        SELECT concat_ws(' ', pg_get_userbyid(d.defaclrole), quote_ident(n.nspname),
                d.defaclobjtype),
            {_rights("d.defaclacl", "r", "d.defaclrole")}
        FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
        WHERE n.nspname IS NULL OR ({_IN_SCHEMA})""",
    "operator": f"""
        SELECT o.oid::regoperator::text, concat_ws('|', o.oprcode, pg_get_userbyid(o.oprowner))
        FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
        WHERE {_IN_SCHEMA} AND {member_condition("pg_operator", "o.oid")}""",
    "cast": f"""
        SELECT concat_ws(' as ', format_type(k.castsource, NULL), format_type(k.casttarget, NULL)),
            concat_ws('|', k.castfunc::regprocedure, k.castcontext, k.castmethod)
        FROM pg_cast k WHERE k.oid >= 16384 AND {member_condition("pg_cast", "k.oid")}""",
    "collation": f"""
        SELECT format('%%I.%%I', n.nspname, l.collname),
            concat_ws('|', l.collprovider, l.collcollate, l.collctype, l.collisdeterministic)
        FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace
        WHERE {_IN_SCHEMA} AND {member_condition("pg_collation", "l.oid")}""",
    "operator class": f"""
        SELECT format('%%I %%I.%%I', m.amname, n.nspname, k.opcname), concat_ws('|',
            format_type(k.opcintype, NULL), format_type(nullif(k.opckeytype, 0), NULL),
            k.opcdefault, pg_get_userbyid(k.opcowner))
        FROM pg_opclass k JOIN pg_am m ON m.oid = k.opcmethod
        JOIN pg_namespace n ON n.oid = k.opcnamespace
        WHERE {_IN_SCHEMA} AND {member_condition("pg_opclass", "k.oid")}""",
    "text search dictionary": f"""
        SELECT format('%%I.%%I', n.nspname, g.dictname),
            concat_ws('|', g.dicttemplate, g.dictinitoption, pg_get_userbyid(g.dictowner))
        FROM pg_ts_dict g JOIN pg_namespace n ON n.oid = g.dictnamespace
        WHERE {_IN_SCHEMA} AND {member_condition("pg_ts_dict", "g.oid")}""",
    "text search configuration": f"""
        SELECT format('%%I.%%I', n.nspname, g.cfgname), concat_ws('|', pg_get_userbyid(g.cfgowner),
            (SELECT string_agg(format('%%s %%s', m.maptokentype, m.mapdict::regdictionary), ','
                ORDER BY m.maptokentype, m.mapseqno)
             FROM pg_ts_config_map m WHERE m.mapcfg = g.oid))
        FROM pg_ts_config g JOIN pg_namespace n ON n.oid = g.cfgnamespace
        WHERE {_IN_SCHEMA} AND {member_condition("pg_ts_config", "g.oid")}""",
    "language": f"""
        SELECT quote_ident(l.lanname), concat_ws('|', pg_get_userbyid(l.lanowner), l.lanpltrusted,
            {_rights("l.lanacl", "l", "l.lanowner")})
        FROM pg_language l WHERE l.oid >= 16384 AND {member_condition("pg_language", "l.oid")}""",
    # Options may hold passwords, and even a digest of those has no place in a manifest.
    "foreign-data wrapper": f"""
        SELECT quote_ident(w.fdwname), concat_ws('|', pg_get_userbyid(w.fdwowner),
            {_rights("w.fdwacl", "F", "w.fdwowner")})
        FROM pg_foreign_data_wrapper w
        WHERE {member_condition("pg_foreign_data_wrapper", "w.oid")}""",
    "foreign server": f"""
        SELECT quote_ident(s.srvname), concat_ws('|', s.srvtype, pg_get_userbyid(s.srvowner),
            {_rights("s.srvacl", "S", "s.srvowner")})
        FROM pg_foreign_server s WHERE {member_condition("pg_foreign_server", "s.oid")}""",
}


def read_inventory(
    connection: Connection,
    scope: Scope,
    *,
    timeout: float,
    kinds: Container[str] | None = None,
) -> dict[str, str]:
    """Every schema object that `scope` covers: "kind identity" -> digest of its definition.

    Args:
        connection: session with an empty search_path.
        scope: what is left out.
        timeout: seconds for the whole of it.
        kinds: only these; None for all.
    """
    objects: list[tuple[str, str, str]] = []
    with deadline(connection, timeout, "reading the catalogue"):
        for kind, query in _QUERIES.items():
            if kinds is not None and kind not in kinds:
                continue
            rows = connection.execute(query, scope.parameters).fetchall()
            objects.extend((kind, name, text or "") for name, text in rows)
    return inventory(objects)


def read_extensions(connection: Connection) -> tuple[Extension, ...]:
    """Installed extensions with version and schema."""
    rows = connection.execute(
        """SELECT e.extname, e.extversion, n.nspname FROM pg_catalog.pg_extension e
           JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace ORDER BY 1"""
    ).fetchall()
    return tuple(Extension(*row) for row in rows)
