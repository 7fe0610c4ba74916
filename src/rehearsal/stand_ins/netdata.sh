#!/opt/netdata/bin/sh
# A stand-in for a Netdata agent on a practice node. Like the real one it reads its configuration, its GUID and its samples
# when it starts, makes what it does not find, deletes what it cannot read, collects in memory, and writes what it collected
# when it is told to end: one that is killed loses it. Bytes of samples and databases are the practice fleet's work, which
# is called through /stub/call; it also answers on port 19999, as long as this process holds the lock in /stub/memory.
[ "${1:-}" != -V ] || { echo "netdata {version}"; exit 0; }
home=/opt/netdata
memory=/stub/memory/$UNIT
mkdir -p "$memory/cache" || exit 1
exec 7>"$memory/alive"
flock 7
if [ -e "$home/etc/netdata/netdata.conf" ]; then cat "$home/etc/netdata/netdata.conf" >"$memory/netdata.conf" || exit 1
else : >"$memory/netdata.conf"; fi
place() { sed -n "/^\[directories\]/,/^\[/s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*//p" "$memory/netdata.conf" | tail -n 1; }
lib=$(place lib); lib=${lib:-$home/var/lib/netdata}
cache=$(place cache); cache=${cache:-$home/var/cache/netdata}
mkdir -p "$lib/registry" "$cache" "$home/var/log/netdata" || exit 1
hostname >"$memory/host"

# Calls the fleet, and waits until it has done its part.
call() {
  rm -f "$memory/told"
  echo "$1 $(date +%s)" >/stub/call
  until [ -s "$memory/told" ]; do sleep 0.02; done
  read -r said <"$memory/told"
  [ "$said" = done ] || { echo "$said" >&2; return 1; }
}
# Brings the cache to what the fleet wrote: files that go, files that are new, and what is added to the end of files.
settle() {
  while IFS= read -r name; do rm -f "$cache/$name"; done <"$memory/gone"
  cp -R --preserve=mode "$memory/write/." "$cache/" || return 1
  # An agent that finds no room loses its samples, and leaves no half of them.
  need=$(du -sk "$memory/append" | cut -f 1)
  free=$(df -Pk "$cache" | awk 'NR == 2 { print $4 }')
  [ "$free" -gt "$need" ] || { echo "no room for samples in $cache" >&2; return 1; }
  find "$memory/append" -type f -printf '%P\n' | while IFS= read -r name; do cat "$memory/append/$name" >>"$cache/$name" || exit 1; done
}
end() {
  trap '' TERM INT
  rm -f "$memory/serves"
  call flush && settle
  rm -f "$lib/.agent_crash"
  exit 0
}

guid=$lib/registry/netdata.public.unique.id
if [ ! -s "$guid" ]; then
  tr -d '\n' </proc/sys/kernel/random/uuid >"$guid" && chmod 670 "$guid" || exit 1
fi
cat "$guid" >"$memory/guid"
if [ ! -s "$lib/netdata.api.key" ]; then
  tr -d '\n' </proc/sys/kernel/random/uuid >"$lib/netdata.api.key" && chmod 670 "$lib/netdata.api.key" || exit 1
fi
cp -a "$cache/." "$memory/cache/" || exit 1
{ call begin && settle; } || exit 1
rm -rf "$memory/cache" "$memory/write" "$memory/append"
: >"$lib/.agent_crash"
trap end TERM INT
: >"$memory/serves"
while :; do
  sleep 3600 &
  wait $!
done
