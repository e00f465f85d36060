-- Types and values that are easy to damage, and tables of an unusual shape. Runs in PostgreSQL 13 and
-- newer; what needs a later version, or a server built with libxml, is left out where that is missing.
-- Set has_xml to off for a source whose target has no libxml.

\set QUIET on
SET client_min_messages = warning;
SET client_encoding = 'UTF8';
SET TimeZone = 'UTC';
SELECT current_setting('server_version_num')::integer >= 140000 AS has_multiranges,
       current_setting('server_version_num')::integer >= 180000 AS has_virtual_columns \gset
\if :{?has_xml}
\else
SELECT EXISTS (SELECT FROM pg_config WHERE name = 'CONFIGURE' AND setting LIKE '%--with-libxml%') AS has_xml \gset
\endif

CREATE SCHEMA odd;
SET search_path = odd, pg_catalog;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'a "quoted", one', '');
-- Sorts before the others although it came last: its OID says nothing about its place.
ALTER TYPE mood ADD VALUE 'worse' BEFORE 'sad';
CREATE TYPE pair AS (number integer, word text);
CREATE TYPE nest AS (inner_pair pair, pairs pair[], moods mood[]);
CREATE TYPE text_range AS RANGE (SUBTYPE = text);
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN moods AS mood[] CHECK (cardinality(VALUE) < 5);
CREATE DOMAIN pair_domain AS pair CHECK ((VALUE).number IS DISTINCT FROM 13);

-- Numbers

CREATE TABLE floats (id integer PRIMARY KEY, single real, double double precision);
INSERT INTO floats VALUES
    (1, 'NaN', 'NaN'), (2, 'Infinity', 'Infinity'), (3, '-Infinity', '-Infinity'), (4, '-0', '-0'), (5, 0, 0),
    (6, '1.1754944e-38', '2.2250738585072014e-308'), (7, '3.4028235e38', '1.7976931348623157e308'),
    (8, '1e-45', '5e-324'), (9, 0.1, 0.1), (10, '1.00000012', '1.0000000000000002'),
    (11, 16777217, 9007199254740993), (12, NULL, NULL), (13, 1::real / 3, 1::double precision / 3);

CREATE TABLE numerics (id integer PRIMARY KEY, free numeric, fixed numeric(12, 4), wide numeric(1000, 0));
INSERT INTO numerics VALUES
    (1, 'NaN', 'NaN', NULL), (2, 0, 0, 0), (3, '0.000', '-0.0001', 1), (4, '1.10', '99999999.9999', repeat('9', 1000)::numeric),
    (5, ('1e-16383')::numeric, 1, -1), (6, ('9' || repeat('0', 131071))::numeric, 1, 2), (7, '-12345678901234567890.1234567890', NULL, NULL);
\if :has_multiranges
INSERT INTO numerics VALUES (8, 'Infinity', NULL, NULL), (9, '-Infinity', NULL, NULL);
\endif

CREATE TABLE integers (small smallint, normal integer, big bigint, identifier oid, truth boolean);
INSERT INTO integers VALUES (-32768, -2147483648, -9223372036854775808, 0, true), (32767, 2147483647, 9223372036854775807, 4294967295, false);

CREATE TABLE amounts (id integer PRIMARY KEY, amount money);
INSERT INTO amounts VALUES (1, '-92233720368547758.08'::money), (2, '92233720368547758.07'::money), (3, '0.01'::money);

-- Dates and times

CREATE TABLE times (
    id integer PRIMARY KEY, d date, t time, tz time with time zone, ts timestamp, tstz timestamptz, i interval, coarse timestamp(2)
);
INSERT INTO times VALUES
    (1, 'infinity', '24:00', '24:00+15:59', 'infinity', 'infinity', '178000000 years', '2026-01-01 00:00:00.12'),
    (2, '-infinity', '00:00', '00:00-15:59', '-infinity', '-infinity', '-178000000 years', NULL),
    (3, '4713-01-01 BC', '23:59:59.999999', '23:59:59.999999+00', '4713-01-01 00:00:00 BC', '4713-01-01 00:00:00+00 BC', '1 mon -1 day 00:00:00.000001', 'infinity'),
    (4, '5874897-12-31', '12:00', '12:00+05:30', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00', '-1 mons +1 day -23:59:59.999999', NULL),
    (5, '0001-12-31 BC', '00:00:00.000001', '00:00+00:00:01', '0001-01-01 00:00:00 BC', '1883-11-18 12:03:58-04:56:02', '0', NULL),
    (6, '2000-02-29', NULL, NULL, '2026-03-29 02:30:00', '2026-03-29 02:30:00+01', '2147483647 months', '1999-12-31 23:59:59.99');

-- Characters

CREATE TABLE texts (id integer PRIMARY KEY, value text, padded character(5), short character varying(4), one "char", label name);
INSERT INTO texts (id, value, padded, short, one, label) VALUES
    (1, '', '', '', '', ''), (2, ' ', ' x', ' ', 'a', 'x'), (3, E'\\.', E'\\.', E'\\.', E'\\', E'\\.'), (4, E'\\N', E'\\N', E'\\N', 'N', E'\\N'),
    (5, E'a\n\\.\nb', E'\t', E'\r\n', E'\n', E'\t'), (6, E'\ttab\tand\nline\rfeed\r\n', 'x    ', 'äöüß', NULL, NULL),
    (7, '🐘𝔘𝔫𝔦𝔠𝔬𝔡𝔢 e' || U&'\0301' || ' ' || U&'\FEFF' || U&'\202E' || U&'\FFFF', '🐘🐘', '🐘', 'z', '🐘'),
    (8, 'NULL', 'NULL', 'NULL', 'N', 'NULL'), (9, NULL, NULL, NULL, NULL, NULL), (10, '"', '''', ',', '"', '{}');
-- Every control byte, alone and among others.
INSERT INTO texts (id, value) SELECT 100 + n, chr(n) FROM generate_series(1, 159) AS n;
INSERT INTO texts (id, value) SELECT 300, string_agg(chr(n), '' ORDER BY n) FROM generate_series(1, 1024) AS n;
INSERT INTO texts (id, value) SELECT 301 + n, repeat(chr(n) || E'\\', 70000) FROM generate_series(7, 14) AS n;

CREATE TABLE bytes (id integer PRIMARY KEY, value bytea, bits bit(11), some_bits bit varying);
INSERT INTO bytes VALUES (1, '', B'00000000000', B''), (2, '\x00', B'11111111111', B'1'), (3, NULL, NULL, NULL), (4, '\x5c785c2e0a', B'10101010101', repeat('10', 500)::bit varying);
INSERT INTO bytes SELECT 5, string_agg(decode(lpad(to_hex(n), 2, '0'), 'hex'), '' ORDER BY n), NULL, NULL FROM generate_series(0, 255) AS n;
-- Does not compress and so is kept out of line.
INSERT INTO bytes SELECT 6, string_agg(int8send(hashint8extended(n, 0)), '' ORDER BY n), NULL, NULL FROM generate_series(1, 40000) AS n;

-- Arrays, composites, ranges, enums, domains

CREATE TABLE arrays (id integer PRIMARY KEY, numbers integer[], words text[], moods mood[], pairs pair[], grid integer[][], ranges int4range[], positives positive[], checked moods);
INSERT INTO arrays VALUES
    (1, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
    (2, '{1,NULL,3}', '{NULL,"NULL","",",","\"","\\","{}"," a "}', '{happy,NULL,worse,"a \"quoted\", one",""}', ARRAY[(1, 'a'), NULL, (NULL, E'"\\,()\n')]::pair[], '{{1,2},{3,4}}', '{"[1,5)",empty,"(,)"}', '{1,2}', '{sad,worse}'),
    (3, '[-3:-1]={1,2,3}', '[0:1]={a,b}', NULL, NULL, '[2:3][-1:0]={{1,2},{3,NULL}}', NULL, NULL, NULL),
    (4, NULL, ARRAY[E'tab\t', E'line\n', E'\\.', E'\\N'], NULL, ARRAY[(7, NULL)]::pair[], NULL, NULL, NULL, '{}');

CREATE TABLE composites (id integer PRIMARY KEY, p pair, n nest, d pair_domain);
INSERT INTO composites VALUES
    (1, (NULL, NULL), ((1, ''), '{}', '{}'), (1, 'x')), (2, NULL, NULL, NULL), (3, (1, E'a"b\\c,(d)\ne'), ((NULL, NULL), ARRAY[(1, 'x'), (2, NULL)]::pair[], '{ok,sad}'), NULL),
    (4, (0, NULL), (NULL, NULL, NULL), (NULL, 'y'));
-- The row type of a table, which lost a column since.
CREATE TABLE row_type (a integer, gone text, b text);
ALTER TABLE row_type DROP COLUMN gone;
CREATE TABLE holds_rows (id integer PRIMARY KEY, held row_type, several row_type[]);
INSERT INTO holds_rows VALUES (1, (1, 'x'), ARRAY[(2, 'y'), (3, NULL)]::row_type[]), (2, NULL, '{}');

CREATE TABLE moods_table (m mood PRIMARY KEY, p positive);
INSERT INTO moods_table SELECT m, 1 FROM unnest(enum_range(NULL::mood)) AS m;

CREATE TABLE ranges (id integer PRIMARY KEY, i int4range, n numrange, ts tstzrange, d daterange, t text_range);
INSERT INTO ranges VALUES
    (1, 'empty', 'empty', 'empty', 'empty', 'empty'), (2, '(,)', '(,)', '(,)', '[-infinity,infinity]', '(,)'),
    (3, '[1,2]', '(1.10,2.200]', '[2026-01-01 00:00+00,infinity]', '[4713-01-01 BC,2026-01-01)', '["a,b","c""d"]'),
    (4, '[5,)', '(,NaN]', NULL, NULL, text_range('', E'\\'));
\if :has_multiranges
CREATE TABLE multiranges (id integer PRIMARY KEY, i int4multirange, ts tstzmultirange, t text_multirange, several nummultirange[]);
INSERT INTO multiranges VALUES
    (1, '{}', '{}', '{}', '{}'), (2, '{[1,2],[5,9)}', '{[2026-01-01 00:00+00,infinity)}', '{["a","b"),["x,y",)}', ARRAY['{}', '{[1.5,2]}', NULL]::nummultirange[]);
\endif

-- The rest of the catalog's types

CREATE TABLE others (
    id integer PRIMARY KEY, u uuid, j json, jb jsonb, jp jsonpath, ip inet, net cidr, mac macaddr, mac8 macaddr8,
    words tsvector, query tsquery, pt point, ln line, seg lseg, bx box, pth path, poly polygon, circ circle,
    lsn pg_lsn, tid tid, xid xid, snap pg_snapshot, cls regclass, typ regtype, prc regprocedure, role regrole
);
INSERT INTO others VALUES
    (1, '00000000-0000-0000-0000-000000000000', ' { "a" : 1, "a":  "\u00e9\n", "b":[] } ', '{"b": 1.10, "a": null, "c": "\"\\", "é": 1e400}', '$."a"[*] ? (@ > 1)',
     '::ffff:1.2.3.4/128', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', 'a:1A ''b c'':2B,3 ''d''''e'' ''\\''', '''a b'' & !c | d:*A <2> e',
     '(1e-300,NaN)', '{1,2,3}', '[(0,0),(1,1)]', '((1,1),(0,0))', '[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))', '<(0,0),Infinity>',
     'FFFFFFFF/FFFFFFFF', '(4294967295,65535)', '4294967295', '10:20:10,14,15', 'pg_class', 'integer', 'length(text)', 'postgres'),
    (2, 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'null', 'null', '$', '192.168.0.1/24', '::/0', NULL, NULL, '', '', '(-0,Infinity)', NULL, NULL, NULL, '((0,0))', '((0,0))', '<(1,1),0>',
     '0/0', '(0,1)', '0', NULL, NULL, NULL, NULL, NULL);
INSERT INTO others (id) VALUES (3);

\if :has_xml
CREATE TABLE documents (id integer PRIMARY KEY, doc xml);
INSERT INTO documents VALUES (1, '<a b="c">é &amp; &#10;</a>'), (2, XMLPARSE(CONTENT 'text <x/>')), (3, NULL);
\endif

-- Shapes

CREATE TABLE no_columns ();
INSERT INTO no_columns DEFAULT VALUES;
INSERT INTO no_columns DEFAULT VALUES;
CREATE TABLE no_columns_left (a integer, b text);
INSERT INTO no_columns_left SELECT 1, 'x' FROM generate_series(1, 3);
ALTER TABLE no_columns_left DROP COLUMN a, DROP COLUMN b;
CREATE TABLE empty_table (id integer PRIMARY KEY, value text);

CREATE TABLE dropped_columns (a integer, b text, id integer PRIMARY KEY, c text, d numeric);
INSERT INTO dropped_columns SELECT n, 'gone', n, 'kept ' || n, n / 10.0 FROM generate_series(1, 50) AS n;
ALTER TABLE dropped_columns DROP COLUMN a, DROP COLUMN b, ADD COLUMN e text DEFAULT 'added later', DROP COLUMN d;
INSERT INTO dropped_columns VALUES (51, 'after', NULL);

CREATE TABLE only_identity (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
INSERT INTO only_identity DEFAULT VALUES;
INSERT INTO only_identity OVERRIDING SYSTEM VALUE VALUES (1000), (-5);
INSERT INTO only_identity DEFAULT VALUES;

CREATE TABLE identities (always bigint GENERATED ALWAYS AS IDENTITY (START 10 INCREMENT BY 5), by_default smallint GENERATED BY DEFAULT AS IDENTITY, value text);
INSERT INTO identities (value) SELECT 'row ' || n FROM generate_series(1, 20) AS n;

CREATE TABLE generated (
    total numeric GENERATED ALWAYS AS (price * amount) STORED,
    price numeric NOT NULL,
    shouted text GENERATED ALWAYS AS (upper(label)) STORED,
    amount integer NOT NULL,
    label text
);
INSERT INTO generated (price, amount, label) SELECT n * 1.10, n, NULLIF('item ' || n, 'item 3') FROM generate_series(1, 20) AS n;
CREATE TABLE only_generated (answer integer GENERATED ALWAYS AS (42) STORED);
INSERT INTO only_generated DEFAULT VALUES;
INSERT INTO only_generated DEFAULT VALUES;
\if :has_virtual_columns
CREATE TABLE virtual_columns (id integer PRIMARY KEY, twice integer GENERATED ALWAYS AS (id * 2) VIRTUAL, value text);
INSERT INTO virtual_columns (id, value) SELECT n, 'row ' || n FROM generate_series(1, 20) AS n;
\endif

-- Collations, storage and compression of columns, a default with escapes
CREATE TABLE column_options (
    id integer PRIMARY KEY, a text COLLATE "C", b text DEFAULT E'it''s \\ a "default"\n', c text, d text DEFAULT NULL, e timestamptz DEFAULT now()
);
ALTER TABLE column_options ALTER COLUMN c SET STORAGE EXTERNAL, ALTER COLUMN c SET (n_distinct = -0.5), ALTER COLUMN a SET STATISTICS 200;
INSERT INTO column_options (id, c, e) SELECT n, repeat('x', 5000), NULL FROM generate_series(1, 5) AS n;

DO $$
BEGIN
    EXECUTE format('CREATE TABLE odd.many_columns (%s)', (SELECT string_agg(format('c%s integer', n), ', ' ORDER BY n) FROM generate_series(1, 1600) AS n));
    EXECUTE format('INSERT INTO odd.many_columns (c1, c800, c1600) VALUES (1, 2, 3), (NULL, 5, NULL)');
END
$$;
ANALYZE;
