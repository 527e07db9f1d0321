#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: debug
#
# Several requests in one policy, against xfrm: IPComp in ESP in AH, tunnel in
# transport and transport in tunnel, both families.
#
#	10.1.0.1, fd01::1 [k: kipsec] 10.0.0.1, fd00::1 ---- wire ----
#	---- wire ---- 10.0.0.2, fd00::2 [x: xfrm] 10.2.0.1, fd02::1
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, auth, transport, tunnel  # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import pair                                          # noqa: E402
from traffic import Ping, tcp_copy                              # noqa: E402
from wire import AH, ESP, Capture                               # noqa: E402

ENDS = {4: ("10.0.0.1", "10.0.0.2", "10.1.0.1", "10.2.0.1", "10.1.0.0/24", "10.2.0.0/24"),
        6: ("fd00::1", "fd00::2", "fd01::1", "fd02::1", "fd01::/64", "fd02::/64")}
SHA256 = (None, auth("hmac-sha256"))
SIZES = (20, 60, 1000, 1300)
# name: (request, mode), innermost first; what the wire shows outermost
BUNDLES = {
    "IPComp in ESP": ([("comp", "transport"), ("esp", "transport")], ESP),
    "IPComp in ESP in AH": ([("comp", "transport"), ("esp", "transport"),
                             ("ah", "transport")], AH),
    "IPComp tunnel in ESP": ([("comp", "tunnel"), ("esp", "transport")], ESP),
    "IPComp tunnel in ESP in AH": ([("comp", "tunnel"), ("esp", "transport"),
                                    ("ah", "transport")], AH),
    "ESP tunnel in AH": ([("esp", "tunnel"), ("ah", "transport")], AH),
}


class Bench:
    def __init__(self, lab):
        self.lab, self.k, self.x, self.wire = lab, Kipsec(lab["k"]), Xfrm(lab["x"]), Capture(lab)

    def sa(self, kind, mode, src, dst, spi):
        """On both sides."""
        if kind == "comp":
            self.k.setkey("add %s %s ipcomp %#x -m %s -C deflate;" % (src, dst, spi, mode))
            self.lab["x"].ip("xfrm state add src %s dst %s proto comp spi %#x mode %s comp deflate" %
                             (src, dst, spi, mode))
            return
        sa = SA(src, dst, spi, SHA256 if kind == "ah" else ipsec.GCM, mode, proto=kind,
                window=1024)
        self.k.add(sa)
        self.lab["x"].ip(Xfrm.sa_line(sa))

    def configure(self, parts, family):
        host, peer, net, peernet, nets, peernets = ENDS[family]
        self.k.flush()
        self.x.flush()
        for n, (kind, mode) in enumerate(parts):
            self.sa(kind, mode, host, peer, 0x1901 + 2 * n)
            self.sa(kind, mode, peer, host, 0x1902 + 2 * n)
        tunnels = any(mode == "tunnel" for _, mode in parts)
        src, dst = (nets, peernets) if tunnels else (host, peer)
        for stack, own, other, s, d in ((self.k, host, peer, src, dst),
                                        (self.x, peer, host, dst, src)):
            for direction, a, z, f, t in (("out", own, other, s, d), ("in", other, own, d, s)):
                requests = []
                for kind, mode in parts:
                    level = "use" if kind == "comp" else "require"
                    if (stack, mode, direction) == (self.x, "tunnel", "out"):
                        level = "require"       # xfrm refuses the other here
                    name = "ipcomp" if kind == "comp" and stack is self.k else kind
                    requests.append(tunnel(a, z, level, name) if mode == "tunnel" else
                                    transport(level, name))
                stack.add(Policy(f, t, direction, requests=requests))
        self.wire.flush()
        return (net, peernet) if tunnels else (host, peer)


def bundles(tap):
    ipsec.loaded()
    with pair(ipv6=True) as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state, b.x.state]
        for family in ENDS:
            for name, (parts, outermost) in BUNDLES.items():
                with tap.case("IPv%d: %s" % (family, name)):
                    src, dst = b.configure(parts, family)
                    n = 2 * len(SIZES)
                    # xfrm protects its own neighbour discovery, if hosts have SAs.
                    more = ("InProtected",) if family == 6 and dst == ENDS[6][1] else ()
                    with Moves(b.x), Moves(b.k, more, OutProtected=n,
                                           **{} if more else {"InProtected": n}):
                        for ns, a, z in (("k", src, dst), ("x", dst, src)):
                            ping = Ping(lab[ns], a)
                            for size in SIZES:
                                check(ping(z, size) is not None, "%s: no answer of %d bytes" %
                                      (ns, size))
                            ping.close()
                    packets = b.wire.collect(2 * n)
                    equal({p.proto for p in packets}, {outermost}, "outermost protocols")
                    check(len(packets) >= 2 * n, "%d packets on the wire" % len(packets))
                    # Payload of one byte over and over shrinks to next to nothing.
                    longest = max(p.len for p in packets)
                    if parts[0][0] == "comp":
                        check(longest < 300, "longest packet has %d bytes" % longest)
                    else:
                        check(longest > 1300, "longest packet has %d bytes" % longest)
                for side, other, own, peer in (("k", "x", src, dst), ("x", "k", dst, src)):
                    with tap.case("IPv%d: %s: TCP from %s" % (family, name, side)):
                        if side == "k" and parts[0][0] == "comp":
                            ipsec.xfrm_expands_tcp()
                        tcp_copy(lab[side], lab[other], peer, 1 << 19, src=own)
                        equal({p.proto for p in b.wire.take()}, {outermost},
                              "outermost protocols")


if __name__ == "__main__":
    run(bundles)
