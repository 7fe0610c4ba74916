#!/bin/sh
# A stand-in for AvalancheGo on a practice node. Like the real one it reads its identity when it starts and never again,
# makes what it does not find without a word, and tells who it is on port 9650. The telling is done from /stub/memory by the
# practice fleet, as long as this process holds the lock there.
data=/root/.avalanchego
for word in "$@"; do
  case $word in --data-dir=*) data=${word#--data-dir=};; esac
done
memory=/stub/memory/$UNIT
mkdir -p "$memory" "$data/staking" "$data/db" || exit 1
exec 7>"$memory/alive"
flock 7
trap 'rm -f "$memory/serves" "$data/process.json"; exit 0' TERM INT
keys=$data/staking
if [ ! -e "$keys/staker.key" ] || [ ! -e "$keys/staker.crt" ] || [ ! -e "$keys/signer.key" ]; then
  for born in /stub/births/*; do
    [ -d "$born" ] || { echo "no more new identities are at hand" >&2; exit 1; }
    if [ ! -e "$keys/staker.key" ] && [ ! -e "$keys/staker.crt" ]; then
      install -m 400 "$born/staker.crt" "$born/staker.key" "$keys/" || exit 1
    fi
    [ -e "$keys/signer.key" ] || install -m 400 "$born/signer.key" "$keys/" || exit 1
    rm -rf "$born"
    break
  done
fi
for name in staker.crt staker.key signer.key; do
  cat "$keys/$name" >"$memory/$name" || exit 1
done
printf '{"pid":%d,"uri":"http://127.0.0.1:9650","stakingAddress":"127.0.0.1:9651"}\n' "$$" >"$data/process.json"
[ -e "$data/db/CURRENT" ] || echo MANIFEST-000001 >"$data/db/CURRENT"
: >"$memory/serves"
while :; do
  sleep 3600 &
  wait $!
done
