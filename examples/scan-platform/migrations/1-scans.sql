CREATE TABLE IF NOT EXISTS scans (
    id TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    status TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX scans_created ON scans (created_ms);
