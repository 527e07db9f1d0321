#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# What fits: the path MTU of an SA, learned from routers between the gateways and
# told to senders behind them to the byte; DF, ECN, DSCP and TTL of the headers.
#
#	[a] -- [g1: kipsec] ---- w0, 1500 ---- [r] ---- w1, 1400 ---- [g2: xfrm] -- [b]
#
# and nested, the tunnel between g1 and g2 in one between g3 and g4:
#
#	[a] -- [g1: kipsec] -- w0 -- [g3: kipsec] -- w1 -- [g4: xfrm] -- w2 -- [g2: xfrm] -- [b]
#
# All have IPv4 and IPv6: a is 10.1.0.2 and fd01::2, b 10.2.0.2 and fd02::2.
import errno
import os
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import esp                                                      # noqa: E402
import ipsec                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, auth, tunnel     # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import Lab                                           # noqa: E402
from traffic import Udp, tcp_copy                               # noqa: E402
from wire import (ESP, ICMP, ICMP6, UDP, Capture, Injector, fill, ip4,    # noqa: E402
                  ip6, checksum, udp4)

A, B, G1, G2, R = {}, {}, {}, {}, {}
A[4], B[4], G1[4], G2[4], R[4] = "10.1.0.2", "10.2.0.2", "10.0.0.1", "10.0.9.2", "10.0.0.9"
A[6], B[6], G1[6], G2[6], R[6] = "fd01::2", "fd02::2", "fd00::1", "fd09::2", "fd00::9"
NETS = {4: ("10.1.0.0/24", "10.2.0.0/24"), 6: ("fd01::/64", "fd02::/64")}
PORT, IP_MTU, IPV6_MTU = 4000, 14, 24
AH = (None, auth("hmac-sha256"))
WAYS = [(4, 4), (6, 6), (6, 4), (4, 6)]         # families inside and outside
NAMES = {4: 20, 6: 40}


def fits(sa, mtu):
    """The longest inner packet whose protected form has no more than mtu bytes."""
    return max(n for n in range(mtu) if sa.wire_len(n) <= mtu)


def join(lab, left, right, n4, n6, mtu=1500, watched=True, dev=("eth0", "eth0")):
    """Two hosts on one link; n4 and n6 are lists of their addresses."""
    ends = ["%s:%s/24:%s" % (h, a, d) for h, a, d in zip((left, right), n4, dev)]
    if watched:
        lab.wire(*ends, mtu=mtu)
    else:
        lab.link(*ends)
    for host, addr, d in zip((left, right), n6, dev):
        lab[host].ip("addr add %s/64 dev %s nodad" % (addr, d))


def ways(lab, host, **gates):
    """Routes: the ends of an address family's gateway, and what is behind it."""
    for name, (gate4, gate6) in gates.items():
        for net in {"left": ("10.1.0.0/24", "10.0.0.0/24", "10.0.4.0/24"),
                    "right": ("10.2.0.0/24", "10.0.9.0/24")}[name]:
            lab[host].ip("route add %s via %s" % (net, gate4), check=False)
        for net in {"left": ("fd01::/64", "fd00::/64", "fd04::/64"),
                    "right": ("fd02::/64", "fd09::/64")}[name]:
            lab[host].ip("route add %s via %s" % (net, gate6), check=False)


def router_lab(*middle):
    lab = Lab("a", "g1", *middle, "g2", "b", ipv6=True)
    join(lab, "a", "g1", (A[4], "10.1.0.1"), (A[6], "fd01::1"), watched=False,
         dev=("eth0", "eth1"))
    join(lab, "b", "g2", (B[4], "10.2.0.1"), (B[6], "fd02::1"), watched=False,
         dev=("eth0", "eth1"))
    for host in ("g1", *middle, "g2"):
        lab[host].sysctl("net.ipv4.ip_forward", 1)
        lab[host].sysctl("net.ipv6.conf.all.forwarding", 1)
    lab["a"].ip("route add default via 10.1.0.1", "-6 route add default via fd01::1")
    lab["b"].ip("route add default via 10.2.0.1", "-6 route add default via fd02::1")
    return lab


class Bench:
    """Tunnels between g1 and g2, for both families inside."""

    def __init__(self, lab):
        self.lab, self.g1, self.g2 = lab, Kipsec(lab["g1"]), Xfrm(lab["g2"])
        self.wires = [Capture(lab, w) for w in lab.wires]
        self.receiver = {f: Udp(lab["b"], B[f], PORT) for f in B}

    def configure(self, outer, algs=ipsec.GCM):
        left, right = G1[outer], G2[outer]
        proto = "esp" if algs[0] else "ah"
        self.out = SA(left, right, 0x4601, algs, "tunnel", proto=proto, window=1024)
        self.back = SA(right, left, 0x4602, algs, "tunnel", proto=proto, window=1024)
        for stack, own, peer in ((self.g1, left, right), (self.g2, right, left)):
            stack.flush()
            stack.add(self.out, self.back)
            for a, b in NETS.values():
                if stack is self.g2:
                    a, b = b, a
                there, here = tunnel(own, peer, proto=proto), tunnel(peer, own, proto=proto)
                stack.add(Policy(a, b, "out", requests=[there]),
                          Policy(b, a, "in", requests=[here]))
                if stack is self.g2:
                    stack.add(Policy(b, a, "fwd", requests=[here]))
        self.forget()
        return self.out

    def forget(self):
        """Let no routing table remember a path MTU, and no capture a packet."""
        for name in self.lab.ns:
            self.lab[name].ip("route flush cache", "-6 route flush cache")
        for wire in self.wires:
            wire.flush()

    def sender(self, inner, df=2):
        """A connected socket of a's; df as in IP_MTU_DISCOVER: 2 sets it, 0 does not."""
        u = Udp(self.lab["a"], A[inner], df=df)
        u.sock.connect((B[inner], PORT))
        return u

    def arrives(self, inner, size):
        data = fill(size - NAMES[inner] - 8)
        equal(self.receiver[inner].recv(), data, "datagram at b")


def send(u, inner, size):
    """A datagram in an IP packet of so many bytes; gives errno of a refusal."""
    try:
        u.sock.send(fill(size - NAMES[inner] - 8))
        return 0
    except OSError as e:
        return e.errno


def known_mtu(u, inner):
    return u.sock.getsockopt(*((41, IPV6_MTU) if inner == 6 else (0, IP_MTU)))


def udp_packet(inner, size, df=True):
    """The same datagram whole, for an Injector."""
    data = udp4("", "", 9, PORT, fill(size - NAMES[inner] - 8))
    if inner == 6:
        return ip6(A[6], B[6], UDP, data)
    return ip4(A[4], B[4], UDP, data, flags=2 if df else 0)


class Told:
    """The numbers that come to a in packet-too-big and frag-needed."""

    def __init__(self, ns):
        self.socks = [ns.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
                      ns.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)]

    def next(self, timeout=1.0):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for s in select.select(self.socks, [], [], end - time.monotonic())[0]:
                data = s.recv(2000)
                if s is self.socks[0]:
                    data = data[(data[0] & 15) * 4:]
                mtu = too_big_mtu(s is self.socks[1], data)
                if mtu is not None:
                    return mtu
        return None

    def close(self):
        for s in self.socks:
            s.close()


def too_big_mtu(is6, icmp):
    if is6:
        return struct.unpack_from("!I", icmp, 4)[0] if icmp[0] == 2 else None
    return struct.unpack_from("!H", icmp, 6)[0] if tuple(icmp[:2]) == (3, 4) else None


def router_said(packets, outer):
    """Of the packets on g1's wire: ESP or AH, and then the router's number."""
    equal([(p.src, p.proto) for p in packets[1:]],
          [(R[outer], ICMP6 if outer == 6 else ICMP)], "what the router answers")
    return too_big_mtu(outer == 6, packets[1].payload)


def learned(tap, b):
    """From a router to g1, from g1 to a, each to the byte."""
    told, inject = Told(b.lab["a"]), Injector(b.lab["a"], b.lab["g1"], "eth0", "eth1")
    for inner, outer in WAYS:
        for algs in (ipsec.GCM, ipsec.AES_SHA1, AH):
            name = algs[0].name if algs[0] else "AH"
            with tap.case("IPv%d in IPv%d, %s: learned, told, and exact" % (inner, outer, name)):
                out = b.configure(outer, algs)
                first, size = fits(out, 1500), fits(out, 1400)
                u = b.sender(inner)
                with Moves(b.g1, OutProtected=1):
                    equal(send(u, inner, first), 0, "errno of the first")
                equal(router_said(b.wires[0].collect(2), outer), 1400, "MTU that r states")
                with Moves(b.g1, OutTooBig=1):
                    equal(send(u, inner, first), 0, "errno of the second")
                    equal(told.next(), size, "MTU that g1 states")
                equal(send(u, inner, first), errno.EMSGSIZE, "errno of the third")
                equal(known_mtu(u, inner), size, "MTU that a's socket knows")
                with Moves(b.g1, OutProtected=1):
                    equal(send(u, inner, size), 0, "errno of what fits")
                    b.arrives(inner, size)
                where = "%s>%s %s 0x4601 #2 len %d" % (out.src, out.dst, out.proto,
                                                       out.wire_len(size))
                for wire in b.wires:
                    wire.expect([where])
                check(out.wire_len(size + 1) > 1400, "one more byte would fit")
                with Moves(b.g1, OutTooBig=1):
                    inject.send(udp_packet(inner, size + 1))
                    equal(told.next(), size, "MTU for one byte more")
                equal(sum((w.take() for w in b.wires), []), [], "packets for one byte more")
                u.close()
    told.close()
    inject.close()


def forged(out, mtu, spi=0x4601, src=None):
    """Frag-needed to g1 about a packet of this SA, or of one like it."""
    quoted = ip4(src or out.src, out.dst, ESP, struct.pack("!II", spi, 1) + bytes(24), flags=2)
    body = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + quoted
    body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    return ip4(R[4], G1[4], ICMP, body)


def believed(tap, b):
    """What g1 takes for the path's MTU, seen in what it tells a."""
    inject = Injector(b.lab["r"], b.lab["g1"])
    probe, told = Injector(b.lab["a"], b.lab["g1"], "eth0", "eth1"), Told(b.lab["a"])

    def limit():
        probe.send(udp_packet(4, 1500))
        mtu = told.next()
        b.wires[0].flush()
        return mtu

    with tap.case("ICMP about no SA of ours, or from a wrong source, teaches nothing"):
        out = b.configure(4)
        inject.send(forged(out, 1000, spi=0x9999), forged(out, 1000, src="10.0.0.77"))
        equal(limit(), fits(out, 1500), "MTU that g1 states")
    with tap.case("ICMP about our SA teaches; a lower number counts, a higher one does not"):
        for said, believed_ in ((1400, 1400), (1300, 1300), (1450, 1300), (40, 1300)):
            inject.send(forged(out, said))
            equal(limit(), fits(out, believed_), "MTU after ICMP with %d" % said)
    with tap.case("each SA learns for itself"):
        b.g1.setkey("delete %s;" % out.ident)
        b.g1.add(out)
        equal(limit(), fits(out, 1500), "MTU of a new SA")
    for family, knob in ((4, "net.ipv4.route.mtu_expires"), (6, "net.ipv6.route.mtu_expires")):
        with tap.case("IPv%d: what was learned ages: %s" % (family, knob)):
            b.lab["g1"].sysctl(knob, 2)
            out = b.configure(family)
            first = udp_packet(family, fits(out, 1500))
            with Moves(b.g1, OutProtected=1):
                probe.send(first)
                equal(router_said(b.wires[0].collect(2), family), 1400, "MTU that r states")
            with Moves(b.g1, OutTooBig=1):
                probe.send(first)
                equal(told.next(), fits(out, 1400), "MTU that g1 states")
            time.sleep(3.1)
            with Moves(b.g1, OutProtected=1):
                probe.send(first)
                equal(router_said(b.wires[0].collect(2), family), 1400, "r is asked again")
            b.lab["g1"].sysctl(knob, 600)
    for s in (inject, probe, told):
        s.close()


def streams(tap, b):
    """TCP finds the path's MTU by itself, and nothing is ever fragmented."""
    for inner, outer in WAYS:
        for src, dst, addr in (("a", "b", B[inner]), ("b", "a", A[inner])):
            with tap.case("TCP, IPv%d in IPv%d, %s to %s" % (inner, outer, src, dst)):
                out = b.configure(outer)
                tcp_copy(b.lab[src], b.lab[dst], addr, 1 << 19)
                for wire, mtu in zip(b.wires, b.mtus):
                    packets = [p for p in wire.take() if p.proto not in (ICMP, ICMP6)]
                    equal({p.proto for p in packets}, {ESP}, "protocols on the wire")
                    equal([str(p) for p in packets if p.fragment], [], "fragments")
                    longest = max(p.len for p in packets)
                    check(mtu - 200 < longest <= mtu, "longest packet has %d bytes of %d: %s" %
                          (longest, mtu, out.ident))


def shortest_of_ipv6(tap, b):
    with tap.case("IPv6 in IPv6, path of 1300: packets of 1280 bytes go in fragments that fit"):
        b.lab["r"].ip("link set eth1 mtu 1300")
        out = b.configure(6)
        told, u = Told(b.lab["a"]), b.sender(6)
        with Moves(b.g1, OutProtected=1):
            send(u, 6, 1280)
        equal(router_said(b.wires[0].collect(2), 6), 1300, "MTU that r states")
        with Moves(b.g1, OutTooBig=1):
            send(u, 6, 1281)
        equal(told.next(), 1280, "MTU that g1 states")
        with Moves(b.g1, OutProtected=1):
            send(u, 6, 1280)
            b.arrives(6, 1280)
        # 8 more in each for the fragment header; all but the last a multiple of 8
        for wire in b.wires:
            sizes = [p.len for p in wire.collect(2) if p.fragment]
            equal(len(sizes), 2, "fragments")
            equal(sum(sizes), out.wire_len(1280) + 40 + 2 * 8, "bytes of all")
            check(max(sizes) <= 1300, "sizes: %s" % sizes)
        u.close()
        told.close()
    b.lab["r"].ip("link set eth1 mtu 1400")


def dfbit(tap, b):
    """The outer DF bit; what may be fragmented is, after encryption."""
    for knob, name in enumerate(("clear", "set", "copy")):
        with tap.case("net.kipsec.dfbit %d: %s" % (knob, name)):
            b.lab["g1"].sysctl("net.kipsec.dfbit", knob)
            out = b.configure(4)
            for inner, df, copied in ((4, 0, False), (4, 2, True), (6, 2, True)):
                u = b.sender(inner, df)
                send(u, inner, 200)
                b.arrives(inner, 200)
                p, = b.wires[0].collect(1)
                equal((p.len, p.df), (out.wire_len(200), (False, True, copied)[knob]),
                      "length and DF with DF %s in IPv%d" % (bool(df), inner))
                u.close()
            b.wires[1].flush()
    b.lab["g1"].sysctl("net.kipsec.dfbit", 2)

    def goes(size, df, first, second):
        """Lengths on both wires, fragments with a star."""
        u = b.sender(4, df)
        with Moves(b.g1, OutProtected=1):
            equal(send(u, 4, size), 0, "errno")
            b.arrives(4, size)
        for wire, wanted in zip(b.wires, (first, second)):
            equal([(p.len, p.fragment, p.df) for p in wire.collect(len(wanted))],
                  [(n, len(wanted) > 1, False) for n in wanted], "length, fragment, DF")
        u.close()

    with tap.case("no DF inside, too long for g1's own link: in fragments, the sender not told"):
        out = b.configure(4)
        size = out.wire_len(1500)
        # 1480 bytes of payload in the first, and on the other link 1376 of those
        goes(1500, 0, [1500, size - 1480], [1396, 1500 - 1376, size - 1480])
    with tap.case("no DF inside, too long for the path: r fragments"):
        goes(1400, 0, [out.wire_len(1400)], [1396, out.wire_len(1400) - 1376])
    with tap.case("dfbit 0, DF inside: r fragments, nothing is learned"):
        b.lab["g1"].sysctl("net.kipsec.dfbit", 0)
        goes(1400, 2, [out.wire_len(1400)], [1396, out.wire_len(1400) - 1376])
    b.lab["g1"].sysctl("net.kipsec.dfbit", 2)


def marks(tap, b):
    """RFC 6040: what the headers say of congestion; DSCP and TTL."""
    sock = {}
    for family, u in b.receiver.items():
        sock[family] = u.sock
        for option in ((13, 12) if family == 4 else (66, 51)):  # RECVTOS/TCLASS, RECVTTL/HOPLIMIT
            u.sock.setsockopt(41 if family == 6 else 0, option, 1)

    def got(family):
        """(TOS, TTL) of the datagram that b gets, or None."""
        if not select.select([sock[family]], [], [], 1.0)[0]:
            return None
        told = {kind: data for _, kind, data in sock[family].recvmsg(2000, 200)[1]}
        return (told[67 if family == 6 else 1][0], told[52 if family == 6 else 2][0])

    for inner, outer in WAYS:
        for ecn in (1, 0):
            with tap.case("IPv%d in IPv%d, net.kipsec.ecn %d: type of service and TTL" %
                          (inner, outer, ecn)):
                b.configure(outer)
                b.lab["g1"].sysctl("net.kipsec.ecn", ecn)
                b.lab["g1"].sysctl("net.ipv4.ip_default_ttl", 77)
                b.lab["g1"].sysctl("net.ipv6.conf.all.hop_limit", 77)
                for tos in (0, 1, 2, 3, 0xb8, 0xba, 0x2b):
                    u = b.sender(inner)
                    u.sock.setsockopt(*((41, 67) if inner == 6 else (0, 1)), tos)
                    u.sock.setsockopt(*((41, 16) if inner == 6 else (0, 2)), 33)
                    send(u, inner, 100)
                    # down by one at g1 and at g2; by r only outside
                    equal(got(inner), (tos, 31), "TOS and TTL at b, of %#x and 33" % tos)
                    wanted = tos if ecn else tos & ~3
                    equal([(p.tos, p.ttl) for w in b.wires for p in w.collect(1)],
                          [(wanted, 77), (wanted, 76)], "outer TOS and TTL of %#x" % tos)
                    u.close()
    b.lab["g1"].sysctl("net.kipsec.ecn", 1)
    decapsulated(tap, b)


def decapsulated(tap, b):
    """From here it goes the other way: forged ESP to g1, a gets it."""
    inject = Injector(b.lab["r"], b.lab["g1"])
    back = {f: SA(G2[f], G1[f], 0x4602, ipsec.NULL_SHA256, "tunnel", window=0) for f in A}
    # RFC 6040 figure 4: [inner][outer], codepoints 0 to 3
    table = {0: (0, 0, 0, None), 1: (1, 1, 1, 3), 2: (2, 1, 2, 3), 3: (3, 3, 3, 3)}
    for inner, outer in WAYS:
        with tap.case("IPv%d in IPv%d: congestion marks of both headers, RFC 6040 figure 4" %
                      (inner, outer)):
            b.configure(outer, ipsec.NULL_SHA256)
            b.g1.setkey("delete %s;" % back[outer].ident)
            b.g1.add(back[outer])
            for ecn, lines in ((1, table), (0, {n: (n,) * 4 for n in table})):
                b.lab["g1"].sysctl("net.kipsec.ecn", ecn)
                passed = sum(x is not None for line in lines.values() for x in line)
                with Moves(b.g1, InProtected=passed, InEcn=16 - passed):
                    equal(matrix(b.lab["a"], inject, back[outer], inner), lines,
                          "inner codepoint, with ecn %d," % ecn)
    b.lab["g1"].sysctl("net.kipsec.ecn", 1)
    inject.close()


def matrix(ns, inject, sa, inner):
    """What ECN codepoints a gets, by inner and outer one; DSCP 0x28 inside, 0xb8 outside."""
    result = {}
    u = Udp(ns, A[inner], PORT)
    u.sock.setsockopt(*((41, 66) if inner == 6 else (0, 13)), 1)
    for i in range(4):
        line = []
        for o in range(4):
            data = udp4("", "", 9, PORT, b"mark %d %d" % (i, o))
            if inner == 6:
                pseudo = socket.inet_pton(10, B[6]) + socket.inet_pton(10, A[6])
                pseudo += struct.pack("!II", len(data), UDP)
                data = data[:6] + struct.pack("!H", checksum(pseudo + data)) + data[8:]
                packet = ip6(B[6], A[6], UDP, data, tclass=0x28 | i)
            else:
                packet = ip4(B[4], A[4], UDP, data, tos=0x28 | i)
            text = esp.protect(sa, 1, packet, 41 if inner == 6 else 4)
            inject.send(ip6(sa.src, sa.dst, ESP, text, tclass=0xb8 | o) if ":" in sa.dst else
                        ip4(sa.src, sa.dst, ESP, text, tos=0xb8 | o))
            if not select.select([u.sock], [], [], 0.3)[0]:
                line.append(None)
                continue
            data, told = u.sock.recvmsg(2000, 200)[:2]
            equal(data, b"mark %d %d" % (i, o), "datagram")
            tos = told[0][2][0]
            equal(tos & 0xfc, 0x28, "DSCP")
            line.append(tos & 3)
        result[i] = tuple(line)
    u.close()
    return result


def router_between(tap):
    ipsec.loaded()
    lab = router_lab("r")
    with lab:
        join(lab, "g1", "r", (G1[4], R[4]), (G1[6], R[6]))
        join(lab, "r", "g2", ("10.0.9.9", G2[4]), ("fd09::9", G2[6]), mtu=1400,
             dev=("eth1", "eth0"))
        ways(lab, "g1", right=(R[4], R[6]))
        ways(lab, "g2", left=("10.0.9.9", "fd09::9"))
        b = Bench(lab)
        b.mtus = (1400, 1400)
        tap.on_failure[:] = [b.g1.state, b.g2.state]
        for part in (learned, believed, streams, shortest_of_ipv6, dfbit, marks):
            part(tap, b)


def nested(tap):
    """g3 protects the ESP between g1 and g2 once more, with a cipher of another block."""
    lab = router_lab("g3", "g4")
    with lab:
        join(lab, "g1", "g3", (G1[4], R[4]), (G1[6], R[6]))
        join(lab, "g3", "g4", ("10.0.4.3", "10.0.4.4"), ("fd04::3", "fd04::4"),
             dev=("eth1", "eth0"))
        join(lab, "g4", "g2", ("10.0.9.9", G2[4]), ("fd09::9", G2[6]), dev=("eth1", "eth0"))
        ways(lab, "g1", right=(R[4], R[6]))
        ways(lab, "g3", right=("10.0.4.4", "fd04::4"))
        ways(lab, "g4", left=("10.0.4.3", "fd04::3"))
        ways(lab, "g2", left=("10.0.9.9", "fd09::9"))
        b = Bench(lab)
        b.mtus = (1500, 1500, 1500)
        g3, g4 = Kipsec(lab["g3"]), Xfrm(lab["g4"])
        tap.on_failure[:] = [b.g1.state, g3.state, g4.state, b.g2.state]
        for outer, ends, nets in (
                (4, ("10.0.4.3", "10.0.4.4"), ("10.0.0.0/24", "10.0.9.0/24")),
                (6, ("fd04::3", "fd04::4"), ("fd00::/64", "fd09::/64"))):
            second = nest(g3, g4, ends, nets)
            nested_case(tap, b, g3, outer, second)
        b.mtus = (1500 - 60, 1500, 1500 - 60)
        streams(tap, b)


def nest(g3, g4, ends, nets):
    (left, right), (near, far) = ends, nets
    there = SA(left, right, 0x4611, ipsec.AES_SHA1, "tunnel", window=1024)
    here = SA(right, left, 0x4612, ipsec.AES_SHA1, "tunnel", window=1024)
    g3.add(there, here, Policy(near, far, "out", requests=[tunnel(left, right)]),
           Policy(far, near, "in", requests=[tunnel(right, left)]))
    g4.add(there, here, Policy(far, near, "out", requests=[tunnel(right, left)]),
           Policy(near, far, "in", requests=[tunnel(left, right)]),
           Policy(near, far, "fwd", requests=[tunnel(left, right)]))
    return there


def nested_case(tap, b, g3, outer, second):
    for inner in (4, 6):
        with tap.case("nested: IPv%d in IPv%d in IPv%d: told through two gateways, and exact" %
                      (inner, outer, outer)):
            first = b.configure(outer)
            middle = fits(second, 1500)
            size = fits(first, middle)
            told, u = Told(b.lab["a"]), b.sender(inner)
            with Moves(b.g1, OutProtected=1), Moves(g3, OutTooBig=1):
                send(u, inner, fits(first, 1500))
            equal(router_said(b.wires[0].collect(2), outer), middle, "MTU that g3 states")
            with Moves(b.g1, OutTooBig=1), Moves(g3):
                send(u, inner, fits(first, 1500))
            equal(told.next(), size, "MTU that g1 states")
            before = g3.counters()["OutProtected"]
            with Moves(b.g1, OutProtected=1), Moves(g3, OutProtected=1):
                send(u, inner, size)
                b.arrives(inner, size)
            check(g3.counters()["OutProtected"] == before + 1, "g3 protected it")
            equal([[(p.spi, p.len) for p in w.collect(1)] for w in b.wires],
                  [[(first.spi, first.wire_len(size))],
                   [(second.spi, second.wire_len(first.wire_len(size)))],
                   [(first.spi, first.wire_len(size))]], "SPI and length on each wire")
            check(second.wire_len(first.wire_len(size + 1)) > 1500, "one more byte would fit")
            u.close()
            told.close()


if __name__ == "__main__":
    run(router_between, nested)
