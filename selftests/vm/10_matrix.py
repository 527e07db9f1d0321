#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: core debug
#
# Each cipher and each hash, against the kernel's own stack: transport and
# tunnel, both directions, small, middle and large.
#
#	10.1.0.1/24 [k: kipsec] 10.0.0.1 ---- wire ---- 10.0.0.2 [x: xfrm] 10.2.0.1/24
#
# Transport between 10.0.0.x, a tunnel between the networks behind. Asserted are
# each packet on the wire with its exact length, all counters of both sides, and
# that nothing was in clear. KIPSEC_MATRIX=xfrm puts xfrm in the place of kipsec,
# which tests the test.
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, transport, tunnel   # noqa: E402
from ktap import Failed, Skip, check, run                       # noqa: E402
from netns import pair                                          # noqa: E402
from traffic import Ping                                        # noqa: E402
from wire import Capture                                        # noqa: E402

K, X = "10.0.0.1", "10.0.0.2"
KNET, XNET = "10.1.0.1", "10.2.0.1"
REFERENCE = os.environ.get("KIPSEC_MATRIX") == "xfrm"


def combinations():
    """(cipher, hash): each hash with two ciphers, each cipher with one hash, each AEAD."""
    seen = []
    for hash_ in ipsec.AUTHS:
        for enc in ("null", "aes-cbc"):
            seen.append((ipsec.alg(enc), hash_))
    seen += [(enc, ipsec.auth("hmac-sha1")) for enc in ipsec.ENCS]
    seen += [(aead, None) for aead in ipsec.AEADS]
    seen = list(dict.fromkeys(seen))
    if os.environ.get("KIPSEC_SUITE") != "core":
        return seen
    # In the core set one length of key for each, and one cipher for each hash.
    names, short = set(), []
    for enc, hash_ in seen:
        if hash_ and enc.name == "null" and hash_.name != "hmac-sha1":
            continue
        name = (enc.name, hash_ and hash_.name)
        if name not in names:
            names.add(name)
            short.append((enc, hash_))
    return short


def policies(side):
    """One transport and one tunnel policy in each direction, as seen from a side."""
    own, peer, ownnet, peernet = (K, X, "10.1.0.0/24", "10.2.0.0/24") if side == "k" else \
                                 (X, K, "10.2.0.0/24", "10.1.0.0/24")
    return [Policy(own + "/32", peer + "/32", "out", requests=[transport()]),
            Policy(peer + "/32", own + "/32", "in", requests=[transport()]),
            Policy(ownnet, peernet, "out", requests=[tunnel(own, peer)]),
            Policy(peernet, ownnet, "in", requests=[tunnel(peer, own)])]


def sas(algs):
    return {("transport", "out"): SA(K, X, 0x1001, algs),
            ("transport", "in"): SA(X, K, 0x1002, algs),
            ("tunnel", "out"): SA(K, X, 0x2001, algs, "tunnel"),
            ("tunnel", "in"): SA(X, K, 0x2002, algs, "tunnel")}


class Bench:
    def __init__(self, lab):
        self.k = (Xfrm if REFERENCE else Kipsec)(lab["k"])
        self.x = Xfrm(lab["x"])
        self.wire = Capture(lab)
        self.ping = {("k", "transport"): Ping(lab["k"]),
                     ("x", "transport"): Ping(lab["x"]),
                     ("k", "tunnel"): Ping(lab["k"], KNET),
                     ("x", "tunnel"): Ping(lab["x"], XNET)}

    def install(self, algs):
        """The SAs on both sides; Skip if the kernel has no such cipher."""
        want = list(sas(algs).values())
        refused = self.x.replace_sas(*want)
        said = self.k.replace_sas(*want)
        if refused:
            with open("/proc/crypto") as f:
                known = f.read()
            missing = " and ".join(a.kernel for a in algs
                                   if a and "name         : %s\n" % a.kernel not in known)
            if not said:
                # The other stack no longer knows the name: no oracle here.
                raise Skip("this kernel's xfrm lacks %s" %
                           " with ".join(a.kernel for a in algs if a))
            raise Skip("this kernel lacks %s" % missing)
        if said:
            raise Failed("setkey: %s" % said)

    def exchange(self, mode, algs):
        """Three pings each way; the packets that must have been on the wire."""
        sa = {d: s for (m, d), s in sas(algs).items() if m == mode}
        seq = {"out": 0, "in": 0}
        wanted = []

        def carry(direction, size):
            seq[direction] += 1
            s = sa[direction]
            wanted.append("%s>%s esp %#x #%d len %d" % (
                s.src, s.dst, s.spi, seq[direction],
                s.wire_len(8 + size + (20 if mode == "tunnel" else 0))))

        for side, first, second in (("k", "out", "in"), ("x", "in", "out")):
            ping = self.ping[side, mode]
            if mode == "tunnel":
                dst = XNET if side == "k" else KNET
            else:
                dst = X if side == "k" else K
            for size in (1, 100, 1400 if mode == "transport" else 1372):
                answer = ping(dst, size)
                carry(first, size)
                if answer is None:
                    raise Failed("%s: no answer from %s to %d bytes; on the wire: %s" %
                                 (side, dst, size, self.wire.take()))
                carry(second, size)
        return wanted


def matrix(tap):
    if not REFERENCE:
        ipsec.loaded()
    with pair() as lab:
        bench = Bench(lab)
        bench.k.add(*policies("k"))
        bench.x.add(*policies("x"))
        for algs in combinations():
            name = " ".join("%s-%d" % (a.name, a.bits) if a.kind != "auth" else a.name
                            for a in algs if a)
            trouble = None
            try:
                bench.install(algs)
            except (Skip, Failed) as e:
                trouble = e
            for mode in ("transport", "tunnel"):
                with tap.case("%s %s" % (mode, name)):
                    if trouble:
                        raise trouble
                    bench.wire.flush()
                    moves = {} if REFERENCE else {"OutProtected": 6, "InProtected": 6}
                    tap.on_failure[:] = [bench.k.state, bench.x.state]
                    with Moves(bench.x), Moves(bench.k, **moves):
                        wanted = bench.exchange(mode, algs)
                    bench.wire.expect(wanted)
        tap.on_failure.clear()


if __name__ == "__main__":
    run(matrix)
