#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: core
#
# OpenIKED, which knows nothing of kipsec, negotiates over PF_KEY: on both ends,
# with pre-shared keys. Its own packets bypass the policies that it makes.
#
#	[a: iked, kipsec] 10.0.0.1, fd00::1 ---- wire ---- 10.0.0.2, fd00::2 [b: the same]
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from daemons import Daemon, Iked, Stream, kipsec_policies, kipsec_sas   # noqa: E402
from ipsec import Kipsec                                        # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import pair, wait_for                                # noqa: E402
from traffic import Ping                                        # noqa: E402
from wire import ESP, ICMP6, UDP, Capture                       # noqa: E402

ENDS = {4: ("10.0.0.1", "10.0.0.2"), 6: ("fd00::1", "fd00::2")}
INFORMATIONAL = 37     # a kind of exchange, RFC 7296 3.1
# Neither SHA-256 nor an AEAD: those OpenIKED 7.2 itself leaves out over PF_KEY.
CHILDREN = ["enc aes-128 auth hmac-sha1", "enc aes-256 auth hmac-sha2-512"]


CONF = """ikev2 "t" %s esp from %s to %s local %s peer %s \\
    ikesa enc aes-256 auth hmac-sha2-256 group curve25519 childsa %s \\
    ikelifetime 0 lifetime %d psk "sesame"
"""


class Pair:
    """Two daemons; what is on the wire between them."""

    def __init__(self, tap, family, child, lifetimes=(3600, 3600)):
        self.lab = pair("a", "b", ipv6=True)
        self.ends, self.wire = ENDS[family], Capture(self.lab)
        self.k = [Kipsec(self.lab[n]) for n in "ab"]
        tap.on_failure[:] = [k.state for k in self.k] + [self.logs]
        own, peer = self.ends
        for ns, mode, one, other, life in (("b", "passive", peer, own, lifetimes[1]),
                                           ("a", "active", own, peer, lifetimes[0])):
            Iked(self.lab[ns], CONF % (mode, one, other, one, other, child, life))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        while Daemon.running:
            Daemon.running.pop().kill()
        self.lab.close()

    def logs(self):
        return [line for d in Daemon.running for line in d.tail()]

    def spis(self):
        """Of SAs in use, on both ends."""
        return [{sa.spi for sa in kipsec_sas(self.lab[n])} for n in "ab"]

    def stands(self, but=(), wait=60):
        def both():
            a, b = self.spis()
            # b may keep those that a forgot, until it finds that a is another one
            return len(a) >= 2 and a <= b and not a & set(but) and \
                [len(kipsec_policies(self.lab[n])) for n in "ab"] == [3, 3]      # they come last
        check(wait_for(both, wait, 0.3), "no SAs within %d seconds: %s" % (wait, self.spis()))
        return self.spis()[0]

    def echoes(self):
        self.wire.flush()
        for ns, own, peer in (("a", *self.ends), ("b", *self.ends[::-1])):
            ping = Ping(self.lab[ns], own)
            check(ping(peer, 100, timeout=4) is not None, "%s: no answer" % ns)
            ping.close()
        seen = {p.proto for p in self.wire.take()} - {ICMP6}    # neighbours ask in clear
        check(seen - {UDP} == {ESP}, "protocols on the wire: %s" % seen)


def negotiated(tap):
    for family in ENDS:
        for child in CHILDREN if family == 4 else CHILDREN[:1]:
            with tap.case("IPv%d: SAs stand, and what flows is protected: %s" % (family, child)), \
                    Pair(tap, family, child) as p:
                p.stands()
                p.echoes()


def too_late(packets, src):
    """Which of the datagrams that src protected went with an SA whose end it had announced."""
    spis, late, ended = [], [], None
    for p in packets:
        if p.src == src and p.proto == UDP and p.payload[26] == INFORMATIONAL:
            ended = spis[-1]
        elif p.src == src and p.proto == ESP:
            if p.spi == ended:
                late.append(len(spis))
            spis.append(p.spi)
    return late


def rekeyed(tap):
    # If both begin at once, one sends with a pair of SAs that the other gives up. And who
    # begins announces the end of the old pair before it loads the new one: what it sends
    # in between finds no SA if the peer is quick (OpenIKED's ikev2_init_create_child_sa()).
    with Pair(tap, 4, CHILDREN[0], lifetimes=(24, 3600)) as p:
        with tap.case("rekey by time: new SAs take over, no packet comes twice or in clear"):
            p.stands()
            p.wire.flush()
            before = p.k[1].counters()
            stream = Stream(p.lab, ("a", p.ends[0]), ("b", p.ends[1]), 56)
            end = time.monotonic() + 32
            while time.monotonic() < end:
                stream.one()
                time.sleep(0.05)
            lost = stream.missing()
            packets, after = p.wire.take(), p.k[1].counters()
            check(lost <= set(too_late(packets, p.ends[0])),
                  "%d lost: %s" % (len(lost), sorted(lost)[:20]))
            equal(sum(after[c] - before[c] for c in ("InUnknownSpi", "InSaState")), len(lost),
                  "packets without an SA")
            used = {x.spi for x in packets if x.proto == ESP and x.src == p.ends[0]}
            check(len(used) >= 2, "SPIs that carried them: %s" % used)
            stream.close()


def restarted(tap):
    with Pair(tap, 4, CHILDREN[0]) as p:
        with tap.case("a daemon is killed and comes again: new SAs, and what flows is protected"):
            before = p.stands()
            iked = Daemon.running[1]
            iked.kill()
            iked.start()
            p.stands(before)
            p.echoes()


def iked(tap):
    ipsec.loaded()
    for part in (negotiated, rekeyed, restarted):
        part(tap)


if __name__ == "__main__":
    run(iked)
