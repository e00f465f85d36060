-- Objects that migrations get wrong: constraints of every state, partition trees, chained materialized
-- views, sequences, triggers, rights. Runs in PostgreSQL 13 and newer, outside a transaction.

\set QUIET on
SET client_min_messages = warning;
SET TimeZone = 'UTC';

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['odd_owner', 'odd_reader', 'odd_writer'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        END IF;
    END LOOP;
END
$$;
GRANT odd_reader TO odd_writer;

CREATE SCHEMA objects;
CREATE SCHEMA owned AUTHORIZATION odd_owner;
SET search_path = objects;

-- Constraints

CREATE TABLE deferred (
    id integer PRIMARY KEY DEFERRABLE INITIALLY DEFERRED,
    place integer CONSTRAINT deferred_place_key UNIQUE DEFERRABLE INITIALLY IMMEDIATE,
    code integer CONSTRAINT deferred_code_key UNIQUE,
    previous integer CONSTRAINT deferred_previous_fkey REFERENCES deferred (code) DEFERRABLE INITIALLY DEFERRED
);
BEGIN;
-- Every row but the last one refers to a row that comes after it.
INSERT INTO deferred SELECT n, n, n * 10, NULLIF((n + 1) * 10, 210) FROM generate_series(1, 20) AS n;
COMMIT;

CREATE TABLE parent (
    id integer PRIMARY KEY,
    a integer NOT NULL,
    b text NOT NULL,
    CONSTRAINT parent_pair UNIQUE (a, b)
);
INSERT INTO parent SELECT n, n % 10, 'b' || n FROM generate_series(1, 100) AS n;
CREATE TABLE child (
    id integer PRIMARY KEY,
    parent_id integer,
    a integer,
    b text,
    CONSTRAINT child_parent FOREIGN KEY (parent_id) REFERENCES parent ON UPDATE CASCADE ON DELETE SET NULL,
    CONSTRAINT child_pair FOREIGN KEY (a, b) REFERENCES parent (a, b) MATCH FULL ON DELETE CASCADE
);
INSERT INTO child SELECT n, n % 100 + 1, n % 10, 'b' || n FROM generate_series(1, 100) AS n;
INSERT INTO child VALUES (101, NULL, NULL, NULL);

-- Not valid, with rows that would break them.
CREATE TABLE not_valid (id integer PRIMARY KEY, parent_id integer, amount integer);
INSERT INTO not_valid VALUES (1, 1, 1), (2, 9999, 2), (3, 3, -3);
ALTER TABLE not_valid
    ADD CONSTRAINT not_valid_fkey FOREIGN KEY (parent_id) REFERENCES parent NOT VALID,
    ADD CONSTRAINT not_valid_check CHECK (amount > 0) NOT VALID,
    ADD CONSTRAINT valid_check CHECK (amount > -10);

CREATE TABLE reservations (
    id integer PRIMARY KEY,
    room integer NOT NULL,
    during tsrange NOT NULL,
    CONSTRAINT reservations_apart EXCLUDE USING gist (int4range(room, room, '[]') WITH &&, during WITH &&),
    CONSTRAINT reservations_apart_later EXCLUDE USING gist (during WITH &&) WHERE (room = 0) DEFERRABLE INITIALLY DEFERRED
);
INSERT INTO reservations
SELECT n, 1 + n % 5, tsrange(timestamp '2026-01-01' + n * interval '1 hour', timestamp '2026-01-01' + (n + 4) * interval '1 hour')
FROM generate_series(1, 200) AS n;

CREATE TABLE inherits_check (id integer, CONSTRAINT kept_to_itself CHECK (id > 0) NO INHERIT, CONSTRAINT passed_on CHECK (id < 1000));

-- Rows twice, without a key to distinguish them; a replica identity all the same.
CREATE TABLE keyless (a integer, b text);
INSERT INTO keyless SELECT n % 3, CASE WHEN n % 4 > 0 THEN 'same' END FROM generate_series(1, 1000) AS n;
ALTER TABLE keyless REPLICA IDENTITY FULL;
CREATE TABLE replica_by_index (a integer NOT NULL, b text);
CREATE UNIQUE INDEX replica_by_index_a ON replica_by_index (a);
ALTER TABLE replica_by_index REPLICA IDENTITY USING INDEX replica_by_index_a;

-- A number to split by that a tenth of the rows does not have.
CREATE TABLE nullable_key (number integer, payload text);
INSERT INTO nullable_key SELECT NULLIF(n, n / 10 * 10), 'row ' || n FROM generate_series(1, 5000) AS n;
CREATE UNIQUE INDEX nullable_key_number ON nullable_key (number);
CREATE TABLE text_key (code text PRIMARY KEY, payload integer);
INSERT INTO text_key SELECT translate((n * 7919 % 5000)::text, '0123456789', 'aZbYcXdWeV') || '-' || n, n FROM generate_series(1, 3000) AS n;
CREATE TABLE composite_key (a integer, b text, c date, payload integer, PRIMARY KEY (b, a, c));
INSERT INTO composite_key SELECT n % 7, 'b' || n % 11, date '2026-01-01' + n, n FROM generate_series(1, 3000) AS n;
CREATE TABLE skewed_key (id bigint PRIMARY KEY, payload text);
INSERT INTO skewed_key SELECT n, 'x' FROM generate_series(1, 2000) AS n;
INSERT INTO skewed_key VALUES (-9223372036854775808, 'first'), (9223372036854775807, 'last'), (4000000000, 'far');

-- Indexes

CREATE TABLE indexed (id integer, a text, b integer, c jsonb, d int4range, p point);
INSERT INTO indexed SELECT n, 'a' || n % 50, n % 20, jsonb_build_object('n', n), int4range(n, n + 5), point(n, -n) FROM generate_series(1, 1000) AS n;
CREATE INDEX indexed_expression ON indexed ((lower(a) || b::text), (b % 7) DESC NULLS LAST);
CREATE INDEX indexed_partial ON indexed (b) WHERE a LIKE 'a1%' AND b IS NOT NULL;
CREATE UNIQUE INDEX indexed_covering ON indexed (id) INCLUDE (a, b) WITH (fillfactor = 70);
CREATE INDEX indexed_collation ON indexed (a COLLATE "C" text_pattern_ops);
CREATE INDEX indexed_gin ON indexed USING gin (c jsonb_path_ops) WITH (fastupdate = off);
CREATE INDEX indexed_gist ON indexed USING gist (d);
CREATE INDEX indexed_spgist ON indexed USING spgist (p);
CREATE INDEX indexed_brin ON indexed USING brin (id) WITH (pages_per_range = 8);
CREATE INDEX indexed_hash ON indexed USING hash (a);
ALTER INDEX indexed_expression ALTER COLUMN 1 SET STATISTICS 300;
ALTER TABLE indexed CLUSTER ON indexed_covering;
CREATE STATISTICS indexed_statistics (ndistinct, dependencies, mcv) ON a, b FROM indexed;
ALTER STATISTICS indexed_statistics SET STATISTICS 250;

-- Fails on the duplicates, and leaves an invalid index behind.
CREATE TABLE duplicates (a integer);
INSERT INTO duplicates VALUES (1), (1), (2);
\set was_on :ON_ERROR_STOP
\set ON_ERROR_STOP off
CREATE UNIQUE INDEX CONCURRENTLY duplicates_invalid ON duplicates (a);
\set ON_ERROR_STOP :was_on
CREATE INDEX duplicates_valid ON duplicates (a);

-- Partitions and inheritance

CREATE TABLE measured (
    region text NOT NULL,
    taken date NOT NULL,
    id integer NOT NULL,
    value numeric DEFAULT 1.5,
    parent_id integer REFERENCES parent,
    PRIMARY KEY (region, taken, id),
    CONSTRAINT measured_id_above_zero CHECK (id > 0)
) PARTITION BY LIST (region);
CREATE TABLE measured_north PARTITION OF measured FOR VALUES IN ('north') PARTITION BY RANGE (taken);
CREATE TABLE measured_north_2025 PARTITION OF measured_north FOR VALUES FROM (MINVALUE) TO ('2026-01-01') PARTITION BY HASH (id);
CREATE TABLE measured_north_2025_0 PARTITION OF measured_north_2025 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE measured_north_2025_1 PARTITION OF measured_north_2025 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
-- Columns in another order than the root's, one dropped, an own default and an index of its own.
CREATE TABLE measured_north_2026 (gone text, value numeric DEFAULT 2.5, id integer NOT NULL, parent_id integer, taken date NOT NULL, region text NOT NULL, CONSTRAINT measured_id_above_zero CHECK (id > 0));
ALTER TABLE measured_north_2026 DROP COLUMN gone;
ALTER TABLE measured_north ATTACH PARTITION measured_north_2026 FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
CREATE INDEX measured_north_2026_own ON measured_north_2026 (value);
CREATE TABLE measured_other PARTITION OF measured DEFAULT;
-- A partition in another schema, and a root without any.
CREATE TABLE owned.measured_south PARTITION OF measured FOR VALUES IN ('south');
CREATE TABLE no_partitions (a integer) PARTITION BY RANGE (a);
INSERT INTO measured
SELECT (ARRAY['north', 'south', 'east'])[1 + n % 3], date '2025-06-01' + n % 400, n, n / 7.0, 1 + n % 100
FROM generate_series(1, 3000) AS n;
CREATE INDEX measured_by_value ON measured (value);
CREATE UNIQUE INDEX measured_unique ON measured (id, taken, region);
-- References to a partitioned table, to one of its leaves, and from one to another.
CREATE TABLE refers_to_partitioned (
    id integer PRIMARY KEY,
    region text, taken date, measured_id integer,
    FOREIGN KEY (region, taken, measured_id) REFERENCES measured
);
INSERT INTO refers_to_partitioned SELECT id, region, taken, id FROM measured WHERE id % 5 = 0;
CREATE TABLE partitioned_refers (
    region text, taken date, measured_id integer,
    CONSTRAINT partitioned_refers_fkey FOREIGN KEY (region, taken, measured_id) REFERENCES measured ON DELETE CASCADE
) PARTITION BY HASH (measured_id);
CREATE TABLE partitioned_refers_0 PARTITION OF partitioned_refers FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE partitioned_refers_1 PARTITION OF partitioned_refers FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE partitioned_refers_2 PARTITION OF partitioned_refers FOR VALUES WITH (MODULUS 3, REMAINDER 2);
INSERT INTO partitioned_refers SELECT region, taken, id FROM measured WHERE id % 4 = 0;

CREATE TYPE shade AS ENUM ('light', 'dark', 'medium');
CREATE TABLE by_shade (shade shade NOT NULL, id integer) PARTITION BY LIST (shade);
CREATE TABLE by_shade_light PARTITION OF by_shade FOR VALUES IN ('light', 'medium');
CREATE TABLE by_shade_other PARTITION OF by_shade DEFAULT;
INSERT INTO by_shade SELECT (enum_range(NULL::shade))[1 + n % 3], n FROM generate_series(1, 300) AS n;

CREATE TABLE ancestor (id integer PRIMARY KEY, name text);
CREATE TABLE descendant (extra integer) INHERITS (ancestor);
CREATE TABLE grandchild (more date DEFAULT '2026-01-01', CHECK (id > 0)) INHERITS (descendant);
CREATE TABLE second_ancestor (name text, other boolean);
CREATE TABLE two_ancestors (own text) INHERITS (ancestor, second_ancestor);
INSERT INTO ancestor SELECT n, 'ancestor' FROM generate_series(1, 10) AS n;
INSERT INTO descendant SELECT n, 'descendant', n FROM generate_series(1, 10) AS n;
INSERT INTO grandchild SELECT n, 'grandchild', n FROM generate_series(1, 10) AS n;
INSERT INTO two_ancestors SELECT n, 'two', true, 'own' FROM generate_series(1, 10) AS n;

CREATE UNLOGGED TABLE unlogged (id integer PRIMARY KEY, value text);
INSERT INTO unlogged SELECT n, 'kept' FROM generate_series(1, 50) AS n;
CREATE TABLE with_options (id integer, value text) WITH (fillfactor = 50, autovacuum_enabled = false, toast.autovacuum_enabled = false);

-- Functions whose bodies name other objects without their schema

CREATE TABLE rates (code text PRIMARY KEY, rate numeric NOT NULL);
INSERT INTO rates VALUES ('a', 1.5), ('b', 2.5);
CREATE FUNCTION helper(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE FUNCTION calls_helper(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE SET search_path = objects
    AS 'BEGIN RETURN helper($1) + 1; END';
CREATE FUNCTION looks_up(text) RETURNS numeric LANGUAGE plpgsql STABLE SET search_path = objects, pg_temp
    AS 'BEGIN RETURN (SELECT rate FROM rates WHERE code = $1); END';
CREATE TABLE uses_functions (
    id integer PRIMARY KEY CHECK (calls_helper(id) > 0),
    doubled integer GENERATED ALWAYS AS (calls_helper(id)) STORED,
    code text REFERENCES rates CHECK (looks_up(code) > 1)
);
INSERT INTO uses_functions (id, code) SELECT n, CASE WHEN n % 2 = 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 100) AS n;
CREATE INDEX uses_functions_index ON uses_functions (calls_helper(id));
CREATE FUNCTION default_code() RETURNS text LANGUAGE sql AS $$SELECT 'a'$$;
ALTER TABLE uses_functions ALTER COLUMN code SET DEFAULT default_code();
-- A function that returns a table's rows, and a view on that function.
CREATE FUNCTION all_rates() RETURNS SETOF rates LANGUAGE sql STABLE SET search_path = objects AS 'SELECT * FROM rates';
CREATE VIEW rates_view AS SELECT * FROM all_rates();

-- Views

CREATE MATERIALIZED VIEW third AS SELECT a, count(*) AS parents FROM parent GROUP BY a;
CREATE UNIQUE INDEX third_a ON third (a);
CREATE VIEW second_view AS SELECT a, parents, a * 2 AS twice FROM third;
CREATE MATERIALIZED VIEW first AS SELECT sum(parents) AS parents, count(*) AS rows FROM second_view;
CREATE UNIQUE INDEX first_parents ON first (parents);
-- Sorts before what it reads.
CREATE MATERIALIZED VIEW a_matview AS SELECT parents FROM first;
CREATE MATERIALIZED VIEW never_filled AS SELECT id FROM parent WITH NO DATA;
CREATE UNIQUE INDEX never_filled_id ON never_filled (id);
-- Groups by a primary key, so that the view needs the constraint.
CREATE VIEW needs_primary_key AS SELECT parent.id, parent.b, count(child.id) FROM parent LEFT JOIN child ON child.parent_id = parent.id GROUP BY parent.id;
CREATE VIEW with_rule AS SELECT id, a FROM parent WHERE a = 3;
CREATE RULE with_rule_insert AS ON INSERT TO with_rule DO INSTEAD INSERT INTO parent (id, a, b) VALUES (NEW.id, 3, 'ruled') RETURNING id, a;
CREATE RULE parent_rule AS ON DELETE TO parent WHERE OLD.id < 0 DO INSTEAD NOTHING;

-- Sequences

CREATE SEQUENCE standalone START 100 INCREMENT 7;
SELECT nextval('standalone') FROM generate_series(1, 3);
CREATE SEQUENCE never_called START 42;
CREATE SEQUENCE set_but_not_called;
SELECT setval('set_but_not_called', 500, false);
CREATE SEQUENCE descending_seq INCREMENT -2 MINVALUE -100 MAXVALUE -1 START -1;
SELECT nextval('descending_seq') FROM generate_series(1, 4);
CREATE SEQUENCE cyclic AS smallint MINVALUE 1 MAXVALUE 3 CYCLE CACHE 1;
SELECT nextval('cyclic') FROM generate_series(1, 5);
CREATE SEQUENCE at_its_end AS smallint;
SELECT setval('at_its_end', 32767);
CREATE SEQUENCE shared CACHE 10;
CREATE TABLE shares_one (id bigint DEFAULT nextval('objects.shared') PRIMARY KEY);
CREATE TABLE shares_two (id bigint DEFAULT nextval('objects.shared') PRIMARY KEY);
INSERT INTO shares_one SELECT FROM generate_series(1, 3);
INSERT INTO shares_two SELECT FROM generate_series(1, 3);
CREATE TABLE serials (small smallserial, normal serial, big bigserial);
INSERT INTO serials SELECT FROM generate_series(1, 5);
CREATE TABLE owns_another (id serial PRIMARY KEY, other integer);
CREATE SEQUENCE owned.owns_elsewhere OWNED BY NONE;
CREATE SEQUENCE owned_later OWNED BY owns_another.other;
CREATE TABLE identities (a integer GENERATED ALWAYS AS IDENTITY (START 1000 INCREMENT 10 CYCLE MAXVALUE 1050), b bigint GENERATED BY DEFAULT AS IDENTITY);
INSERT INTO identities SELECT FROM generate_series(1, 8);

-- Triggers, in all states

CREATE TABLE triggered (id integer PRIMARY KEY, value text, touched integer DEFAULT 0);
CREATE TABLE trigger_log (id bigserial, trigger_name text, row_id integer);
CREATE FUNCTION log_trigger() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO objects.trigger_log (trigger_name, row_id) VALUES (TG_NAME, NEW.id);
    RETURN NEW;
END
$$;
CREATE FUNCTION forbid() RETURNS trigger
    LANGUAGE plpgsql
    AS $$BEGIN RAISE EXCEPTION 'no more rows'; END$$;
CREATE TRIGGER usual AFTER INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION log_trigger();
CREATE TRIGGER on_replica BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION log_trigger();
CREATE TRIGGER when_always AFTER UPDATE OF value ON triggered FOR EACH ROW WHEN (NEW.value <> 'x') EXECUTE FUNCTION log_trigger();
CREATE TRIGGER switched_off BEFORE INSERT OR DELETE OR TRUNCATE ON triggered FOR EACH STATEMENT EXECUTE FUNCTION forbid();
CREATE CONSTRAINT TRIGGER checks_later AFTER INSERT ON triggered DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION log_trigger();
CREATE TRIGGER with_tables AFTER UPDATE ON triggered REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION log_trigger('an', 'argument''s');
ALTER TABLE triggered DISABLE TRIGGER switched_off, ENABLE REPLICA TRIGGER on_replica, ENABLE ALWAYS TRIGGER when_always, DISABLE TRIGGER with_tables;
INSERT INTO triggered SELECT n, 'value' FROM generate_series(1, 10) AS n;
CREATE TRIGGER on_partitioned AFTER INSERT ON measured FOR EACH ROW EXECUTE FUNCTION log_trigger();
ALTER TABLE measured_other DISABLE TRIGGER on_partitioned;
CREATE FUNCTION instead_of() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER instead INSTEAD OF UPDATE ON second_view FOR EACH ROW EXECUTE FUNCTION instead_of();
-- Would break a load that does not keep it from firing.
CREATE TABLE guarded (id integer);
INSERT INTO guarded SELECT generate_series(1, 10);
CREATE TRIGGER no_more BEFORE INSERT ON guarded FOR EACH ROW EXECUTE FUNCTION forbid();

CREATE FUNCTION on_command() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM 1; END';
CREATE EVENT TRIGGER odd_commands ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'DROP TABLE') EXECUTE FUNCTION on_command();
CREATE EVENT TRIGGER odd_commands_off ON sql_drop EXECUTE FUNCTION on_command();
ALTER EVENT TRIGGER odd_commands_off DISABLE;

-- Row security

CREATE TABLE secured (id integer PRIMARY KEY, owner text NOT NULL);
INSERT INTO secured SELECT n, CASE WHEN n % 2 = 0 THEN 'odd_reader' ELSE 'odd_writer' END FROM generate_series(1, 20) AS n;
ALTER TABLE secured ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON secured FOR SELECT TO odd_reader, odd_writer USING (owner = CURRENT_USER);
CREATE POLICY writes ON secured AS RESTRICTIVE FOR UPDATE TO odd_writer USING (true) WITH CHECK (owner <> 'root');
CREATE TABLE policy_without_security (id integer);
CREATE POLICY sleeping ON policy_without_security FOR INSERT WITH CHECK (id > 0);

-- Owners and rights

CREATE TABLE owned.belongs_to_role (id serial PRIMARY KEY, a integer, b text);
INSERT INTO owned.belongs_to_role (a) SELECT n FROM generate_series(1, 5) AS n;
ALTER TABLE owned.belongs_to_role OWNER TO odd_owner;
ALTER FUNCTION helper(integer) OWNER TO odd_owner;
ALTER TYPE shade OWNER TO odd_owner;
ALTER VIEW rates_view OWNER TO odd_owner;
ALTER MATERIALIZED VIEW third OWNER TO odd_owner;
GRANT USAGE, CREATE ON SCHEMA objects TO odd_owner;
GRANT SELECT ON parent TO odd_owner WITH GRANT OPTION;
SET ROLE odd_owner;
GRANT SELECT ON objects.parent TO odd_reader;
RESET ROLE;
GRANT SELECT (id, a), UPDATE (b) ON parent TO odd_writer;
GRANT ALL ON child TO odd_writer;
GRANT SELECT ON measured TO PUBLIC;
REVOKE ALL ON keyless FROM postgres;
GRANT SELECT ON keyless TO postgres;
GRANT USAGE ON SEQUENCE standalone TO odd_reader;
REVOKE ALL ON FUNCTION helper(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION helper(integer) TO odd_reader;
REVOKE USAGE ON TYPE shade FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE odd_owner IN SCHEMA owned GRANT SELECT ON TABLES TO odd_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE odd_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA objects GRANT USAGE ON SEQUENCES TO odd_writer;

-- The rest: operators, casts, text search, publications, foreign data

CREATE TYPE scaled AS (value integer);
CREATE FUNCTION scaled_less(scaled, scaled) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1.value < $2.value';
CREATE FUNCTION scaled_from_text(text) RETURNS scaled LANGUAGE sql IMMUTABLE AS 'SELECT ROW($1::integer)::objects.scaled';
CREATE OPERATOR <<< (LEFTARG = scaled, RIGHTARG = scaled, FUNCTION = scaled_less);
CREATE CAST (text AS scaled) WITH FUNCTION scaled_from_text(text) AS ASSIGNMENT;
CREATE TEXT SEARCH DICTIONARY plain (TEMPLATE = pg_catalog.simple);
CREATE TEXT SEARCH CONFIGURATION searched (COPY = pg_catalog.simple);
ALTER TEXT SEARCH CONFIGURATION searched ALTER MAPPING FOR asciiword WITH plain;
CREATE FOREIGN DATA WRAPPER no_handler;
CREATE SERVER nowhere FOREIGN DATA WRAPPER no_handler OPTIONS (host 'example.org');
CREATE FOREIGN TABLE far_away (id integer, value text) SERVER nowhere OPTIONS (name 'there');
CREATE PUBLICATION odd_publication FOR TABLE parent, child WITH (publish = 'insert, update');

-- Large objects

SELECT lo_from_bytea(50001, 'first'::bytea);
SELECT lo_from_bytea(50002, ''::bytea);
SELECT lo_from_bytea(50003, decode(repeat('00ff5c0a', 20000), 'hex'));
-- A hole: nothing was ever written before the last page.
SELECT lo_create(50004);
SELECT lo_put(50004, 1000000, 'after a hole'::bytea);
ALTER LARGE OBJECT 50003 OWNER TO odd_owner;
GRANT SELECT ON LARGE OBJECT 50001 TO odd_reader;
GRANT SELECT, UPDATE ON LARGE OBJECT 50003 TO odd_writer;
COMMENT ON LARGE OBJECT 50001 IS 'a large object''s comment';
CREATE TABLE holds_large_objects (id integer PRIMARY KEY, content oid);
INSERT INTO holds_large_objects VALUES (1, 50001), (2, 50003), (3, NULL);

-- Comments

COMMENT ON SCHEMA objects IS 'a schema';
COMMENT ON TABLE parent IS 'a table';
COMMENT ON COLUMN parent.b IS 'a column';
COMMENT ON CONSTRAINT parent_pair ON parent IS 'a constraint';
COMMENT ON CONSTRAINT child_parent ON child IS 'a foreign key';
COMMENT ON INDEX indexed_partial IS 'an index';
COMMENT ON INDEX measured_by_value IS 'a partitioned index';
COMMENT ON SEQUENCE standalone IS 'a sequence';
COMMENT ON VIEW second_view IS 'a view';
COMMENT ON COLUMN second_view.twice IS 'a column of a view';
COMMENT ON MATERIALIZED VIEW third IS 'a materialized view';
COMMENT ON FUNCTION helper(integer) IS 'a function';
COMMENT ON TRIGGER usual ON triggered IS 'a trigger';
COMMENT ON EVENT TRIGGER odd_commands IS 'an event trigger';
COMMENT ON POLICY own_rows ON secured IS 'a policy';
COMMENT ON RULE parent_rule ON parent IS 'a rule';
COMMENT ON STATISTICS indexed_statistics IS 'a statistics object';
COMMENT ON TYPE shade IS 'a type';
COMMENT ON PUBLICATION odd_publication IS 'a publication';
COMMENT ON FOREIGN TABLE far_away IS 'a foreign table';
COMMENT ON CAST (text AS scaled) IS 'a cast';
ANALYZE;
