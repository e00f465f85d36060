-- Options with which the server was built: compression by lz4, and ICU, whose collations initdb imports. The collation unicode (963) of 16
-- and later has a row in every build.
SELECT EXISTS (SELECT FROM pg_catalog.pg_settings
               WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)) AS has_lz4,
       EXISTS (SELECT FROM pg_catalog.pg_collation WHERE collprovider = 'i' AND oid <> 963) AS has_icu
