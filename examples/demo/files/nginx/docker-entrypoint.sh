#!/bin/sh
# Stand-in for the upstream image's entrypoint: runs the scripts of /docker-entrypoint.d, then the command.
set -e
for script in /docker-entrypoint.d/*.sh; do
    if [ -x "$script" ]; then
        "$script"
    fi
done
exec "$@"
