#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# The Authentication Header with IPv6, against xfrm, scapy and packets made by
# hand: each hash, transport and tunnels of all four combinations; what may change
# on the way and what not; extension headers; fragments; streams.
#
#	fd01::1, 10.1.0.1 [k: kipsec] fd00::1, 10.0.0.1 ---- wire ----
#	---- wire ---- fd00::2, 10.0.0.2 [x: xfrm] fd02::1, 10.2.0.1
import os
import socket
import sys
from dataclasses import replace

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ah                                                       # noqa: E402
import ipsec                                                    # noqa: E402
from ah import flipped, with_length                             # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, transport, tunnel    # noqa: E402
from ktap import Skip, check, equal, run                        # noqa: E402
from netns import pair                                          # noqa: E402
from traffic import Ping, Udp, tcp_copy                         # noqa: E402
from wire import (AH, DSTOPTS, HOPOPTS, OPEN, ROUTING, UDP, Capture, Injector,     # noqa: E402
                  fill, ip6, udp)

K4, X4, K6, X6, OTHER6 = "10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2", "fd00::11"
KNET4, XNET4, KNET6, XNET6 = "10.1.0.1", "10.2.0.1", "fd01::1", "fd02::1"
NETS = {KNET4: "10.1.0.0/24", XNET4: "10.2.0.0/24", KNET6: "fd01::/64", XNET6: "fd02::/64"}
PORT = 4000
# name: what the inner packet's ends are, what the outer one's
WAYS = {"transport": (K6, X6, K6, X6), "6 in 6": (KNET6, XNET6, K6, X6),
        "4 in 6": (KNET4, XNET4, K6, X6), "6 in 4": (KNET6, XNET6, K4, X4)}
SHA1 = (None, ipsec.auth("hmac-sha1"))
SHA256 = (None, ipsec.auth("hmac-sha256"))
SCAPY = {"hmac-sha1": "HMAC-SHA1-96", "hmac-md5": "HMAC-MD5-96", "hmac-sha256": "SHA2-256-128",
         "hmac-sha384": "SHA2-384-192", "hmac-sha512": "SHA2-512-256"}
SIZES = (1, 8, 100, 1300)


def scapy_verify(sa, packets):
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.ipsec import AH as ScapyAH
    from scapy.layers.ipsec import SecurityAssociation
    hash_ = sa.algs[1]
    if hash_.name in SCAPY:
        other = SecurityAssociation(ScapyAH, sa.spi, auth_algo=SCAPY[hash_.name],
                                    auth_key=bytes.fromhex(hash_.key))
        for p in packets:
            other.decrypt((IPv6 if ":" in p.src else IP)(p.raw))     # or an exception


class Bench:
    def __init__(self, lab):
        self.lab, self.k, self.x, self.wire = lab, Kipsec(lab["k"]), Xfrm(lab["x"]), Capture(lab)
        self.injector = Injector(lab["x"], lab["k"])
        lab["k"].ip("addr add %s/64 dev eth0 nodad" % OTHER6)
        self.meet()

    def meet(self):
        """Neighbours know each other for all of the test: xfrm protects what they say."""
        for ns in "kx":
            self.lab[ns].sysctl("net.ipv6.neigh.eth0.base_reachable_time_ms", 3600000)
        for src in (K6, OTHER6):
            ping = Ping(self.lab["k"], src)
            check(ping(X6, 8, pattern=OPEN) is not None, "no answer in clear")
            ping.close()

    def configure(self, way, algs, **more):
        """One pair of SAs, and policies that want them."""
        a, b, left, right = WAYS[way]
        mode = "transport" if way == "transport" else "tunnel"
        out = SA(left, right, 0x1701, algs, mode, proto="ah", **more)
        back = SA(right, left, 0x1702, algs, mode, proto="ah", **more)
        self.k.flush()
        self.x.flush()
        refused = self.x.replace_sas(out, back)
        said = self.k.replace_sas(out, back)
        if refused:
            raise Skip("this kernel's xfrm lacks " + algs[1].kernel)
        equal(said, "", "what setkey says")
        for stack, own, peer, src, dst in ((self.k, left, right, a, b),
                                           (self.x, right, left, b, a)):
            src, dst = NETS.get(src, src), NETS.get(dst, dst)
            there, here = (transport(proto="ah"),) * 2 if mode == "transport" else \
                (tunnel(own, peer, proto="ah"), tunnel(peer, own, proto="ah"))
            stack.add(Policy(src, dst, "out", requests=[there]),
                      Policy(dst, src, "in", requests=[here]))
        self.wire.flush()
        return out, back

    def exchange(self, way, algs, **more):
        out, back = self.configure(way, algs, **more)
        a, z = WAYS[way][:2]
        wanted, seq, n = [], more.get("last", 0), 2 * len(SIZES)
        extra = 8 if way == "transport" else 48 if ":" in a else 28
        with Moves(self.x), Moves(self.k, OutProtected=n, InProtected=n):
            for ns, src, dst, one, two in (("k", a, z, out, back), ("x", z, a, back, out)):
                ping = Ping(self.lab[ns], src)
                for size in SIZES:
                    check(ping(dst, size) is not None, "%s: no answer of %d bytes" % (ns, size))
                    seq = seq + 1 & 0xffffffff
                    wanted += ["%s>%s ah %#x #%d len %d" %
                               (s.src, s.dst, s.spi, seq, s.wire_len(extra + size))
                               for s in (one, two)]
                ping.close()
        packets = self.wire.collect(len(wanted))
        equal([str(p) for p in packets], wanted, "packets on the wire")
        return out, packets


def algorithms(tap, b):
    for way in WAYS:
        for hash_ in ipsec.AUTHS if way == "transport" else (SHA1[1], SHA256[1]):
            with tap.case("%s, %s" % (way, hash_.name)):
                out, packets = b.exchange(way, (None, hash_))
                scapy_verify(out, [p for p in packets if p.src == out.src])
                mine = [p.raw for p in packets if p.dst == out.src]
                with Moves(b.k, InReplayDup=len(mine)):
                    b.injector.send(*mine)
    for way, last in (("transport", 2 ** 32 - 3), ("6 in 6", 2 ** 33 - 3)):
        with tap.case("%s, 64 bits from %#x on" % (way, last)):
            b.exchange(way, SHA256, esn=True, last=last)


def streams(tap, b):
    for way, (a, z, _, _) in WAYS.items():
        b.configure(way, SHA256, window=1024)
        for src, dst, here, there in (("k", "x", a, z), ("x", "k", z, a)):
            with tap.case("TCP: %s, %s to %s" % (way, src, dst)):
                tcp_copy(b.lab[src], b.lab[dst], there, 1 << 19, src=here)
                equal({p.proto for p in b.wire.take()}, {AH}, "protocols on the wire")
        with tap.case("AH itself in fragments: %s" % way):
            ping = Ping(b.lab["k"], a)
            ipsec.settle(b.k)       # the end of a TCP connection may take a while
            with Moves(b.k, OutProtected=1, InProtected=1):
                check(ping(z, 3000) is not None, "no answer")
            ping.close()
            equal({p.proto for p in b.wire.take()}, {AH}, "protocols on the wire")


class Forge:
    """UDP datagrams to K with AH made here, each with the next sequence number."""

    def __init__(self, b):
        self.b, self.seq = b, 0
        self.sa = b.configure("transport", SHA1)[1]
        # The same SPI and key for K's other address: only the ICV tells.
        b.k.add(replace(self.sa, dst=OTHER6))
        self.udp = Udp(b.lab["k"], K6, PORT)

    def packet(self, first=UDP, extension=b"", padding=b""):
        self.seq += 1
        return ah.protect(self.sa, self.seq,
                          ip6(X6, K6, first, extension + udp(X6, K6, PORT, PORT, fill(40))), padding)

    def sent(self, p, got, **moves):
        self.udp.all(timeout=0)
        with Moves(self.b.k, **moves):
            self.b.injector.send(p)
        equal(self.udp.all(1, 2.0 if got else 0.05), [fill(40)] * got, "received")

    def accepted(self, p):
        self.sent(p, 1, InProtected=1)

    def refused(self, p, **moves):
        self.sent(p, 0, **moves or {"InIcv": 1})

    def changes(self, tap, name, first, extension, bad, fine):
        """Bytes of the packet that may not change, and that may."""
        with tap.case("changed: " + name):
            for at in bad:
                p = self.packet(first, extension)
                self.refused(flipped(p, at))
                self.accepted(p)
            for at in fine:
                self.accepted(flipped(self.packet(first, extension), at))


def forged(tap, b):
    f = Forge(b)
    # AH is at 40, its ICV at 52, the payload at 64
    f.changes(tap, "next header, reserved, sequence number, ICV, payload", UDP, b"",
              (40, 42, 43, 51, 52, 63, 64, -1), ())
    f.changes(tap, "traffic class, flow label, hop limit", UDP, b"", (), (0, 1, 2, 3, 7))
    with tap.case("changed: addresses"):
        p = f.packet()
        f.refused(flipped(p, 23, 4))
        f.refused(p[:24] + socket.inet_pton(10, OTHER6) + p[40:])
        f.accepted(p)
    with tap.case("changed: length"):
        p = f.packet()
        f.refused(with_length(p[:-4]))
        f.refused(with_length(p + b"more"))
        f.accepted(p)
    with tap.case("header length: a multiple of 8 bytes, and enough"):
        p = f.packet()
        f.refused(p[:41] + b"\6" + p[42:])
        for words in (0, 2, 3, 5, 254):
            f.refused(p[:41] + bytes((words,)) + p[42:], InTruncated=1)
        f.refused(with_length(p[:62]), InTruncated=1)
        f.accepted(p)
    for n in (8, 100, 976):
        with tap.case("%d bytes of padding behind the ICV" % n):
            p = f.packet(padding=bytes(n))
            if n % 8:
                f.refused(p, InTruncated=1)
            else:
                f.accepted(p)
    # option 0x3e may change, 0x1e may not
    options = bytes((UDP, 0, 0x3e, 1, 7, 0x1e, 1, 7))
    f.changes(tap, "hop-by-hop options", HOPOPTS, options, (47,), (44,))
    f.changes(tap, "destination options", DSTOPTS, options, (47,), (44,))
    a = [socket.inet_pton(10, "fd00::%x" % n) for n in (3, 4)]
    f.changes(tap, "routing header, used up", ROUTING, bytes((UDP, 4, 0, 0, 0, 0, 0, 0)) + b"".join(a),
              (44, 63, 79), ())
    f.changes(tap, "both kinds of options and a routing header", HOPOPTS,
              bytes((DSTOPTS,)) + options[1:] + bytes((ROUTING,)) + options[1:] +
              bytes((UDP, 2, 0, 0, 0, 0, 0, 0)) + a[0], (47, 55, 79), (44, 52))
    f.udp.close()


def extensions(tap, b):
    """Headers that the sender's sockets ask for."""
    text = bytes((0, 0, 0x3e, 1, 7, 0x1e, 1, 7))
    for name, option in (("hop-by-hop options", 54), ("destination options", 59)):
        with tap.case("%s to and from xfrm" % name):
            out, back = b.configure("transport", SHA1)
            udp = {"k": Udp(b.lab["k"], K6, PORT), "x": Udp(b.lab["x"], X6, PORT)}
            for ns, to, dst, sa in (("k", "x", X6, out), ("x", "k", K6, back)):
                s = Udp(b.lab[ns], K6 if ns == "k" else X6)
                s.sock.setsockopt(41, option, text)
                s.send(fill(30), dst, PORT)
                equal(udp[to].all(1, 2.0), [fill(30)], "received by " + to)
                packets = b.wire.collect(1)
                equal([p.len for p in packets], [sa.wire_len(46)], "lengths")
                check(ah.good(sa, packets[0].raw), "ICV of " + str(packets[0]))
                scapy_verify(sa, packets)
                s.close()
            for u in udp.values():
                u.close()
    with tap.case("a routing header of type 2, authenticated as it ends"):
        out, _ = b.configure("transport", SHA1)
        s = Udp(b.lab["k"], K6)
        try:
            s.sock.setsockopt(41, 57, bytes((0, 2, 2, 1, 0, 0, 0, 0)) + socket.inet_pton(10, X6))
        except OSError as e:
            raise Skip("no Mobile IP here: %s" % e)
        s.send(fill(30), XNET6, PORT)
        packets = b.wire.collect(1)
        equal([(p.dst, p.raw[48:64]) for p in packets], [(X6, socket.inet_pton(10, XNET6))], "route")
        check(ah.good(out, packets[0].raw), "ICV")
        s.close()


def header6(tap):
    ipsec.loaded()
    with pair(ipv6=True) as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state, b.x.state]
        for part in (algorithms, forged, extensions, streams):
            part(tap, b)


if __name__ == "__main__":
    run(header6)
