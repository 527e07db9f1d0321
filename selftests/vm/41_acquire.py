#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: core debug
#
# Packets that find no SA: key managers are asked, once; what waits goes out when
# the SA comes, in order and protected; what waits too long, or for what a manager
# refuses, is dropped and counted; nothing goes in clear that must not.
#
#	[k: kipsec] 10.0.0.1, 10.1.0.1 ---- wire ---- 10.0.0.2, 10.2.0.1 [x: xfrm]
import errno
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
import pfkey                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, transport, tunnel   # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import pair                                          # noqa: E402
from traffic import Udp, tcp_copy                               # noqa: E402
from wire import ESP, OPEN, Capture, fill                       # noqa: E402

K, X, PORT = "10.0.0.1", "10.0.0.2", 4000
KNET, XNET = "10.1.0.1", "10.2.0.1"
HELD = 16               # packets that one SA's absence may hold


class Bench:
    def __init__(self, lab):
        self.lab, self.k, self.x, self.wire = lab, Kipsec(lab["k"]), Xfrm(lab["x"]), Capture(lab)
        self.manager = None
        self.sender, self.sink = Udp(lab["k"], K), Udp(lab["x"], X, PORT)

    def configure(self, *policies, registered=True, life=30):
        """Policies of k's, no SAs; a key manager that listens, or none."""
        self.close()
        self.k.flush()
        self.x.flush()
        self.lab["k"].sysctl("net.kipsec.larval_lifetime", life)
        self.k.add(*policies)
        if registered:
            with self.lab["k"]:
                self.manager = pfkey.Key()
            self.manager.ok(pfkey.REGISTER, pfkey.ESP)
        self.wire.flush()
        self.sink.all(timeout=0)

    def close(self):
        if self.manager:
            self.manager.close()
            self.manager = None

    def asked(self, wait=1.0):
        """The next ACQUIRE, as (protocol, source, destination, policy), and its seq."""
        m = self.manager.recv(wait)
        equal((m.type, m.errno, m.pid), (pfkey.ACQUIRE, 0, 0), "type, errno, pid")
        p = m.ext[pfkey.POLICY]
        equal((p.kind, p.dir, p.requests), (pfkey.IPSEC, pfkey.OUT, []), "policy of ACQUIRE")
        return (m.satype, m.ext[pfkey.SRC].addr, m.ext[pfkey.DST].addr, p.id), m

    def number(self):
        """Of the only policy for output."""
        with self.lab["k"], pfkey.Key() as key:
            return [m.ext[pfkey.POLICY].id for m in key.dump(pfkey.SPDDUMP)
                    if m.ext[pfkey.POLICY].dir == pfkey.OUT][0]


OUT = Policy(K, X, "out", requests=[transport()])
SA_OUT, SA_IN = SA(K, X, 0x4101, ipsec.GCM), SA(X, K, 0x4102, ipsec.GCM)


def held(tap, b):
    with tap.case("packets wait for the SA, are asked for once, and go out in order"):
        b.configure(OUT)
        b.x.add(SA_OUT)
        with Moves(b.k):
            for n in range(5):
                b.sender.send(fill(20 + n), X, PORT)
        what, m = b.asked()
        equal(what, (pfkey.ESP, K, X, b.number()), "what is asked for")
        check(m.seq & 0x80000000, "its number is one that programs use: %d" % m.seq)
        equal(len(m.data), 88, "bytes of ACQUIRE")
        b.manager.quiet()
        equal(b.wire.take(), [], "packets before there is an SA")
        with Moves(b.k, OutProtected=5):
            b.k.add(SA_OUT)
            equal(b.sink.all(5), [fill(20 + n) for n in range(5)], "datagrams")
        b.wire.expect(["%s>%s esp 0x4101 #%d len %d" % (K, X, n + 1, SA_OUT.wire_len(28 + n))
                       for n in range(5)])
    with tap.case("a tunnel's SA is asked for between its ends; TCP's first packet waits"):
        there, back = tunnel(K, X), tunnel(X, K)
        b.configure(Policy("10.1.0.0/24", "10.2.0.0/24", "out", requests=[there]),
                    Policy("10.2.0.0/24", "10.1.0.0/24", "in", requests=[back]))
        sas = [SA(K, X, 0x4111, ipsec.GCM, "tunnel"), SA(X, K, 0x4112, ipsec.GCM, "tunnel")]
        b.x.add(*sas, Policy("10.2.0.0/24", "10.1.0.0/24", "out", requests=[back]),
                Policy("10.1.0.0/24", "10.2.0.0/24", "in", requests=[there]))
        pid = os.fork()
        if not pid:
            what, _ = b.asked(5)
            good = what[:3] == (pfkey.ESP, K, X)
            b.k.add(*sas)
            os._exit(0 if good else 1)
        tcp_copy(b.lab["k"], b.lab["x"], XNET, 100000, src=KNET)
        equal(os.waitpid(pid, 0)[1], 0, "status of the manager")


def waits(sender, dst, size):
    """Sends a datagram; does it wait?"""
    try:
        sender.send(fill(size), dst, PORT)
    except OSError as e:
        equal(e.errno, errno.EHOSTUNREACH, "errno")
        return False
    return True


def limits(tap, b):
    with tap.case("more than %d packets: the rest is dropped, and counted" % HELD):
        b.configure(OUT)
        with Moves(b.k, OutNoSa=4):
            for _ in range(HELD + 4):
                waits(b.sender, X, 20)
        b.asked()
        b.manager.quiet()
    with tap.case("long packets: what waits has no more than 4 MiB of memory"):
        b.configure(Policy(K, "10.0.0.0/24", "out", requests=[transport()]))
        many = Udp(b.lab["k"], K)
        many.sock.setsockopt(socket.SOL_SOCKET, 32, 16 << 20)       # SO_SNDBUFFORCE
        for _ in range(2):
            before = b.k.counters()
            held = sum(waits(many, "10.0.0.%d" % (100 + n), 30000) for n in range(10)
                       for _ in range(HELD))
            check(2 << 20 < held * 30000 < 4 << 20, "%d packets wait" % held)
            b.manager.drain()
            b.manager.ok(pfkey.FLUSH, pfkey.ESP)
            after = b.k.counters()
            equal([after[n] - before[n] for n in ("OutNoSa", "OutAcquire")],
                  [10 * HELD - held, held], "packets that did not wait, and that did")
            b.manager.drain()
        many.close()
    with tap.case("a manager refuses: what waits is dropped, and what comes is not held"):
        b.configure(OUT)
        with Moves(b.k, OutAcquire=2, OutNoSa=1):
            b.sender.send(fill(20), X, PORT)
            b.sender.send(fill(20), X, PORT)
            _, m = b.asked()
            b.manager.send(pfkey.ACQUIRE, pfkey.ESP, seq=m.seq)     # no error, so no refusal
            b.manager.ok(pfkey.FLUSH, pfkey.AH)                     # of other SAs
            b.manager.send(pfkey.ACQUIRE, pfkey.ESP, seq=m.seq, err=errno.ENOENT)
            waits(b.sender, X, 20)
        b.manager.quiet()
    with tap.case("nobody answers: dropped when the time is over, and asked for again"):
        b.configure(OUT, life=2)
        with Moves(b.k, OutAcquire=1):
            b.sender.send(fill(20), X, PORT)
            first = b.asked()[1]
            time.sleep(3.2)
        b.manager.quiet()               # no EXPIRE: racoon would give up all it negotiates
        b.sender.send(fill(20), X, PORT)
        check(b.asked()[1].seq != first.seq, "the second ACQUIRE has the number of the first")
    with tap.case("a manager that is killed and comes again is asked again"):
        b.configure(OUT)
        with Moves(b.k):
            b.sender.send(fill(20), X, PORT)
            first = b.asked()
            with b.lab["k"]:
                other = pfkey.Key()
            other.ok(pfkey.REGISTER, pfkey.ESP)
            b.manager.drain()
            other.quiet()               # the first one is at work
            other.close()
            b.close()
            with b.lab["k"]:
                b.manager = pfkey.Key()
            b.manager.ok(pfkey.REGISTER, pfkey.ESP)
            again = b.asked()
        equal((again[0], again[1].seq), (first[0], first[1].seq), "what is asked for")
        b.x.add(SA_OUT)
        with Moves(b.k, OutProtected=1):
            b.k.add(SA_OUT)
        equal(len(b.wire.collect(1)), 1, "packets")
    with tap.case("nobody listens: dropped at once"):
        b.configure(OUT, registered=False)
        with Moves(b.k, OutNoSa=1):
            waits(b.sender, X, 20)
    equal(b.wire.take(), [], "packets on the wire")


def broadcasts(tap, b):
    with tap.case("a broadcast waits, and goes out once"):
        everybody = "10.0.0.255"
        sa = SA(K, everybody, 0x4141, ipsec.GCM, window=0)
        b.configure(Policy(K, everybody, "out", requests=[transport()]))
        b.sender.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        with Moves(b.k, OutNoSa=1):     # of the copy for those who listen here
            b.sender.send(fill(20), everybody, PORT)
        equal(b.asked()[0][1:3], (K, everybody), "ends")
        with Moves(b.k, ("InProtected",), OutProtected=1):
            b.k.add(sa)
            b.wire.expect(["%s>%s esp 0x4141 #1 len %d" % (K, everybody, sa.wire_len(28))])


def levels(tap, b):
    with tap.case("use: in clear, and asked for; protected once there is an SA"):
        b.configure(Policy(K, X, "out", requests=[transport("use")]))
        b.x.add(SA_OUT)
        with Moves(b.k, OutClear=2):
            for _ in range(2):
                b.sender.send(OPEN, X, PORT)
        equal(b.asked()[0], (pfkey.ESP, K, X, b.number()), "what is asked for")
        b.manager.quiet()
        b.wire.flush()
        b.k.add(SA_OUT)
        with Moves(b.k, OutProtected=1):
            b.sender.send(fill(30), X, PORT)
        b.wire.expect(["%s>%s esp 0x4101 #1 len %d" % (K, X, SA_OUT.wire_len(38))])
        b.sink.all(3)
    with tap.case("a bundle: asked for each, the packet waits for all"):
        ah = SA(K, X, 0x4121, (None, ipsec.auth("hmac-sha256")), proto="ah")
        b.configure(Policy(K, X, "out", requests=[transport(), transport(proto="ah")]))
        b.sender.send(fill(40), X, PORT)
        equal([b.asked()[0][0] for _ in range(2)], [pfkey.ESP, pfkey.AH], "protocols")
        with Moves(b.k):
            b.k.add(SA_OUT)
            time.sleep(0.2)
        with Moves(b.k, OutProtected=1):
            b.k.add(ah)
            lines = b.wire.collect(1)
        # and x says that it has no use for it
        equal([(p.spi, p.seq) for p in lines if p.src == K], [(0x4121, 1)], "packets")
    with tap.case("unique: only an SA of that reqid ends the waiting"):
        b.configure(Policy(K, X, "out", requests=[transport("unique:7")]))
        b.sender.send(fill(40), X, PORT)
        b.asked()
        with Moves(b.k):
            b.k.add(SA_OUT)
            time.sleep(0.2)
        with Moves(b.k, OutProtected=1):
            b.k.add(SA(K, X, 0x4131, ipsec.GCM, reqid=7))
            equal([p.spi for p in b.wire.collect(1)], [0x4131], "SPI")
    with tap.case("GETSPI and UPDATE with the number of the ACQUIRE, then ADD: as racoon does"):
        b.configure(OUT, Policy(X, K, "in", requests=[transport()]))
        b.sender.send(fill(40), X, PORT)
        _, m = b.asked()
        key, seq = b.manager, m.seq
        inbound = pfkey.ends(X, K)
        spi = key.ok(pfkey.GETSPI, pfkey.ESP, *inbound, pfkey.sa2(1), seq=seq).ext[pfkey.SA].spi
        secret = pfkey.key(pfkey.KEY_ENC, bytes(range(20)))
        key.ok(pfkey.UPDATE, pfkey.ESP, pfkey.sa(spi, 32, enc=pfkey.GCM16), *inbound, secret,
               pfkey.sa2(1), seq=seq)
        equal(b.wire.take(), [], "packets before the outbound SA")
        with Moves(b.k, OutProtected=1):
            key.ok(pfkey.ADD, pfkey.ESP, pfkey.sa(0x4141, 32, enc=pfkey.GCM16), *pfkey.ends(K, X),
                   secret, pfkey.sa2(1), seq=seq)
            equal([(p.spi, p.seq) for p in b.wire.collect(1)], [(0x4141, 1)], "packets")


def ends(tap, b):
    for how in "spdflush", "spddelete %s %s any -P out" % (K, X):
        with tap.case("%s while packets wait: they do not go in clear" % how.split()[0]):
            b.configure(OUT)
            b.sender.send(fill(20), X, PORT)
            b.asked()
            with Moves(b.k, OutAcquire=1):
                b.k.setkey(how + ";")
            equal(b.wire.take(), [], "packets on the wire")
    with tap.case("SAs are flushed while packets wait: dropped, and the next asks anew"):
        b.configure(OUT)
        b.sender.send(fill(20), X, PORT)
        first = b.asked()[1]
        with Moves(b.k, OutAcquire=1):
            b.k.setkey("flush;")
        equal(b.manager.recv(1).type, pfkey.FLUSH, "what managers hear")
        b.sender.send(fill(20), X, PORT)
        check(b.asked()[1].seq != first.seq, "the second ACQUIRE has the number of the first")
        equal(b.wire.take(), [], "packets on the wire")
    with tap.case("the policy goes as soon as the SA has come: nothing in clear, 20 times"):
        for n in range(20):
            b.configure(OUT)
            for _ in range(3):
                b.sender.send(fill(20), X, PORT)
            b.asked()
            b.k.setkey(Kipsec.sa_line(SA_OUT) + "spdflush;")
        equal({p.proto for p in b.wire.take()} - {ESP}, set(), "protocols but ESP")
    with tap.case("the namespace goes while packets wait"):
        b.configure(OUT)
        for _ in range(3):
            b.sender.send(fill(20), X, PORT)
        b.asked()
        b.close()
        b.sender.close()
        b.lab.drop("k")


def all_of_it(tap):
    ipsec.loaded()
    with pair() as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state, b.x.state]
        for part in (held, limits, broadcasts, levels, ends):
            if part is ends:
                tap.on_failure.clear()
            part(tap, b)


if __name__ == "__main__":
    run(all_of_it)
