/**
 * The host's own packets, sent in its namespace by raw sockets that take whole IP packets (IP_HDRINCL), so that they begin
 * where those of any program do: routing, then OUTPUT. Node.js has no raw sockets; Python's standard library does.
 *
 * The sender is started among the wires, opens its packet sockets there, and goes on in the gateway with them (`ip netns
 * exec` keeps open files). It sends everything, frames and the host's packets, one after the other. A packet of the host
 * crosses one veth until it is seen, a marker three; so each marker is awaited where it comes back before anything else is
 * sent, and none is overtaken.
 *
 * Of a packet the socket knows the source address, as a bound socket does (`ip rule from`), and the TOS; ports and protocol
 * are not known when it is routed first. It belongs to SENDER_UID, an account that nobody has, so that of rules only
 * `-m owner --socket-exists` tells it from one whose process is not known; to `ip rule uidrange` it is 0, as packets without
 * a socket are. What cannot be sent (no route, dropped by a rule) is an error there and nothing more.
 */

/** User and group of the sockets, as `-m owner` sees them. Where it can't be assumed they are root's. */
export const SENDER_UID = 4_294_967_280;

/** argv: interface of the frames, interface that markers come back by, namespace of the host. */
export const HOST_SENDER = `
import os, socket, struct, sys

MARKER = b"\\x88\\xb5"
IPV6_FREEBIND = 78

def among_the_wires(inject, mark, gateway):
    frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    frames.bind((inject, 0))
    markers = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88b5))
    markers.bind((mark, 0x88b5))
    for one in (frames, markers):
        one.set_inheritable(True)
    files = [str(frames.fileno()), str(markers.fileno())]
    program = [sys.executable, "-I", "-c", SCRIPT] + files
    os.execvp("ip", ["ip", "netns", "exec", gateway] + program)

def assume(uid):
    try:
        import ctypes
        libc = ctypes.CDLL(None)
        libc.setfsgid(ctypes.c_uint(uid))
        libc.setfsuid(ctypes.c_uint(uid))
    except (ImportError, OSError, AttributeError):
        pass

class Host:
    def __init__(self):
        self.bound = {}
        assume(${SENDER_UID})
        self.sockets = {4: self.open4(), 6: self.open6()}
        assume(0)
        for one in self.sockets.values():
            if one is not None:
                os.fchown(one.fileno(), 0, 0)

    def open4(self):
        one = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        one.setsockopt(socket.SOL_IP, socket.IP_HDRINCL, 1)
        one.setsockopt(socket.SOL_IP, 15, 1)  # IP_FREEBIND
        one.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        return one

    def open6(self):
        try:
            one = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
            one.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
            return one
        except OSError:
            return None

    def send(self, packet):
        version = packet[0] >> 4
        one = self.sockets.get(version)
        if one is None:
            return
        if version == 4:
            source, to = packet[12:16], packet[16:20]
            source, to = socket.inet_ntop(socket.AF_INET, source), socket.inet_ntop(socket.AF_INET, to)
            tos = packet[1]
        else:
            source = socket.inet_ntop(socket.AF_INET6, packet[8:24])
            to = socket.inet_ntop(socket.AF_INET6, packet[24:40])
            tos = (packet[0] & 15) << 4 | packet[1] >> 4
        try:
            if self.bound.get(version) != (source, tos):
                self.bound[version] = None
                one.bind((source, 0))
                if version == 4:
                    one.setsockopt(socket.SOL_IP, socket.IP_TOS, tos)
                else:
                    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, tos)
                self.bound[version] = (source, tos)
            one.sendto(packet, (to, 0))
        except OSError:
            pass

def in_the_gateway(frames, markers):
    frames = socket.socket(fileno=int(frames))
    markers = socket.socket(fileno=int(markers))
    markers.settimeout(5)
    host = Host()
    records = sys.stdin.buffer
    records.read(24)
    while True:
        header = records.read(16)
        if len(header) < 16:
            return
        of_host, _, length, _ = struct.unpack("<IIII", header)
        data = records.read(length)
        if of_host:
            host.send(data)
            continue
        frames.send(data)
        if data[12:14] == MARKER:
            back = markers.recv(64)
            if back[14:20] != data[14:20]:
                sys.exit("another marker came back")

if len(sys.argv) > 3:
    SCRIPT = open("/proc/self/cmdline", "rb").read().split(b"\\0")[3].decode()
    among_the_wires(*sys.argv[1:])
else:
    in_the_gateway(*sys.argv[1:])
`;
