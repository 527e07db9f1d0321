#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# What an administrator may do about packets too long for a tunnel: lower TCP's
# segment size (net.kipsec.mss_clamp), and fragment before instead of after
# (net.kipsec.frag_before).
#
#	[a] 10.1.0.2 -- 10.1.0.1 [k: kipsec] 10.0.0.1 ---- wire ----
#	---- wire ---- 10.0.0.2 [x: xfrm] 10.2.0.1 -- 10.2.0.2 [b]
#
# and the same with fd00::x, fd01::/64, fd02::/64.
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, alg, auth, tunnel    # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import Lab                                           # noqa: E402
from traffic import Udp, tcp_copy                               # noqa: E402
from wire import (ESP, ETH_P_ALL, SECRET, TCP, Capture, Injector, Packet,  # noqa: E402
                  fill, ip4, sum_between, tcp)

CBC = (alg("aes-cbc", 128), auth("hmac-sha256"))
OUT, BACK = 0x4701, 0x4702
PORT = 4700
# (network of a, of b), (a, b), by family
NETS = {4: ("10.1.0.0/24", "10.2.0.0/24"), 6: ("fd01::/64", "fd02::/64")}
ENDS = {4: ("10.1.0.2", "10.2.0.2"), 6: ("fd01::2", "fd02::2")}
HEADERS = {4: 40, 6: 60}        # IP and TCP


def network():
    lab = Lab("a", "k", "x", "b", ipv6=True)
    lab.wire("k:10.0.0.1/24", "x:10.0.0.2/24")
    lab.link("a:10.1.0.2/24", "k:10.1.0.1/24:eth1")
    lab.link("b:10.2.0.2/24", "x:10.2.0.1/24:eth1")
    for gate, host, net, other, via in (("k", "a", 1, 2, 2), ("x", "b", 2, 1, 1)):
        lab[gate].sysctl("net.ipv4.ip_forward", 1)
        lab[gate].sysctl("net.ipv6.conf.all.forwarding", 1)
        lab[gate].ip("addr add fd00::%d/64 dev eth0 nodad" % net,
                     "addr add fd0%d::1/64 dev eth1 nodad" % net,
                     "route add 10.%d.0.0/24 via 10.0.0.%d" % (other, via),
                     "route add fd0%d::/64 via fd00::%d" % (other, via))
        lab[host].ip("addr add fd0%d::2/64 dev eth0 nodad" % net,
                     "route add default via 10.%d.0.1" % net,
                     "route add default via fd0%d::1" % net)
    return lab


class Bench:
    def __init__(self, lab):
        self.lab, self.k, self.x, self.wire = lab, Kipsec(lab["k"]), Xfrm(lab["x"]), Capture(lab)
        self.lans = {}
        for host in "ab":
            with lab[host]:
                s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
            s.setblocking(False)
            self.lans[host] = s

    def knob(self, name, value):
        self.lab["k"].sysctl("net.kipsec." + name, value)

    def configure(self, algs):
        self.k.flush()
        self.x.flush()
        for src, dst, spi in (("10.0.0.1", "10.0.0.2", OUT), ("10.0.0.2", "10.0.0.1", BACK)):
            sa = SA(src, dst, spi, algs, "tunnel", window=256)
            self.k.add(sa)
            self.x.add(sa)
        for a, b in NETS.values():
            self.k.add(Policy(a, b, "out", requests=[tunnel("10.0.0.1", "10.0.0.2")]),
                       Policy(b, a, "in", requests=[tunnel("10.0.0.2", "10.0.0.1")]))
            self.x.add(Policy(b, a, "out", requests=[tunnel("10.0.0.2", "10.0.0.1")]),
                       Policy(a, b, "fwd", requests=[tunnel("10.0.0.1", "10.0.0.2")]))
        self.wire.flush()
        self.seen("a")
        self.seen("b")

    def seen(self, host):
        """Packets that came to or went from a host since the last call."""
        packets = []
        while True:
            try:
                data = self.lans[host].recv(1 << 17)
            except BlockingIOError:
                return packets
            if data[0] >> 4 in (4, 6) and len(data) >= 20:
                packets.append(Packet(data))


def mss(packet):
    """Of a SYN; the checksum must be right."""
    equal(sum_between(packet.src, packet.dst, TCP, packet.payload), 0, "checksum of %s" % packet)
    options = packet.payload[20:packet.payload[12] >> 2]
    while options:
        if options[0] == 1:
            options = options[1:]
        elif options[0] == 2:
            return struct.unpack_from("!H", options, 2)[0]
        else:
            options = options[options[1]:]
    return None


def syns(packets, src):
    return [mss(p) for p in packets
            if p.proto == TCP and p.src == src and p.payload[13] & 2]


def inner_max(algs, mtu=1500):
    """The longest inner packet whose ESP fits."""
    sa = SA("", "10.0.0.2", 1, algs)
    return max(n for n in range(1200, 1500) if sa.wire_len(n) <= mtu)


def clamping(tap, b):
    for name, algs in (("AES-GCM", ipsec.GCM), ("AES-CBC, SHA-256", CBC)):
        b.configure(algs)
        for family, (a, z) in ENDS.items():
            fits = inner_max(algs) - HEADERS[family]
            for on in (0, 1):
                wanted = fits if on else 1500 - HEADERS[family]
                b.knob("mss_clamp", on)
                for src, dst, one, other in (("a", "b", a, z), ("b", "a", z, a)):
                    with tap.case("%s, IPv%d, SYN from %s: segments of %d" %
                                  (name, family, src, wanted)):
                        for host in "ab":
                            # Nothing of what the last connection learned.
                            for version in ("-4", "-6"):
                                b.lab[host].run("ip", version, "route", "flush", "cache")
                            b.seen(host)
                        tcp_copy(b.lab[src], b.lab[dst], other, 1 << 18, src=one)
                        equal(set(syns(b.seen(dst), one)), {wanted}, "MSS of the SYN at " + dst)
                        equal(set(syns(b.seen(src), other)), {wanted},
                              "MSS of the answer at " + src)
                        packets = b.wire.take()
                        equal({p.proto for p in packets}, {ESP}, "protocols")
                        check(not any(p.fragment for p in packets), "fragments on the wire")
                        longest = max(p.len for p in packets)
                        check(longest <= 1500, "%d bytes on the wire" % longest)
    b.knob("mss_clamp", 1)
    with tap.case("a smaller one stays, and so does a SYN without"):
        b.configure(ipsec.GCM)
        inject = Injector(b.lab["a"], b.lab["k"], to_dev="eth1")
        a, z = ENDS[4]
        for options, wanted in ((struct.pack("!BBH", 2, 4, 900), 900), (b"\1" * 4, None),
                                (b"\1\1\1\2\4\5\xb4\0", inner_max(ipsec.GCM) - 40),
                                (b"\2\4\5", None), (b"\x1e\0\2\4\5\xb4\0\0", 1460)):
            options += bytes(-len(options) % 4)
            segment = tcp(a, z, 4701, 4702, 1, 2, options=options)
            b.seen("b")
            with Moves(b.k, ("InProtected",), OutProtected=1):
                inject.send(ip4(a, z, TCP, segment))
            got = [p for p in b.seen("b") if p.src == a]
            equal(len(got), 1, "SYNs that arrived")
            if options[0] == 0x1e or options[:3] == b"\2\4\5" and options[3] == 0:
                equal(got[0].payload, segment, "a SYN that cannot be read")
            else:
                equal(mss(got[0]), wanted, "MSS")
        inject.close()
    b.knob("mss_clamp", 0)


def fragments(tap, b):
    for name, algs in (("AES-GCM", ipsec.GCM), ("AES-CBC, SHA-256", CBC)):
        b.configure(algs)
        a, z = ENDS[4]
        fits = inner_max(algs)
        one = SA("", "10.0.0.2", OUT, algs)
        for before in (0, 1):
            b.knob("frag_before", before)
            for src, dst, frm, to in (("a", "b", a, z), ("k", "b", "10.1.0.1", z)):
                with tap.case("%s, from %s: fragmented %s" %
                              (name, src, "before" if before else "after")):
                    s = Udp(b.lab[src], frm, PORT, df=0)
                    r = Udp(b.lab[dst], to, PORT)
                    b.wire.flush()
                    for size, count in ((fits, 1), (fits + 1, 2), (1500, 2)):
                        data = fill(size - 28, SECRET)
                        with Moves(b.k, OutProtected=count if before else 1):
                            s.send(data, to, PORT)
                            equal(r.recv(), data, "data of %d bytes" % size)
                        lens = [p.len for p in b.wire.take()]
                        equal(len(lens), count, "packets on the wire")
                        if before and count == 2:
                            first = 20 + (fits - 20 & ~7)
                            second = size - (first - 20)
                            equal(lens, [one.wire_len(first), one.wire_len(second)], "lengths")
                    s.close()
                    r.close()
        with tap.case("%s: a datagram of 60,000 bytes, fragmented before" % name):
            s, r = Udp(b.lab["k"], "10.1.0.1", PORT, df=0), Udp(b.lab["b"], z, PORT)
            data = fill(60000, SECRET)
            step = fits - 20 & ~7
            count = -(-60008 // step)
            b.wire.flush()
            with Moves(b.k, OutProtected=count):
                s.send(data, z, PORT)
                check(r.recv() == data, "the datagram did not arrive whole")
            packets = b.wire.take()
            check(not any(p.fragment for p in packets), "fragments of ESP")
            equal([p.len for p in packets],
                  [one.wire_len(step + 20)] * (count - 1) +
                  [one.wire_len(60008 - step * (count - 1) + 20)], "lengths")
            s.close()
            r.close()
        with tap.case("%s: DF is not touched: refused, with the number" % name):
            s = Udp(b.lab["a"], a, PORT, df=2)
            b.lab["a"].ip("route flush cache")
            with Moves(b.k, OutTooBig=1):
                s.send(fill(fits + 1 - 28, SECRET), z, PORT)
            s.close()
            route = b.lab["a"].run("ip", "route", "get", z)
            check("mtu %d" % fits in route, "the sender knows %s" % route)
    b.knob("frag_before", 0)


def tests(tap):
    ipsec.loaded()
    with network() as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state, b.x.state]
        clamping(tap, b)
        fragments(tap, b)


if __name__ == "__main__":
    run(tests)
