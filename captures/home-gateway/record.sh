#!/usr/bin/env bash
# Records a home router at work: five machines behind one public address that use the same source ports and echo ids
# towards the same servers, so that the kernel has to choose others. README.md draws it and tells what to see.
#
#   sudo ./record.sh            # replaces the files in this folder; takes about ten seconds
#
# Needs root and the tools `begin` checks for. Leaves nothing behind, however it ends.

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../recording/lib.sh
source "$HERE/../recording/lib.sh"
begin dnsmasq

HOST=gateway
RULES=$(
  cat <<'GATEWAY'
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i lan0 -o wan0 -j ACCEPT
-A FORWARD -i wan0 -o lan0 -m conntrack --ctstate DNAT -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -i wan0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 192.168.1.12:80
-A POSTROUTING -o wan0 -j MASQUERADE
COMMIT
GATEWAY
)

# --- Machines and cables

PCS=(10 11 12 13 14) # 192.168.1.N, all of them
machine gateway      # the home router
machine switch       # the LAN's switch
machine provider     # the provider's router
machine server       # outside: web servers 198.51.100.80 and .81, resolver 198.51.100.53
machine client       # outside: 198.51.100.7
for pc in "${PCS[@]}"; do machine "pc$pc"; done

forwards gateway
forwards provider

cable gateway wan0 02:00:cb:00:71:02 provider home0 02:00:cb:00:71:01
cable gateway lan0 02:00:c0:a8:01:01 switch port1 02:00:00:00:00:01
bridge switch lan 02:00:00:00:00:ff
on switch ip link set port1 master lan
for pc in "${PCS[@]}"; do
  cable "pc$pc" eth0 "02:00:c0:a8:01:$pc" switch "port$pc" "02:00:00:00:00:$pc"
  on switch ip link set "port$pc" master lan
done
bridge provider outside 02:00:c6:33:64:01
cable server eth0 02:00:c6:33:64:50 provider server0 02:00:00:00:01:50
cable client eth0 02:00:c6:33:64:07 provider client0 02:00:00:00:01:07
on provider ip link set server0 master outside
on provider ip link set client0 master outside

address gateway wan0 203.0.113.2/24 203.0.113.1
address gateway lan0 192.168.1.1/24
address provider home0 203.0.113.1/24
address provider outside 198.51.100.1/24
address server eth0 198.51.100.80/24 198.51.100.1
address server eth0 198.51.100.81/24
address server eth0 198.51.100.53/24
address client eth0 198.51.100.7/24 198.51.100.1
for pc in "${PCS[@]}"; do
  address "pc$pc" eth0 "192.168.1.$pc/24" 192.168.1.1
done

# --- Programs

service server node "$PROGRAMS" http 80 outside
service pc12 node "$PROGRAMS" http 80 pc12
service server dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file= --user=root --no-resolv --no-hosts \
  --bind-interfaces --listen-address=198.51.100.53 --host-record=www.example.com,198.51.100.80
listening server tcp 80
listening pc12 tcp 80
listening server udp 53

for pc in "${PCS[@]}"; do on "pc$pc" ping -qc1 192.168.1.1 >/dev/null; done
on gateway ping -qc1 203.0.113.1 >/dev/null

# together COMMAND...: runs it for every machine at the same time, the machine as its first argument.
together() {
  local pc jobs=() job
  for pc in "${PCS[@]}"; do
    "$1" "pc$pc" "${@:2}" &
    jobs+=($!)
  done
  for job in "${jobs[@]}"; do wait "$job"; done
}

get() { on "$1" node "$PROGRAMS" get "$2" "$3"; }
echo_request() { on "$1" ping -qc2 -i0.2 -e "$2" "$3" >/dev/null; }
dns_query() { on "$1" node "$PROGRAMS" query "$2" 198.51.100.53 "$3"; }

session_start . lan0 wan0

# One after the other: the first keeps its source port, the others get one of 1024-65535. Their connections are over
# (TIME_WAIT) when the next one starts, and still hold their ports.
for pc in "${PCS[@]}"; do get "pc$pc" 50000 http://198.51.100.80/; done
# All at once, with a body long enough for them to overlap.
together fetch 200 --local-port 50001 http://198.51.100.80/large
# The same source port to the second web server: nobody's there yet, but each machine keeps the port it was given.
for pc in "${PCS[@]}"; do get "pc$pc" 50000 http://198.51.100.81/; done
# Privileged source ports stay privileged: 600-1023 for 512-1023 ...
for pc in 10 11 12; do fetch "pc$pc" 200 --local-port 800 http://198.51.100.81/; done
# ... and 1-511 for those below 512: resolvers that ask from port 53.
for pc in 10 11 12; do dns_query "pc$pc" 53 www.example.com; done
# DNS from one high port, all at once; then a name that does not exist.
together dns_query 40053 www.example.com
dns_query pc14 40054 nowhere.example.com
# Echo requests with one id.
together echo_request 77 198.51.100.80
# No collision: ports of their own.
fetch pc13 '200 404' --local-port 51313 http://198.51.100.80/ http://198.51.100.80/missing
fetch pc14 200 --local-port 51414 http://198.51.100.81/

# From outside: the forwarded port twice, a port nobody forwards, the router itself.
fetch client 200 --local-port 52000 http://203.0.113.2:8080/
fetch client '200 404' --local-port 52001 http://203.0.113.2:8080/large http://203.0.113.2:8080/missing
refused client http://203.0.113.2:8081/
on client ping -qc2 -i0.2 203.0.113.2 >/dev/null
# From inside to the router.
on pc10 ping -qc2 -i0.2 192.168.1.1 >/dev/null
session_stop

publish "$HERE"
