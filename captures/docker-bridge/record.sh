#!/usr/bin/env bash
# Records a Docker host at work, without Docker: network namespaces stand for the machines, the rules are the ones
# Docker (up to 27) writes for `-p 80:80` and `-p 8799:1337`, the kernel and the programs are real. README.md draws it.
#
#   sudo ./record.sh            # replaces the files in this folder; takes about ten seconds
#
# Needs root and the tools `begin` checks for. Leaves nothing behind, however it ends.

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../recording/lib.sh
source "$HERE/../recording/lib.sh"
begin dnsmasq

HOST=host
RULES=$(
  cat <<'DOCKER'
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A DOCKER -d 172.17.0.3/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 1337 -j ACCEPT
-A DOCKER -d 172.17.0.4/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 172.17.0.3/32 -d 172.17.0.3/32 -p tcp -m tcp --dport 1337 -j MASQUERADE
-A POSTROUTING -s 172.17.0.4/32 -d 172.17.0.4/32 -p tcp -m tcp --dport 80 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8799 -j DNAT --to-destination 172.17.0.3:1337
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.4:80
COMMIT
DOCKER
)

# --- Machines and cables

machine host   # the Docker host
machine app    # container 172.17.0.3, port 1337, published as 8799
machine web    # container 172.17.0.4, port 80, published as 80
machine router # the host's default gateway
machine client # outside, behind the router: 198.51.100.7 and .8
machine server # outside, behind the router: web server 203.0.113.80, resolver 203.0.113.53

forwards host
forwards router

cable host eth0 02:00:c0:00:02:01 router host0 02:00:c0:00:02:fe
cable client eth0 02:00:c6:33:64:07 router clients0 02:00:c6:33:64:fe
cable server eth0 02:00:cb:00:71:50 router servers0 02:00:cb:00:71:fe
bridge host docker0 02:42:ac:11:00:01
cable host veth3 02:00:00:00:00:03 app eth0 02:42:ac:11:00:03
cable host veth4 02:00:00:00:00:04 web eth0 02:42:ac:11:00:04
on host ip link set veth3 master docker0
on host ip link set veth4 master docker0

address host eth0 192.0.2.1/24 192.0.2.254
address host docker0 172.17.0.1/16
address app eth0 172.17.0.3/16 172.17.0.1
address web eth0 172.17.0.4/16 172.17.0.1
address router host0 192.0.2.254/24
address router clients0 198.51.100.254/24
address router servers0 203.0.113.254/24
address client eth0 198.51.100.7/24 198.51.100.254
address client eth0 198.51.100.8/24
address server eth0 203.0.113.80/24 203.0.113.254
address server eth0 203.0.113.53/24

# Each machine has source ports of its own: one can see who speaks, and by chance no two containers want the same one.
on client sysctl -qw net.ipv4.ip_local_port_range='40000 40999'
on app sysctl -qw net.ipv4.ip_local_port_range='43000 43999'
on web sysctl -qw net.ipv4.ip_local_port_range='44000 44999'
on host sysctl -qw net.ipv4.ip_local_port_range='41000 41999'

# --- Programs

service app node "$PROGRAMS" http 1337 app
service web node "$PROGRAMS" http 80 web
service server node "$PROGRAMS" http 80 outside
service server dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file= --user=root --no-resolv --no-hosts \
  --bind-interfaces --listen-address=203.0.113.53 --host-record=www.example.com,203.0.113.80 \
  --txt-record=www.example.com,natreplay --mx-host=example.com,www.example.com,10
listening app tcp 1337
listening web tcp 80
listening server tcp 80
listening server udp 53
seq 1 4000 >"$SCRATCH/upload" # 18893 bytes

# Neighbours find each other before the recording too, so that it begins with the traffic and not with lost seconds.
on host ping -qc1 192.0.2.254 >/dev/null
on host ping -qc1 172.17.0.3 >/dev/null
on host ping -qc1 172.17.0.4 >/dev/null

# --- Main session: nothing but traffic that begins outside the host, so that every packet the host sent is explained
# by one it received (or is an answer of its own: a reset, an echo reply, ARP).

links=$(on host cat /sys/class/net/{eth0,docker0}/ifindex | paste -sd' ')
session_start . --any "ifindex ${links% *} or ifindex ${links#* }" eth0 docker0

# Published ports, from outside.
fetch client 200 http://192.0.2.1/
fetch client '200 200 404' http://192.0.2.1/ http://192.0.2.1/ http://192.0.2.1/missing # one connection, kept alive
fetch client 200 http://192.0.2.1/large
fetch client 200 http://192.0.2.1:8799/
fetch client 200 --header 'Connection: close' http://192.0.2.1:8799/ # the server closes first
fetch client 200 --data-binary "@$SCRATCH/upload" http://192.0.2.1:8799/upload
fetch client 404 http://192.0.2.1:8799/missing

# Both ports and both clients at once, from the same source port where that is possible.
fetch client 200 --interface 198.51.100.7 --local-port 50000 http://192.0.2.1/ &
one=$!
fetch client 200 --interface 198.51.100.8 --local-port 50000 http://192.0.2.1/ &
two=$!
fetch client 200 --interface 198.51.100.8 --local-port 50001 http://192.0.2.1:8799/ &
three=$!
wait $one
wait $two
wait $three

# A client that hangs up as soon as the answer begins (its reset crosses the host), a port nobody published, and the
# host itself.
on client node "$PROGRAMS" hang-up 192.0.2.1 80 /large
refused client http://192.0.2.1:8080/
on client ping -qc3 -i0.2 192.0.2.1 >/dev/null

# Containers talk out.
fetch app 200 http://203.0.113.80/
fetch web '200 404' http://203.0.113.80/large http://203.0.113.80/missing
on app node "$PROGRAMS" lookup 203.0.113.53 www.example.com nowhere.example.com
on web node "$PROGRAMS" lookup 203.0.113.53 www.example.com
on app ping -qc3 -i0.2 203.0.113.80 >/dev/null
on web ping -qc2 -i0.2 -s 1400 203.0.113.80 >/dev/null
on web ping -qc2 -i0.2 172.17.0.1 >/dev/null # the bridge's own address

# A container asks for a published port at the host's address: DOCKER returns what comes from docker0, so the host
# itself is asked, and (without docker-proxy, see from-host) nobody listens there.
refused app http://192.0.2.1:8799/
session_stop

# --- Errors: ICMP about translated connections.

session_start errors eth0 docker0
on app node "$PROGRAMS" datagram 43999 203.0.113.80 9 'anybody there?' # port unreachable, from the server
on app ping -qc1 -t1 203.0.113.80 >/dev/null || true                   # time exceeded, from the host
on web ping -qc1 -t2 203.0.113.80 >/dev/null || true                   # time exceeded, from the router
refused web http://203.0.113.80:81/                                    # a reset, from the server
session_stop

# --- What the host itself begins. These connections are in the captures from their second packet on: the first one was
# sent by the host, so it is an outgoing record. docker-proxy listens on the published ports, as it does by default.

service host node "$PROGRAMS" proxy 8799 172.17.0.3 1337
service host node "$PROGRAMS" proxy 80 172.17.0.4 80
listening host tcp 8799
listening host tcp 80

session_start from-host eth0 docker0
fetch host 200 http://192.0.2.1:8799/   # OUTPUT: DNAT, out by docker0
fetch host 200 http://172.17.0.1/       # OUTPUT: DNAT, out by docker0
fetch host 200 http://127.0.0.1:8799/   # OUTPUT leaves 127.0.0.0/8 alone: docker-proxy
fetch host 200 http://172.17.0.3:1337/  # straight to the container
fetch host 200 http://203.0.113.80/     # the host as a client of the outside
on host ping -qc2 -i0.2 172.17.0.4 >/dev/null
fetch app 200 http://192.0.2.1:8799/    # a container to its own published port: docker-proxy
fetch app 200 http://192.0.2.1/         # and to its neighbour's
session_stop

# --- Between containers, with tcpdump in its default promiscuous mode. The bridge then shows docker0 the frames it
# switches between its ports, too: they are addressed to another machine, and IP does not take them in.

session_start between-containers --promiscuous docker0
fetch app 200 http://172.17.0.4/
on web ping -qc2 -i0.2 172.17.0.3 >/dev/null
session_stop

publish "$HERE"
