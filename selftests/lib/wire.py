# SPDX-License-Identifier: GPL-2.0
"""What is on the wire: capture, parse, compare, and look for clear text.

Payload that policy wants protected is made of SECRET; it is nowhere allowed
outside of ESP and AH. Payload that may travel in clear is made of OPEN.
"""
import socket
import struct
import time

from ktap import Failed, equal

SECRET = b"kipsec-SECRET.01"
OPEN = b"kipsec-open-0001"
ETH_P_ALL, ETH_P_IP, ETH_P_IPV6 = 3, 0x0800, 0x86dd
PACKET_OUTGOING = 4
ICMP, TCP, UDP, ESP, AH, IPCOMP, ICMP6 = 1, 6, 17, 50, 51, 108, 58
NAMES = {ICMP: "icmp", TCP: "tcp", UDP: "udp", ESP: "esp", AH: "ah", IPCOMP: "ipcomp", 4: "ipip",
         41: "ip6", ICMP6: "icmp6"}
HOPOPTS, ROUTING, FRAGMENT, DSTOPTS = 0, 43, 44, 60


def fill(size, pattern=SECRET):
    """Exactly size bytes of the pattern."""
    return (pattern * (size // len(pattern) + 1))[:size]


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    s = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def ip4(src, dst, proto, payload, ident=1, flags=0, offset=0, ttl=64, tos=0, total=None,
        ihl=5, version=4):
    """A whole IPv4 packet; offset in bytes, flags 2 = DF, 1 = more fragments."""
    if total is None:
        total = 20 + len(payload)
    head = struct.pack("!BBHHHBBH4s4s", version << 4 | ihl, tos, total, ident,
                       flags << 13 | offset // 8, ttl, proto, 0,
                       socket.inet_aton(src), socket.inet_aton(dst))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def udp4(src, dst, sport, dport, data):
    """A UDP header without checksum, and data."""
    return struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data


def sum_between(src, dst, proto, data):
    """The checksum of what follows the IP header, of either family; 0 if it has the right one."""
    family = socket.AF_INET6 if ":" in dst else socket.AF_INET
    return checksum(socket.inet_pton(family, src) + socket.inet_pton(family, dst) +
                    struct.pack("!II", len(data), proto) + data)


def udp(src, dst, sport, dport, data):
    """The same of either family with the checksum for these addresses."""
    whole = udp4(src, dst, sport, dport, data)
    return whole[:6] + struct.pack("!H", sum_between(src, dst, UDP, whole) or 0xffff) + whole[8:]


def tcp(src, dst, sport, dport, seq, flags, data=b"", ack=0, options=b""):
    """A segment with the checksum for these addresses; options fill words."""
    whole = struct.pack("!HHIIBBHHH", sport, dport, seq, ack, 5 + len(options) // 4 << 4, flags,
                        8192, 0, 0) + options + data
    return whole[:16] + struct.pack("!H", sum_between(src, dst, TCP, whole)) + whole[18:]


def ip6(src, dst, proto, payload, hops=64, tclass=0, flow=0, length=None):
    """A whole IPv6 packet; extension headers are part of the payload."""
    return struct.pack("!IHBB", 6 << 28 | tclass << 20 | flow,
                       len(payload) if length is None else length, proto, hops) + \
        socket.inet_pton(socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, dst) + payload


class Packet:
    """An IP packet as captured."""

    def __init__(self, data):
        if data[0] >> 4 == 6:
            self._read6(data)
        else:
            self._read4(data)
        if self.proto == ESP and not self.offset and len(self.payload) >= 8:
            self.spi, self.seq = struct.unpack_from("!II", self.payload)
        elif self.proto == AH and not self.offset and len(self.payload) >= 12:
            self.spi, self.seq = struct.unpack_from("!II", self.payload, 4)
        else:
            self.spi = self.seq = None

    def _read6(self, data):
        first, length, self.proto, self.ttl = struct.unpack_from("!IHBB", data)
        self.tos = first >> 20 & 255
        self.len = 40 + length
        self.id = self.sum = None
        self.src = socket.inet_ntop(socket.AF_INET6, data[8:24])
        self.dst = socket.inet_ntop(socket.AF_INET6, data[24:40])
        self.ihl, self.df, self.more, self.offset = 40, True, False, 0
        self.raw = data[:self.len]
        while self.proto in (HOPOPTS, ROUTING, FRAGMENT, DSTOPTS):
            kind = self.proto
            self.proto, size = data[self.ihl], 8 * (data[self.ihl + 1] + 1)
            if kind == FRAGMENT:
                size = 8
                frag, = struct.unpack_from("!H", data, self.ihl + 2)
                self.offset, self.more = frag & 0xfff8, bool(frag & 1)
            self.ihl += size
            if self.offset:
                break
        self.payload = self.raw[self.ihl:]

    def _read4(self, data):
        (vihl, self.tos, self.len, self.id, frag, self.ttl, self.proto, self.sum) = \
            struct.unpack_from("!BBHHHBBH", data)
        self.src = socket.inet_ntoa(data[12:16])
        self.dst = socket.inet_ntoa(data[16:20])
        self.ihl = (vihl & 15) * 4
        self.df = bool(frag & 0x4000)
        self.more = bool(frag & 0x2000)
        self.offset = (frag & 0x1fff) * 8
        self.raw = data[:self.len]
        self.payload = self.raw[self.ihl:]

    @property
    def neighbour(self):
        """Discovery of neighbours, routers and listeners, which is no test's business."""
        return self.proto == ICMP6 and self.payload[0] in (130, 131, 132, 133, 134, 135, 136, 137,
                                                           143)

    @property
    def fragment(self):
        return self.more or self.offset > 0

    def leaks(self, pattern=SECRET):
        return self.proto not in (ESP, AH) and pattern in self.raw

    def __str__(self):
        text = "%s>%s %s" % (self.src, self.dst, NAMES.get(self.proto, self.proto))
        if self.spi is not None:
            text += " %#x #%d" % (self.spi, self.seq)
        if self.fragment:
            text += " frag %d%s" % (self.offset, "+" if self.more else "")
        return text + " len %d" % self.len

    __repr__ = __str__


class Capture:
    """All IP packets that anybody puts on a wire of the lab, but for neighbour discovery."""

    def __init__(self, lab, wire="w0"):
        self.wire = wire
        self.packets = []
        self.sock = lab.wire_ns.socket(socket.AF_PACKET, socket.SOCK_RAW,
                                       socket.htons(ETH_P_ALL))
        self.sock.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)   # SO_RCVBUFFORCE
        self.sock.setblocking(False)

    def _drain(self):
        while True:
            try:
                data, (dev, proto, kind, _, _) = self.sock.recvfrom(1 << 17)
            except BlockingIOError:
                return
            # A port of our bridge, and coming in: each frame just once.
            if proto in (ETH_P_IP, ETH_P_IPV6) and kind != PACKET_OUTGOING and \
               dev.startswith(self.wire + "-") and len(data) >= 34:
                packet = Packet(data[14:])
                if not packet.neighbour:
                    self.packets.append(packet)

    def flush(self):
        self._drain()
        self.packets = []

    def take(self, secret=SECRET):
        """What came since the last call. Clear text fails the case at once."""
        self._drain()
        packets, self.packets = self.packets, []
        bad = [p for p in packets if p.leaks(secret)]
        if bad:
            raise Failed("clear text on the wire: %s" % bad[0])
        return packets

    def collect(self, count, timeout=5.0):
        """As take(), but the kernel has some time until there are so many."""
        end = time.monotonic() + timeout
        packets = self.take()
        while len(packets) < count and time.monotonic() < end:
            time.sleep(0.01)
            packets += self.take()
        return packets

    def expect(self, wanted, timeout=5.0, what="packets on the wire"):
        """Exactly these packets (as str(packet) shows them), in this order."""
        equal([str(p) for p in self.collect(len(wanted), timeout)], list(wanted), what)

    def close(self):
        self.sock.close()


class Injector:
    """Puts whole frames on the wire from a namespace, past its IP stack."""

    def __init__(self, ns, to, dev="eth0", to_dev="eth0"):
        with ns:
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
            self.sock.bind((dev, ETH_P_IP))
        self.head = _mac(to, to_dev) + _mac(ns, dev)

    def send(self, *packets):
        for p in packets:
            kind = ETH_P_IPV6 if p[0] >> 4 == 6 else ETH_P_IP
            self.sock.send(self.head + struct.pack("!H", kind) + p)

    def close(self):
        self.sock.close()


def _mac(ns, dev):
    """The address of a device, by SIOCGIFHWADDR: /sys shows another namespace."""
    import fcntl
    with ns, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        return fcntl.ioctl(s, 0x8927, struct.pack("256s", dev.encode()))[18:24]
