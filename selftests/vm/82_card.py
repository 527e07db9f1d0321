#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: cores
#
# A cipher that answers later, from another context: everything that works with
# one that answers at once works the same, and nothing breaks when an SA, a
# device, a namespace or the module goes while packets are in the card.
#
#	10.1.0.1/24 [k: kipsec] 10.0.0.1 ---- wire ---- 10.0.0.2 [x: xfrm] 10.2.0.1/24
import os
import subprocess
import sys
from dataclasses import replace

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from card import LONG, Card, patience                           # noqa: E402
from ipsec import SA, Kipsec, Moves, Xfrm, both_modes            # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import pair, unloads, wait_for                       # noqa: E402
from traffic import Ping, Udp, tcp_copy                         # noqa: E402
from wire import ESP, Capture, fill                             # noqa: E402

K, X, KNET, XNET, PORT = "10.0.0.1", "10.0.0.2", "10.1.0.1", "10.2.0.1", 4000
KO = os.path.join(os.environ.get("KIPSEC_MODDIR", ""), "kipsec.ko")
STATE = "/sys/module/kipsec/initstate"
SAS = [SA(K, X, 0x8201, ipsec.GCM, window=1024), SA(X, K, 0x8202, ipsec.GCM, window=1024),
       SA(K, X, 0x8203, ipsec.GCM, "tunnel", window=1024),
       SA(X, K, 0x8204, ipsec.GCM, "tunnel", window=1024)]
BURST = 30


class Bench:
    def __init__(self, lab):
        self.lab, self.k, self.x, self.wire = lab, Kipsec(lab["k"]), Xfrm(lab["x"]), Capture(lab)
        # Both ends listen, or there would be ICMP errors.
        self.udp = {"k": Udp(lab["k"], K, PORT), "x": Udp(lab["x"], X, PORT)}

    def configure_x(self):
        self.x.add(*[replace(sa, window=0) for sa in SAS],
                   *both_modes(X, K, "10.2.0.0/24", "10.1.0.0/24"))

    def configure_k(self):
        """SAs that start again, and so send the same numbers again."""
        self.k.flush()
        self.k.add(*SAS, *both_modes(K, X, "10.1.0.0/24", "10.2.0.0/24"))
        self.wire.flush()

    def burst_out(self):
        self.udp["x"].all(timeout=0)
        for _ in range(BURST):
            self.udp["k"].send(fill(100), X, PORT)

    def burst_in(self):
        self.udp["k"].all(timeout=0)
        for _ in range(BURST):
            self.udp["x"].send(fill(100), K, PORT)


def works(tap, b, card):
    with tap.case("late answers: echoes of many sizes, transport and tunnel"):
        b.configure_k()
        card.does()
        sizes = list(range(0, 200, 7)) + [1000, 1372, 1400, 1450, 3000, 20000]
        with Moves(b.k, OutProtected=2 * len(sizes), InProtected=2 * len(sizes)):
            for src, dst in ((K, X), (KNET, XNET)):
                ping = Ping(b.lab["k"], src)
                for n in sizes:
                    check(ping(dst, n) is not None, "no answer of %d bytes from %s" % (n, dst))
                ping.close()
        equal({p.proto for p in b.wire.take()}, {ESP}, "protocols on the wire")
    for name, src, dst, a, z in (("transport, out", "k", "x", K, X), ("transport, in", "x", "k", X, K),
                                 ("tunnel, out", "k", "x", KNET, XNET),
                                 ("tunnel, in", "x", "k", XNET, KNET)):
        with tap.case("late answers: TCP, %s" % name):
            tcp_copy(b.lab[src], b.lab[dst], z, 1 << 20, src=a)
            equal({p.proto for p in b.wire.take()}, {ESP}, "protocols on the wire")
    with tap.case("every third request fails: software does those, all arrive"):
        b.configure_k()
        card.does(fail=3)
        with Moves(b.k, OutProtected=BURST):
            b.burst_out()
        equal(card.counters()["errors"], BURST // 3, "requests that failed")
        equal([p.seq for p in b.wire.collect(BURST)], list(range(1, BURST + 1)), "on the wire")
        equal(len(b.udp["x"].all()), BURST, "datagrams that arrived")
        card.does()


def stalled(b, card, burst_in=True, burst_out=True):
    """A burst each way is in the card, until it is told to go on."""
    b.configure_k()
    card.does(stall=1)
    if burst_in:
        b.burst_in()
    if burst_out:
        b.burst_out()
    card.holds(BURST * (burst_in + burst_out))


def reload(card):
    """Unload the module, which waits for the card, and load it again."""
    p = subprocess.Popen(["rmmod", "kipsec"])
    # Its files are gone when it is.
    check(wait_for(lambda: not os.path.exists(STATE) or open(STATE).read() == "going\n"),
          "rmmod does not begin")
    card.does()
    equal(p.wait(30), 0, "rmmod")
    load()


def load():
    equal(subprocess.run(["insmod", KO, "card_timeout=%d" % LONG]).returncode, 0, "insmod")


def goes(tap, b, card):
    with tap.case("SA deleted with packets in the card, out"):
        stalled(b, card, burst_in=False)
        with Moves(b.k, OutProtected=BURST):
            b.k.setkey("flush;")
            equal(len(b.wire.take()), 0, "packets sent too early")
            card.does()
        equal(len(b.wire.collect(BURST)), BURST, "packets on the wire")
    with tap.case("SA deleted with packets in the card, in"):
        stalled(b, card, burst_out=False)
        with Moves(b.k, InProtected=BURST):
            b.k.setkey("flush;")
            card.does()
        equal(len(b.udp["k"].all()), BURST, "datagrams that arrived")
    with tap.case("policies deleted with packets in the card, in"):
        stalled(b, card, burst_out=False)
        with Moves(b.k, InProtected=BURST):
            b.k.setkey("spdflush;")
            card.does()
    with tap.case("module unloaded with packets in the card, both ways"):
        for _ in range(5):
            stalled(b, card)
            reload(card)
    with tap.case("namespace deleted with packets in the card, both ways"):
        stalled(b, card)
        b.lab.drop("k")
        b.lab.drop("x")
        card.does()
        # A namespace goes in a work queue; only then is the module free.
        check(unloads("kipsec"), "the module does not unload")
        load()


def device_goes(tap, b, card):
    with tap.case("device deleted with packets in the card, both ways"):
        stalled(b, card)
        before = b.k.counters()
        # Packets hold it, so that this ends when they do.
        p = b.lab["k"].popen("ip", "link", "del", "eth0")
        check(wait_for(lambda: "eth0" not in b.lab["k"].run("ip", "-br", "link")), "eth0 is there")
        card.does()
        equal(p.wait(30), 0, "ip link del")
        card.holds(0)

        def moved():
            return {c: v - before[c] for c, v in b.k.counters().items()
                    if v != before[c] and c not in ipsec.UNCERTAIN}
        wanted = {"InProtected": BURST, "OutNoRoute": BURST}
        wait_for(lambda: moved() == wanted)
        equal(moved(), wanted, "counters")
        b.k.flush()


def card(tap):
    ipsec.loaded()
    # It gives up no packet that a test keeps in the card.
    patience(LONG)
    for parts in ((works, goes), (device_goes,)):
        with pair() as lab:
            b = Bench(lab)
            tap.on_failure[:] = [b.k.state]
            # Before the card is there, so that xfrm keeps the driver that it has.
            b.configure_x()
            with Card() as c:
                for part in parts:
                    part(tap, b, c)


if __name__ == "__main__":
    run(card)
