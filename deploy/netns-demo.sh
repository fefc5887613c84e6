#!/usr/bin/env bash
# Three hosts in miniature: a network namespace each, with an address of its own, joined by a bridge. One node runs in
# each from deploy/n1.yaml to n3.yaml as they are; then a client on a fourth address puts 200 MB, the owner is killed -9
# on the way, and what comes back is compared. Needs root, iproute2 and a build (npm ci && npm run build). Makes and
# removes only namespaces and links whose names begin with hfd and this process's number, one temporary folder, and
# empty mount points where this host has none.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
tag=hfd$$
work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-netns.XXXXXX")
megabytes=${MEGABYTES:-200}
declare -A pid=()
made=()

say() { printf '%s\n' "$*" >&2; }
fail() { say "FAILED: $*"; exit 1; }

cleanup() {
  local name
  for name in "${!pid[@]}"; do kill -TERM "${pid[$name]}" 2>/dev/null || true; done
  for name in "${!pid[@]}"; do wait "${pid[$name]}" 2>/dev/null || true; done
  for name in n1 n2 n3 client; do ip netns del "$tag-$name" 2>/dev/null || true; done
  ip netns del "$tag-switch" 2>/dev/null || true
  rm -rf "$work"
  for name in "${made[@]}"; do rmdir "$name" 2>/dev/null || true; done
}
trap cleanup EXIT
trap 'exit 130' INT TERM

[ "$(id -u)" = 0 ] || fail "network namespaces need root. Next: sudo $0"
[ -f "$root/dist/src/cli/main.js" ] || fail "there is no build. Next: npm ci && npm run build"

# The switch is a namespace too, so that nothing of this host's own network changes.
ip netns add "$tag-switch"
ip -n "$tag-switch" link add br0 type bridge
ip -n "$tag-switch" link set br0 up
join() { # name, address
  ip netns add "$tag-$1"
  ip -n "$tag-$1" link set lo up
  ip -n "$tag-$1" link add eth0 type veth peer name "p-$1" netns "$tag-switch"
  ip -n "$tag-$1" addr add "$2/24" dev eth0
  ip -n "$tag-$1" link set eth0 up
  ip -n "$tag-switch" link set "p-$1" master br0 up
}
for i in 1 2 3; do join "n$i" "10.77.0.$i"; done
join client 10.77.0.9

# Each host sees its own /var/lib/holdfast and /etc/holdfast, and all see one /srv/holdfast: mounts of this process's
# children only, over the very paths that the configuration files name.
mkdir -p "$work/srv/demo"
for folder in /var/lib/holdfast /etc/holdfast /srv/holdfast; do
  [ -d "$folder" ] || { mkdir "$folder"; made+=("$folder"); }
done
start() { # name
  mkdir -p "$work/$1/lib" "$work/$1/etc"
  cp "$root/deploy/$1.yaml" "$work/$1/etc/node.yaml"
  WORK="$work/$1" SRV="$work/srv" ROOT="$root" ip netns exec "$tag-$1" unshare --mount bash -c '
    set -e
    mount --make-rprivate /
    mount --bind "$WORK/lib" /var/lib/holdfast
    mount --bind "$WORK/etc" /etc/holdfast
    mount --bind "$SRV" /srv/holdfast
    UV_THREADPOOL_SIZE=16 exec node --max-semi-space-size=64 --initial-old-space-size=192 "$ROOT/bin/holdfast.js" node --config /etc/holdfast/node.yaml' &
  pid[$1]=$!
}
holdfast() {
  ip netns exec "$tag-client" node "$root/bin/holdfast.js" --endpoints 10.77.0.1:7401,10.77.0.2:7401,10.77.0.3:7401 "$@"
}
# Polls a condition; the number is the longest wait in seconds.
within() {
  local deadline=$((SECONDS + $1)); shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    read -rt 0.2 <> <(:) || true
  done
}
all_well() { holdfast status >/dev/null 2>&1; }
owner() {
  holdfast sessions -o json 2>/dev/null | node -e '
    const rows = JSON.parse(require("fs").readFileSync(0, "utf8")).items;
    const row = rows.find((each) => each.client.startsWith("holdfast-cli/") && each.state === "connected");
    if (!row) process.exit(1);
    console.log(row.owner);'
}
has_owner() { victim=$(owner); }

for i in 1 2 3; do start "n$i"; done
within 60 all_well || { holdfast status >&2 || true; fail "the cluster is not well after 60 s"; }
holdfast status

say "putting $megabytes MB from 10.77.0.9; the owner is killed on the way"
head -c "${megabytes}M" /dev/urandom > "$work/source"
# The first part goes through, the rest waits in the pipe until the owner is known.
mkfifo "$work/pipe"
holdfast files put - demo:/big < "$work/pipe" &
put=$!
exec 9> "$work/pipe"
head -c 20M "$work/source" >&9
within 30 has_owner || fail "no session within 30 s"
{ tail -c +$((20 * 1024 * 1024 + 1)) "$work/source" >&9; } &
feeder=$!
say "kill -9 $victim"
kill -9 "${pid[$victim]}"
wait "${pid[$victim]}" 2>/dev/null || true
unset "pid[$victim]"
wait "$feeder"
exec 9>&-
wait "$put" || fail "the put failed"

holdfast files get demo:/big "$work/back"
cmp "$work/source" "$work/back" || fail "the file came back different"
cmp "$work/source" "$work/srv/demo/big" || fail "the file on the shared directory is different"
code=0; holdfast status || code=$?
[ "$code" = 3 ] || fail "status ended with $code, not with 3 (degraded)"
start "$victim"
within 60 all_well || fail "$victim did not come back within 60 s"
holdfast failovers
say "all well: $megabytes MB through a killed owner, byte for byte"
