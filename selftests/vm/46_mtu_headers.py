#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# The headers of a tunnel: DF copied, set and cleared; ECN after RFC 6040, out and
# in; DSCP and TTL. The flags of SAs that are about them, against xfrm with the same.
#
#	[a] -- [g1: kipsec] ---- w0, 1500 ---- [r] ---- w1, 1400 ---- [g2: xfrm] -- [b]
#
# All have IPv4 and IPv6: a is 10.1.0.2 and fd01::2, b 10.2.0.2 and fd02::2.
import os
import select
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import esp                                                      # noqa: E402
import ipsec                                                    # noqa: E402
import pfkey                                                    # noqa: E402
from ipsec import SA, Moves                                     # noqa: E402
from ktap import equal, run                                     # noqa: E402
from path import A, B, G1, G2, WAYS, Bench, router_lab, send    # noqa: E402
from traffic import Udp                                         # noqa: E402
from wire import ESP, UDP, Injector, ip4, ip6, udp, udp4        # noqa: E402

PORT = 4000
FLAGS = {"nopmtudisc": 0x20000000, "decap-dscp": 0x40000000, "noecn": 0x80000000}
# RFC 6040 figure 4: [inner][outer], codepoints Not-ECT, ECT(1), ECT(0), CE
RFC6040 = {0: (0, 0, 0, None), 1: (1, 1, 1, 3), 2: (2, 1, 2, 3), 3: (3, 3, 3, 3)}
APART = {n: (n,) * 4 for n in RFC6040}


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
    for inner, outer in WAYS:
        with tap.case("IPv%d in IPv%d: congestion marks of both headers, RFC 6040 figure 4" %
                      (inner, outer)):
            b.configure(outer, ipsec.NULL_SHA256)
            b.g1.setkey("delete %s;" % back[outer].ident)
            b.g1.add(back[outer])
            for ecn, lines in ((1, RFC6040), (0, APART)):
                b.lab["g1"].sysctl("net.kipsec.ecn", ecn)
                passed = sum(x is not None for line in lines.values() for x in line)
                with Moves(b.g1, InProtected=passed, InEcn=16 - passed):
                    equal(matrix(b.lab["a"], (B, A), inject, back[outer], inner), lines,
                          "inner codepoint, with ecn %d," % ecn)
    b.lab["g1"].sysctl("net.kipsec.ecn", 1)
    inject.close()


def matrix(ns, ends, inject, sa, inner, dscp=0x28):
    """What ECN codepoints a host gets, by inner and outer one; and, each time, this DSCP,
    of 0x28 inside and 0xb8 outside."""
    result = {}
    src, dst = (end[inner] for end in ends)
    u = Udp(ns, dst, PORT + 1)
    u.sock.setsockopt(*((41, 66) if inner == 6 else (0, 13)), 1)
    for i in range(4):
        line = []
        for o in range(4):
            data = udp4("", "", 9, PORT + 1, b"mark %d %d" % (i, o))
            if inner == 6:
                data = udp(src, dst, 9, PORT + 1, data[8:])
                packet = ip6(src, dst, UDP, data, tclass=0x28 | i)
            else:
                packet = ip4(src, dst, UDP, data, tos=0x28 | i)
            text = esp.protect(sa, 1, packet, 41 if inner == 6 else 4)
            inject.send(ip6(sa.src, sa.dst, ESP, text, tclass=0xb8 | o) if ":" in sa.dst else
                        ip4(sa.src, sa.dst, ESP, text, tos=0xb8 | o))
            if not select.select([u.sock], [], [], 0.3)[0]:
                line.append(None)
                continue
            data, told = u.sock.recvmsg(2000, 200)[:2]
            equal(data, b"mark %d %d" % (i, o), "datagram")
            tos = told[0][2][0]
            equal(tos & 0xfc, dscp, "DSCP")
            line.append(tos & 3)
        result[i] = tuple(line)
    u.close()
    return result


# --- flags of SAs ---

def flagged(b, outer, *flags):
    """Both gateways have them on the SA that they send with, and on the one they receive by."""
    b.configure(outer, ipsec.NULL_SHA256)
    key = bytes.fromhex(ipsec.NULL_SHA256[1].key)
    bits = sum(FLAGS[f] for f in flags)
    with b.lab["g1"]:
        manager = pfkey.Key()
    for sa in (b.out, b.back):
        sa.flags, sa.window = flags, 0
        named = pfkey.sa(sa.spi, 0, pfkey.SHA256, pfkey.NULL, bits), *pfkey.ends(sa.src, sa.dst)
        manager.ok(pfkey.DELETE, pfkey.ESP, *named)
        manager.ok(pfkey.ADD, pfkey.ESP, *named, pfkey.key(pfkey.KEY_AUTH, key),
                   pfkey.sa2(pfkey.TUNNEL))
        shown = manager.ok(pfkey.GET, pfkey.ESP, *named)
        equal(shown.ext[pfkey.SA].flags, bits, "flags of %#x" % sa.spi)
        b.g2.ns.ip("xfrm state delete src %s dst %s proto esp spi %#x" % (sa.src, sa.dst, sa.spi))
        b.g2.add(sa)
    manager.close()


SENDERS = {"kipsec": ("a", A, B, 0), "xfrm": ("b", B, A, 1)}


def leaves(b, who, inner, tos):
    """(DF, TOS) of the outer header as the gateway sends it, of a packet with DF."""
    host, own, peer, wire = SENDERS[who]
    u = Udp(b.lab[host], own[inner], df=2)
    u.sock.connect((peer[inner], 9))
    u.sock.setsockopt(*((41, 67) if inner == 6 else (0, 1)), tos)
    for w in b.wires:
        w.flush()
    send(u, inner, 200)
    p = [w.collect(1)[0] for w in b.wires][wire]
    u.close()
    return p.df, p.tos


def flags(tap, b):
    inject = {"kipsec": Injector(b.lab["r"], b.lab["g1"]),
              "xfrm": Injector(b.lab["r"], b.lab["g2"], dev="eth1")}
    hosts = {"kipsec": (b.lab["a"], (B, A)), "xfrm": (b.lab["b"], (A, B))}
    for inner, outer in WAYS:
        way = "IPv%d in IPv%d, " % (inner, outer)
        if outer == 4:
            with tap.case(way + "nopmtudisc: no DF outside, whatever dfbit says; as xfrm"):
                flagged(b, outer, "nopmtudisc")
                for dfbit in (1, 2):
                    b.lab["g1"].sysctl("net.kipsec.dfbit", dfbit)
                    equal(leaves(b, "kipsec", inner, 0x2a), (False, 0x2a), "DF and TOS")
                equal(leaves(b, "xfrm", inner, 0x2a), (False, 0x2a), "DF and TOS of xfrm")
        with tap.case(way + "noecn: no marks outside, none carried inwards; as xfrm"):
            flagged(b, outer, "noecn")
            for who in SENDERS:
                equal(leaves(b, who, inner, 0x2a), (True, 0x28), "DF and TOS of " + who)
                sa = {"kipsec": b.back, "xfrm": b.out}[who]
                equal(matrix(*hosts[who], inject[who], sa, inner), APART, "codepoints, " + who)
        with tap.case(way + "decap-dscp: the outer DSCP comes inwards, as with xfrm; marks as ever"):
            flagged(b, outer, "decap-dscp")
            for who in SENDERS:
                equal(leaves(b, who, inner, 0x2a), (True, 0x2a), "DF and TOS of " + who)
            with Moves(b.g1, InProtected=15, InEcn=1):
                equal(matrix(*hosts["kipsec"], inject["kipsec"], b.back, inner, 0xb8), RFC6040,
                      "codepoints")
            matrix(*hosts["xfrm"], inject["xfrm"], b.out, inner, 0xb8)
    for i in inject.values():
        i.close()


def headers(tap):
    ipsec.loaded()
    with router_lab() as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.g1.state, b.g2.state]
        dfbit(tap, b)
        marks(tap, b)
        flags(tap, b)


if __name__ == "__main__":
    run(headers)
