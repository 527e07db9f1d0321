#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# What fits: the path MTU of an SA, learned from routers between the gateways and
# told to senders behind them to the byte.
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
import ipsec                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, transport, tunnel    # noqa: E402
from ktap import Skip, check, equal, run                        # noqa: E402
from path import (AH, A, B, G1, G2, R, WAYS, Bench, chain, fits, join,    # noqa: E402
                  known_mtu, router_lab, send, udp_packet, ways)
from traffic import tcp_copy                                    # noqa: E402
from wire import ESP, ICMP, ICMP6, OPEN, SECRET, Injector, checksum, ip4    # noqa: E402


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


def shown(b, sa):
    """The path MTU of an SA in /proc/net/kipsec_pmtu, None if there is none."""
    wanted = "%s %s %s 0x%08x " % (sa.src, sa.dst, sa.proto, sa.spi)
    for line in b.lab["g1"].run("cat", "/proc/net/kipsec_pmtu").splitlines():
        if line.startswith(wanted):
            return line.split()[4]
    return None


def learned(tap, b):
    """From a router to g1, from g1 to a, each to the byte."""
    told, inject = Told(b.lab["a"]), Injector(b.lab["a"], b.lab["g1"], "eth0", "eth1")
    for inner, outer in WAYS:
        for algs in (ipsec.GCM, ipsec.AES_SHA1, AH):
            name = algs[0].name if algs[0] else "AH"
            with tap.case("IPv%d in IPv%d, %s: learned, told, and exact" % (inner, outer, name)):
                if outer == 6 and not algs[0]:
                    raise Skip("of AH in IPv6 the kernel tells only whose packet is inside")
                # A router's ICMP quotes what AH leaves readable.
                pattern = SECRET if algs[0] else OPEN
                out = b.configure(outer, algs)
                first, size = fits(out, 1500), fits(out, 1400)
                u = b.sender(inner)
                with Moves(b.g1, OutProtected=1):
                    equal(send(u, inner, first, pattern), 0, "errno of the first")
                equal(router_said(b.wires[0].collect(2), outer), 1400, "MTU that r states")
                with Moves(b.g1, OutTooBig=1):
                    equal(send(u, inner, first, pattern), 0, "errno of the second")
                    equal(told.next(), size, "MTU that g1 states")
                equal(send(u, inner, first, pattern), errno.EMSGSIZE, "errno of the third")
                equal(known_mtu(u, inner), size, "MTU that a's socket knows")
                equal(shown(b, out), "1400", "path MTU that g1 shows")
                with Moves(b.g1, OutProtected=1):
                    equal(send(u, inner, size, pattern), 0, "errno of what fits")
                    b.arrives(inner, size, pattern)
                where = "%s>%s %s 0x4601 #2 len %d" % (out.src, out.dst, out.proto,
                                                       out.wire_len(size))
                for wire in b.wires:
                    wire.expect([where])
                check(out.wire_len(size + 1) > 1400, "one more byte would fit")
                with Moves(b.g1, OutTooBig=1):
                    inject.send(udp_packet(inner, size + 1, pattern=pattern))
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
    with tap.case("nobody can teach less than net.ipv4.route.min_pmtu"):
        inject.send(forged(out, 68))
        equal(limit(), fits(out, int(b.lab["g1"].sysctl("net.ipv4.route.min_pmtu"))), "MTU that g1 states")
    with tap.case("ICMP teaches, too, where a policy lets nothing in clear in"):
        out = b.configure(4)
        b.g1.add(Policy("0.0.0.0/0", G1[4], "in", requests=[transport()]))
        with Moves(b.g1, InClear=1):
            inject.send(forged(out, 1400))
        equal(limit(), fits(out, 1400), "MTU that g1 states")
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
            equal(shown(b, out), "1400", "path MTU that g1 shows")
            time.sleep(3.1)
            equal(shown(b, out), None, "path MTU that g1 shows later")
            with Moves(b.g1, OutProtected=1):
                probe.send(first)
                equal(router_said(b.wires[0].collect(2), family), 1400, "r is asked again")
            b.lab["g1"].sysctl(knob, 600)
    for s in (inject, probe, told):
        s.close()


def streams(tap, b, families=WAYS):
    """TCP finds the path's MTU by itself, and nothing is ever fragmented."""
    for inner, outer in families:
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
        inject = Injector(b.lab["a"], b.lab["g1"], "eth0", "eth1")
        with Moves(b.g1, OutProtected=1):
            send(u, 6, 1280)
        equal(router_said(b.wires[0].collect(2), 6), 1300, "MTU that r states")
        with Moves(b.g1, OutTooBig=1):
            inject.send(udp_packet(6, 1281))
        inject.close()
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


def router_between(tap):
    ipsec.loaded()
    with router_lab() as lab:
        b = Bench(lab)
        b.mtus = (1500, 1400)
        tap.on_failure[:] = [b.g1.state, b.g2.state]
        for part in (learned, believed, streams, shortest_of_ipv6):
            part(tap, b)


def nested(tap):
    """g3 protects the ESP between g1 and g2 once more, with a cipher of another block."""
    with chain("g3", "g4") as lab:
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
        streams(tap, b, ((4, 4), (6, 6)))


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
