#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# Sequence numbers at their end (RFC 4303 section 3.3.3, RFC 4302 section 3.3.2):
# the last one is sent once, nothing after it, the SA is gone and key managers
# have heard so once. With 64 bits there is no such end within anybody's reach.
#
#	[k: kipsec] 10.0.0.1 ---- wire ---- 10.0.0.2, who is not there
#	             fd00::1                fd00::2
#
#	[a] 10.1.0.2 -- [g1: kipsec] ---- wire ---- [g2: kipsec] -- 10.2.0.2 [b]
import errno
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ah                                                       # noqa: E402
import esp                                                      # noqa: E402
import ipsec                                                    # noqa: E402
import pfkey                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, transport, tunnel  # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import Lab, gateways                                 # noqa: E402
from traffic import Udp                                         # noqa: E402
from wire import Capture, fill                                  # noqa: E402

K, X, K6, X6, PORT = "10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2", 4000
END = 2 ** 32                   # the first number that 32 bits have not
FURTHEST = 2 ** 63 - 1          # what PF_KEY can preset of 64 bits
SIZE = 60
AH_SHA256 = (None, ipsec.auth("hmac-sha256"))
SATYPE = {"esp": pfkey.ESP, "ah": pfkey.AH}
UDP_SEGMENT = 103
HELD = 16               # packets that wait for another SA
FAILURES = {errno.EOVERFLOW: "overflow", errno.EHOSTUNREACH: "no SA"}


def alone():
    lab = Lab("k", ipv6=True)
    lab.wire("k:%s/24" % K)
    lab["k"].ip("addr add %s/64 dev eth0 nodad" % K6,
                *["neigh add %s lladdr 02:00:00:00:00:02 dev eth0 nud permanent" % a for a in (X, X6)])
    return lab


class Bench:
    def __init__(self, lab):
        self.lab, self.k, self.wire = lab, Kipsec(lab["k"]), Capture(lab)
        with lab["k"]:
            self.manager, self.deaf = pfkey.Key(), pfkey.Key()
        self.manager.ok(pfkey.REGISTER, pfkey.AH)
        self.spi = 0x3100

    def sa(self, proto="esp", mode="transport", ipv6=False, **more):
        self.spi += 1
        src, dst = (K6, X6) if ipv6 else (K, X)
        return SA(src, dst, self.spi, AH_SHA256 if proto == "ah" else ipsec.NULL_SHA256, mode,
                  proto=proto, **more)

    def install(self, *sas):
        """Just these, and a policy for what Udp sends."""
        self.k.flush()
        sa = sas[0]
        request = transport(proto=sa.proto) if sa.mode == "transport" else \
            tunnel(sa.src, sa.dst, proto=sa.proto)
        self.k.add(*sas, Policy(sa.src, sa.dst, "out", proto="udp", requests=[request]))
        self.wire.flush()
        self.manager.drain()
        self.deaf.drain()

    def send(self, sa, count):
        """Datagrams one by one: what became of each."""
        udp, results = Udp(self.lab["k"], sa.src), []
        for _ in range(count):
            try:
                udp.send(fill(SIZE), sa.dst, PORT)
                results.append("sent")
            except OSError as e:
                results.append(FAILURES.get(e.errno, errno.errorcode[e.errno]))
        udp.close()
        return results

    def expect(self, *sent):
        """Exactly these (SA, number) on the wire, each with the right ICV."""
        packets = self.wire.collect(len(sent))
        size = SIZE + 8
        wanted = ["%s>%s %s %#x #%d len %d" % (
            sa.src, sa.dst, sa.proto, sa.spi, number & 0xffffffff,
            sa.wire_len(size + (20 if sa.mode == "tunnel" else 0))) for sa, number in sent]
        equal([str(p) for p in packets], wanted, "packets on the wire")
        for p, (sa, number) in zip(packets, sent):
            high = number >> 32 if sa.esn else None
            if sa.proto == "ah":
                check(ah.good(sa, p.raw, high), "ICV of %s" % p)
            else:
                text = p.payload[8:-sa.algs[1].icv]
                check(esp.seal(sa, number, text, high) == p.payload, "ICV of %s" % p)

    def expired(self, sa):
        """A hard EXPIRE to whoever has registered, once, and the SA is in no dump."""
        m = self.manager.recv(wait=5)
        while m.type == pfkey.ACQUIRE:      # packets that came later want an SA already
            m = self.manager.recv(wait=5)
        equal((m.type, m.satype, m.seq, m.pid), (pfkey.EXPIRE, SATYPE[sa.proto], 0, 0), "header")
        check(pfkey.HARD in m.ext and pfkey.SOFT not in m.ext, "limits: %s" % m)
        equal((m.ext[pfkey.SA].spi, m.ext[pfkey.SA].state), (sa.spi, pfkey.DEAD), "SA")
        equal((m.ext[pfkey.SRC].addr, m.ext[pfkey.DST].addr), (sa.src, sa.dst), "addresses")
        equal(m.ext[pfkey.SA2].seq, END - 1, "last number")
        equal(vars(m.ext[pfkey.HARD]), dict(packets=0, octets=0, add=0, use=0), "hard limit")
        self.gone(sa)

    @staticmethod
    def named(sa):
        return pfkey.sa(sa.spi), *pfkey.ends(sa.src, sa.dst)

    def gone(self, sa):
        equal(self.deaf.fails(pfkey.GET, SATYPE[sa.proto], *self.named(sa)), "ESRCH", "GET")
        equal([m for m in self.manager.drain() if m.type != pfkey.ACQUIRE], [], "messages")
        self.deaf.quiet()

    def last(self, sa):
        """(state, last number) as GET shows them."""
        m = self.deaf.ok(pfkey.GET, SATYPE[sa.proto], *self.named(sa))
        return m.ext[pfkey.SA].state, m.ext[pfkey.KIPSEC_REPLAY].last


def ends(tap, b):
    for name, more in (("ESP", {}), ("ESP, IPv6", {"ipv6": True}), ("ESP tunnel", {"mode": "tunnel"}),
                       ("AH", {"proto": "ah"}), ("AH, IPv6", {"proto": "ah", "ipv6": True})):
        with tap.case(name + ": the last number is sent once, then nothing, and managers hear of it"):
            sa = b.sa(last=END - 3, **more)
            b.install(sa)
            with Moves(b.k, OutProtected=2):
                equal(b.send(sa, 2), ["sent"] * 2, "sends")
            equal(b.last(sa), (pfkey.MATURE, END - 1), "state and last number")
            b.manager.quiet()
            with Moves(b.k, OutSeqOverflow=1):
                equal(b.send(sa, 1), ["overflow"], "send")
            b.expired(sa)
            with Moves(b.k):                # they wait for another SA
                equal(b.send(sa, 5), ["sent"] * 5, "sends")
            b.expect((sa, END - 2), (sa, END - 1))
            b.gone(sa)


def bursts(tap, b):
    with tap.case("in a burst: nothing is sent beyond the end, and managers hear of it once"):
        sa = b.sa(last=END - 6)
        b.install(sa)
        # The SA is not used again, whether it has gone by then or not.
        with Moves(b.k, OutProtected=5, OutSeqOverflow=1, OutNoSa=94 - HELD):
            equal(b.send(sa, 100), ["sent"] * 5 + ["overflow"] + ["sent"] * HELD +
                  ["no SA"] * (94 - HELD), "sends")
        b.expired(sa)
        b.expect(*[(sa, n) for n in range(END - 5, END)])
    with tap.case("in one datagram of ten segments: four leave, six are counted"):
        sa = b.sa(last=END - 5)
        b.install(sa)
        udp = Udp(b.lab["k"], K)
        udp.sock.setsockopt(17, UDP_SEGMENT, SIZE)
        with Moves(b.k, OutProtected=4, OutSeqOverflow=6):
            try:
                udp.send(fill(10 * SIZE), X, PORT)
            except OSError as e:
                equal(e.errno, errno.EOVERFLOW, "errno")
        udp.close()
        b.expired(sa)
        packets = b.wire.collect(4)
        equal([(p.spi, p.seq) for p in packets], [(sa.spi, n) for n in range(END - 4, END)],
              "packets on the wire")
    for name, more in (("", {}), (", tunnel", {"mode": "tunnel"}), (", AH, IPv6", {"proto": "ah", "ipv6": True})):
        with tap.case("with another SA there%s, that one goes on and nothing is refused" % name):
            other, sa = b.sa(**more), b.sa(last=END - 2, **more)
            b.install(other, sa)
            with Moves(b.k, OutProtected=4):
                equal(b.send(sa, 4), ["sent"] * 4, "sends")
            b.expired(sa)
            b.expect((sa, END - 1), *[(other, n) for n in (1, 2, 3)])
    with tap.case("with two others there, of which one is at its end: the third goes on"):
        third, other, sa = b.sa(), b.sa(last=END - 1), b.sa(last=END - 2)
        b.install(third, other, sa)
        with Moves(b.k, OutProtected=3):
            equal(b.send(sa, 3), ["sent"] * 3, "sends")
        equal(sorted(b.manager.recv(wait=5).ext[pfkey.SA].spi for _ in range(2)),
              [other.spi, sa.spi], "SAs that are over")
        b.expect((sa, END - 1), (third, 1), (third, 2))
    with tap.case("an SA that begins with its last number used sends nothing at all"):
        sa = b.sa(last=END - 1)
        b.install(sa)
        with Moves(b.k, OutSeqOverflow=1):
            equal(b.send(sa, 1), ["overflow"], "send")
        b.expired(sa)
        b.expect()


def wide(tap, b):
    for name, proto, ipv6 in (("ESP", "esp", False), ("ESP, IPv6", "esp", True), ("AH", "ah", False),
                              ("AH, IPv6", "ah", True)):
        with tap.case("64 bits, %s: there is no end after 32" % name):
            sa = b.sa(proto, ipv6=ipv6, esn=True, last=END - 2)
            b.install(sa)
            with Moves(b.k, OutProtected=3):
                equal(b.send(sa, 3), ["sent"] * 3, "sends")
            b.expect(*[(sa, n) for n in (END - 1, END, END + 1)])
            equal(b.last(sa), (pfkey.MATURE, END + 1), "state and last number")
            b.manager.quiet()
        with tap.case("64 bits, %s: nor at the largest number that can be preset" % name):
            sa = b.sa(proto, ipv6=ipv6, esn=True, last=FURTHEST)
            b.install(sa)
            with Moves(b.k, OutProtected=2):
                equal(b.send(sa, 2), ["sent"] * 2, "sends")
            b.expect((sa, FURTHEST + 1), (sa, FURTHEST + 2))
            equal(b.last(sa), (pfkey.MATURE, FURTHEST + 2), "state and last number")
            b.manager.quiet()


def refused(tap, b):
    for what, more in (("32 bits", {"last": END}), ("64 bits", {"last": FURTHEST + 1, "esn": True})):
        with tap.case("refused: a last number beyond " + what):
            b.k.flush()
            sa = b.sa(**more)
            said = b.k.setkey(Kipsec.sa_line(sa), check=False)
            check("no such sequence number" in said, "setkey says: %s" % said)
            b.manager.drain()
            b.deaf.drain()
            b.gone(sa)


def overflow(tap):
    ipsec.loaded()
    with alone() as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state]
        for part in (ends, bursts, wide, refused):
            part(tap, b)


def forwarded(tap):
    """Long packets without room before them change their memory."""
    nets, ends_ = ("10.1.0.0/24", "10.2.0.0/24"), ("10.0.0.1", "10.0.0.2")
    with gateways() as lab:
        g1, g2 = Kipsec(lab["g1"]), Kipsec(lab["g2"])
        tap.on_failure[:] = [g1.state, g2.state]
        source, sink = Udp(lab["a"], "10.1.0.2"), Udp(lab["b"], "10.2.0.2", PORT)
        for name, cipher in (("HMAC", ipsec.NULL_SHA256), ("AES-GCM", ipsec.GCM)):
            with tap.case("long forwarded packets, %s, with another SA there: all come as they were" % name):
                sas = [SA(*ends_, 0x3190, cipher, "tunnel"), SA(*ends_, 0x3191, cipher, "tunnel", last=END - 3)]
                for g, way in ((g1, "out"), (g2, "in")):
                    g.flush()
                    g.add(*sas, Policy(*nets, way, requests=[tunnel(*ends_)]))
                sent = [(b"%04d" % n) * 343 for n in range(6)]
                with Moves(g1, OutProtected=6), Moves(g2, InProtected=6):
                    for data in sent:
                        source.send(data, "10.2.0.2", PORT)
                    equal(sink.all(6), sent, "datagrams")


if __name__ == "__main__":
    run(overflow, forwarded)
