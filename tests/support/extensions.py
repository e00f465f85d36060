"""An extension of the tests' own, in two versions, in the folders of the servers that they use.

Its script names configuration tables with and without a condition and inserts rows of its own, of
which version 2.0 has more; a function makes tables that become members of the extension later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pgmigrate.embedded import EmbeddedServer
from support import servers

# An INSERT into ext.log waits as long as a test holds this advisory lock.
LOCK = 48_151_623

_CONTROL = """
comment = 'an extension of the tests of pgmigrate'
default_version = '{version}'
relocatable = false
schema = ext
"""

_SCRIPT = """
CREATE TABLE ext.parent (id int PRIMARY KEY, note text);
INSERT INTO ext.parent VALUES (1, 'by the script');
-- Its name sorts before the table that it references.
CREATE TABLE ext.child (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent int NOT NULL REFERENCES ext.parent);
CREATE TABLE ext.setting (
    name text PRIMARY KEY, value text, builtin boolean NOT NULL DEFAULT false,
    "Odd name" text GENERATED ALWAYS AS (upper(name)) STORED);
INSERT INTO ext.setting VALUES ('shipped', 'by the script', true), ('default', 'old', false);
CREATE TABLE ext.log (line text);
INSERT INTO ext.log VALUES ('by the script');
CREATE SEQUENCE ext.number;
CREATE TABLE ext.static (id int PRIMARY KEY, v text);
INSERT INTO ext.static VALUES (1, 'by the script');
CREATE FUNCTION ext.wait() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN PERFORM pg_advisory_xact_lock_shared(%(lock)s); RETURN NULL; END$$;
CREATE TRIGGER wait BEFORE INSERT ON ext.log EXECUTE FUNCTION ext.wait();
CREATE FUNCTION ext.setting(text) RETURNS text STABLE LANGUAGE sql
    BEGIN ATOMIC SELECT value FROM ext.setting WHERE name = $1; END;
CREATE FUNCTION ext.is_known(text) RETURNS boolean LANGUAGE plpgsql AS
    $$BEGIN RETURN EXISTS (SELECT FROM ext.setting WHERE name = $1); END$$;
CREATE FUNCTION ext.make_queue(queue text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE ext.%%I (id serial PRIMARY KEY, message text)', 'q_' || queue);
    EXECUTE format('ALTER EXTENSION %(name)s ADD TABLE ext.%%I', 'q_' || queue);
    EXECUTE format('ALTER EXTENSION %(name)s ADD SEQUENCE ext.%%I', 'q_' || queue || '_id_seq');
END$$;
SELECT pg_extension_config_dump('ext.parent', '');
SELECT pg_extension_config_dump('ext.child', '');
SELECT pg_extension_config_dump(
    'ext.setting', 'WHERE NOT builtin ORDER BY name -- the users'' own');
SELECT pg_extension_config_dump('ext.log', '');
SELECT pg_extension_config_dump('ext.number', '');
"""

_SECOND = """
INSERT INTO ext.parent VALUES (2, 'by the script of 2.0');
INSERT INTO ext.setting VALUES ('of 2.0', 'x', false), ('mine', 'shipped by 2.0', true);
INSERT INTO ext.log VALUES ('by the script of 2.0');
ALTER TABLE ext.setting ADD COLUMN more int DEFAULT 7;
"""


@contextmanager
def installed(
    name: str, versions: Mapping[EmbeddedServer, str], *, second: str = _SECOND
) -> Iterator[str]:
    """Puts the extension into each server's folder, with that version as the default one."""
    variables = {"name": name, "lock": LOCK}
    written: list[Path] = []
    try:
        for server, version in versions.items():
            ((share,),) = servers.fetch(
                server.conninfo, "SELECT setting FROM pg_config() WHERE name = 'SHAREDIR'"
            )
            folder = Path(share, "extension")
            for file, text in (
                (f"{name}.control", _CONTROL.format(version=version)),
                (f"{name}--1.0.sql", _SCRIPT % variables),
                (f"{name}--2.0.sql", _SCRIPT % variables + second),
            ):
                written.append(folder / file)
                written[-1].write_text(text)
                written[-1].chmod(0o644)
        yield name
    finally:
        for path in written:
            path.unlink(missing_ok=True)
