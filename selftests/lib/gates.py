# SPDX-License-Identifier: GPL-2.0
"""A gateway with kipsec and firewall rules, its peer with xfrm, and what goes between.

	[a] 10.1.0.2 -- 10.1.0.1 [g1] 10.0.0.1 -- w0 -- 10.0.0.2 [g2] 10.2.0.1 -- 10.2.0.2 [b]
"""
import contextlib

from bench import K, NETS, X, Bench
from ipsec import Moves
from ktap import Skip, check, equal
from wire import ESP

A, B, G1 = "10.1.0.2", "10.2.0.2", "10.1.0.1"


class Gates(Bench):
    """Gateway g1 has kipsec and the rules, g2 has xfrm."""

    def __init__(self, lab):
        super().__init__(lab, "g1", "g2")
        self.a, self.b, self.g = lab["a"], lab["b"], lab["g1"]

    def protect(self, spi, mode="tunnel", ends=(K, X), nets=NETS):
        super().protect(spi, mode, ends, nets)
        self.sent = [0, 0]

    def expect(self, *inner):
        """Exactly this is on the wire: inner packets by length, those from g2 with a minus."""
        lines = []
        for n in inner:
            sa = self.sas[n < 0]
            self.sent[n < 0] += 1
            lines.append("%s>%s esp %#x #%d len %d" % (sa.src, sa.dst, sa.spi, self.sent[n < 0],
                                                       sa.wire_len(abs(n))))
        self.wires[0].expect(lines)

    def only_esp(self):
        """After much traffic, whose packets nobody counts."""
        equal([str(p) for p in self.wires[0].take() if p.proto != ESP], [], "not ESP")

    @contextlib.contextmanager
    def moves(self, sent=0, received=0):
        with Moves(self.x), Moves(self.k, OutProtected=sent, InProtected=received):
            yield

    @contextlib.contextmanager
    def rules(self, text, table="ip f"):
        """A ruleset for a block."""
        self.g.nft("table %s {\n%s\n}\n" % (table, text))
        try:
            yield
        finally:
            self.g.run("nft", "delete table " + table)

    def flows(self, *words, family="ipv4"):
        """Connection tracking's entries with all these words."""
        try:
            table = self.g.run("conntrack", "-L", "-f", family)
        except FileNotFoundError:
            raise Skip("there is no conntrack here") from None
        return [line for line in table.splitlines() if all(w in line for w in words)]

    def one_flow(self, *words, reply, family="ipv4"):
        """One entry, ASSURED, whose answers come to that address."""
        lines = self.flows(*words, family=family)
        equal(len(lines), 1, "entries: %s" % lines)
        check("ASSURED" in lines[0] and "dst=%s " % reply in lines[0].split(" src=")[2],
              "entry: " + lines[0])

    def forget(self):
        self.g.run("conntrack", "-F")
