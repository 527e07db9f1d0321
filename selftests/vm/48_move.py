#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: core
#
# An end of an SA moves to another address (RFC 4555): UPDATE without algorithms
# and keys, as iked sends it. Keys, numbers and windows go on, so that nothing is
# sent twice with one number, and nothing old is taken again. MIGRATE moves the
# policy as well.
#
#	10.1.0.1 [k: kipsec] 10.0.0.1, .3 ---- wire ---- 10.0.0.2, .4 [x: xfrm] 10.2.0.1
#	                     fd00::1, ::3                fd00::2, ::4
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
import pfkey as p                                               # noqa: E402
from bench import K, KNET, NETS, X, XNET, Bench                 # noqa: E402
from ipsec import SA, Moves, Policy, transport, tunnel          # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import pair                                          # noqa: E402
from traffic import Ping, Udp                                   # noqa: E402
from wire import ESP, UDP, Injector, fill                       # noqa: E402

K2, X2, PORT = "10.0.0.3", "10.0.0.4", 4000
SPIS = 0x4801, 0x4802


def sas_between(own, peer, mode, n=0):
    """kipsec's pair of SAs, of which n numbers have been used."""
    return [SA(src, dst, spi, ipsec.GCM, mode, last=n)
            for spi, src, dst in zip(SPIS, (own, peer), (peer, own))]


def policies(own, peer, mode, nets, fwd=False):
    there, back = (tunnel(own, peer), tunnel(peer, own)) if mode == "tunnel" else \
        (transport(), transport())
    a, z = nets if mode == "tunnel" else (own, peer)
    lines = [Policy(a, z, "out", requests=[there]), Policy(z, a, "in", requests=[back])]
    return lines + [Policy(z, a, "fwd", requests=[back])] * fwd


def xfrm_sas(b, own, peer, mode, n):
    """xfrm cannot move an SA, but begin another with the numbers of the last."""
    b.x.ns.ip("xfrm state flush", "xfrm policy flush",
              *[b.x.sa_line(sa) + " replay-oseq %d replay-seq %d" % (n, n)
                for sa in sas_between(own, peer, mode)])


class Roamer(Bench):
    """k and x, their SAs between two addresses of several."""

    def __init__(self, lab):
        super().__init__(lab)
        self.wire = self.wires[0]
        for name, addresses in (("k", (K2, "fd00::3")), ("x", (X2, "fd00::4"))):
            for a in addresses:
                lab[name].ip("addr add %s dev eth0%s" % (
                    a + ("/64" if ":" in a else "/24"), " nodad" if ":" in a else ""))
        macs = {name: lab[name].run("ip", "-br", "link", "show", "eth0").split()[2]
                for name in "kx"}
        # Those who ask where a neighbour is would be protected, and counted.
        for name, far, addresses in (("k", "x", ("fd00::2", "fd00::4")),
                                     ("x", "k", ("fd00::1", "fd00::3"))):
            lab[name].ip(*["neigh replace %s lladdr %s dev eth0 nud permanent" % (a, macs[far])
                           for a in addresses])

    def ask(self, how, *request):
        """On a socket of its own, which has not heard of what setkey does."""
        with self.lab["k"], p.Key() as key:
            return getattr(key, how)(*request)

    def begin(self, mode, own=K, peer=X, nets=NETS):
        self.k.flush()
        self.x.flush()
        self.mode, self.nets, self.at, self.n = mode, nets, (own, peer), 0
        self.k.add(*sas_between(own, peer, mode), *policies(own, peer, mode, nets))
        self.other_end(own, peer)
        self.wire.flush()

    def other_end(self, own, peer):
        xfrm_sas(self, own, peer, self.mode, self.n)
        self.x.add(*policies(peer, own, self.mode, self.nets[::-1], fwd=True))

    def update(self, own, peer, *more):
        """As a key manager does: both SAs, then the policies."""
        for spi, src, dst in zip(SPIS, (own, peer), (peer, own)):
            m = self.ask("ok", p.UPDATE, p.ESP, p.sa(spi), *p.ends(src, dst), *more)
            equal((m.ext[p.SRC].addr, m.ext[p.DST].addr), (src, dst), "answer")
        self.k.setkey("".join(self.k.policy_line(x, "spdupdate") for x in
                              policies(own, peer, self.mode, self.nets))
                      if self.mode == "tunnel" else
                      "spdflush;" + "".join(map(self.k.policy_line,
                                                policies(own, peer, self.mode, self.nets))))
        self.at = own, peer

    def move(self, own, peer):
        self.update(own, peer)
        self.other_end(own, peer)

    def echoes(self, count, ping, dst, inner):
        for _ in range(count):
            with Moves(self.x), Moves(self.k, OutProtected=1, InProtected=1):
                check(ping(dst, 100) is not None, "no answer")
            self.n += 1
            self.wire.expect(["%s>%s esp %#x #%d len %d" % (
                sa.src, sa.dst, sa.spi, self.n, sa.wire_len(inner + 108))
                for sa in sas_between(*self.at, self.mode)])

    def shown(self):
        """What GET knows of both SAs."""
        return [self.ask("ok", p.GET, p.ESP, p.sa(spi), *p.ends(*ends))
                for spi, ends in zip(SPIS, (self.at, self.at[::-1]))]


def tunnels(tap, b):
    ping = Ping(b.lab["k"], KNET)
    with tap.case("tunnel: the peer moves, this end moves, both: echoes, numbers go on"):
        b.begin("tunnel")
        before = b.shown()
        for own, peer in ((K, X), (K, X2), (K2, X2), (K, X)):
            if (own, peer) != b.at:
                b.move(own, peer)
            b.echoes(3, ping, XNET, 20)
        for was, now in zip(before, b.shown()):
            equal(now.ext[p.KEY_ENC], was.ext[p.KEY_ENC], "key")
            equal(now.ext[p.CURRENT].packets, 12, "packets")
    with tap.case("tunnel: what came before the move is refused after it"):
        b.begin("tunnel")
        b.echoes(0, ping, XNET, 20)
        check(ping(XNET, 100) is not None, "no answer")
        old = [x for x in b.wire.take() if x.src == X]
        equal(len(old), 1, "packets of x")
        b.n = 1
        b.move(K, X2)
        injector = Injector(b.lab["x"], b.lab["k"])
        with Moves(b.k, InReplayDup=1):
            injector.send(old[0].raw)
        b.wire.flush()
        b.echoes(1, ping, XNET, 20)
        injector.close()
    with tap.case("tunnel: the old place is nobody's any more"):
        for spi, ends in zip(SPIS, ((K, X), (X, K))):
            if ends[1] == X:
                equal(b.ask("fails", p.GET, p.ESP, p.sa(spi), *p.ends(*ends)), "ESRCH")
    ping.close()


def transports(tap, b):
    for family, (k, x, k2, x2) in ((4, (K, X, K2, X2)),
                                   (6, ("fd00::1", "fd00::2", "fd00::3", "fd00::4"))):
        with tap.case("transport, IPv%d: each end moves: echoes, numbers go on" % family):
            for n, (own, peer) in enumerate(((k, x), (k, x2), (k2, x2))):
                if n:
                    b.move(own, peer)
                else:
                    b.begin("transport", own, peer)
                ping = Ping(b.lab["k"], own)
                b.echoes(2, ping, peer, 0)
                ping.close()


def encapsulated(tap, b):
    with tap.case("a peer moves behind a NAT, and away from it: ESP in UDP from then on, and plain"):
        b.begin("tunnel")
        sender, sink = Udp(b.lab["k"], KNET), Udp(b.lab["x"], XNET, PORT)
        out = sas_between(K, X2, "tunnel")[0]
        for step, (peer, natt, proto, extra) in enumerate((
                (X2, (p.natt(4500, 1024),), UDP, 8), (X, (), ESP, 0))):
            b.update(K, peer, *natt)
            with Moves(b.k, OutProtected=1):
                sender.send(fill(50), XNET, PORT)
            got = [x for x in b.wire.collect(1) if x.src == K]
            equal([(x.dst, x.proto, x.len) for x in got],
                  [(peer, proto, out.wire_len(20 + 8 + 50) + extra)], "packets")
            at = 8 if proto == UDP else 0
            equal(got[0].payload[at + 4:at + 8], (step + 1).to_bytes(4, "big"), "number")
            b.wire.flush()
        sender.close()
        sink.close()


def under_traffic(tap, b):
    with tap.case("twenty moves under a stream: no number is used twice, nothing goes in clear"):
        b.begin("tunnel")
        sender, over = Udp(b.lab["k"], KNET), threading.Event()

        def stream():
            while not over.is_set():
                try:
                    sender.send(fill(60), XNET, PORT)
                except OSError:
                    pass        # between two places there is no SA
                time.sleep(0.001)
        thread = threading.Thread(target=stream)
        thread.start()
        packets = []
        for n in range(20):
            b.update(K, X if n % 2 else X2)
            time.sleep(0.02)
            packets += b.wire.take()
        over.set()
        thread.join()
        packets += b.wire.take()
        sent = [x for x in packets if x.src == K and x.proto == ESP]
        equal({x.dst for x in sent}, {X, X2}, "places")
        numbers = [x.seq for x in sent]
        equal(numbers, sorted(set(numbers)), "numbers")
        equal(numbers[-1], len(numbers), "the last of them")
        check(len(numbers) > 50, "only %d packets" % len(numbers))
        sender.close()


def pairs(mode, was, will, **kw):
    return [p.request(mode=mode, pair=ends, **kw) for ends in (was, will)]


def migrate(b, own, peer):
    """MIGRATE for each direction, as a mobile host's daemon does."""
    was, now = b.at, (own, peer)
    a, z = b.nets
    for where, sel, there, here in ((p.OUT, (a, z), was, now), (p.IN, (z, a), was[::-1], now[::-1]),
                                    (p.FWD, (z, a), was[::-1], now[::-1])):
        with b.lab["k"], p.Key() as key, p.Key() as other:
            key.send(p.MIGRATE, p.UNSPEC, p.selector(*sel),
                     p.policy(where, requests=pairs(p.TUNNEL, there, here)))
            for one in (key, other):
                m = one.recv()
                equal((m.type, m.errno, m.pid, m.seq), (p.MIGRATE, 0, 0, 0), "broadcast")
                equal([r.pair for r in m.ext[p.POLICY].requests], [there, here], "pairs")
    b.at = now


def migrated(tap, b):
    with tap.case("MIGRATE: policy and SAs of a tunnel move, echoes, numbers go on"):
        b.begin("tunnel")
        ping = Ping(b.lab["k"], KNET)
        b.echoes(2, ping, XNET, 20)
        before = sorted(m.ext[p.POLICY].id for m in b.ask("dump", p.SPDDUMP))
        for own, peer in ((K, X2), (K2, X2), (K, X)):
            migrate(b, own, peer)
            b.other_end(own, peer)
            b.echoes(2, ping, XNET, 20)
        equal(sorted(m.ext[p.POLICY].id for m in b.ask("dump", p.SPDDUMP)), before, "policies")
        ping.close()
    with tap.case("MIGRATE: a reqid that the kernel gave stays, and only its SAs move"):
        b.k.flush()
        b.k.add(Policy(*NETS, "out", requests=[tunnel(K, X, "unique")]))
        reqid = b.ask("dump", p.SPDDUMP)[0].ext[p.POLICY].requests[0].reqid
        b.k.add(SA(K, X, 0x4841, ipsec.GCM, "tunnel", reqid=reqid),
                SA(K, X, 0x4842, ipsec.GCM, "tunnel", reqid=7))
        with b.lab["k"], p.Key() as key:
            key.send(p.MIGRATE, p.UNSPEC, p.selector(*NETS), p.policy(p.OUT, requests=pairs(
                p.TUNNEL, (K, X), (K, X2), level=p.UNIQUE, reqid=reqid)))
            equal(key.recv().errno, 0, "errno")
        r = b.ask("dump", p.SPDDUMP)[0].ext[p.POLICY].requests[0]
        equal((r.reqid, r.pair), (reqid, (K, X2)), "request")
        equal(known(b), [(0x4841, K, X2), (0x4842, K, X)], "SAs")
    for what, requests, why in (
            ("no pair", [], "EINVAL"),
            ("half a pair", pairs(p.TUNNEL, (K, X), (K, X2))[:1], "EINVAL"),
            ("a pair of two protocols", [p.request(mode=p.TUNNEL, pair=(K, X)),
                                         p.request(51, p.TUNNEL, pair=(K, X2))], "EINVAL"),
            ("a pair of two families", pairs(p.TUNNEL, (K, X), ("fd00::1", "fd00::2")), "EINVAL"),
            ("to no address", pairs(p.TUNNEL, (K, X), (K, "0.0.0.0")), "EINVAL"),
            ("twice the same", pairs(p.TUNNEL, (K, X), (K, X2)) * 2, "EINVAL"),
            ("seven pairs", [r for n in range(7) for r in
                             pairs(p.TUNNEL, ("10.9.0.%d" % n, X), (K, X2))], "ELOOP"),
            ("nothing of the policy's", pairs(p.TUNNEL, (K2, X), (K, X2)), "ENODATA"),
            ("where another SA is", pairs(p.TUNNEL, (K, X), (K, "10.0.0.9")), "EEXIST")):
        with tap.case("MIGRATE: %s: %s, and nothing changes" % (what, why)):
            b.k.flush()
            b.k.add(Policy(*NETS, "out", requests=[tunnel(K, X)]),
                    SA(K, X, 0x4851, ipsec.GCM, "tunnel"),
                    SA(K, "10.0.0.9", 0x4851, ipsec.GCM, "tunnel"))
            before = known(b), b.ask("dump", p.SPDDUMP)[0].ext[p.POLICY]
            equal(b.ask("fails", p.MIGRATE, p.UNSPEC, p.selector(*NETS),
                        p.policy(p.OUT, requests=requests)), why)
            equal((known(b), b.ask("dump", p.SPDDUMP)[0].ext[p.POLICY]), before, "data bases")
    with tap.case("MIGRATE: longer than what can be told to all, and nothing changes"):
        b.k.flush()
        b.k.add(Policy(*NETS, "out", requests=[tunnel(K, X)]), SA(K, X, 0x4851, ipsec.GCM, "tunnel"))
        before = known(b), b.ask("dump", p.SPDDUMP)[0].ext[p.POLICY]
        equal(b.ask("fails", p.MIGRATE, p.UNSPEC, p.selector(*NETS), p.ext(p.KMADDRESS, bytes(4092)),
                    p.policy(p.OUT, requests=pairs(p.TUNNEL, (K, X), (K, X2)))), "EMSGSIZE")
        equal((known(b), b.ask("dump", p.SPDDUMP)[0].ext[p.POLICY]), before, "data bases")
    with tap.case("MIGRATE: no such policy"):
        equal(b.ask("fails", p.MIGRATE, p.UNSPEC, p.selector(*NETS),
                    p.policy(p.IN, requests=pairs(p.TUNNEL, (K, X), (K, X2)))), "ESRCH")


def known(b):
    return sorted((m.ext[p.SA].spi, m.ext[p.SRC].addr, m.ext[p.DST].addr) for m in b.ask("dump"))


def refused(tap, b):
    def moves(spi, src, dst, satype=p.ESP):
        return b.ask("fails", p.UPDATE, satype, p.sa(spi), *p.ends(src, dst))

    with tap.case("refused, and nothing changes"):
        b.k.flush()
        b.k.add(SA(K, X, 0x4811, ipsec.GCM), SA(K, X, 0x4812, ipsec.GCM),
                SA(K, X2, 0x4812, ipsec.GCM), SA(K, X, 0x4813, ipsec.GCM))
        larval = b.ask("ok", p.GETSPI, p.ESP, *p.ends(X, K), p.spirange(0x4821, 0x4821))
        equal(larval.ext[p.SA].spi, 0x4821, "SPI")
        before = known(b)
        equal(moves(0x4899, K, X2), "ESRCH", "an SPI that nobody has")
        equal(moves(0x4812, K, "10.0.0.5"), "ESRCH", "an SPI of two peers")
        equal(moves(0x4811, K, X2, p.AH), "ESRCH", "another protocol")
        equal(moves(0x4811, "fd00::1", "fd00::2"), "ESRCH", "the other family")
        equal(moves(0x4821, X, K2), "ESRCH", "an SA without keys")
        equal(b.ask("fails", p.UPDATE, p.ESP, p.sa(0x4813, auth=5, enc=12), *p.ends(K, X2)),
              "ESRCH", "with algorithms it is another SA")
        equal(known(b), before, "SAs")
    with tap.case("by its old place an SA is found first, and only its source moves"):
        b.k.flush()
        b.k.add(SA(X, K, 0x4831, ipsec.GCM), SA(X, K2, 0x4831, ipsec.GCM))
        m = b.ask("ok", p.UPDATE, p.ESP, p.sa(0x4831), *p.ends(X2, K), p.lifetime(p.HARD, add=600))
        equal(m.ext[p.HARD].add, 600, "limit")
        equal(known(b), [(0x4831, X, K2), (0x4831, X2, K)], "SAs")
        b.k.flush()


def main(tap):
    ipsec.loaded()
    with pair(ipv6=True) as lab:
        b = Roamer(lab)
        tap.on_failure += [b.k.state, b.x.state]
        for part in (tunnels, transports, encapsulated, under_traffic, refused, migrated):
            part(tap, b)


if __name__ == "__main__":
    run(main)
