# shellcheck shell=bash
# What the record.sh scripts have in common: machines made of network namespaces, cables made of veth pairs, real
# programs on them, tcpdump on the host's interfaces, and the host's state beside the captures. To be sourced.
#
# A script calls `begin`, builds its machines with `machine`, `cable` and `address`, then records one or more sessions:
#
#   session_start DIRECTORY IFACE...     # rules reloaded, tcpdump listening
#   ... traffic ...
#   session_stop                         # captures and the kernel's own account saved
#
# and ends with `publish`. Nothing is written beside the script before that, and whatever way the script ends, its
# namespaces, processes and scratch files are removed.

set -euo pipefail

readonly LIBRARY=${BASH_SOURCE[0]%/*}
readonly PROGRAMS=$LIBRARY/programs.mjs

PREFIX=natreplay-$$ # of namespace names: two recordings can run side by side
MACHINES=()
PROCESSES=()
CAPTURES=()
SCRATCH=
HOST=        # machine whose rules are recorded
RULES=       # its rules, iptables-restore text
SESSION=     # folder of the running session, below $SCRATCH/out
FILES=()     # capture files of the running session

fail() {
  printf 'record.sh: %s\n' "$*" >&2
  exit 1
}

# begin TOOL...: checks that recording can work here at all.
begin() {
  local tool missing=()
  for tool in ip iptables-restore iptables-save sysctl tcpdump ethtool conntrack node curl ping taskset "$@"; do
    command -v "$tool" >/dev/null || missing+=("$tool")
  done
  ((${#missing[@]} == 0)) || fail "needs ${missing[*]}; on Debian: apt-get install iproute2 iptables procps tcpdump" \
    "ethtool conntrack nodejs curl iputils-ping util-linux dnsmasq-base"
  ((EUID == 0)) || fail 'needs root, to make network namespaces'
  SCRATCH=$(mktemp -d)
  mkdir "$SCRATCH/out"
  trap cleanup EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  # The whole little network runs on one processor, so that packets are handled in the order of their timestamps, and
  # tcpdump (see session_start) on another, so that it misses none.
  taskset -pc 0 $$ >/dev/null
}

cleanup() {
  local status=$? machine process
  trap - EXIT
  for process in ${CAPTURES[@]+"${CAPTURES[@]}"} ${PROCESSES[@]+"${PROCESSES[@]}"}; do
    kill "$process" 2>/dev/null || true
  done
  # Whatever else still runs there: a curl or ping that was interrupted.
  for machine in ${MACHINES[@]+"${MACHINES[@]}"}; do
    for process in $(ip netns pids "$PREFIX-$machine"); do kill -KILL "$process" 2>/dev/null || true; done
  done
  wait
  for machine in ${MACHINES[@]+"${MACHINES[@]}"}; do
    ip netns del "$PREFIX-$machine" || true
  done
  if [[ -n $SCRATCH ]]; then rm -rf "$SCRATCH"; fi
  exit "$status"
}

# on MACHINE COMMAND...: runs a program there.
on() {
  local machine=$1
  shift
  ip netns exec "$PREFIX-$machine" "$@"
}

# machine NAME: IPv6 is off everywhere, to keep router solicitations and multicast reports out of the captures.
machine() {
  ip netns add "$PREFIX-$1"
  MACHINES+=("$1")
  on "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
  on "$1" ip link set lo up
}

# forwards MACHINE: makes it a router.
forwards() {
  on "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
  on "$1" sysctl -qw net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0
}

# plain MACHINE IFACE: offloads off, so that captures hold the packets, checksums and sizes of the wire.
plain() {
  on "$1" ethtool -K "$2" rx off tx off sg off tso off gso off gro off >/dev/null 2>&1 || true
  local left
  left=$(on "$1" ethtool -k "$2" | grep -E '^(tx-checksumming|tcp-segmentation-offload|generic-segmentation-offload|generic-receive-offload): on' || true)
  [[ -z $left ]] || fail "cannot switch off on $1 $2: $left"
}

# cable MACHINE IFACE MAC MACHINE IFACE MAC
cable() {
  ip -n "$PREFIX-$1" link add "$2" address "$3" type veth peer name "$5" address "$6" netns "$PREFIX-$4"
  plain "$1" "$2"
  plain "$4" "$5"
  on "$1" ip link set "$2" up
  on "$4" ip link set "$5" up
}

# bridge MACHINE IFACE MAC: a bridge without spanning tree and multicast snooping (both would speak by themselves).
bridge() {
  on "$1" ip link add "$2" address "$3" type bridge mcast_snooping 0
  plain "$1" "$2"
  on "$1" ip link set "$2" up
  # Frames between two ports are switched, without a look at iptables.
  if on "$1" test -e /proc/sys/net/bridge/bridge-nf-call-iptables; then
    on "$1" sysctl -qw net.bridge.bridge-nf-call-iptables=0
  fi
}

# address MACHINE IFACE ADDRESS/LENGTH [GATEWAY]
address() {
  on "$1" ip addr add "$3" broadcast + dev "$2"
  if [[ -n ${4:-} ]]; then on "$1" ip route add default via "$4"; fi
}

# service MACHINE COMMAND...: starts a program that stays until the end.
service() {
  # Not by way of `on`: `ip` becomes the program, so that it is the program that $! names, and not a shell around it.
  ip netns exec "$PREFIX-$1" "${@:2}" >>"$SCRATCH/services.log" 2>&1 &
  PROCESSES+=($!)
}

# listening MACHINE tcp|udp PORT: waits until somebody does.
listening() {
  local _
  for _ in {1..100}; do
    if [[ -n $(on "$1" ss -Hln "--$2" "sport = :$3") ]]; then return; fi
    sleep 0.1
  done
  cat "$SCRATCH/services.log" >&2
  fail "nobody listens on $1 $2 port $3"
}

# fetch MACHINE STATUSES CURL-ARGUMENT...: HTTP requests, and the status codes they must have, e.g. '200 404'.
fetch() {
  local machine=$1 expected=$2 statuses
  shift 2
  statuses=$(on "$machine" curl --silent --show-error --max-time 20 --write-out '%{stderr}%{http_code} ' "$@" \
    2>&1 >/dev/null) || true
  [[ ${statuses% } == "$expected" ]] || fail "curl $* on $machine: wanted $expected, got $statuses"
}

# refused MACHINE URL: a connection that must be answered with a reset.
refused() {
  local status=0
  on "$1" curl --silent --max-time 20 "$2" >/dev/null || status=$?
  ((status == 7)) || fail "curl $2 on $1: wanted a refused connection (7), got exit code $status"
}

# session_start DIRECTORY [--promiscuous] [--any FILTER] IFACE...: fresh rules and conntrack, and tcpdump on each
# interface (file IFACE.pcap) and, with --any, on the pseudo-device `any` (file any.pcap) for what FILTER lets through.
session_start() {
  local directory=$1 promiscuous=--no-promiscuous-mode any='' iface
  shift
  while [[ ${1:-} == --* ]]; do
    case $1 in
      --promiscuous) promiscuous= ;;
      --any) any=$2 && shift ;;
    esac
    shift
  done
  SESSION=$SCRATCH/out/$directory
  mkdir -p "$SESSION"
  FILES=()
  on "$HOST" conntrack --flush 2>/dev/null
  on "$HOST" iptables-restore <<<"$RULES"
  rules_of >"$SESSION/rules.v4"
  host_file >"$SESSION/host.json"
  for iface in "$@"; do
    capture "$iface" --interface "$iface" $promiscuous
  done
  if [[ -n $any ]]; then capture any --interface any "$any"; fi
}

# capture NAME TCPDUMP-ARGUMENT...: nanoseconds keep the order of packets that different files hold.
capture() {
  local name=$1 _
  shift
  local said=$SESSION/$name.said
  # Not by way of `on`, as in `service`.
  ip netns exec "$PREFIX-$HOST" taskset -c "0-$(($(nproc --all) - 1))" tcpdump --relinquish-privileges root -n \
    --immediate-mode --snapshot-length 65535 --buffer-size 65536 --time-stamp-precision nano -w "$SESSION/$name.pcap" "$@" 2>"$said" &
  CAPTURES+=($!)
  FILES+=("$name")
  for _ in {1..100}; do
    if grep -q '^tcpdump: listening on' "$said" 2>/dev/null; then return; fi
    sleep 0.1
  done
  fail "tcpdump does not start: $(<"$said")"
}

session_stop() {
  local process name
  sleep 0.5
  # The kernel's own account, before anything expires.
  on "$HOST" conntrack -L 2>/dev/null | LC_ALL=C sort >"$SESSION/conntrack.txt"
  rules_of -c >"$SESSION/rules-after.v4"
  for process in "${CAPTURES[@]}"; do
    kill -INT "$process"
    wait "$process" || true
  done
  CAPTURES=()
  for name in "${FILES[@]}"; do
    grep -q '^0 packets dropped by kernel' "$SESSION/$name.said" || fail "$name.pcap: $(<"$SESSION/$name.said")"
    rm "$SESSION/$name.said"
  done
}

# rules_of [-c]: iptables-save text of the host, without the date.
rules_of() {
  on "$HOST" iptables-save "$@" | sed -E 's/^(# (Generated by|Completed).*) on [A-Z][a-z]{2} [A-Z][a-z]{2} .*$/\1/'
}

# host_file: the host as `natreplay replay --host` reads it.
host_file() {
  on "$HOST" ip -j addr >"$SCRATCH/addr"
  on "$HOST" ip -j route show table all >"$SCRATCH/route"
  on "$HOST" ip -j -6 route show table all >"$SCRATCH/route6"
  on "$HOST" sysctl -a 2>/dev/null |
    grep -E '^net\.(ipv4\.(ip_forward|ip_default_ttl|ip_local_port_range) |bridge\.bridge-nf-call-iptables|netfilter\.nf_conntrack_)' |
    grep -vE '_(buckets|count|max|thresh) = ' >"$SCRATCH/sysctl"
  rules_of -c >"$SCRATCH/iptables"
  node "$PROGRAMS" host-file "$SCRATCH"
}

# publish: everything went well, so the new files replace the old ones.
publish() {
  local folder=$1
  cp -R "$SCRATCH/out/." "$folder/"
  # Where the project's formatter is installed, the JSON follows it.
  local biome=$LIBRARY/../../node_modules/.bin/biome
  if [[ -x $biome ]]; then
    (cd "$LIBRARY/../.." && find "$(realpath --relative-to=. "$folder")" -name host.json -exec "$biome" format --write {} +) >/dev/null 2>&1 || true
  fi
}
