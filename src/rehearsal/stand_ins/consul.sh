#!/bin/sh
# A stand-in for a Consul server on a practice node: it reads its configuration when it starts, makes its node-id once, and
# answers on port 8500. The answering is done from /stub/memory by the practice fleet, as long as this process holds the
# lock there; the keys of the datacenter live with the servers together, as they do in Raft.
[ "${1:-}" != version ] || { echo "Consul v{version}"; exit 0; }
config=/etc/consul.d
for word in "$@"; do
  case $word in -config-dir=*) config=${word#-config-dir=};; esac
done
memory=/stub/memory/$UNIT
mkdir -p "$memory" || exit 1
exec 7>"$memory/alive"
flock 7
trap 'rm -f "$memory/serves"; exit 0' TERM INT
cat "$config/consul.json" >"$memory/config.json" || exit 1
data=$(sed -n 's/.*"data_dir": *"\([^"]*\)".*/\1/p' "$config/consul.json")
mkdir -p "$data/serf" || exit 1
[ -s "$data/node-id" ] || cat /proc/sys/kernel/random/uuid >"$data/node-id"
cat "$data/node-id" >"$memory/node-id"
: >"$memory/serves"
while :; do
  sleep 3600 &
  wait $!
done
