#!/bin/sh
# Stand-in for the upstream image's entrypoint, which adds certificates and then runs the command.
exec "$@"
