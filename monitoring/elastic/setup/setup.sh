#!/bin/bash
# Certificates before Elasticsearch starts, users and the data stream's template once it has. It may be run again.
set -euo pipefail

certs=/certs
if [ ! -f "$certs/ca/ca.crt" ]; then
    bin/elasticsearch-certutil ca --silent --pem --out /tmp/ca.zip
    unzip -q /tmp/ca.zip -d "$certs"
fi
if [ ! -f "$certs/elasticsearch/elasticsearch.crt" ]; then
    bin/elasticsearch-certutil cert --silent --pem --in /setup/instances.yml --out /tmp/certs.zip \
        --ca-cert "$certs/ca/ca.crt" --ca-key "$certs/ca/ca.key"
    unzip -q /tmp/certs.zip -d "$certs"
fi
# Certificates are anybody's to read; Elasticsearch's user is in the group root, so that it has its key; the authority's
# key is nobody's but this script's.
chown -R root:root "$certs"
find "$certs" -type d -exec chmod 755 {} +
find "$certs" -name '*.crt' -exec chmod 644 {} +
find "$certs" -name '*.key' -exec chmod 640 {} +
chmod 600 "$certs/ca/ca.key"
touch "$certs/ready"

# The password goes by a file: arguments can be seen by all.
printf 'user = "elastic:%s"\n' "$(cat /run/secrets/elastic_password)" >/tmp/curlrc
chmod 600 /tmp/curlrc
elastic() {
    curl --silent --show-error --fail --config /tmp/curlrc --cacert "$certs/ca/ca.crt" \
        --header 'content-type: application/json' "$@"
}
url=https://elasticsearch:9200
until elastic "$url/_cluster/health?wait_for_status=yellow&timeout=5s" >/dev/null 2>&1; do
    sleep 2
done

elastic --request POST "$url/_security/user/kibana_system/_password" --data @- >/dev/null <<JSON
{"password": "$(cat /run/secrets/kibana_system_password)"}
JSON
elastic --request PUT "$url/_security/role/logstash_writer" --data @- >/dev/null <<'JSON'
{
  "cluster": ["monitor"],
  "indices": [{"names": ["logs-sentrascan-*"], "privileges": ["auto_configure", "create_doc"]}]
}
JSON
elastic --request PUT "$url/_security/user/logstash_writer" --data @- >/dev/null <<JSON
{"password": "$(cat /run/secrets/logstash_writer_password)", "roles": ["logstash_writer"]}
JSON
elastic --request PUT "$url/_index_template/logs-sentrascan" --data @/setup/index-template.json >/dev/null
echo "users and the template of logs-sentrascan-* are there"
