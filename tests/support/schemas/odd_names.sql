-- Names that need quoting, for every kind of object: mixed case, dashes, dots, quotes, reserved words,
-- line breaks, tabs, 63 bytes of UTF-8, and names that differ in nothing but case. Roles are left out:
-- they belong to the whole server.

\set QUIET on
SET client_min_messages = warning;
SET client_encoding = 'UTF8';

CREATE SCHEMA "Mixed Case";
CREATE SCHEMA "select";
CREATE SCHEMA "dash-dot.quote""s'";
CREATE SCHEMA "LONG";
CREATE SCHEMA "line
break	tab";

-- Types

CREATE TYPE "Mixed Case"."Enum-Type" AS ENUM ('', 'a b', 'quote''s', 'double"quote', 'comma,', E'line\nbreak', 'ÜMLAUT');
CREATE DOMAIN "select"."user" AS text CONSTRAINT "check" CHECK (VALUE <> 'never');
CREATE TYPE "dash-dot.quote""s'"."composite.type" AS ("a b" integer, "C" text, "select" "Mixed Case"."Enum-Type");
CREATE TYPE "line
break	tab"."range
type" AS RANGE (SUBTYPE = numeric);
CREATE COLLATION "Mixed Case"."C-ollation" (LOCALE = 'C');

-- Functions

CREATE FUNCTION "select"."Function-1"("Arg-1" integer, "order" text DEFAULT 'x''"y') RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$SELECT "order" || "Arg-1"$$;
CREATE FUNCTION "select"."function-1"("Arg-1" integer) RETURNS integer
    LANGUAGE sql IMMUTABLE
    AS $body$SELECT $1 + 1$body$;
CREATE FUNCTION "dash-dot.quote""s'"."trigger.function"() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW."Quoted""Column" := NEW."Quoted""Column" || '!';
    RETURN NEW;
END
$$;
CREATE PROCEDURE "line
break	tab"."pro
cedure"("in" integer)
    LANGUAGE plpgsql
    AS $$BEGIN END$$;
CREATE AGGREGATE "Mixed Case"."Sum Of"(integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0');
CREATE OPERATOR "select".~~!~~ (LEFTARG = integer, RIGHTARG = text, FUNCTION = "select"."Function-1");

-- Sequences

CREATE SEQUENCE "Mixed Case"."Se-quence" START 7;
CREATE SEQUENCE "Mixed Case"."se-quence" START 8;
CREATE SEQUENCE "line
break	tab"."se.quence
2" INCREMENT -1;
SELECT nextval('"Mixed Case"."Se-quence"');

-- Tables

CREATE TABLE "Mixed Case"."Table" (
    "Id" serial CONSTRAINT "Table PK" PRIMARY KEY,
    "id" integer GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME "Mixed Case"."identity of Id"),
    "ID" "Mixed Case"."Enum-Type" DEFAULT 'a b',
    "a.b" text COLLATE "Mixed Case"."C-ollation" DEFAULT 'x''y"z\',
    CONSTRAINT "Unique-1" UNIQUE ("ID", "id"),
    CONSTRAINT "check ""it""" CHECK ("a.b" <> 'never' OR "ID" IS NULL)
);
CREATE TABLE "Mixed Case"."table" (LIKE "Mixed Case"."Table" INCLUDING ALL EXCLUDING IDENTITY);
CREATE TABLE "Mixed Case"."TABLE" (a integer PRIMARY KEY);

CREATE TABLE "select"."table" (
    "select" integer PRIMARY KEY,
    "from" "select"."user",
    "where" boolean GENERATED ALWAYS AS ("select" > 1) STORED,
    "order" "dash-dot.quote""s'"."composite.type",
    "user" name DEFAULT 'user',
    "default" text,
    "oid" oid,
    "binary" bytea,
    "freeze" integer
);
CREATE TABLE "select"."copy" ("end" integer REFERENCES "select"."table");

CREATE TABLE "dash-dot.quote""s'"."a.b.c" (
    "Quoted""Column" text,
    "apos'trophe" integer,
    "dollar$1" integer,
    "back\slash" integer,
    "per%cent %s" integer,
    "brace{0}" integer,
    " leading and trailing " integer,
    "tab	column" integer,
    "line
column" integer,
    "--comment" integer,
    "/* comment */" integer,
    "semi;colon" integer,
    "e\nscape" integer
);
CREATE TABLE "dash-dot.quote""s'"."""" ("""" integer PRIMARY KEY, "''" integer, "." integer, " " integer);

CREATE TABLE "line
break	tab"."ta
ble" (
    "co
lumn" integer CONSTRAINT "pri
mary" PRIMARY KEY,
    "range" "line
break	tab"."range
type"
);

CREATE TABLE "LONG"."éééééééééééééééééééééééééééééééx" (
    "éééééééééééééééééééééééééééééééx" integer CONSTRAINT "éééééééééééééééééééééééééééééé-x" PRIMARY KEY,
    "🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘abc" text
);
CREATE TABLE "LONG"."🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘abc" ("🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘abc" integer REFERENCES "LONG"."éééééééééééééééééééééééééééééééx");
CREATE TABLE "LONG"."日本語 テーブル" ("列" integer, "Spalte ß" integer, "عمود" text);

CREATE TABLE "Mixed Case"."Parti-tioned" ("Key-1" text, "Value" integer) PARTITION BY LIST ("Key-1");
CREATE TABLE "Mixed Case"."Parti-tioned.a b" PARTITION OF "Mixed Case"."Parti-tioned" FOR VALUES IN ('a', 'quote''d');
CREATE TABLE "select"."default" PARTITION OF "Mixed Case"."Parti-tioned" DEFAULT;

-- Rows

INSERT INTO "Mixed Case"."Table" ("ID", "a.b")
SELECT value, 'x' || value::text FROM unnest(enum_range(NULL::"Mixed Case"."Enum-Type")) AS value;
INSERT INTO "Mixed Case"."table" SELECT * FROM "Mixed Case"."Table";
INSERT INTO "Mixed Case"."TABLE" SELECT generate_series(1, 3);
INSERT INTO "select"."table" ("select", "from", "order", "oid")
VALUES (1, 'root', (1, 'x', 'comma,'), 4294967295), (2, NULL, (NULL, E'"\\', E'line\nbreak'), 0);
INSERT INTO "select"."copy" VALUES (1), (1), (NULL);
INSERT INTO "dash-dot.quote""s'"."a.b.c" SELECT 'x', n, n, n, n, n, n, n, n, n, n, n, n FROM generate_series(1, 3) AS n;
INSERT INTO "dash-dot.quote""s'"."""" SELECT n, n, n, n FROM generate_series(1, 3) AS n;
INSERT INTO "line
break	tab"."ta
ble" SELECT n, "line
break	tab"."range
type"(n, n + 0.5) FROM generate_series(1, 3) AS n;
INSERT INTO "LONG"."éééééééééééééééééééééééééééééééx" SELECT n, '🐘' || n FROM generate_series(1, 3) AS n;
INSERT INTO "LONG"."🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘abc" SELECT n FROM generate_series(1, 3) AS n;
INSERT INTO "LONG"."日本語 テーブル" VALUES (1, 2, 'نص');
INSERT INTO "Mixed Case"."Parti-tioned" VALUES ('a', 1), ('quote''d', 2), ('elsewhere', 3), (NULL, 4);

-- Indexes, constraints, triggers, views, policies, statistics

CREATE INDEX "In-dex" ON "Mixed Case"."Table" ("a.b");
CREATE INDEX "in-dex" ON "Mixed Case"."Table" ((("a.b") || 'x''y')) WHERE "a.b" <> 'quote''s "x"';
CREATE INDEX "index" ON "select"."table" ("select"."function-1"("select"));
CREATE UNIQUE INDEX "in
dex" ON "dash-dot.quote""s'"."a.b.c" ("line
column", "semi;colon");
CREATE INDEX "🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘ab-" ON "LONG"."éééééééééééééééééééééééééééééééx" ("🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘abc");
CREATE INDEX "Parti-tioned index" ON "Mixed Case"."Parti-tioned" ("Value");
ALTER TABLE "dash-dot.quote""s'"."a.b.c"
    ADD CONSTRAINT "foreign.key-1 'x' ""y""" FOREIGN KEY ("apos'trophe") REFERENCES "dash-dot.quote""s'"."""",
    ADD CONSTRAINT "uni
que" UNIQUE ("tab	column");
CREATE TRIGGER "trig.ger ""1""" BEFORE UPDATE OF "Quoted""Column" ON "dash-dot.quote""s'"."a.b.c"
    FOR EACH ROW EXECUTE FUNCTION "dash-dot.quote""s'"."trigger.function"();
CREATE VIEW "select"."view" AS SELECT "select", "from" AS "AS", "where" AS "a.b" FROM "select"."table";
CREATE MATERIALIZED VIEW "line
break	tab"."Mat-View" AS SELECT "select" AS "Key", "AS" FROM "select"."view";
CREATE UNIQUE INDEX "mat
unique" ON "line
break	tab"."Mat-View" ("Key");
CREATE STATISTICS "Mixed Case"."Sta-tistics" ON "ID", "a.b" FROM "Mixed Case"."Table";
CREATE RULE "ru-le" AS ON DELETE TO "Mixed Case"."TABLE" DO ALSO NOTIFY "Chan-nel";
ALTER TABLE "select"."table" ENABLE ROW LEVEL SECURITY;
CREATE POLICY "po-licy ""1""" ON "select"."table" USING ("from" <> 'nobody''s');

COMMENT ON SCHEMA "line
break	tab" IS E'A schema\nwith a line break and a \\ in its name''s comment';
COMMENT ON TABLE "dash-dot.quote""s'"."a.b.c" IS '-- not a comment; $$ nor an end $$ ''quoted''';
COMMENT ON COLUMN "dash-dot.quote""s'"."a.b.c"."per%cent %s" IS '%s %% {0} ${x}';
COMMENT ON CONSTRAINT "foreign.key-1 'x' ""y""" ON "dash-dot.quote""s'"."a.b.c" IS 'key''s comment';
COMMENT ON INDEX "dash-dot.quote""s'"."in
dex" IS 'an index';
ALTER SEQUENCE "Mixed Case"."se-quence" OWNED BY "Mixed Case"."TABLE".a;
ANALYZE;
