#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# One IPsec path inside of another, over two gateways, kipsec and xfrm in turn at
# each place:
#
#	10.1.0.2 [a] -- w0 -- [g1] 10.0.0.1 -- w1 -- 10.0.0.2 [g2] -- w2 -- 10.9.0.3 [h] 10.2.0.1
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, transport, tunnel    # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import Lab                                           # noqa: E402
from traffic import Ping                                        # noqa: E402
from wire import Capture                                        # noqa: E402

A, G1, G2, H, HNET = "10.1.0.2", "10.0.0.1", "10.0.0.2", "10.9.0.3", "10.2.0.1"
NET1, NET9, NET2 = "10.1.0.0/24", "10.9.0.0/24", "10.2.0.0/24"


def both(a, b, there, here, **kw):
    """Policies of one who is at a, out and in."""
    return [Policy(a, b, "out", requests=there, **kw), Policy(b, a, "in", requests=here, **kw)]


def pair_of(src, dst, spi, mode="tunnel"):
    return (SA(src, dst, spi, ipsec.GCM, mode), SA(dst, src, spi + 1, ipsec.AES_SHA1, mode))


def nested_lab():
    lab = Lab("a", "g1", "g2", "h")
    lab.wire("a:%s/24" % A, "g1:10.1.0.1/24:eth1")
    lab.wire("g1:%s/24" % G1, "g2:%s/24" % G2)
    lab.wire("g2:10.9.0.1/24:eth1", "h:%s/24" % H)
    lab["h"].ip("link add net0 type dummy", "link set net0 up", "addr add %s/24 dev net0" % HNET,
                "route add default via 10.9.0.1")
    lab["a"].ip("route add default via 10.1.0.1")
    lab["g1"].ip("route add default via " + G2)
    lab["g2"].ip("route add %s via %s" % (NET2, H), "route add default via " + G1)
    for name in ("g1", "g2"):
        lab[name].sysctl("net.ipv4.ip_forward", 1)
    return lab


def at_gateway(stack, a, b, there, here):
    """As both(), and xfrm needs to hear of forwarding."""
    stack.add(*both(a, b, there, here))
    if isinstance(stack, Xfrm):
        stack.add(Policy(b, a, "fwd", requests=here))


def way(tap, lab, stacks, wires, name, src_dst, layers, sizes=(1, 100, 1200)):
    """Echoes of both ends; layers: for each wire (SAs innermost first, payload transform)."""
    with tap.case(name):
        for w in wires:
            w.flush()
        moves = [Moves(s, **({"OutProtected": n, "InProtected": n} if isinstance(s, Kipsec)
                             else {})) for s, n in stacks]
        for m in moves:
            m.__enter__()
        a, h = src_dst
        for host, src, dst in (("a", a, h), ("h", h, a)):
            p = Ping(lab[host], src)
            for size in sizes:
                check(p(dst, size) is not None, "%s: no answer of %d bytes" % (host, size))
            p.close()
        for m in moves:
            m.__exit__(None, None, None)
        for w, layer in zip(wires, layers):
            wanted, seq = [], 0
            for turn in ((0, 1), (1, 0)):
                for size in sizes:
                    seq += 1
                    wanted += [line(layer, i, seq, size) for i in turn]
            equal([str(p) for p in w.collect(len(wanted))], wanted, "on %s" % w.wire)


def line(layer, direction, seq, size):
    """layer: pairs of SAs, innermost first."""
    packet = 28 + size
    for sas in layer:
        sa = sas[direction]
        packet = sa.wire_len(packet if sa.mode == "tunnel" else packet - 20)
    return "%s>%s esp %#x #%d len %d" % (sa.src, sa.dst, sa.spi, seq, packet)


def nested(tap):
    ipsec.loaded()
    with nested_lab() as lab:
        wires = [Capture(lab, w) for w in lab.wires]
        for kinds in ((Kipsec, Kipsec, Xfrm, Xfrm), (Xfrm, Xfrm, Kipsec, Kipsec),
                      (Kipsec, Xfrm, Xfrm, Kipsec)):
            for name in ("a", "g1", "g2", "h"):
                Kipsec(lab[name]).flush()
                Xfrm(lab[name]).flush()
            a, g1, g2, h = stacks = [k(lab[n]) for k, n in zip(kinds, ("a", "g1", "g2", "h"))]
            tap.on_failure[:] = [s.state for s in stacks]
            which = " ".join("%s:%s" % (s.ns.name[3:], type(s).__name__.lower()) for s in stacks)
            outer = pair_of(G1, G2, 0x5211)

            def between_gateways():
                for s in stacks:
                    s.flush()
                for g, own, peer, net, other in ((g1, G1, G2, NET1, NET9),
                                                 (g2, G2, G1, NET9, NET1)):
                    g.add(*outer)
                    at_gateway(g, net, other, [tunnel(own, peer)], [tunnel(peer, own)])

            between_gateways()
            inner = pair_of(A, H, 0x5201)
            for s, own, peer, net, other in ((a, A, H, A, NET2), (h, H, A, NET2, A)):
                s.add(*inner)
                s.add(*both(net, other, [tunnel(own, peer)], [tunnel(peer, own)]))
            way(tap, lab, [(s, 6) for s in stacks], wires,
                "%s: host's tunnel in the gateways' tunnel" % which, (A, HNET),
                [[inner], [inner, outer], [inner]])

            between_gateways()
            direct = pair_of(A, H, 0x5221, "transport")
            for s, own, peer in ((a, A, H), (h, H, A)):
                s.add(*direct, *both(own, peer, [transport()], [transport()]))
            way(tap, lab, [(s, 6) for s in stacks], wires,
                "%s: transport of hosts in the gateways' tunnel" % which, (A, H),
                [[direct], [direct, outer], [direct]])

            for s in stacks:
                s.flush()
            second = pair_of(A, G2, 0x5231)
            a.add(*inner, *second, *both(A, NET2, [tunnel(A, H), tunnel(A, G2)],
                                         [tunnel(H, A), tunnel(G2, A)]))
            g2.add(*second)
            at_gateway(g2, H, A, [tunnel(G2, A)], [tunnel(A, G2)])
            h.add(*inner, *both(NET2, A, [tunnel(H, A)], [tunnel(A, H)]))
            way(tap, lab, [(a, 6), (g2, 6), (h, 6)], wires,
                "%s: a tunnel in a tunnel from one host, for two gateways" % which, (A, HNET),
                [[inner, second], [inner, second], [inner]])

            for s in (a, h):
                s.flush()
            a.add(*direct, *second, *both(A, H, [transport(), tunnel(A, G2)],
                                          [transport(), tunnel(G2, A)]))
            h.add(*direct, *both(H, A, [transport()], [transport()]))
            g2.flush()
            g2.add(*second)
            at_gateway(g2, H, A, [tunnel(G2, A)], [tunnel(A, G2)])
            way(tap, lab, [(a, 6), (g2, 6), (h, 6)], wires,
                "%s: transport in a tunnel from one host" % which, (A, H),
                [[direct, second], [direct, second], [direct]])


if __name__ == "__main__":
    run(nested)
