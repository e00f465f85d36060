-- Objects for which the dependencies of an archive do not name all that they need, or that read tables through
-- functions: what restores them in another order than pg_restore, or while the rows that they read are copied, fails or
-- makes another database. Runs in PostgreSQL 13 and newer, outside a transaction.

\set QUIET on
SET client_min_messages = warning;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'order_tenant') THEN
        CREATE ROLE order_tenant NOLOGIN;
    END IF;
END
$$;

CREATE SCHEMA ordered;
SET search_path = ordered;

-- User mappings have no dependency on their server in the archive.

CREATE FOREIGN DATA WRAPPER ordered_wrapper;
CREATE SERVER ordered_server FOREIGN DATA WRAPPER ordered_wrapper OPTIONS (place 'far away');
CREATE USER MAPPING FOR PUBLIC SERVER ordered_server OPTIONS (visitor 'anyone');
CREATE USER MAPPING FOR order_tenant SERVER ordered_server OPTIONS (visitor 'tenant');
CREATE FOREIGN TABLE far (id integer OPTIONS (field 'ID')) SERVER ordered_server;

-- An operator makes a shell of its commutator and negator, which a later statement fills.

CREATE TYPE span AS (low integer, high integer);
CREATE FUNCTION span_below(span, span) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN ($1).high < ($2).low;
CREATE FUNCTION span_above(span, span) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN ($1).low > ($2).high;
CREATE FUNCTION span_not_below(span, span) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN ($1).high >= ($2).low;
CREATE FUNCTION span_not_above(span, span) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN ($1).low <= ($2).high;
CREATE OPERATOR <<| (
    LEFTARG = span, RIGHTARG = span, FUNCTION = span_below,
    COMMUTATOR = OPERATOR(ordered.|>>), NEGATOR = OPERATOR(ordered.&<|)
);
CREATE OPERATOR |>> (
    LEFTARG = span, RIGHTARG = span, FUNCTION = span_above,
    COMMUTATOR = OPERATOR(ordered.<<|), NEGATOR = OPERATOR(ordered.|&>)
);
CREATE OPERATOR &<| (
    LEFTARG = span, RIGHTARG = span, FUNCTION = span_not_below,
    COMMUTATOR = OPERATOR(ordered.|&>), NEGATOR = OPERATOR(ordered.<<|)
);
CREATE OPERATOR |&> (
    LEFTARG = span, RIGHTARG = span, FUNCTION = span_not_above,
    COMMUTATOR = OPERATOR(ordered.&<|), NEGATOR = OPERATOR(ordered.|>>)
);

-- NOT NULL constraints have names from 18 on, and LIKE copies them.

CREATE TABLE placed (id integer PRIMARY KEY, day date NOT NULL, note text NOT NULL);
CREATE TABLE placed_archive (LIKE placed INCLUDING ALL);
CREATE TABLE placed_copy (LIKE placed);
INSERT INTO placed SELECT n, DATE '2026-01-01' + n, 'note ' || n FROM generate_series(1, 50) AS n;
INSERT INTO placed_archive SELECT * FROM placed;
INSERT INTO placed_copy SELECT * FROM placed;

-- Foreign keys are checked by their owner, whom FORCE ROW LEVEL SECURITY would filter.

CREATE TABLE tenant_order (id integer PRIMARY KEY, tenant integer NOT NULL, note text);
CREATE TABLE tenant_line (id integer PRIMARY KEY, order_id integer NOT NULL REFERENCES tenant_order, tenant integer);
INSERT INTO tenant_order SELECT n, n % 5, 'order ' || n FROM generate_series(1, 300) AS n;
INSERT INTO tenant_line SELECT n, 1 + n % 300, n % 5 FROM generate_series(1, 900) AS n;
ALTER TABLE tenant_order ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_order FORCE ROW LEVEL SECURITY;
ALTER TABLE tenant_line ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant_line FORCE ROW LEVEL SECURITY;
CREATE POLICY own_orders ON tenant_order USING (tenant = current_setting('ordered.tenant')::integer);
CREATE POLICY own_lines ON tenant_line USING (tenant = current_setting('ordered.tenant')::integer);

-- Functions that read a larger table than the one whose rows call them.

CREATE TABLE zz_kind (kind text PRIMARY KEY, label text);
INSERT INTO zz_kind SELECT 'k' || n, repeat('x', 200) || n FROM generate_series(1, 3000) AS n;
CREATE FUNCTION is_kind(text) RETURNS boolean LANGUAGE sql STABLE SET search_path = ordered
    AS $$ SELECT EXISTS (SELECT FROM zz_kind WHERE kind = $1) $$;
CREATE FUNCTION kind_size(text) RETURNS integer LANGUAGE plpgsql IMMUTABLE SET search_path = ordered
    AS $$ BEGIN RETURN (SELECT length(label) FROM zz_kind WHERE kind = $1); END $$;

CREATE TABLE bill (id integer PRIMARY KEY, kind text, CONSTRAINT bill_kind CHECK (is_kind(kind)));
INSERT INTO bill SELECT n, 'k' || (1 + n % 3000) FROM generate_series(1, 500) AS n;

CREATE DOMAIN known_kind AS text CONSTRAINT known_kind_check CHECK (VALUE IS NULL OR is_kind(VALUE));
CREATE TABLE asset (id integer PRIMARY KEY, kind known_kind, kinds known_kind[]);
INSERT INTO asset SELECT n, 'k' || n, ARRAY['k1', 'k' || n] FROM generate_series(1, 200) AS n;

CREATE TABLE sized (
    id integer PRIMARY KEY,
    kind text NOT NULL,
    size integer GENERATED ALWAYS AS (kind_size(kind)) STORED
);
INSERT INTO sized SELECT n, 'k' || n FROM generate_series(1, 200) AS n;

CREATE TABLE indexed (id integer PRIMARY KEY, kind text NOT NULL);
INSERT INTO indexed SELECT n, 'k' || n FROM generate_series(1, 200) AS n;
CREATE INDEX indexed_by_size ON indexed (kind_size(kind));
CREATE UNIQUE INDEX indexed_where_large ON indexed (id) WHERE kind_size(kind) > 202;

-- A materialized view that reads another one through a function.

CREATE FUNCTION sizes() RETURNS TABLE (size integer, many bigint) LANGUAGE plpgsql STABLE SET search_path = ordered
    AS $$ BEGIN RETURN QUERY SELECT v.size, v.many FROM zz_sizes v; END $$;
CREATE MATERIALIZED VIEW zz_sizes AS SELECT length(label) AS size, count(*) AS many FROM zz_kind GROUP BY 1;
CREATE MATERIALIZED VIEW aa_sizes AS SELECT size, many FROM sizes();
CREATE UNIQUE INDEX aa_sizes_size ON aa_sizes (size);

-- What must not see rows come in.

CREATE TABLE audited (id integer PRIMARY KEY, note text);
CREATE TABLE audit_log (id integer, note text);
INSERT INTO audited SELECT n, 'n' || n FROM generate_series(1, 100) AS n;
CREATE RULE audited_insert AS ON INSERT TO audited DO ALSO INSERT INTO audit_log VALUES (NEW.id, 'rule');
CREATE FUNCTION write_audit() RETURNS trigger LANGUAGE plpgsql SET search_path = ordered
    AS $$ BEGIN INSERT INTO audit_log VALUES (NEW.id, 'trigger'); RETURN NULL; END $$;
CREATE TRIGGER audited_before BEFORE INSERT ON audited FOR EACH ROW EXECUTE FUNCTION write_audit();
ALTER TABLE audited ENABLE ALWAYS TRIGGER audited_before;
