"""What a role of a managed service may not make: all of it is named before the run, fault L3."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conftest import Pair
from pgmigrate import Migration
from support import servers
from support.foreseen import assert_foreseen
from support.older_targets import UNSUBSCRIBE
from support.roles import limited, prefixed


def _replaced(script: str, prefix: str, *roles: str) -> str:
    for role in roles:
        script = script.replace(role, f"{prefix}{role}")
    return script


def test_a_managed_target_refuses_what_is_foreseen(pair: Pair, prefix: str) -> None:
    source, target = pair.source(), pair.target()
    roles = ["cloud_admin", "supabase_like_admin", "anon_like", "app_rw", "dashboard_user"]
    servers.run_script(source, _replaced(MANAGED, prefix, *roles))
    foreseen, _ = assert_foreseen(source, limited(pair, prefix, "CREATEDB CREATEROLE"))
    assert foreseen["needs_superuser"] == {"event trigger ddl_watch"}
    assert foreseen["parameter_refused"] == {
        "function public.quiet()", "function public.loud()", "database setting log_min_messages",
        f"role {prefix}app_rw",
    }  # fmt: skip
    assert foreseen["membership_refused"] == {
        f"membership pg_read_all_data to {prefix}app_rw",
        f"membership pg_monitor to {prefix}dashboard_user",
    }
    # All that the role may do is done.
    keys = "SELECT convalidated FROM pg_constraint WHERE conname = 'posts_u_fkey'"
    assert servers.fetch(target, keys) == [(True,)]
    assert servers.fetch(target, "SELECT count(*) FROM posts") == [(1000,)]
    grants = f"SELECT has_table_privilege('{prefix}anon_like', 'posts', 'SELECT')"
    assert servers.fetch(target, grants) == [(True,)]


MANAGED = """
CREATE ROLE cloud_admin; CREATE ROLE supabase_like_admin; CREATE ROLE anon_like;
CREATE ROLE app_rw; CREATE ROLE dashboard_user;
ALTER SCHEMA public OWNER TO cloud_admin; GRANT ALL ON SCHEMA public TO PUBLIC;
CREATE SCHEMA auth AUTHORIZATION supabase_like_admin;
CREATE TABLE auth.users (id int PRIMARY KEY, email text);
ALTER TABLE auth.users OWNER TO supabase_like_admin;
INSERT INTO auth.users SELECT g, 'u' || g FROM generate_series(1, 100) g;
CREATE FUNCTION auth.uid() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
CREATE TABLE public.posts (id serial PRIMARY KEY, u int REFERENCES auth.users, t text);
INSERT INTO posts (u, t) SELECT 1 + g % 100, 't' FROM generate_series(1, 1000) g;
ALTER TABLE posts ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON posts TO anon_like USING (u = auth.uid());
CREATE FUNCTION public.quiet() RETURNS void LANGUAGE plpgsql
    SET session_replication_role = 'replica' AS 'BEGIN END';
CREATE FUNCTION public.loud() RETURNS void LANGUAGE plpgsql
    SET log_statement = 'all' AS 'BEGIN END';
CREATE FUNCTION public.mild() RETURNS void LANGUAGE plpgsql SET work_mem = '7MB' AS 'BEGIN END';
CREATE FUNCTION public.zone() RETURNS void LANGUAGE plpgsql SET TimeZone = 'UTC' AS 'BEGIN END';
ALTER ROLE anon_like SET DateStyle = 'ISO, DMY'; ALTER ROLE anon_like SET role = 'none';
ALTER DEFAULT PRIVILEGES FOR ROLE cloud_admin IN SCHEMA public
    GRANT ALL ON TABLES TO anon_like WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_like_admin GRANT SELECT ON TABLES TO dashboard_user;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO anon_like;
CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM 1; END';
CREATE EVENT TRIGGER ddl_watch ON ddl_command_end EXECUTE FUNCTION on_ddl();
GRANT SELECT ON posts TO anon_like WITH GRANT OPTION;
SET ROLE anon_like; GRANT SELECT ON posts TO dashboard_user; RESET ROLE;
GRANT pg_read_all_data TO app_rw; GRANT pg_monitor TO dashboard_user;
ALTER ROLE app_rw SET log_min_duration_statement = 100; ALTER ROLE app_rw SET work_mem = '5MB';
SELECT format('ALTER DATABASE %I SET log_min_messages = ''notice''', current_database()) \\gexec
SELECT format('ALTER DATABASE %I SET work_mem = ''6MB''', current_database()) \\gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO app_rw', current_database()) \\gexec
SELECT format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()) \\gexec
SELECT format('COMMENT ON DATABASE %I IS ''the shop''', current_database()) \\gexec
COMMENT ON SCHEMA public IS 'everything';
SELECT lo_from_bytea(0, 'abc');
"""
EVERY_KIND = """
CREATE ROLE {p}other; CREATE ROLE {p}bypass BYPASSRLS CREATEDB; CREATE ROLE {p}strong SUPERUSER;
CREATE ROLE {p}member; GRANT {p}other TO {p}member WITH ADMIN OPTION;
ALTER ROLE {p}member SET my.option = 'x';
CREATE SCHEMA own; CREATE SCHEMA others AUTHORIZATION {p}other;
CREATE TABLE own.t (i int PRIMARY KEY, v text); INSERT INTO own.t VALUES (1, 'a');
GRANT SELECT ON own.t TO {p}bypass, {p}strong, {p}member;
CREATE TABLE others.t (i int); ALTER TABLE others.t OWNER TO {p}other;
CREATE VIEW others.v AS SELECT 1 AS a; ALTER VIEW others.v OWNER TO {p}other;
CREATE FOREIGN DATA WRAPPER plain; CREATE SERVER of_plain FOREIGN DATA WRAPPER plain;
CREATE USER MAPPING FOR {p}other SERVER of_plain;
CREATE PROCEDURAL LANGUAGE speech HANDLER plpgsql_call_handler;
CREATE FUNCTION own.c(text, text) RETURNS bool LANGUAGE internal AS 'texteq';
CREATE FUNCTION own.proof(i int) RETURNS int LANGUAGE sql IMMUTABLE LEAKPROOF AS 'SELECT i';
CREATE AGGREGATE own.collect(anynonarray) (SFUNC = array_agg_transfn, STYPE = internal,
    FINALFUNC = array_agg_finalfn, FINALFUNC_EXTRA);
CREATE ACCESS METHOD heaplike TYPE TABLE HANDLER heap_tableam_handler;
CREATE FUNCTION own.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM 1; END';
CREATE EVENT TRIGGER {p}ddl ON ddl_command_end EXECUTE FUNCTION own.on_ddl();
CREATE FUNCTION own.zone() RETURNS int LANGUAGE sql SET TimeZone = 'UTC' AS 'SELECT 1';
CREATE FUNCTION own.dates() RETURNS int LANGUAGE sql SET DateStyle = 'ISO, DMY'
    SET IntervalStyle = 'iso_8601' AS 'SELECT 1';
CREATE FUNCTION own.as_none() RETURNS int LANGUAGE sql SET role = 'none' AS 'SELECT 1';
ALTER ROLE {p}other SET TimeZone = 'UTC'; ALTER ROLE {p}other SET role = 'none';
CREATE FUNCTION own.custom() RETURNS int LANGUAGE sql SET my.option = '1' AS 'SELECT 1';
CREATE TYPE own.pair AS (a int, b int); CREATE TYPE own.color AS ENUM ('red');
CREATE FUNCTION own.to_pair(int) RETURNS own.pair LANGUAGE sql AS 'SELECT ROW($1, $1)::own.pair';
CREATE CAST (int AS own.pair) WITH FUNCTION own.to_pair(int);
CREATE FUNCTION own.to_text(point) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE CAST (point AS int) WITH FUNCTION own.to_text(point);
CREATE DOMAIN own.key AS int;
CREATE FUNCTION own.less(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 < $2';
CREATE OPERATOR own.<# (LEFTARG = int, RIGHTARG = int, FUNCTION = own.less);
CREATE OPERATOR FAMILY own.by_key USING btree;
CREATE TEXT SEARCH TEMPLATE own.template (LEXIZE = dsimple_lexize);
CREATE TEXT SEARCH DICTIONARY own.dictionary (TEMPLATE = simple);
CREATE PUBLICATION everything FOR ALL TABLES; CREATE PUBLICATION one FOR TABLE own.t;
CREATE PUBLICATION of_schema FOR TABLES IN SCHEMA own;
CREATE COLLATION own.plain FROM "C";
ALTER TABLE own.t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON own.t TO {p}other USING (true);
REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION lo_import(text) FROM PUBLIC;
GRANT USAGE ON LANGUAGE plpgsql TO {p}other;
GRANT EXECUTE ON FUNCTION pg_read_file(text) TO {p}other;
COMMENT ON SCHEMA own IS 'mine';
"""

# Of the servers that every machine has, those of 18 have these.
EXTENSIONS = """
CREATE EXTENSION postgres_fdw;
CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw; CREATE USER MAPPING FOR {p}other SERVER far;
GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO {p}other;
CREATE EXTENSION hstore; CREATE EXTENSION file_fdw; COMMENT ON EXTENSION hstore IS 'a comment';
GRANT EXECUTE ON FUNCTION hstore(text, text) TO {p}other;
"""


@pytest.mark.parametrize("major", [16, 18])
def test_every_kind_that_is_refused_is_foreseen(
    make_pair: Callable[[int, int], Pair], major: int
) -> None:
    pair = make_pair(major, major)
    source, target = pair.source(), pair.target()
    with prefixed(pair) as prefix:
        more = EXTENSIONS if major == 18 else ""
        servers.run_script(source, (EVERY_KIND + more).format(p=prefix))
        me = limited(pair, prefix, "CREATEDB CREATEROLE")
        migration = Migration(source=source, target=me, options={"publications": True})
        found = migration.preflight().findings
        assert_foreseen(source, me, publications=True)
    # One of its kind stands in a finding of its own.
    groups = [finding.objects for finding in found if finding.check == "needs_superuser"]
    assert ("aggregate own.collect(anynonarray)",) in groups
    assert ("function own.c(text, text)",) in groups
    assert len(groups) >= 12
    assert servers.fetch(target, "SELECT * FROM own.t") == [(1, "a")]


COMMENTED = """
CREATE ROLE {p}other;
CREATE SCHEMA own; COMMENT ON SCHEMA own IS 'c';
CREATE EXTENSION hstore; COMMENT ON EXTENSION hstore IS 'mine'; CREATE EXTENSION pg_trgm;
CREATE TRANSFORM FOR int LANGUAGE SQL
    (FROM SQL WITH FUNCTION prsd_lextype(internal), TO SQL WITH FUNCTION int4recv(internal));
CREATE TABLE own.t (i int PRIMARY KEY, CONSTRAINT pos CHECK (i > 0)); INSERT INTO own.t VALUES (1);
COMMENT ON TABLE own.t IS 'c'; COMMENT ON COLUMN own.t.i IS 'c';
COMMENT ON CONSTRAINT pos ON own.t IS 'c'; COMMENT ON CONSTRAINT t_pkey ON own.t IS 'c';
COMMENT ON INDEX own.t_pkey IS 'i';
CREATE TABLE own."Other t" (i int PRIMARY KEY, "J" int REFERENCES own.t);
ALTER TABLE own."Other t" OWNER TO {p}other; INSERT INTO own."Other t" VALUES (1, 1);
COMMENT ON TABLE own."Other t" IS 'c'; COMMENT ON COLUMN own."Other t"."J" IS 'c';
COMMENT ON INDEX own."Other t_pkey" IS 'i';
COMMENT ON CONSTRAINT "Other t_J_fkey" ON own."Other t" IS 'c';
CREATE SEQUENCE own.given; ALTER SEQUENCE own.given OWNER TO {p}other;
CREATE VIEW own.v AS SELECT 1 AS a; COMMENT ON VIEW own.v IS 'c'; COMMENT ON COLUMN own.v.a IS 'c';
CREATE RULE r AS ON INSERT TO own.v DO INSTEAD NOTHING; COMMENT ON RULE r ON own.v IS 'c';
CREATE FUNCTION own.f(int, point) RETURNS int LANGUAGE sql AS 'SELECT 1';
COMMENT ON FUNCTION own.f(int, point) IS 'c';
CREATE FUNCTION own.other(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
COMMENT ON FUNCTION own.other(int) IS 'c'; ALTER FUNCTION own.other OWNER TO {p}other;
CREATE TYPE own.ty AS ENUM ('a'); COMMENT ON TYPE own.ty IS 'c';
CREATE DOMAIN own.d AS int CONSTRAINT dc CHECK (VALUE > 0); COMMENT ON DOMAIN own.d IS 'c';
COMMENT ON CONSTRAINT dc ON DOMAIN own.d IS 'c';
CREATE STATISTICS own.st ON i, (i + 1) FROM own.t; COMMENT ON STATISTICS own.st IS 'c';
CREATE TRIGGER tr BEFORE UPDATE ON own.t
    FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
COMMENT ON TRIGGER tr ON own.t IS 'c';
CREATE POLICY po ON own.t USING (true); COMMENT ON POLICY po ON own.t IS 'c';
CREATE COLLATION own.co FROM "C"; COMMENT ON COLLATION own.co IS 'c';
CREATE TEXT SEARCH CONFIGURATION own.tc (COPY = simple);
COMMENT ON TEXT SEARCH CONFIGURATION own.tc IS 'c';
CREATE PUBLICATION pb FOR TABLE own.t; COMMENT ON PUBLICATION pb IS 'c';
CREATE SUBSCRIPTION {p}bare CONNECTION 'host=nowhere dbname=x'
    PUBLICATION a WITH (connect = false); COMMENT ON SUBSCRIPTION {p}bare IS 'c';
CREATE SUBSCRIPTION {p}key CONNECTION 'postgresql://u:secret@nowhere/x'
    PUBLICATION a WITH (connect = false);
CREATE SUBSCRIPTION {p}free CONNECTION 'host=nowhere password=secret'
    PUBLICATION a WITH (connect = false, password_required = false);
-- No server has these providers.
INSERT INTO pg_seclabel SELECT 'own.t'::regclass, 'pg_class'::regclass, part, 'selinux', 'l'
    FROM generate_series(0, 1) AS part;
INSERT INTO pg_seclabel SELECT 'own.f'::regproc, 'pg_proc'::regclass, 0, 'Odd provider', 'l';
INSERT INTO pg_shseclabel SELECT oid, 'pg_database'::regclass, 'selinux', 'l'
    FROM pg_database WHERE datname = current_database();
"""
# Whatever of a type is on the target and another role's, with a comment or without.
THERE = """
CREATE SCHEMA own; GRANT ALL ON SCHEMA own TO PUBLIC;
CREATE EXTENSION hstore; COMMENT ON EXTENSION hstore IS NULL; CREATE EXTENSION pg_trgm;
"""
MORE_THERE = """
COMMENT ON SCHEMA own IS 'd';
CREATE TABLE own.t (i int PRIMARY KEY, CONSTRAINT pos CHECK (i > 0));
GRANT ALL ON own.t TO PUBLIC; COMMENT ON COLUMN own.t.i IS 'd'; COMMENT ON INDEX own.t_pkey IS 'd';
CREATE TRIGGER tr BEFORE UPDATE ON own.t
    FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE POLICY po ON own.t USING (true); COMMENT ON POLICY po ON own.t IS 'd';
CREATE STATISTICS own.st ON i, (i + 1) FROM own.t;
CREATE VIEW own.v AS SELECT 1 AS a; COMMENT ON VIEW own.v IS 'd';
CREATE RULE r AS ON INSERT TO own.v DO INSTEAD NOTHING; COMMENT ON RULE r ON own.v IS 'd';
CREATE FUNCTION own.f(int, point) RETURNS int LANGUAGE sql AS 'SELECT 1';
COMMENT ON FUNCTION own.f(int, point) IS 'd';
CREATE TYPE own.ty AS ENUM ('a');
CREATE DOMAIN own.d AS int CONSTRAINT dc CHECK (VALUE > 0);
COMMENT ON CONSTRAINT dc ON DOMAIN own.d IS 'd';
CREATE COLLATION own.co FROM "C"; CREATE PUBLICATION pb FOR TABLE own.t;
CREATE TEXT SEARCH CONFIGURATION own.tc (COPY = simple);
COMMENT ON TEXT SEARCH CONFIGURATION own.tc IS 'd';
"""


@pytest.mark.parametrize("there", [THERE, THERE + MORE_THERE], ids=["made", "existing"])
def test_comments_labels_transforms_and_subscriptions_are_foreseen(
    make_pair: Callable[[int, int], Pair], there: str
) -> None:
    pair = make_pair(18, 18)
    source, target = pair.source(), pair.target()
    with prefixed(pair) as prefix:
        servers.run_script(source, COMMENTED.format(p=prefix))
        servers.run_script(target, there)
        me = limited(pair, f"{prefix}me_", "CREATEDB CREATEROLE")
        name = f"{prefix}me_limited"
        servers.run_script(
            target,
            # The database of the source is on the same server.
            f"GRANT pg_create_subscription TO {name};"
            f"GRANT {prefix}other TO {name} WITH SET TRUE, INHERIT FALSE",
        )
        try:
            foreseen, report = assert_foreseen(source, me, publications=True, subscriptions=True)
        finally:
            servers.run_script(source, UNSUBSCRIBE)
            servers.run_script(target, UNSUBSCRIBE)
    assert foreseen["label_provider"] == {
        "security label TABLE t in own",
        "security label FUNCTION f(integer, point) in own",
        "database label DATABASE",
    }
    assert {f"subscription {prefix}bare", f"subscription {prefix}free"} < foreseen[
        "needs_superuser"
    ]
    # What can be made is.
    made = {task.object for task in report.tasks if task.status == "done"}
    assert f"{prefix}key" in made
    assert servers.fetch(target, "SELECT * FROM own.t") == [(1,)]
    assert 'data own."Other t"' in foreseen["owner_privileges"]
    assert "comment EXTENSION hstore" in foreseen["comment_refused"]
    is_there = MORE_THERE in there
    assert ("comment TYPE ty in own" in foreseen["comment_refused"]) == is_there
    assert "comment COLUMN t.i in own" not in foreseen["comment_refused"]
