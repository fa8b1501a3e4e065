ALTER TABLE definitions ADD COLUMN tenant TEXT;
