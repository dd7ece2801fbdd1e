#!/bin/bash
# Run once, when the database's volume is empty: the platform's own role and database, and a role for the exporter that
# may read statistics and nothing else.
set -euo pipefail

psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set platform="$(cat /run/secrets/db_password)" \
    --set exporter="$(cat /run/secrets/postgres_exporter_password)" <<'SQL'
CREATE ROLE sentrascan LOGIN PASSWORD :'platform';
CREATE DATABASE sentrascan OWNER sentrascan;
REVOKE CONNECT ON DATABASE sentrascan FROM PUBLIC;
CREATE ROLE postgres_exporter LOGIN PASSWORD :'exporter' CONNECTION LIMIT 5;
GRANT pg_monitor TO postgres_exporter;
GRANT CONNECT ON DATABASE sentrascan TO postgres_exporter;
SQL
