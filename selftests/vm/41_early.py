#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: core debug
#
# Packets that come before their SA is ready, when the peer is faster than the key
# manager here: they wait, and come in when the manager completes the SA.
#
#	[k: kipsec] 10.0.0.1, fd00::1 ---- wire ---- 10.0.0.2, fd00::2 [x: packets by hand]
import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import esp                                                      # noqa: E402
import ipsec                                                    # noqa: E402
import pfkey                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, transport          # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import pair, wait_for                                # noqa: E402
from traffic import Udp                                         # noqa: E402
from wire import (ESP, ICMP, UDP, Capture, Injector, checksum,  # noqa: E402
                  fill, ip4, ip6, udp)

ENDS = {4: ("10.0.0.1", "10.0.0.2"), 6: ("fd00::1", "fd00::2")}
PORT = 4000
HELD = 16               # packets that may wait for one SA


class Bench:
    def __init__(self, lab):
        self.lab, self.k, self.inject = lab, Kipsec(lab["k"]), Injector(lab["x"], lab["k"])
        self.sink = self.sa = self.back = None

    def larval(self, family=4, back=True):
        """An SA that waits for its keys, and one back; policies that want them."""
        k, x = ENDS[family]
        self.k.flush()
        self.sa, self.back = SA(x, k, 0x4181, ipsec.NULL_SHA256), SA(k, x, 0x4182, ipsec.NULL_SHA256)
        if self.sink:
            self.sink.close()
        self.sink = Udp(self.lab["k"], k, PORT)
        self.k.setkey("getspi %s;" % self.sa.ident)
        self.k.add(Policy(x, k, "in", requests=[transport()]),
                   Policy(k, x, "out", requests=[transport()]))
        if back:
            self.k.add(self.back)

    def complete(self):
        self.k.setkey(Kipsec.sa_line(self.sa, "update"))

    def arrive(self, *numbers):
        sa = self.sa
        for n in numbers:
            text = esp.protect(sa, n, udp(sa.src, sa.dst, PORT, PORT, fill(20 + n)), UDP)
            build = ip6 if ":" in sa.dst else ip4
            self.inject.send(build(sa.src, sa.dst, ESP, text))

    def expect(self, *numbers):
        equal([len(d) - 20 for d in self.sink.all(len(numbers), 5)], list(numbers), "datagrams")
        equal(self.sink.all(timeout=0), [], "datagrams behind them")


def waits(tap, b):
    for family in ENDS:
        with tap.case("IPv%d: packets wait for their SA, and come in, in order" % family):
            b.larval(family)
            with Moves(b.k, InEarly=3):
                b.arrive(1, 2, 3)
                time.sleep(0.6)         # looked at twice meanwhile
            with Moves(b.k, InProtected=3):
                b.complete()
                b.expect(1, 2, 3)
    with tap.case("they are judged like others: a replay, and a wrong key"):
        b.larval()
        b.arrive(1, 1, 2)
        real, b.sa = b.sa, SA(b.sa.src, b.sa.dst, b.sa.spi, (b.sa.algs[0], ipsec.auth("hmac-md5")))
        b.arrive(3)
        b.sa = real
        with Moves(b.k, InProtected=2, InReplayDup=1, InIcv=1):
            b.complete()
            b.expect(1, 2)


def answered(tap, b):
    with tap.case("they wait for the SA back too: an answer asks for no other pair"):
        b.larval(back=False)
        wire = Capture(b.lab)
        with b.lab["k"], pfkey.Key() as manager:
            manager.ok(pfkey.REGISTER, pfkey.ESP)
            echo = struct.pack("!BBHHH", 8, 0, 0, 7, 1) + fill(40)
            echo = echo[:2] + struct.pack("!H", checksum(echo)) + echo[4:]
            b.inject.send(ip4(b.sa.src, b.sa.dst, ESP, esp.protect(b.sa, 1, echo, ICMP)))
            with Moves(b.k, InProtected=1, OutProtected=1):
                b.complete()
                b.k.add(b.back)
                equal([p.spi for p in wire.collect(2, 5)], [b.sa.spi, b.back.spi], "SPIs")
            equal([m for m in manager.drain() if m.type == pfkey.ACQUIRE], [], "questions")
        wire.close()
    with tap.case("there will never be one: they come in a little later"):
        b.larval(back=False)
        b.arrive(1, 2)
        with Moves(b.k, InProtected=2):
            b.complete()
            b.expect(1, 2)


def many(tap, b):
    with tap.case("SAs of many peers are completed in turn: the first packet does not wait for the last"):
        sas = [SA("10.0.1.%d" % n, ENDS[4][0], 0x4200 + n, ipsec.NULL_SHA256) for n in range(1, 101)]
        b.k.flush()
        b.k.add(*[SA(sa.dst, sa.src, sa.spi + 0x100, sa.algs) for sa in sas])
        with b.lab["k"], pfkey.Key() as manager:
            for b.sa in sas:
                manager.ok(pfkey.GETSPI, pfkey.ESP, *pfkey.ends(b.sa.src, b.sa.dst),
                           pfkey.spirange(b.sa.spi, b.sa.spi))
                b.arrive(1)
            with Moves(b.k, InProtected=len(sas)) as moves:
                for sa in sas:
                    manager.ok(pfkey.UPDATE, pfkey.ESP,
                               pfkey.sa(sa.spi, auth=pfkey.SHA256, enc=pfkey.NULL),
                               *pfkey.ends(sa.src, sa.dst),
                               pfkey.key(pfkey.KEY_AUTH, bytes.fromhex(sa.algs[1].key)),
                               pfkey.sa2(1))
                    time.sleep(0.005)
                check(moves.moved(), "all waited for the last")


def ends(tap, b):
    with tap.case("more than %d for one SA are dropped; another SA's wait too" % HELD):
        b.larval()
        with Moves(b.k, InEarly=HELD, InSaState=3):
            b.arrive(*range(1, HELD + 4))
        first = b.sa
        b.sa = SA(b.sa.src, b.sa.dst, 0x4191, ipsec.NULL_SHA256)
        b.k.setkey("getspi %s;" % b.sa.ident)
        with Moves(b.k, InEarly=1):
            b.arrive(21)
        with Moves(b.k, InProtected=1):
            b.complete()
            equal(len(b.sink.recv()), 41, "the other SA's datagram")
        b.sa = first
        with Moves(b.k, InProtected=HELD):
            b.complete()
            b.expect(*range(1, HELD + 1))
    for how in "flush", "delete":
        with tap.case("%s while packets wait: they are dropped" % how):
            b.larval()
            b.arrive(1, 2)
            with Moves(b.k, InSaState=2):
                b.k.setkey("flush;" if how == "flush" else "delete %s;" % b.sa.ident)
            b.expect()
    with tap.case("nobody completes it in time: they are dropped"):
        b.lab["k"].sysctl("net.kipsec.larval_lifetime", 4)
        b.larval()
        b.arrive(1)
        with Moves(b.k, InSaState=1):
            wait_for(lambda: b.sa.ident.split()[0] not in b.k.setkey(None, args=("-D",)), 10, 0.2)
        b.expect()
        b.lab["k"].sysctl("net.kipsec.larval_lifetime", 30)
    with tap.case("the namespace goes while packets wait"):
        b.larval()
        b.arrive(1, 2)
        b.sink.close()
        tap.on_failure.clear()
        b.lab.drop("k")


def early(tap):
    ipsec.loaded()
    with pair(ipv6=True) as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state]
        for part in (waits, answered, many, ends):
            part(tap, b)


if __name__ == "__main__":
    run(early)
