#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: core
#
# IPv6, alone and mixed with IPv4, against xfrm: transport, and tunnels of all
# four combinations; extension headers; fragments; streams; what a policy for
# all addresses must leave alone.
#
#	fd01::1, 10.1.0.1 [k: kipsec] fd00::1, 10.0.0.1 ---- wire ----
#	---- wire ---- fd00::2, 10.0.0.2 [x: xfrm] fd02::1, 10.2.0.1
import errno
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import esp                                                      # noqa: E402
import ipsec                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, alg, transport, tunnel   # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import pair                                          # noqa: E402
from traffic import Ping, Udp, tcp_copy                         # noqa: E402
from wire import (DSTOPTS, ESP, FRAGMENT, HOPOPTS, ICMP6, OPEN, UDP, Capture,    # noqa: E402
                  Injector, fill, ip6, udp4)

K4, X4, K6, X6 = "10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"
KNET4, XNET4, KNET6, XNET6 = "10.1.0.1", "10.2.0.1", "fd01::1", "fd02::1"
NETS = {KNET4: "10.1.0.0/24", XNET4: "10.2.0.0/24", KNET6: "fd01::/64", XNET6: "fd02::/64"}
PORT = 4000
# name: what the inner packet's ends are, what the outer one's
WAYS = {"transport": (K6, X6, K6, X6), "6 in 6": (KNET6, XNET6, K6, X6),
        "4 in 6": (KNET4, XNET4, K6, X6), "6 in 4": (KNET6, XNET6, K4, X4)}
ALGS = [ipsec.GCM, ipsec.AES_SHA1, ipsec.NULL_SHA256, (alg("chacha20-poly1305"), None)]
SIZES = (1, 8, 100, 1000, 1300)


class Bench:
    def __init__(self, lab):
        self.lab, self.k, self.x, self.wire = lab, Kipsec(lab["k"]), Xfrm(lab["x"]), Capture(lab)
        # Somebody listens there, or there would be ICMP errors.
        self.sinks = [Udp(lab["x"], X6, PORT), Udp(lab["x"], XNET6, PORT)]

    def configure(self, way, algs, window=64):
        """One pair of SAs, and policies that want them."""
        a, b, left, right = WAYS[way]
        mode = "transport" if way == "transport" else "tunnel"
        out = SA(left, right, 0x1101, algs, mode, window=window)
        back = SA(right, left, 0x1102, algs, mode, window=window)
        self.k.flush()
        self.x.flush()
        for stack, own, peer, src, dst in ((self.k, left, right, a, b),
                                           (self.x, right, left, b, a)):
            src, dst = NETS.get(src, src), NETS.get(dst, dst)
            there, here = (transport(), transport()) if mode == "transport" else \
                (tunnel(own, peer), tunnel(peer, own))
            stack.add(out, back, Policy(src, dst, "out", requests=[there]),
                      Policy(dst, src, "in", requests=[here]))
        self.wire.flush()
        return out, back


def wanted_len(sa, inner, size):
    """Of an echo with size bytes of data, on the wire."""
    if sa.mode == "transport":
        return sa.wire_len(8 + size)
    return sa.wire_len(8 + size + (40 if ":" in inner else 20))


def echoes(tap, b):
    for way, (a, z, _, _) in WAYS.items():
        for algs in ALGS:
            with tap.case("echoes: %s, %s" % (way, algs[0].name)):
                out, back = b.configure(way, algs)
                wanted, seq = [], 0
                n = 2 * len(SIZES)
                with Moves(b.x), Moves(b.k, OutProtected=n, InProtected=n):
                    for ns, src, dst, one, two in (("k", a, z, out, back), ("x", z, a, back, out)):
                        ping = Ping(b.lab[ns], src)
                        for size in SIZES:
                            check(ping(dst, size) is not None, "%s: no answer of %d bytes" %
                                  (ns, size))
                            seq += 1
                            wanted += ["%s>%s esp %#x #%d len %d" %
                                       (s.src, s.dst, s.spi, seq, wanted_len(s, src, size))
                                       for s in (one, two)]
                        ping.close()
                b.wire.expect(wanted)


def streams(tap, b):
    for way, (a, z, _, _) in WAYS.items():
        b.configure(way, ipsec.GCM, window=1024)
        for src, dst, here, there in (("k", "x", a, z), ("x", "k", z, a)):
            with tap.case("TCP: %s, %s to %s" % (way, src, dst)):
                tcp_copy(b.lab[src], b.lab[dst], there, 1 << 20, src=here)
                packets = b.wire.take()
                equal({p.proto for p in packets}, {ESP}, "protocols on the wire")
                longest = max(p.len for p in packets)
                check(1280 <= longest <= 1500, "longest packet has %d bytes" % longest)
            with tap.case("UDP of 1 to 60000 bytes: %s, %s to %s" % (way, src, dst)):
                sender, receiver = Udp(b.lab[src], here), Udp(b.lab[dst], there, PORT + 1)
                for size in (1, 1300, 1372, 1400, 1452, 1472, 3000, 60000):
                    try:
                        sender.send(fill(size), there, PORT + 1)
                    except OSError as e:        # the first learns what fits
                        equal(e.errno, errno.EMSGSIZE, "errno")
                        sender.send(fill(size), there, PORT + 1)
                    equal(receiver.recv(), fill(size), "datagram of %d bytes" % size)
                sender.close()
                receiver.close()
                equal({p.proto for p in b.wire.take()}, {ESP}, "protocols on the wire")


def extensions(tap, b):
    """Headers that routers read stay in front of ESP, the rest goes inside."""
    padn = bytes((1, 4, 0, 0, 0, 0))
    inject, udp = Injector(b.lab["x"], b.lab["k"]), Udp(b.lab["k"], K6, PORT)
    with tap.case("extension headers, out: hop-by-hop in front, the last options inside"):
        out, _ = b.configure("transport", ipsec.NULL_SHA256)
        with b.lab["k"]:
            s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        s.bind((K6, 0))
        s.setsockopt(41, 54, bytes((0, 0)) + padn)      # IPV6_HOPOPTS
        s.setsockopt(41, 59, bytes((0, 0)) + padn)      # IPV6_DSTOPTS
        with Moves(b.k, OutProtected=1):
            s.sendto(fill(20), (X6, PORT))
        s.close()
        packet, = b.wire.collect(1)
        equal((packet.raw[6], packet.raw[40], packet.ihl), (HOPOPTS, ESP, 48), "headers")
        inner = packet.payload[8:-16]
        equal(inner[-1], DSTOPTS, "what ESP carries")
        equal((inner[0], inner[1:2], inner[16:36]), (UDP, b"\0", fill(20)), "its header and data")
    with tap.case("extension headers, in: hop-by-hop in front of ESP, options inside"):
        _, back = b.configure("transport", ipsec.NULL_SHA256)
        data = bytes((UDP, 0)) + padn + udp6(X6, K6, b"inside options")
        packet = ip6(X6, K6, HOPOPTS, bytes((ESP, 0)) + padn +
                     esp.protect(back, 1, data, DSTOPTS))
        with Moves(b.k, InProtected=1):
            inject.send(packet)
        equal(udp.recv(), b"inside options", "datagram")
        with Moves(b.k, InReplayDup=1):
            inject.send(packet)
    with tap.case("in clear with extension headers: refused like any other"):
        with Moves(b.k, InClear=2):
            inject.send(ip6(X6, K6, HOPOPTS, bytes((UDP, 0)) + padn + udp6(X6, K6, b"clear")),
                        ip6(X6, K6, DSTOPTS, bytes((UDP, 0)) + padn + udp6(X6, K6, b"clear")))
        check(udp.recv(0.2) is None, "it arrived")
    inject.close()
    udp.close()


def udp6(src, dst, data):
    from wire import checksum
    head = struct.pack("!HHHH", PORT, PORT, 8 + len(data), 0)
    pseudo = socket.inet_pton(10, src) + socket.inet_pton(10, dst) + struct.pack(
        "!II", 8 + len(data), UDP)
    return head[:6] + struct.pack("!H", checksum(pseudo + head + data)) + data


def fragments(tap, b):
    def frag(ident, offset, more, data):
        return struct.pack("!BBHI", UDP, 0, offset | more, ident) + data

    whole = udp6(X6, K6, fill(1200, OPEN))
    first, last = whole[:640], whole[640:]
    udp, inject = Udp(b.lab["k"], K6, PORT), Injector(b.lab["x"], b.lab["k"])
    with tap.case("fragments: ESP itself"):
        _, back = b.configure("transport", ipsec.NULL_SHA256)
        protected = esp.protect(back, 1, whole, UDP)

        def esp_frag(offset, more, data):
            return struct.pack("!BBHI", ESP, 0, offset | more, 1) + data
        with Moves(b.k, InProtected=1):
            inject.send(ip6(X6, K6, FRAGMENT, esp_frag(0, 1, protected[:640])),
                        ip6(X6, K6, FRAGMENT, esp_frag(640, 0, protected[640:])))
            equal(udp.recv(), fill(1200, OPEN), "datagram")
    with tap.case("fragments: inside of ESP"):
        with Moves(b.k, InProtected=1):
            inject.send(*[ip6(X6, K6, ESP, esp.protect(back, n, part, FRAGMENT)) for n, part in
                          ((2, frag(2, 0, 1, first)), (3, frag(2, 640, 0, last)))])
            equal(udp.recv(), fill(1200, OPEN), "datagram")
    for name, order in (("first protected, last in clear", (1, 0)),
                        ("last in clear, then first protected", (0, 1))):
        with tap.case("fragments never mix: " + name):
            b.configure("transport", ipsec.NULL_SHA256)
            parts = [ip6(X6, K6, FRAGMENT, frag(3, 640, 0, last)),
                     ip6(X6, K6, ESP, esp.protect(back, 4, frag(3, 0, 1, first), FRAGMENT))]
            inject.send(*[parts[n] for n in order])
            check(udp.recv(0.3) is None, "a datagram was put together")
    with tap.case("fragments in clear are judged as the packet that they make"):
        with Moves(b.k, InClear=1):
            inject.send(ip6(X6, K6, FRAGMENT, frag(4, 0, 1, first)),
                        ip6(X6, K6, FRAGMENT, frag(4, 640, 0, last)))
        check(udp.recv(0.2) is None, "it arrived")
    udp.close()
    inject.close()


def broad(tap, b):
    """A policy for ::/0 leaves the neighbours alone."""
    with tap.case("policy for ::/0: neighbours are found, all else is protected or refused"):
        b.configure("transport", ipsec.GCM)
        b.k.setkey("spdflush;")
        b.k.add(Policy("::/0", "::/0", "out", requests=[transport()]),
                Policy("::/0", "::/0", "in", requests=[transport()]))
        for ns in "kx":
            b.lab[ns].ip("neigh flush dev eth0")
        ping = Ping(b.lab["k"], K6)
        # xfrm protects its own neighbour discovery when it knows where to send it.
        with Moves(b.k, ignore=("InProtected",), OutProtected=1):
            check(ping(X6, 100) is not None, "no answer")
        ping.close()
        equal({p.proto for p in b.wire.collect(2)}, {ESP}, "protocols on the wire")
    with tap.case("policy for ::/0: a multicast and a link's address pass in clear"):
        link = next(w.split("/")[0] for w in b.lab["x"].run(
            "ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "link").split()
            if w.startswith("fe80"))
        with b.lab["k"]:
            s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            index = socket.if_nametoindex("eth0")
        for dst in ("ff02::1", link):
            with Moves(b.k):
                s.sendto(OPEN, (dst, 9, 0, index))
            equal([(p.dst, p.proto) for p in b.wire.collect(1) if p.proto == UDP], [(dst, UDP)],
                  "packet")
        s.close()
    with tap.case("policy for ::/0: no SA, no packet"):
        b.k.setkey("flush;")
        udp = Udp(b.lab["k"], K6)
        with Moves(b.k, OutNoSa=1):
            try:
                udp.send(fill(10), X6, PORT)
                check(False, "the send did not fail")
            except OSError as e:
                equal(e.errno, errno.EHOSTUNREACH, "errno")
        udp.close()
        equal(len(b.wire.take()), 0, "packets on the wire")


def selectors(tap, b):
    with tap.case("ICMPv6 type, ports and protocol select"):
        b.configure("transport", ipsec.GCM)
        b.k.setkey("spdflush; spdadd %s %s icmp6 128,0 -P out discard;"
                   "spdadd %s[4001] %s[any] udp -P out discard;" % (K6, X6, K6, X6))
        ping, sends = Ping(b.lab["k"], K6), Udp(b.lab["k"], K6, 4001)
        with Moves(b.k, OutDiscard=2):
            check(ping(X6, 10, 0.2, OPEN) is None, "the echo was answered")
            try:
                sends.send(OPEN, X6, PORT)
            except OSError as e:
                equal(e.errno, errno.EPERM, "errno")
        other = Udp(b.lab["k"], K6, 4002)
        with Moves(b.k):
            other.send(OPEN, X6, PORT)
        for s in (ping, sends, other):
            s.close()


def too_big(tap, b):
    with tap.case("a packet too big is refused with the size that fits"):
        out, _ = b.configure("6 in 6", ipsec.GCM)
        # 1500 less 40 IPv6, 16 ESP with IV, 16 ICV: 1428 of text, 2 of them the trailer
        udp = Udp(b.lab["k"], KNET6, df=2)
        with Moves(b.k, OutTooBig=1, OutProtected=1):
            try:
                udp.send(fill(1426 - 48 + 1), XNET6, PORT)
                check(False, "the send did not fail")
            except OSError as e:
                equal(e.errno, errno.EMSGSIZE, "errno")
            udp.send(fill(1426 - 48), XNET6, PORT)
        b.wire.expect(["%s>%s esp 0x1101 #1 len 1500" % (K6, X6)])
        udp.close()


def ipv6(tap):
    ipsec.loaded()
    with pair(ipv6=True) as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state, b.x.state]
        for part in (too_big, echoes, streams, extensions, fragments, broad, selectors):
            part(tap, b)


if __name__ == "__main__":
    run(ipv6)
