#!/bin/sh
# A stand-in for any program that serves a tree of files: it reads its configuration when it starts.
memory=/stub/memory/$UNIT
mkdir -p "$memory" || exit 1
exec 7>"$memory/alive"
flock 7
trap 'rm -f "$memory/serves"; exit 0' TERM INT
cat /etc/site/site.conf >"$memory/site.conf" || exit 1
: >"$memory/serves"
while :; do
  sleep 3600 &
  wait $!
done
