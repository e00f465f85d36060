-- Columns that ledgers of older versions lack.
-- The schema's name is configurable; psql sets it with  -v ledger=pgmigrate.
ALTER TABLE :"ledger".migration_run ADD COLUMN IF NOT EXISTS workers integer NOT NULL DEFAULT 0;
ALTER TABLE :"ledger".migration_run ADD COLUMN IF NOT EXISTS sessions text[] NOT NULL DEFAULT '{}';
ALTER TABLE :"ledger".migration_task ADD COLUMN IF NOT EXISTS worker integer;
