"""An older target lacks what came after it: preflight names what the run fails on, and no more."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from conftest import Pair
from pgmigrate import Migration
from support import servers
from support.older_targets import assert_all_is_named
from support.roles import prefixed

# Of each kind there is what looks the same and is taken by every server.
SCRIPT = r"""
CREATE ROLE {p}reader;
CREATE TABLE computed (a int, b int GENERATED ALWAYS AS (a + 1) VIRTUAL,
    c int GENERATED ALWAYS AS (a + 1) STORED);
CREATE TABLE stored (a int, c int GENERATED ALWAYS AS (a + 1) STORED);
CREATE TABLE loose (a int CHECK (a > 0) NOT ENFORCED, b int CHECK (b > 0));
CREATE TABLE periods (id int4range, span int4range, PRIMARY KEY (id, span WITHOUT OVERLAPS));
CREATE TABLE plain (a int, doc text);
CREATE TABLE late (a int); INSERT INTO late VALUES (NULL);
ALTER TABLE late ADD CONSTRAINT late_a NOT NULL a NOT VALID;
CREATE TABLE not_inherited (a int CONSTRAINT its_own NOT NULL NO INHERIT);
CREATE TABLE parent (a int);
CREATE TABLE child () INHERITS (parent); ALTER TABLE child ALTER a SET NOT NULL;
CREATE TABLE own_column (a int NOT NULL) INHERITS (parent);
CREATE TABLE strict (a int NOT NULL) PARTITION BY LIST (a);
CREATE TABLE strict_1 PARTITION OF strict FOR VALUES IN (1);
CREATE TABLE excluding (a int, EXCLUDE USING btree (a WITH =)) PARTITION BY LIST (a);
CREATE TABLE distinct_nulls (a int UNIQUE NULLS NOT DISTINCT);
CREATE TABLE compressed (a text COMPRESSION pglz);
CREATE TABLE scales (a numeric(3, -2), b numeric(2, 4));
CREATE TABLE vacuumed (a int) WITH (autovacuum_vacuum_max_threshold = 5);
CREATE TABLE toasted (a text) WITH (toast.autovacuum_vacuum_max_threshold = 5, fillfactor = 70);
CREATE TABLE filled (a text) WITH (fillfactor = 70, autovacuum_vacuum_threshold = 5);
CREATE TABLE uuids (id uuid DEFAULT uuidv7(), a text CHECK (casefold(a) = a));
CREATE TABLE old_uuids (id uuid DEFAULT gen_random_uuid());
CREATE TABLE with_json (a text CHECK (a IS JSON), b json DEFAULT JSON_OBJECT('a': 1));
CREATE TABLE texts (a text);
CREATE INDEX texts_i ON texts ((JSON_VALUE(a::jsonb, '$.x')));
CREATE POLICY texts_p ON texts USING (a IS JSON);
CREATE FUNCTION on_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER texts_t BEFORE INSERT ON texts FOR EACH ROW WHEN (NEW.a IS JSON)
    EXECUTE FUNCTION on_row();
CREATE RULE texts_r AS ON UPDATE TO texts WHERE NEW.a IS JSON DO INSTEAD NOTHING;
CREATE DOMAIN of_json AS text CHECK (VALUE IS JSON);
CREATE DOMAIN of_text AS text DEFAULT casefold('A');
CREATE VIEW made AS SELECT JSON_ARRAY(1, 2) AS x;
CREATE VIEW scalar AS SELECT JSON_SCALAR(a) AS x FROM plain;
CREATE VIEW of_table AS SELECT x FROM JSON_TABLE('[1]', '$[*]' COLUMNS (x int PATH '$'));
CREATE VIEW gathered AS SELECT JSON_OBJECTAGG('a': 1) AS x, any_value(a) AS y FROM plain;
CREATE MATERIALIZED VIEW queried AS SELECT JSON_QUERY('{{}}'::jsonb, '$') AS x;
CREATE VIEW reversed AS SELECT reverse('\x00'::bytea) AS r, crc32('\x00'::bytea) AS c;
CREATE VIEW by_user AS SELECT system_user AS u;
CREATE VIEW like_newer AS
    SELECT '{{JSONEXPR :op 1}} {{MERGEACTION '::text AS "{{JSONISPREDICATE ", reverse('a') AS r,
        extract(year FROM now()) AS y, array_append(ARRAY[1], 2) AS z, current_user AS u,
        json_build_object('a', 1) AS j, overlay('abc' PLACING 'x' FROM 1) AS o, a::bigint AS b
    FROM plain;
CREATE VIEW invoking WITH (security_invoker = on) AS SELECT 1 AS a;
CREATE FUNCTION merges() RETURNS void LANGUAGE sql BEGIN ATOMIC
    MERGE INTO plain p USING late l ON p.a = l.a WHEN NOT MATCHED THEN INSERT VALUES (l.a); END;
CREATE FUNCTION merges_by_source() RETURNS void LANGUAGE sql BEGIN ATOMIC
    MERGE INTO plain p USING late l ON p.a = l.a WHEN NOT MATCHED BY SOURCE THEN DELETE; END;
CREATE FUNCTION merges_and_returns() RETURNS SETOF int LANGUAGE sql BEGIN ATOMIC
    MERGE INTO plain p USING late l ON p.a = l.a WHEN NOT MATCHED THEN INSERT VALUES (l.a)
    RETURNING p.a; END;
CREATE FUNCTION deletes_and_returns() RETURNS SETOF int LANGUAGE sql BEGIN ATOMIC
    DELETE FROM plain USING late l WHERE plain.a = l.a RETURNING plain.a; END;
CREATE FUNCTION returns_old() RETURNS SETOF int LANGUAGE sql BEGIN ATOMIC
    UPDATE plain SET a = 1 RETURNING old.a; END;
CREATE FUNCTION defaults(a text DEFAULT JSON_SERIALIZE('{{}}')) RETURNS text
    LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION in_a_string() RETURNS text LANGUAGE sql AS 'SELECT JSON_SERIALIZE(''{{}}'')';
CREATE PROCEDURE outs(OUT a int) LANGUAGE plpgsql AS 'BEGIN a := 1; END';
CREATE TABLE multiranges (a int4multirange, b datemultirange[]);
CREATE TYPE float_range AS RANGE (subtype = float8);
CREATE STATISTICS of_expression ON (a + 1), a FROM plain;
CREATE PUBLICATION of_schema FOR TABLES IN SCHEMA public;
CREATE PUBLICATION filtered FOR TABLE plain (a) WHERE (a > 1);
CREATE PUBLICATION generated FOR TABLE plain WITH (publish_generated_columns = stored);
CREATE FUNCTION on_event() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER {p}login ON login EXECUTE FUNCTION on_event();
ALTER EVENT TRIGGER {p}login DISABLE;
CREATE EVENT TRIGGER {p}ddl ON ddl_command_end EXECUTE FUNCTION on_event();
ALTER EVENT TRIGGER {p}ddl DISABLE;
GRANT ALL ON plain TO {p}reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, MAINTAIN ON TABLES TO {p}reader;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {p}reader;
CREATE SUBSCRIPTION {p}usual CONNECTION 'host=nowhere password=x' PUBLICATION a
    WITH (connect = false);
CREATE SUBSCRIPTION {p}plain CONNECTION 'host=nowhere password=x' PUBLICATION a
    WITH (connect = false, streaming = off, disable_on_error, two_phase, binary);
CREATE SUBSCRIPTION {p}many CONNECTION 'host=nowhere password=x' PUBLICATION a
    WITH (connect = false, streaming = on, failover, run_as_owner);
CREATE SUBSCRIPTION {p}origin CONNECTION 'host=nowhere password=x' PUBLICATION a
    WITH (connect = false, streaming = on, origin = none, password_required = false);
CREATE TABLE keys (a int, b int, PRIMARY KEY (a, b));
CREATE TABLE referencing (a int, b int, FOREIGN KEY (a, b) REFERENCES keys ON DELETE SET NULL (a));
"""
# That of 17 and later alone has these, and needs no ICU to make them.
COLLATIONS = """
CREATE COLLATION of_builtin (provider = builtin, locale = 'C.UTF-8');
CREATE COLLATION of_libc FROM "C";
"""
AT_16 = {
    "public.computed.b", "public.not_inherited.a", "public.child.a", "public.of_builtin",
    "public.uuids", "public.scalar", "public.of_table", "public.queried", "public.texts_i",
    "public.reversed", "public.returns_old()", "generated",
}  # fmt: skip
AT_15 = {
    "public.with_json", "public.of_json", "public.made", "public.gathered", "public.by_user",
    "public.texts texts_t", "public.texts texts_p", "public.texts texts_r",
}  # fmt: skip


@pytest.mark.parametrize(("major", "wanted"), [(16, AT_16), (15, AT_16 | AT_15)], ids=["16", "15"])
def test_what_an_older_target_lacks_is_named_before(
    make_pair: Callable[[int, int], Pair], major: int, wanted: set[str]
) -> None:
    if major not in servers.available_majors():
        pytest.skip(f"there is no PostgreSQL {major}")
    pair = make_pair(18, major)
    source, target = pair.source(), pair.target()
    with prefixed(pair) as prefix:
        script = (SCRIPT + COLLATIONS).format(p=prefix)
        named, _ = assert_all_is_named(source, target, script)
    assert wanted - named == set()
    assert f"{prefix}many" in named


def test_a_privilege_that_an_older_target_does_not_have_is_left_out_and_named(
    make_pair: Callable[[int, int], Pair],
) -> None:
    pair = make_pair(18, 16)
    source, target = pair.source(), pair.target()
    with prefixed(pair) as prefix:
        reader = f"{prefix}reader"
        servers.run_script(
            source,
            f"""
            CREATE ROLE {reader};
            CREATE TABLE also (a int); GRANT SELECT, MAINTAIN ON also TO {reader};
            CREATE TABLE alone (a int); GRANT MAINTAIN ON alone TO {reader} WITH GRANT OPTION;
            CREATE TABLE every (a int); GRANT ALL ON every TO {reader};
            CREATE TABLE other (a int); GRANT INSERT ON other TO {reader};
            ALTER DEFAULT PRIVILEGES GRANT SELECT, MAINTAIN ON TABLES TO {reader};
            """,
        )
        migration = Migration(source=source, target=target)
        named = [one for one in migration.preflight().findings if one.check == "lost_privileges"]
        wanted = ["DEFAULT PRIVILEGES FOR TABLES", "public.alone", "public.also"]
        assert [sorted(one.objects) for one in named] == [wanted]
        report = migration.run(verify=True)
        report.raise_for_failures()
        result = report.verification
        assert result is not None and result.equal
        lost = {one.object for one in result.by_version if f"MAINTAIN for {reader}" in one.message}
        assert {"TABLE also in public", "TABLE alone in public", "TABLE every in public"} <= lost
        assert "TABLE other in public" not in lost
        rights = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]
        query = """
            SELECT c.relname::text, r FROM pg_class c, unnest(%s::text[]) AS r
            WHERE c.relnamespace = 'public'::regnamespace AND has_table_privilege(%s, c.oid, r)
        """
        with psycopg.connect(target) as connection:
            found = set(connection.execute(query, [rights, reader]).fetchall())
            rule = connection.execute("SELECT defaclacl::text FROM pg_default_acl").fetchall()
        expected = {("also", "SELECT"), ("other", "INSERT"), *(("every", one) for one in rights)}
        assert found == expected
        assert len(rule) == 1 and f"{reader}=r/" in rule[0][0]
