#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: cores
#
# A card that misbehaves in every way that it can be told to, under numbered
# datagrams both ways: nothing is lost, order is kept on the wire and at the
# receiver, and kipsec's counters and the card's own agree. Then a storm: SAs,
# the card, the module and the namespace go, again and again, in the midst of it.
#
#	[k: kipsec, card] 10.0.0.1 ---- wire ---- 10.0.0.2 [x: xfrm, software]
import contextlib
import errno
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from card import AUTHENC, CBC, GCM, LONG, Card, engines, patience       # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, transport    # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import pair, wait_for                                # noqa: E402
from traffic import Udp, numbers, one_processor                 # noqa: E402
from wire import ESP, Capture, Injector, fill, ip4              # noqa: E402

K, X, PORT = "10.0.0.1", "10.0.0.2", 4000
KO = os.path.join(os.environ.get("KIPSEC_MODDIR", ""), "kipsec.ko")
SPI = {"out": 0x8301, "in": 0x8302}
WAYS = {"out": ("k", "x", X, "OutProtected"), "in": ("x", "k", K, "InProtected")}
BURST = 30
WAIT = 64             # packets of an SA that kipsec keeps for a full card
ROUNDS = int(os.environ.get("KIPSEC_STORM", 10))
# Name of a driver, and what it is asked to do.
DRIVERS = {GCM: ipsec.GCM, AUTHENC: ipsec.AES_SHA1, CBC: ipsec.AES_SHA1}


class Bench:
    def __init__(self, lab):
        self.lab, self.k, self.x, self.wire = lab, Kipsec(lab["k"]), Xfrm(lab["x"]), Capture(lab)
        self.udp = {"k": Udp(lab["k"], K, PORT), "x": Udp(lab["x"], X, PORT)}
        # What a card keeps must not stop the sender.
        self.udp["k"].sock.setsockopt(socket.SOL_SOCKET, 32, 64 << 20)      # SO_SNDBUFFORCE
        for end, own, peer in ((self.k, K, X), (self.x, X, K)):
            end.add(Policy(own, peer, "out", requests=[transport()]),
                    Policy(peer, own, "in", requests=[transport()]))
        patience(LONG)

    def use(self, driver, peer=True):
        """From now on SAs of this driver, with xfrm's side in software."""
        def sas(window):
            return [SA(src, dst, SPI[way], DRIVERS[driver], window=window,
                       extra="-driver " + driver)
                    for way, src, dst in (("out", K, X), ("in", X, K))]
        self.driver, self.sas = driver, sas(1024)
        if peer:
            equal(self.x.replace_sas(*sas(0)), "", "what ip says")

    def fresh(self, card, **knobs):
        """SAs that begin anew, and a card that does this."""
        card.does()
        card.holds(0)
        patience(LONG)
        equal(self.k.replace_sas(*self.sas), "", "what setkey says")
        card.does(**knobs)
        self.wire.flush()
        for udp in self.udp.values():
            udp.all(timeout=0)

    def burst(self, way, n=BURST, first=0):
        src, _, dst, _ = WAYS[way]
        for i in range(first, first + n):
            self.udp[src].send(struct.pack("!I", i) + fill(96), dst, PORT)

    def arrive(self, way, n=BURST):
        """All of them, in the order of the wire."""
        if way == "out":
            equal([p.seq for p in self.wire.collect(n, 10)], list(range(1, n + 1)), "on the wire")
        end = WAYS[way][1]
        got = self.udp[end].all(n, 5)
        equal(numbers(got, end), list(range(n)), "at the receiver")
        check(all(d[4:] == fill(96) for d in got), "a datagram was changed")

    @contextlib.contextmanager
    def passes(self, way, n=BURST):
        """A block in which n packets are sent one way: kipsec's counters, and xfrm's none."""
        with Moves(self.x), Moves(self.k, **{WAYS[way][3]: n}):
            yield
            self.arrive(way, n)

    def fallbacks(self, way):
        return engines(self.lab["k"])[SPI[way]].fallbacks

    def agree(self, way, card, requests=BURST, errors=0, fallbacks=0, answers=None):
        """What kipsec says of this SA, and how many answers the card says it gave."""
        e = engines(self.lab["k"])[SPI[way]]
        whole = self.driver if self.driver != CBC else None
        equal((whole is None or e.driver == whole, self.driver in e.driver), (True, True), e.driver)
        equal((e.requests, e.in_flight, e.errors, e.fallbacks), (requests, 0, errors, fallbacks),
              "requests, in flight, errors, fallbacks")
        c = card.counters()
        equal(c["answers"], requests if answers is None else answers, "answers of the card")
        equal(c["requests"], c["refused"] + c["answers"] + c["in_flight"], "requests to the card")
        if whole and c["answers"] == c["requests"] == requests:
            # To kipsec an ICV that is checked belongs to the text.
            icv = [a.icv for a in DRIVERS[whole] if a and a.icv][0] if way == "in" else 0
            equal(e.bytes, c["bytes"] + requests * icv, "bytes")


def ways(tap, name, body):
    """A case for each direction."""
    for way in WAYS:
        with tap.case("%s, %s" % (name, way)):
            body(way)


def plain(b, card, way, **knobs):
    """A burst that the card does, all of it and well."""
    b.fresh(card, **knobs)
    with b.passes(way):
        b.burst(way)
    b.agree(way, card)


def late(tap, b, card):
    for name, knobs in (("answers late", dict(delay=20)),
                        ("answers come ten at a time", dict(batch=10))):
        ways(tap, "%s: %s" % (b.driver, name), lambda way: plain(b, card, way, **knobs))

    def held(way):
        b.fresh(card, stall=1)
        with b.passes(way):
            b.burst(way)
            card.holds(BURST)
            equal(len(b.wire.take()) if way == "out" else 0, 0, "packets sent too early")
            equal(engines(b.lab["k"])[SPI[way]].in_flight, BURST, "in flight")
            card.release()
        b.agree(way, card)
    ways(tap, "%s: answers all at the end" % b.driver, held)


def disorder(tap, b, card):
    ways(tap, "%s: answers in any order" % b.driver,
         lambda way: plain(b, card, way, batch=15, batch_wait=LONG, shuffle=7))


def third(b, card, way, **knobs):
    """Software does every third."""
    b.fresh(card, **knobs)
    with b.passes(way):
        b.burst(way)
    b.agree(way, card, errors=BURST // 3, fallbacks=BURST // 3)


def errs(tap, b, card):
    for err in (errno.EIO, errno.EINVAL) if b.driver == GCM else (errno.EIO,):
        ways(tap, "%s: every third fails, %s" % (b.driver, errno.errorcode[err]),
             lambda way: third(b, card, way, fail=3, fail_errno=err))


def errs_in_a_row(tap, b, card):
    def row(way):
        b.fresh(card, stall=1)
        with b.passes(way, BURST + 5):
            b.burst(way)
            card.holds(BURST)
            card.release(errno.EIO)
            b.burst(way, 5, BURST)
        b.agree(way, card, errors=BURST, fallbacks=BURST + 5)
        plain(b, card, way)
    ways(tap, "%s: errors in a row, out of service; new SAs use it" % b.driver, row)


def icv(tap, b, card):
    with tap.case("%s: every third good ICV is called bad, in" % b.driver):
        third(b, card, "in", badmsg=3)
    with tap.case("%s: a bad ICV is no error of the card's, in" % b.driver):
        b.fresh(card)
        text = bytes(DRIVERS[b.driver][0].iv + 60)
        injector = Injector(b.lab["x"], b.lab["k"])
        with Moves(b.k, InIcv=BURST):
            injector.send(*[ip4(X, K, ESP, struct.pack("!II", SPI["in"], 1 << 24) + text)
                            for _ in range(BURST)])
        injector.close()
        b.agree("in", card, fallbacks=BURST)


def full(tap, b, card):
    depth, more = 8, 10
    n = depth + WAIT + more

    def some_wait(way, **knobs):
        b.fresh(card, stall=1, **knobs)
        with b.passes(way, n):
            b.burst(way, n)
            check(wait_for(lambda: b.fallbacks(way) == more), "fallbacks")
            equal(card.counters()["in_flight"], depth, "requests in the card")
            card.resume()
        b.agree(way, card, requests=depth + WAIT, fallbacks=more)
    for err in (errno.EBUSY, errno.ENOSPC):
        ways(tap, "%s: full, %s: some wait, software does more" % (b.driver, errno.errorcode[err]),
             lambda way: some_wait(way, depth=depth, refuse_errno=err))


def mute(tap, b, card):
    def silent(way):
        b.fresh(card, stall=1)
        with b.passes(way, BURST + 5):
            b.burst(way)
            card.holds(BURST)
            patience(1)
            check(wait_for(lambda: b.fallbacks(way) == BURST), "fallbacks")
            b.burst(way, 5, BURST)
        b.agree(way, card, requests=0, errors=BURST, fallbacks=BURST + 5)
        # What it says at last nobody wants to know.
        with Moves(b.k):
            card.release()
            card.holds(0)
            equal(b.udp[WAYS[way][1]].all(1, 0.2), [], "datagrams")
        b.agree(way, card, requests=0, errors=BURST, fallbacks=BURST + 5, answers=BURST)
        plain(b, card, way)
    ways(tap, "%s: does not answer, out of service; new SAs use it" % b.driver, silent)


def goes(tap, b, card):
    def gone(way):
        b.fresh(card, stall=1)
        with b.passes(way, BURST + 5):
            b.burst(way)
            card.holds(BURST)
            card.remove()
            b.burst(way, 5, BURST)
        b.agree(way, card, errors=BURST, fallbacks=BURST + 5)
        card.insert()
        plain(b, card, way)
    ways(tap, "%s: disappears and comes back; new SAs use it" % b.driver, gone)


def pulled(tap, b, card):
    def transforms():
        return card.counters()["transforms"]
    with tap.case("%s: what it keeps of an SA that has gone is waited for, when its device goes" % b.driver):
        b.fresh(card, stall=1)
        with b.passes("out", 1):
            b.burst("out", 1)
            card.holds(1)
            patience(1)
            check(wait_for(lambda: b.fallbacks("out") == 1), "fallbacks")
        b.k.setkey("flush;")
        check(wait_for(lambda: transforms() == 1), "%d transforms" % transforms())
        patience(LONG)
        p = card.bound(False)
        time.sleep(1)
        equal((p.poll(), transforms()), (None, 1), "status of unbind, transforms")
        card.release()
        equal(p.wait(20), 0, "status of unbind")
        equal(transforms(), 0, "transforms")
        equal(card.bound(True).wait(20), 0, "status of bind")


# --- storm ---

def misbehaviour(dice):
    return dice.choice([dict(delay=dice.randrange(30)), dict(stall=1), dict(fail=3), dict(fail=1),
                        dict(depth=4, delay=5), dict(batch=7, shuffle=dice.randrange(1, 100)),
                        dict(badmsg=2), dict(refuse=2, refuse_errno=errno.ENOSPC)])


class Traffic:
    """Datagrams both ways by a thread, for a block."""

    def __init__(self, b):
        self.b, self.over = b, False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self.over:
            some(self.b, 3)
            time.sleep(0.005)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *exc):
        self.over = True
        self.thread.join()


def some(b, n):
    """Datagrams that may find no SA."""
    for way in WAYS:
        with contextlib.suppress(OSError):
            b.burst(way, n)


def storm_sas(b, card, dice):
    with Traffic(b):
        for _ in range(3):
            some(b, dice.randrange(20))
            equal(b.k.replace_sas(*b.sas), "", "what setkey says")


def storm_card(b, card, dice):
    with Traffic(b):
        some(b, dice.randrange(20))
        card.remove()
        some(b, dice.randrange(20))
        card.insert()
        equal(b.k.replace_sas(*b.sas), "", "what setkey says")


def storm_late(b, card, dice):
    """Its answers come after they have been given up, and after their SAs."""
    with Traffic(b):
        patience(dice.randrange(1, 30))
        equal(b.k.replace_sas(*b.sas), "", "what setkey says")
        some(b, dice.randrange(20))
    patience(LONG)


def storm_module(b, card, dice):
    some(b, dice.randrange(1, 30))
    p = subprocess.Popen(["rmmod", "kipsec"])
    check(wait_for(lambda: p.poll() is not None or going()), "rmmod does not begin")
    card.does()
    equal(p.wait(20), 0, "rmmod")
    equal(subprocess.run(["insmod", KO, "card_timeout=%d" % LONG]).returncode, 0, "insmod")
    b.k.add(*b.sas, Policy(K, X, "out", requests=[transport()]),
            Policy(X, K, "in", requests=[transport()]))


def going():
    with contextlib.suppress(OSError), open("/sys/module/kipsec/initstate") as f:
        return f.read().strip() == "going"
    return True


def storm_namespace(b, card, dice, stack):
    some(b, dice.randrange(1, 30))
    for sock in b.udp.values():
        sock.close()            # it would keep the namespace
    # A device waits for its packets; those of a silent card would take LONG.
    answers = threading.Timer(dice.random(), card.does)
    answers.start()
    b.lab.close()
    answers.join()
    b = Bench(stack.enter_context(pair()))
    b.use(GCM)
    return b


def storm(tap):
    seed = int(os.environ.get("KIPSEC_SEED", 83))
    dice = random.Random(seed)
    events = [storm_sas, storm_card, storm_late, storm_module, storm_namespace]
    with tap.case("storm: SAs, card, module and namespace go under traffic, %d rounds, seed %d" %
                  (ROUNDS, seed)), contextlib.ExitStack() as stack:
        b = Bench(stack.enter_context(pair()))
        b.use(GCM)
        card = stack.enter_context(Card(by_name=True))
        for i in range(ROUNDS):
            event, knobs = events[i % len(events)], misbehaviour(dice)
            try:
                b.fresh(card, **knobs)
                if event is storm_namespace:
                    b = storm_namespace(b, card, dice, stack)
                else:
                    event(b, card, dice)
                card.does()
                card.holds(0)
                equal(len(engines(b.lab["k"])) <= 2, True, "SAs")
            except BaseException:
                print("# round %d: %s, %s" % (i, event.__name__, knobs), flush=True)
                raise
        b.fresh(card)
        for way in WAYS:
            with b.passes(way):
                b.burst(way)
        b.k.flush()


# Of the other two what could be otherwise with them.
PARTS = {GCM: (late, disorder, errs, errs_in_a_row, icv, full, mute, goes, pulled),
         AUTHENC: (disorder, errs, icv),
         CBC: (disorder, errs, mute, goes)}


def engine(tap):
    ipsec.loaded()
    with pair() as lab, one_processor():
        b = Bench(lab)
        tap.on_failure.append(b.k.state)
        tap.on_failure.append(lambda: ["%#x: %s" % row for row in engines(lab["k"]).items()])
        for driver in DRIVERS:
            # xfrm first: what a card offers in one piece goes before what has to be put together.
            b.use(driver)
            with Card(by_name=True) as card:
                tap.on_failure[2:] = [lambda: [str(card.counters())]]
                for part in PARTS[driver]:
                    part(tap, b, card)
                b.k.flush()
                b.k.add(Policy(K, X, "out", requests=[transport()]),
                        Policy(X, K, "in", requests=[transport()]))


if __name__ == "__main__":
    run(engine, storm)
