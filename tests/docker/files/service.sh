#!/bin/sh
# Stands in for a service of Archon: listens on $PORT and answers /health.
#   HEALTHY_AFTER=SECONDS  answers 404 until then
#   NEVER_HEALTHY=1        answers 404 for ever
#   IGNORE_TERM=1          does not stop when asked to; only SIGKILL ends it
set -eu

healthy() {
    echo '{"status": "healthy"}' >/www/.health
    mv /www/.health /www/health
}

mkdir -p /www/api/backup
rm -f /www/health
echo "migration applied"
if [ -d /app/backups ]; then
    echo '{"source": "archon"}' >/www/api/backup/status
fi
if [ -n "${IGNORE_TERM:-}" ]; then
    trap '' TERM
else
    trap 'exit 0' TERM INT
fi
if [ -n "${NEVER_HEALTHY:-}" ]; then
    echo "will never be healthy"
elif [ -n "${HEALTHY_AFTER:-}" ]; then
    (sleep "$HEALTHY_AFTER" && healthy) &
else
    healthy
fi
httpd -f -p "${PORT:-8181}" -h /www &
wait $!
