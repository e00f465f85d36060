"""What may not be made of tables and views of other owners on the target is named before."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conftest import Pair
from support import servers
from support.foreseen import assert_foreseen, foreseen
from support.roles import limited, prefixed

# What both databases have.
THERE = """
CREATE SCHEMA own;
CREATE TABLE own.t (i int NOT NULL, v text); CREATE TABLE own.e (i int, v text);
CREATE TABLE own."Odd t" (i int PRIMARY KEY);
CREATE FUNCTION own.tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE VIEW own.v AS SELECT 1 AS a; CREATE VIEW own.w AS SELECT 1 AS a;
CREATE MATERIALIZED VIEW own.m AS SELECT 1 AS a; CREATE MATERIALIZED VIEW own."Odd m" AS SELECT 1;
CREATE TABLE own.p (i int) PARTITION BY RANGE (i); CREATE TABLE own.p1 (i int);
CREATE TABLE own.q (i int PRIMARY KEY) PARTITION BY RANGE (i);
CREATE TABLE own.parent (i int); CREATE TABLE own.plain (i int); CREATE SEQUENCE own.sq;
CREATE SEQUENCE own.mine_too; CREATE TABLE own.counted (i int NOT NULL, j int NOT NULL);
CREATE PUBLICATION pb;
"""
MORE = """
INSERT INTO own.t VALUES (1, 'a'); INSERT INTO own."Odd t" VALUES (1);
ALTER TABLE own.t ADD PRIMARY KEY (i), ADD CONSTRAINT un UNIQUE (v),
    ADD CONSTRAINT pos CHECK (i > 0) NOT VALID, ADD EXCLUDE USING btree (v WITH =);
CREATE INDEX ti ON own.t (v); CREATE INDEX "Odd i" ON own."Odd t" (i);
ALTER TABLE own.e ADD FOREIGN KEY (i) REFERENCES own.t;
CREATE TABLE own.mine (i int REFERENCES own."Odd t"); INSERT INTO own.mine VALUES (1);
CREATE TRIGGER tr BEFORE INSERT ON own.t FOR EACH ROW EXECUTE FUNCTION own.tf();
CREATE TRIGGER off BEFORE INSERT ON own.e FOR EACH ROW EXECUTE FUNCTION own.tf();
ALTER TABLE own.e DISABLE TRIGGER off;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON own.mine FROM own.e
    FOR EACH ROW EXECUTE FUNCTION own.tf();
CREATE TRIGGER tv INSTEAD OF INSERT ON own.v FOR EACH ROW EXECUTE FUNCTION own.tf();
CREATE RULE r AS ON DELETE TO own.t DO INSTEAD NOTHING;
CREATE RULE rv AS ON UPDATE TO own.v DO INSTEAD NOTHING;
CREATE POLICY po ON own.t USING (i IN (SELECT i FROM own.e));
ALTER TABLE own.t ENABLE ROW LEVEL SECURITY;
CREATE STATISTICS own.st ON i, v FROM own.t; CREATE STATISTICS own.sm ON a, (a + 1) FROM own.m;
ALTER TABLE own.p ATTACH PARTITION own.p1 FOR VALUES FROM (0) TO (10);
CREATE TABLE own.p2 PARTITION OF own.p FOR VALUES FROM (10) TO (20);
CREATE TABLE own.q1 PARTITION OF own.q FOR VALUES FROM (10) TO (20);
ALTER TABLE own.p ADD PRIMARY KEY (i);
CREATE INDEX mi ON own.m (a); ALTER VIEW own.v ALTER a SET DEFAULT 7;
CREATE TABLE own.child () INHERITS (own.parent);
CREATE TABLE own.counter (i serial, j int GENERATED ALWAYS AS IDENTITY);
ALTER SEQUENCE own.sq OWNED BY own.e.i; ALTER SEQUENCE own.mine_too OWNED BY own.counter.j;
CREATE SEQUENCE own.fresh OWNED BY own.counted.i;
ALTER TABLE own.counted ALTER j ADD GENERATED ALWAYS AS IDENTITY;
ALTER PUBLICATION pb ADD TABLE own.t, own.mine; CREATE PUBLICATION new FOR TABLE own.t, own.mine;
"""
RIGHTS = """
GRANT USAGE, CREATE ON SCHEMA own TO PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA own TO PUBLIC;
GRANT ALL ON ALL SEQUENCES IN SCHEMA own TO PUBLIC;
"""
GIVE = """
ALTER SCHEMA own OWNER TO {p}other; ALTER PUBLICATION pb OWNER TO {p}other;
SELECT format('ALTER %s own.%I OWNER TO {p}other', CASE relkind WHEN 'S' THEN 'SEQUENCE'
    WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, relname)
FROM pg_class WHERE relnamespace = 'own'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype IN ('a', 'i')
                    AND refclassid = 'pg_class'::regclass AND refobjsubid > 0) \\gexec
ALTER FUNCTION own.tf OWNER TO {p}other;
"""
OWNERS = {
    "constraint own.t t_pkey", "constraint own.t un", "check constraint own.t pos",
    "constraint own.t t_v_excl", "index own.ti", 'index own."Odd i"',
    "fk constraint own.e e_i_fkey",
    "trigger own.e off", "rule own.t r", "rule own.v rv", "policy own.t po", "row security own.t",
    "statistics own.st", "table attach own.p1", "table attach own.p2", "table attach own.q1",
    "index attach own.q1_pkey", "constraint own.p p_pkey", "index own.mi", "default own.v a",
    "table own.child", "sequence owned by own.sq", "sequence own.counted_j_seq",
}  # fmt: skip
GRANTS = ["TRIGGER", "REFERENCES", "MAINTAIN"]


@pytest.mark.parametrize("major", [16, 18])
@pytest.mark.parametrize("granted", [False, True])
def test_statements_on_relations_of_others_are_named(
    make_pair: Callable[[int, int], Pair], major: int, granted: bool
) -> None:
    pair = make_pair(major, major)
    source, target = pair.source(), pair.target()
    rights = GRANTS if major > 16 else GRANTS[:2]
    with prefixed(pair) as prefix:
        servers.run_script(source, f"CREATE ROLE {prefix}other;" + THERE + MORE)
        servers.run_script(source, GIVE.format(p=prefix))
        # The databases of both are on servers that may be one.
        other = (
            f"SELECT 'CREATE ROLE {prefix}other' WHERE to_regrole('{prefix}other') IS NULL \\gexec"
        )
        servers.run_script(target, other + "\n" + THERE + RIGHTS + GIVE.format(p=prefix))
        me = limited(pair, f"{prefix}me_", "CREATEROLE")
        if granted:
            servers.run_script(
                target,
                f"GRANT {', '.join(rights)} ON ALL TABLES IN SCHEMA own TO {prefix}me_limited",
            )
        found, report = assert_foreseen(source, me, publications=True, verify=False)
        refused = found["relation_refused"]
        assert OWNERS - refused == set()
        by_right = {
            "trigger own.t tr", "trigger own.v tv", "trigger own.mine late",
            "fk constraint own.mine mine_i_fkey",
        }  # fmt: skip
        assert by_right & refused == (set() if granted else by_right)
        views = {"refresh own.m", 'refresh own."Odd m"'}
        assert views & refused == (set() if granted and major > 16 else views)
        assert not report.ok
        # What has one owner's name as its cause takes one statement.
        owned = [
            one
            for one in report.findings
            if one.check == "relation_refused" and one.object == f"{prefix}other"
        ]
        assert len(owned) == 1 and OWNERS - set(owned[0].objects) == set()
        servers.run_script(target, owned[0].remedy.split(": ", 1)[1])
        assert "relation_refused" not in foreseen(source, me, {"publications": True})
