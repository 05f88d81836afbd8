#!/bin/sh
# First process of a database's container. It behaves like the entrypoint of the official image:
# it makes the cluster with a temporary server that nobody reaches over TCP, stops that one, and
# then becomes postgres itself. So the server restarts once, and process 1 is postgres.
set -eu

if [ "$#" -eq 0 ] || [ "${1#-}" != "$1" ]; then
    set -- postgres "$@"
fi
if [ "$1" != postgres ]; then
    exec "$@"
fi

export PGDATA="${PGDATA:-/var/lib/postgresql/data}"
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" /var/run/postgresql
    chmod 0700 "$PGDATA"
    chown -R postgres "$PGDATA" /var/run/postgresql
    # By its path: busybox's shell would run its own, which cannot change the user.
    exec /usr/bin/setpriv --reuid=postgres --regid=postgres --clear-groups "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    : "${POSTGRES_PASSWORD:?a cluster is only made with POSTGRES_PASSWORD set}"
    user="${POSTGRES_USER:-postgres}"
    database="${POSTGRES_DB:-$user}"
    (umask 077 && printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/password)
    # shellcheck disable=SC2086  # several options in one variable, as in the official image
    initdb --username="$user" --pwfile=/tmp/password --encoding=UTF8 --locale=C.UTF-8 \
        --auth-local=trust --auth-host=scram-sha-256 ${POSTGRES_INITDB_ARGS:-}
    rm /tmp/password
    echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    pg_ctl --wait --options="-c listen_addresses=''" start
    if [ "$database" != postgres ]; then
        createdb --username="$user" --no-password --maintenance-db=postgres "$database"
    fi
    pg_ctl --wait --mode=fast stop
fi
exec "$@"
