-- What was found in a target when it was last looked at and approved.
CREATE TABLE baselines (
    type TEXT NOT NULL,
    path TEXT NOT NULL,
    scan_id TEXT NOT NULL,
    findings TEXT NOT NULL,
    PRIMARY KEY (type, path)
);
