#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: core
#
# Each cipher and each hash, against the kernel's own stack: transport and
# tunnel, IPv4 and IPv6, one in the other too, both directions, small, middle and
# large.
#
#	10.1.0.1, fd01::1 [k: kipsec] 10.0.0.1, fd00::1 ---- wire ----
#	---- wire ---- 10.0.0.2, fd00::2 [x: xfrm] 10.2.0.1, fd02::1
#
# Transport between the hosts, tunnels between the networks behind. Asserted are
# each packet on the wire with its exact length, all counters of both sides, and
# that nothing was in clear. KIPSEC_MATRIX=xfrm puts xfrm in the place of kipsec,
# which tests the test.
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, transport, tunnel   # noqa: E402
from ktap import Failed, Skip, check, run                       # noqa: E402
from netns import pair, still_neighbours                        # noqa: E402
from traffic import Ping                                        # noqa: E402
from wire import Capture                                        # noqa: E402

HOSTS = {4: ("10.0.0.1", "10.0.0.2"), 6: ("fd00::1", "fd00::2")}
INSIDE = {4: ("10.1.0.1", "10.2.0.1"), 6: ("fd01::1", "fd02::1")}
NETS = {4: ("10.1.0.0/24", "10.2.0.0/24"), 6: ("fd01::/64", "fd02::/64")}
HEADER = {4: 20, 6: 40}
# name: families inside and outside, mode
WAYS = {"transport": (4, 4, "transport"), "tunnel": (4, 4, "tunnel"),
        "IPv6 transport": (6, 6, "transport"), "tunnel 6 in 6": (6, 6, "tunnel"),
        "tunnel 4 in 6": (4, 6, "tunnel"), "tunnel 6 in 4": (6, 4, "tunnel")}
FEW = [ipsec.GCM, ipsec.AES_SHA1, ipsec.NULL_SHA256, (ipsec.alg("chacha20-poly1305"), None)]
REFERENCE = os.environ.get("KIPSEC_MATRIX") == "xfrm"


def policies(side, inner, outer, mode):
    """Of one way, in each direction, as seen from a side."""
    ends = HOSTS[outer] if mode == "transport" else NETS[inner]
    turn = 1 if side == "k" else -1
    (a, z), (own, peer) = ends[::turn], HOSTS[outer][::turn]
    there, here = (transport(), transport()) if mode == "transport" else \
        (tunnel(own, peer), tunnel(peer, own))
    return [Policy(a, z, "out", requests=[there]), Policy(z, a, "in", requests=[here])]


def sas(algs, outer, mode):
    """Out and in, as k sees it."""
    k, x = HOSTS[outer]
    spi = 0x1000 * (1 + (mode == "tunnel")) + 0x100 * outer
    return SA(k, x, spi + 1, algs, mode), SA(x, k, spi + 2, algs, mode)


class Bench:
    def __init__(self, lab):
        self.lab = lab
        self.k = (Xfrm if REFERENCE else Kipsec)(lab["k"])
        self.x = Xfrm(lab["x"])
        self.wire = Capture(lab)
        still_neighbours(lab)

    def way(self, inner, outer, mode):
        """Only the policies of one way."""
        if isinstance(self.k, Xfrm):
            self.lab["k"].ip("xfrm policy flush")
        else:
            self.k.setkey("spdflush;")
        self.lab["x"].ip("xfrm policy flush")
        self.k.add(*policies("k", inner, outer, mode))
        self.x.add(*policies("x", inner, outer, mode))

    def install(self, algs, outer, mode):
        """The SAs on both sides; Skip if the kernel has no such cipher."""
        want = sas(algs, outer, mode)
        refused = self.x.replace_sas(*want)
        said = self.k.replace_sas(*want)
        if refused:
            if not said:
                # The other stack no longer knows the name: no oracle here.
                raise Skip("this kernel's xfrm lacks %s" %
                           " with ".join(a.kernel for a in algs if a))
            raise Skip("this kernel lacks %s" % " and ".join(ipsec.lacking(algs)))
        if said:
            raise Failed("setkey: %s" % said)

    def exchange(self, pings, algs, inner, outer, mode):
        """Three pings each way; the packets that must have been on the wire."""
        out, in_ = sas(algs, outer, mode)
        ends = HOSTS[outer] if mode == "transport" else INSIDE[inner]
        inside = HEADER[inner] if mode == "tunnel" else 0
        wanted, seq = [], 0
        for side, dst, both in (("k", ends[1], (out, in_)), ("x", ends[0], (in_, out))):
            for size in (1, 100, 1420 - HEADER[outer] - inside):
                seq += 1
                answer = pings[side](dst, size)
                if answer is None:
                    raise Failed("%s: no answer from %s to %d bytes; on the wire: %s" %
                                 (side, dst, size, self.wire.take()))
                wanted += ["%s>%s esp %#x #%d len %d" % (
                    s.src, s.dst, s.spi, seq, s.wire_len(8 + size + inside)) for s in both]
        return wanted


def matrix(tap):
    # The debug kernel is slow.
    short = os.environ.get("KIPSEC_SUITE") == "debug"
    if not REFERENCE:
        ipsec.loaded()
    with pair(ipv6=True) as lab:
        bench = Bench(lab)
        tap.on_failure[:] = [bench.k.state, bench.x.state]
        for name, way in WAYS.items():
            inner, outer, mode = way
            bench.way(*way)
            ends = HOSTS[outer] if mode == "transport" else INSIDE[inner]
            pings = {side: Ping(lab[side], addr) for side, addr in zip("kx", ends)}
            for algs in FEW if short else ipsec.combinations():
                with tap.case("%s %s" % (name, " ".join(
                        "%s-%d" % (a.name, a.bits) if a.kind != "auth" else a.name
                        for a in algs if a))):
                    bench.install(algs, outer, mode)
                    bench.wire.flush()
                    moves = {} if REFERENCE else {"OutProtected": 6, "InProtected": 6}
                    with Moves(bench.x), Moves(bench.k, **moves):
                        wanted = bench.exchange(pings, algs, *way)
                    bench.wire.expect(wanted)
            for ping in pings.values():
                ping.close()
        tap.on_failure.clear()


if __name__ == "__main__":
    run(matrix)
