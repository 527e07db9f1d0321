# SPDX-License-Identifier: GPL-2.0
"""kipsec on one side, xfrm on the other, and exactly what is on the wires between.

The addresses are those of netns.pair() and netns.gateways().
"""
import subprocess

import ipsec
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, transport, tunnel
from ktap import Skip, check
from netns import pair
from wire import Capture

K, X, KNET, XNET = "10.0.0.1", "10.0.0.2", "10.1.0.1", "10.2.0.1"
NETS = "10.1.0.0/24", "10.2.0.0/24"


def need(*modules):
    """Skip the case if the kernel lacks one."""
    for name in modules:
        if subprocess.run(["modprobe", "-q", name], stderr=subprocess.DEVNULL).returncode:
            raise Skip("this kernel has no module " + name)


class Bench:
    """A host or gateway with kipsec and its peer with xfrm; w1 if there is one."""

    def __init__(self, lab, k="k", x="x"):
        self.lab, self.k, self.x = lab, Kipsec(lab[k]), Xfrm(lab[x])
        self.wires = [Capture(lab, w) for w in lab.wires]
        self.sas, self.seq, self.inner = (), 0, 0

    def protect(self, spi, mode="transport", ends=(K, X), nets=NETS):
        """One pair of SAs, between hosts or for the networks."""
        a, b = ends
        self.sas, self.seq = (SA(a, b, spi, ipsec.GCM, mode),
                              SA(b, a, spi + 1, ipsec.GCM, mode)), 0
        self.inner = 20 if mode == "tunnel" else 0
        for stack, own, peer, nets_ in ((self.k, a, b, nets), (self.x, b, a, nets[::-1])):
            stack.flush()
            there, here = (transport(),) * 2 if mode == "transport" else \
                (tunnel(own, peer), tunnel(peer, own))
            src, dst = nets_ if mode == "tunnel" else (own, peer)
            policies = [Policy(src, dst, "out", requests=[there]),
                        Policy(dst, src, "in", requests=[here])]
            if stack is self.x and mode == "tunnel":
                policies.append(Policy(dst, src, "fwd", requests=[here]))
            stack.add(*self.sas, *policies)
        self.flush()

    def flush(self):
        for w in self.wires:
            w.flush()

    def echo(self, ping, dst, there=0, back=0, size=100):
        """An echo from kipsec's side: one packet on wire "there", one on "back"."""
        with Moves(self.x), Moves(self.k, OutProtected=1, InProtected=1):
            check(ping(dst, size) is not None, "no answer")
        self.seq += 1
        wanted = [[] for _ in self.wires]
        for sa, n in zip(self.sas, (there, back)):
            wanted[n].append("%s>%s esp %#x #%d len %d" % (
                sa.src, sa.dst, sa.spi, self.seq, sa.wire_len(self.inner + 8 + size)))
        for n, (w, lines) in enumerate(zip(self.wires, wanted)):
            w.expect(lines, what="packets on wire %d" % n)


def two_wires():
    """As pair(), with a second wire: 10.4.0.1 eth1 ---- w1 ---- eth1 10.4.0.2."""
    lab = pair()
    lab.wire("k:10.4.0.1/24:eth1", "x:10.4.0.2/24:eth1")
    return lab
