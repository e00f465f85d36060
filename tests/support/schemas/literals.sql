-- Literals with backslashes and quotes wherever a schema can hold one, and values whose text form settings decide.
SET check_function_bodies = off;
CREATE SCHEMA s;
CREATE TYPE s.odd AS ENUM ('a\b', 'it''s', 'NULL');
CREATE DOMAIN s.path AS text DEFAULT 'c:\new' CHECK (VALUE <> 'no\pe');
CREATE TABLE s."Odd ""Name" (
    "select" int PRIMARY KEY, path text DEFAULT 'a\b\\c''d' CHECK (path <> 'x\y' AND path <> 'x\\y'),
    kind s.odd DEFAULT 'a\b', place s.path, made text GENERATED ALWAYS AS ('\' || path || '\\') STORED);
INSERT INTO s."Odd ""Name" ("select", path) VALUES (1, 'plain'), (2, 'back\slash'), (3, 'quo''te'), (4, DEFAULT);
CREATE TABLE s.t (
    id int PRIMARY KEY, words text[] DEFAULT ARRAY['NULL', NULL], m money DEFAULT 1234.56::money, i interval,
    d date DEFAULT '2026-02-03', ts timestamptz DEFAULT '2026-02-03 04:05:06+00', tt timetz, f float8, r real,
    b bytea DEFAULT '\x5c00', n numeric, j jsonb, deep text[][]);
INSERT INTO s.t VALUES (1, ARRAY['NULL', NULL, 'null', '\', '"', 'a b', ''], 1234567.89::money, '-1 day +02:03:04.5',
    '0044-03-15 BC', '1999-12-31 23:59:59.5+00', '04:05:06+03:30', 0.1::float8 + 0.2, 1.1e-38, '\x005c27ff', 'NaN',
    '{"a": "\\"}', '{{a,NULL},{NULL,"\\"}}'), (2, '{}', (-0.01)::numeric::money, '-2 years -3 mons 4 days -05:06', 'infinity',
    '-infinity', '24:00:00-11', 1e-307, '-0', '', 12.340, 'null', NULL);
CREATE TABLE s.parts (k text, at timestamptz) PARTITION BY LIST (k);
CREATE TABLE s.parts_a PARTITION OF s.parts FOR VALUES IN ('a\b', 'it''s', NULL) PARTITION BY RANGE (at);
CREATE TABLE s.parts_a1 PARTITION OF s.parts_a FOR VALUES FROM ('2026-01-01 00:30+00') TO ('2026-02-03 00:00+00');
CREATE TABLE s.parts_a2 PARTITION OF s.parts_a DEFAULT;
INSERT INTO s.parts VALUES ('a\b', '2026-01-01 00:30+00'), (NULL, '2026-01-01 00:29+00'), ('it''s', '2026-02-02 23:59+00');
CREATE TABLE s.tagged (id int PRIMARY KEY, tags text[], n int);
INSERT INTO s.tagged SELECT g, ARRAY['a'], NULL FROM generate_series(1, 300) g;
CREATE INDEX tagged_tags ON s.tagged USING gin (tags);
CREATE INDEX t_partial ON s."Odd ""Name" (path) WHERE path <> 'p\q' AND kind = 'a\b';
CREATE VIEW s.v AS SELECT 'a\b\\c' AS x, "select", path LIKE '%\\%' AS has, words, ts > '2026-01-01 00:00+00' AS late
    FROM s."Odd ""Name" JOIN s.t ON id = "select";
CREATE FUNCTION s.f(text DEFAULT 'd\e') RETURNS text LANGUAGE sql AS 'SELECT ''a\\b'' || $1';
CREATE FUNCTION s.later() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM s.made_after';
CREATE TABLE s.made_after (id int);
CREATE FUNCTION s.fire() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.path := 'fi\red' || NEW.path; RETURN NEW; END$$;
CREATE TRIGGER fire BEFORE INSERT ON s."Odd ""Name" FOR EACH ROW WHEN (NEW.path <> 'w\hen') EXECUTE FUNCTION s.fire('ar\g');
CREATE RULE r AS ON DELETE TO s.made_after DO INSTEAD UPDATE s."Odd ""Name" SET path = 'ru\le' WHERE path = 'wh\ere';
CREATE POLICY p ON s.made_after USING (id::text <> 'po\licy');
COMMENT ON TABLE s.t IS 'com\ment ''quoted''';
CREATE MATERIALIZED VIEW s.filled AS SELECT * FROM s.v;
