-- Statements of the kinds that a run sends, to be rolled back: whether an event trigger refuses them.
CREATE SCHEMA pgmigrate_event_trigger_trial;
COMMENT ON SCHEMA pgmigrate_event_trigger_trial IS 'pgmigrate';
CREATE TABLE pgmigrate_event_trigger_trial.t (a integer);
ALTER TABLE pgmigrate_event_trigger_trial.t ADD COLUMN b integer;
CREATE INDEX ON pgmigrate_event_trigger_trial.t (a);
GRANT SELECT ON pgmigrate_event_trigger_trial.t TO CURRENT_USER;
CREATE TEMPORARY TABLE pgmigrate_event_trigger_trial ON COMMIT DROP AS TABLE pgmigrate_event_trigger_trial.t WITH NO DATA;
DROP TABLE pgmigrate_event_trigger_trial.t;
DROP SCHEMA pgmigrate_event_trigger_trial;
