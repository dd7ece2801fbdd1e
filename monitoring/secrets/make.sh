#!/bin/sh
# Makes the passwords that are not there yet, and empty files for the two keys that others give out.
set -eu
cd "$(dirname "$0")"
# The containers read them as users of their own; the folder keeps others on this host out.
chmod 700 .
for name in db_password elastic_password grafana_admin_password kibana_system_password \
    logstash_writer_password postgres_exporter_password postgres_password; do
    [ -e "$name" ] || od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$name"
    chmod 644 "$name"
done
for name in pagerduty_routing_key slack_webhook_url; do
    [ -e "$name" ] || : >"$name"
    chmod 644 "$name"
    [ -s "$name" ] || echo "put its content into $(pwd)/$name" >&2
done
