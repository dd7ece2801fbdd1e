-- Which instance of the platform runs a scan; nobody if it waits, or has ended.
ALTER TABLE scans ADD COLUMN owner TEXT NOT NULL DEFAULT '';
-- What a scan that waits takes along from its request; nothing if it did not wait.
ALTER TABLE scans ADD COLUMN ticket TEXT NOT NULL DEFAULT '';
CREATE INDEX scans_status ON scans (status, created_ms);

-- When each instance was last heard of.
CREATE TABLE instances (
    name TEXT PRIMARY KEY,
    seen_ms BIGINT NOT NULL
);
