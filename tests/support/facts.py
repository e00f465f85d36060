"""What the catalogs of a database say of each object, as flat facts to compare two databases by.

A fact is (kind of object, its identity, property) -> value. The text of pg_dump, the other oracle
of these tests, does not show all of them and differs between majors for equal objects. Rows and
large objects are compared in `servers`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
from psycopg import sql

Fact = tuple[str, str, str]

# Objects of the user: neither the server's own, nor members of an extension, nor the ledger.
_OWN = """
    NOT EXISTS (
        SELECT FROM pg_depend d
        WHERE d.classid = '{catalog}'::regclass AND d.objid = o.oid AND d.deptype = 'e'
    )
    AND o.oid >= 16384
"""
_NAMESPACE = """
    n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> ALL (:ignored)
"""

_ACL = """
    ARRAY(
        SELECT format(
            '%s=%s%s/%s', CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
            a.privilege_type, CASE WHEN a.is_grantable THEN '*' ELSE '' END, a.grantor::regrole
        ) COLLATE "C"
        FROM aclexplode(coalesce({acl}, acldefault({kind}, {owner}))) a ORDER BY 1
    )
"""


# acldefault's word for a relation.
_RELATION = """CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char\""""


def _acl(acl: str, kind: str, owner: str) -> str:
    return _ACL.format(acl=acl, kind=kind, owner=owner)


def _identity(catalog: str) -> str:
    return f"(pg_identify_object('{catalog}'::regclass, o.oid, 0)).identity"


# Each query gives an identity and an object whose members are the facts.
_QUERIES = {
    "relation": f"""
        SELECT {_identity("pg_class")}, jsonb_build_object(
            'relkind', c.relkind, 'owner', c.relowner::regrole, 'persistence', c.relpersistence,
            'replica identity', c.relreplident, 'row security', c.relrowsecurity,
            'force row security', c.relforcerowsecurity, 'options', c.reloptions,
            'access method', (SELECT amname FROM pg_am WHERE pg_am.oid = c.relam),
            'of type', CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END,
            'partition', pg_get_expr(c.relpartbound, c.oid),
            'partition key', CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,
            'definition', CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
            'parents', ARRAY(
                SELECT inhparent::regclass::text FROM pg_inherits
                WHERE inhrelid = c.oid ORDER BY inhseqno
            ),
            'privileges', CASE WHEN c.relkind NOT IN ('i', 'I', 'c', 't') THEN
                {_acl("c.relacl", _RELATION, "c.relowner")}
            END
        )
        FROM pg_class c JOIN pg_class o ON o.oid = c.oid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {_OWN.format(catalog="pg_class")} AND {_NAMESPACE} AND c.relkind <> 't'
    """,
    "column": f"""
        SELECT format('%s.%I', {_identity("pg_class")}, a.attname), jsonb_build_object(
            'type', format_type(a.atttypid, a.atttypmod), 'not null', a.attnotnull,
            'collation', (SELECT collname FROM pg_collation l WHERE l.oid = a.attcollation),
            'identity', a.attidentity, 'generated', a.attgenerated,
            'default', (
                SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d
                WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum
            ),
            'storage', a.attstorage, 'statistics', nullif(a.attstattarget, -1),
            'local', a.attislocal, 'ancestors', a.attinhcount,
            'options', (
                SELECT array_agg(x) FROM unnest(a.attoptions) x WHERE x NOT LIKE 'pg_attver=%'
            ),
            'fdw options', a.attfdwoptions,
            'privileges', CASE WHEN a.attacl IS NOT NULL THEN
                {_acl("a.attacl", "'c'", "o.relowner")}
            END
        )
        FROM pg_attribute a JOIN pg_class o ON o.oid = a.attrelid
        JOIN pg_namespace n ON n.oid = o.relnamespace
        WHERE {_OWN.format(catalog="pg_class")} AND {_NAMESPACE}
            AND a.attnum > 0 AND NOT a.attisdropped AND o.relkind NOT IN ('i', 'I', 't', 'S')
    """,
    # NOT NULL is the column's here: before 18 it is no constraint.
    "constraint": f"""
        SELECT {_identity("pg_constraint")}, jsonb_build_object(
            'definition', pg_get_constraintdef(o.oid), 'validated', o.convalidated,
            'local', o.conislocal, 'ancestors', o.coninhcount, 'no inherit', o.connoinherit
        )
        FROM pg_constraint o JOIN pg_namespace n ON n.oid = o.connamespace
        WHERE {_OWN.format(catalog="pg_constraint")} AND {_NAMESPACE}
            AND o.contype NOT IN ('n', 't')
    """,
    "index": f"""
        SELECT {_identity("pg_class")}, jsonb_build_object(
            'definition', pg_get_indexdef(o.oid), 'valid', i.indisvalid, 'ready', i.indisready,
            'clustered', i.indisclustered, 'replica identity', i.indisreplident,
            'unique', i.indisunique, 'primary', i.indisprimary, 'immediate', i.indimmediate,
            'statistics', ARRAY(
                SELECT nullif(attstattarget, -1) FROM pg_attribute
                WHERE attrelid = o.oid ORDER BY attnum
            )
        )
        FROM pg_index i JOIN pg_class o ON o.oid = i.indexrelid
        JOIN pg_namespace n ON n.oid = o.relnamespace
        WHERE {_OWN.format(catalog="pg_class")} AND {_NAMESPACE}
    """,
    "sequence": f"""
        SELECT {_identity("pg_class")}, jsonb_build_object(
            'type', format_type(s.seqtypid, NULL), 'start', s.seqstart, 'increment', s.seqincrement,
            'min', s.seqmin, 'max', s.seqmax, 'cache', s.seqcache, 'cycle', s.seqcycle,
            'owned by', (
                SELECT format(
                    '%s %s', d.deptype, pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)
                )
                FROM pg_depend d
                WHERE d.classid = 'pg_class'::regclass AND d.objid = o.oid
                    AND d.deptype IN ('a', 'i') AND d.refclassid = 'pg_class'::regclass
            )
        )
        FROM pg_sequence s JOIN pg_class o ON o.oid = s.seqrelid
        JOIN pg_namespace n ON n.oid = o.relnamespace
        WHERE {_OWN.format(catalog="pg_class")} AND {_NAMESPACE}
    """,
    "trigger": f"""
        SELECT {_identity("pg_trigger")}, jsonb_build_object(
            'definition', pg_get_triggerdef(o.oid), 'enabled', o.tgenabled
        )
        FROM pg_trigger o JOIN pg_class t ON t.oid = o.tgrelid
        JOIN pg_namespace n ON n.oid = t.relnamespace
        WHERE {_OWN.format(catalog="pg_trigger")} AND {_NAMESPACE} AND NOT o.tgisinternal
    """,
    "rule": f"""
        SELECT {_identity("pg_rewrite")}, jsonb_build_object(
            'definition', pg_get_ruledef(o.oid), 'enabled', o.ev_enabled
        )
        FROM pg_rewrite o JOIN pg_class t ON t.oid = o.ev_class
        JOIN pg_namespace n ON n.oid = t.relnamespace
        WHERE {_OWN.format(catalog="pg_rewrite")} AND {_NAMESPACE} AND o.rulename <> '_RETURN'
    """,
    "policy": """
        SELECT format('%I.%I %I', schemaname, tablename, policyname), jsonb_build_object(
            'permissive', permissive, 'roles', roles, 'command', cmd,
            'using', qual, 'check', with_check
        )
        FROM pg_policies WHERE schemaname <> ALL (:ignored)
    """,
    "routine": f"""
        SELECT {_identity("pg_proc")}, jsonb_build_object(
            'definition', CASE WHEN o.prokind <> 'a' THEN pg_get_functiondef(o.oid) END,
            'aggregate', (SELECT jsonb_build_object(
                    'kind', a.aggkind, 'transition', a.aggtransfn::regproc,
                    'type', format_type(a.aggtranstype, NULL),
                    'final', a.aggfinalfn::regproc, 'combine', a.aggcombinefn::regproc,
                    'initial', a.agginitval, 'extra', a.aggfinalextra, 'space', a.aggtransspace,
                    'moving', a.aggmtransfn::regproc, 'order', a.aggsortop::regoperator
                ) FROM pg_aggregate a WHERE a.aggfnoid = o.oid),
            'kind', o.prokind, 'owner', o.proowner::regrole, 'settings', o.proconfig,
            'privileges', {_acl("o.proacl", "'f'", "o.proowner")}
        )
        FROM pg_proc o JOIN pg_namespace n ON n.oid = o.pronamespace
        WHERE {_OWN.format(catalog="pg_proc")} AND {_NAMESPACE}
    """,
    "type": f"""
        SELECT {_identity("pg_type")}, jsonb_build_object(
            'kind', o.typtype, 'owner', o.typowner::regrole, 'default', o.typdefault,
            'not null', o.typnotnull, 'base', format_type(nullif(o.typbasetype, 0), o.typtypmod),
            'storage', o.typstorage, 'align', o.typalign, 'length', o.typlen,
            'category', o.typcategory, 'input', o.typinput::regproc, 'delimiter', o.typdelim,
            'labels', ARRAY(
                SELECT enumlabel FROM pg_enum WHERE enumtypid = o.oid ORDER BY enumsortorder
            ),
            'range', (SELECT format_type(rngsubtype, NULL) FROM pg_range WHERE rngtypid = o.oid),
            'privileges', {_acl("o.typacl", "'T'", "o.typowner")}
        )
        FROM pg_type o JOIN pg_namespace n ON n.oid = o.typnamespace
        WHERE {_OWN.format(catalog="pg_type")} AND {_NAMESPACE}
            AND o.typelem = 0 AND o.typname <> 'pg_toast' AND o.typtype <> 'p'
    """,
    "schema": f"""
        SELECT n.nspname, jsonb_build_object(
            'owner', n.nspowner::regrole, 'privileges', {_acl("n.nspacl", "'n'", "n.nspowner")}
        )
        FROM pg_namespace n WHERE {_NAMESPACE}
    """,
    "comment": """
        SELECT format('%s %s', i.type, i.identity), jsonb_build_object('text', d.description)
        FROM pg_description d, pg_identify_object(d.classoid, d.objoid, d.objsubid) i
        WHERE i.identity IS NOT NULL AND d.objoid >= 16384
            AND coalesce(i.schema, '') <> ALL (:ignored) AND NOT EXISTS (
                SELECT FROM pg_depend e
                WHERE e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e'
            )
            AND i.identity <> ALL (:ignored)
    """,
    "security label": """
        SELECT format('%s %s', i.type, i.identity), jsonb_build_object(l.provider, l.label)
        FROM pg_seclabel l, pg_identify_object(l.classoid, l.objoid, l.objsubid) i
    """,
    "extended statistics": f"""
        SELECT {_identity("pg_statistic_ext")}, jsonb_build_object(
            'definition', pg_get_statisticsobjdef(o.oid), 'owner', o.stxowner::regrole,
            'target', nullif(o.stxstattarget, -1)
        )
        FROM pg_statistic_ext o JOIN pg_namespace n ON n.oid = o.stxnamespace WHERE {_NAMESPACE}
    """,
    "default privileges": """
        SELECT format('%s %s %s', o.defaclrole::regrole, n.nspname, o.defaclobjtype),
            jsonb_build_object('privileges', o.defaclacl::text)
        FROM pg_default_acl o LEFT JOIN pg_namespace n ON n.oid = o.defaclnamespace
    """,
    "event trigger": """
        SELECT o.evtname, jsonb_build_object(
            'event', o.evtevent, 'owner', o.evtowner::regrole, 'function', o.evtfoid::regproc,
            'enabled', o.evtenabled, 'tags', o.evttags
        )
        FROM pg_event_trigger o
    """,
    "extension": """
        SELECT o.extname, jsonb_build_object('schema', o.extnamespace::regnamespace)
        FROM pg_extension o
    """,
    "foreign server": f"""
        SELECT o.srvname, jsonb_build_object(
            'owner', o.srvowner::regrole, 'type', o.srvtype, 'version', o.srvversion,
            'options', o.srvoptions, 'privileges', {_acl("o.srvacl", "'S'", "o.srvowner")},
            'wrapper', (SELECT fdwname FROM pg_foreign_data_wrapper w WHERE w.oid = o.srvfdw)
        )
        FROM pg_foreign_server o
    """,
    "user mapping": """
        SELECT format('%s %s', srvname, usename), jsonb_build_object('options', umoptions)
        FROM pg_user_mappings
    """,
    "foreign table": """
        SELECT ftrelid::regclass::text, jsonb_build_object('options', ftoptions)
        FROM pg_foreign_table
    """,
    "publication": """
        SELECT o.pubname, jsonb_build_object(
            'owner', o.pubowner::regrole, 'all', o.puballtables, 'insert', o.pubinsert,
            'update', o.pubupdate, 'delete', o.pubdelete, 'truncate', o.pubtruncate,
            'root', o.pubviaroot,
            'tables', ARRAY(
                SELECT r.prrelid::regclass::text COLLATE "C" FROM pg_publication_rel r
                WHERE r.prpubid = o.oid ORDER BY 1
            )
        )
        FROM pg_publication o
    """,
}

# Of these kinds that an object exists under its identity is the fact.
_NAMED = {
    "operator": "pg_operator",
    "operator class": "pg_opclass",
    "operator family": "pg_opfamily",
    "cast": "pg_cast",
    "conversion": "pg_conversion",
    "collation": "pg_collation",
    "text search configuration": "pg_ts_config",
    "text search dictionary": "pg_ts_dict",
    "text search parser": "pg_ts_parser",
    "text search template": "pg_ts_template",
    "transform": "pg_transform",
    "language": "pg_language",
    "foreign-data wrapper": "pg_foreign_data_wrapper",
    "operator of a family": "pg_amop",
    "function of a family": "pg_amproc",
}


def read(conninfo: str, ignore_schemas: Iterable[str] = ("pgmigrate",)) -> dict[Fact, Any]:
    """All facts of a database."""
    return dict(_read(conninfo, ignore_schemas))


def _read(conninfo: str, ignore_schemas: Iterable[str]) -> Iterator[tuple[Fact, Any]]:
    ignored = sql.Literal(list(ignore_schemas)).as_string() + "::text[]"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SET search_path = ''")
        connection.execute("SET TimeZone = 'UTC'")
        for kind, query in _QUERIES.items():
            for identity, found in connection.execute(
                query.replace(":ignored", ignored)
            ).fetchall():
                values = json.loads(found) if isinstance(found, str) else found
                yield (kind, identity, ""), True
                for name, value in values.items():
                    yield (kind, identity, name), value
        for kind, catalog in _NAMED.items():
            query = (
                f"SELECT {_identity(catalog)} FROM {catalog} o WHERE {_OWN.format(catalog=catalog)}"
            )
            for (identity,) in connection.execute(query).fetchall():
                yield (kind, identity, ""), True


def worse_than_peer(
    source: dict[Fact, Any], found: dict[Fact, Any], peer: dict[Fact, Any]
) -> list[str]:
    """What the peer's database has as the source has it, and the one that was found has not.

    Objects that only this one has count, too.
    """
    problems = []
    for fact in sorted(source.keys() | found.keys()):
        kind, identity, name = fact
        wanted, peers, own = (side.get(fact) for side in (source, peer, found))
        if peers == wanted != own or (wanted is None and peers is None and own is not None):
            label = f"{kind} {identity}" + (f", {name}" if name else "")
            problems.append(f"{label}: {own!r}, and {wanted!r} on the source")
    return problems
