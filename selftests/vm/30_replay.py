#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: core
#
# The replay window on real packets (RFC 4303 section 3.4.3, RFC 4302 section
# 3.4.3), forged with the SA's key so that any sequence number can be sent: ESP
# and AH, with IPv4 and with IPv6.
#
#	[k: kipsec, UDP receiver] 10.0.0.1 ---- wire ---- 10.0.0.2 [x: forger]
#	                           fd00::1                fd00::2
#
# Each packet carries its sequence number as UDP payload: what arrives tells
# which ones were accepted. The model is three lines long, see class Window.
import os
import random
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ah                                                       # noqa: E402
import esp                                                      # noqa: E402
import ipsec                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves                             # noqa: E402
from ktap import equal, run                                     # noqa: E402
from netns import pair                                          # noqa: E402
from traffic import Udp                                         # noqa: E402
from wire import ESP, UDP, Injector, ip4, ip6, udp              # noqa: E402

ENDS = {4: ("10.0.0.2", "10.0.0.1"), 6: ("fd00::2", "fd00::1")}     # source, destination
PORT = 4000
TOP = 0xffffffff
AH_SHA256 = (None, ipsec.auth("hmac-sha256"))


class Window:
    """What RFC 4303 says: the set of numbers seen, and the highest."""

    def __init__(self, size):
        self.size, self.top, self.seen = size, 0, set()

    def verdict(self, seq):
        if seq == 0:
            return "InSeqZero"
        if seq + self.size <= self.top:
            return "InReplayOld"
        return "InReplayDup" if seq in self.seen else "InProtected"

    def accept(self, seq):
        v = self.verdict(seq)
        if v == "InProtected":
            self.seen.add(seq)
            self.top = max(self.top, seq)
        return v


class Bench:
    def __init__(self, lab, proto="esp", family=4):
        self.proto, self.ip = proto, ip6 if family == 6 else ip4
        self.src, self.dst = ENDS[family]
        self.k = Kipsec(lab["k"])
        self.udp = Udp(lab["k"], self.dst, PORT)
        self.injector = Injector(lab["x"], lab["k"])
        self.spi = 0x3000

    def close(self):
        self.udp.close()
        self.injector.close()

    def start(self, window):
        """A fresh SA with this window."""
        self.spi += 1
        self.sa = SA(self.src, self.dst, self.spi, window=window, proto=self.proto,
                     algs=AH_SHA256 if self.proto == "ah" else ipsec.NULL_SHA256)
        self.k.setkey("flush;\n" + Kipsec.sa_line(self.sa))
        self.model = Window(window)

    def packet(self, seq, bad=False):
        """bad: with another last byte, which is ESP's ICV or what AH protects."""
        data = udp(self.src, self.dst, PORT, PORT, struct.pack("!I", seq))
        if self.proto == "ah":
            padding = bytes(4) if self.ip is ip6 else b""   # to whole units of 8 bytes
            packet = ah.protect(self.sa, seq, self.ip(self.src, self.dst, UDP, data), padding)
        else:
            packet = self.ip(self.src, self.dst, ESP, esp.protect(self.sa, seq, data, UDP))
        return ah.flipped(packet, -1) if bad else packet

    def send(self, *seqs):
        """All of them, in this order; counters and deliveries as the model says."""
        moves, accepted = {}, []
        for s in seqs:
            v = self.model.accept(s)
            moves[v] = moves.get(v, 0) + 1
            if v == "InProtected":
                accepted.append(s)
        with Moves(self.k, **moves):
            for s in seqs:
                self.injector.send(self.packet(s))
        got = [struct.unpack("!I", d)[0] for d in self.udp.all(len(accepted))]
        equal(got, accepted, "sequence numbers delivered")

    def send_bad(self, *seqs):
        """With a wrong ICV: counted as the window's business or as the ICV's."""
        moves = {}
        for s in seqs:
            v = self.model.verdict(s)
            v = "InIcv" if v == "InProtected" else v
            moves[v] = moves.get(v, 0) + 1
        with Moves(self.k, **moves):
            self.injector.send(*[self.packet(s, bad=True) for s in seqs])


def window_cases(tap, b, size, what=""):
    name = "%swindow %d: " % (what, size)
    with tap.case(name + "in order, duplicates of each"):
        b.start(size)
        b.send(1, 2, 3, 4, 5)
        b.send(5, 4, 3, 2, 1)
    with tap.case(name + "reordered inside, to the last place"):
        b.start(size)
        b.send(size + 10)
        b.send(11, 12, size + 9, size // 2)
        b.send(11, 12, size + 9, size + 10)
    with tap.case(name + "one left of it"):
        b.start(size)
        b.send(size + 10, 10, 9, 1, 11)
    with tap.case(name + "a jump by more than its size"):
        b.start(size)
        b.send(1, 2, size + 2, 2, 3, 5 * size, 4 * size, 4 * size + 1, 4 * size + 1)
    with tap.case(name + "a bad ICV moves nothing"):
        b.start(size)
        b.send(100)
        b.send_bad(100 + 10 * size, TOP)
        b.send(101, 99, 100)
        b.send_bad(98, 99)
        b.send(98)
    with tap.case(name + "up to the last number"):
        b.start(size)
        b.send(TOP - size, TOP, TOP, TOP - 1, TOP - size + 1, TOP - size, 1, 0)
    with tap.case(name + "beside every eighth of it"):
        b.start(size)
        top = 3 * size + 7
        places = [top - n * size // 8 + i for n in range(8, -1, -1) for i in (-1, 0, 1)]
        b.send(top, *places)
        b.send(*places, top + 1, top - size + 1, top - size + 2)
    with tap.case(name + "300 at random"):
        b.start(size)
        rng = random.Random(size)
        at, seqs = 1, []
        for _ in range(300):
            at += rng.choice((0, 1, 1, 2, size // 3, size + 1) if rng.random() < 0.2 else (1, 2))
            seqs.append(max(0, at - rng.choice((0, 0, 1, 5, size - 1, size, size + 1))))
        for i in range(0, 300, 50):
            b.send(*seqs[i:i + 50])


def first(tap, b):
    with tap.case("sequence number 0"):
        b.start(64)
        b.send(0, 1, 0)
    for size in (32, 64, 255, 1024, 4096, 8192):
        window_cases(tap, b, size)
    with tap.case("window 4, as racoon asks for: that of 32, for less is none"):
        b.start(4)
        b.model = Window(32)
        b.send(40, 9, 10, 8, 9, 40, 36, 37)
    with tap.case("window 0: everything passes, twice too"):
        b.start(0)
        with Moves(b.k, InProtected=6):
            b.injector.send(*[b.packet(s) for s in (5, 5, 1, TOP, 1, 0)])
        b.udp.all(6)


def replay(tap):
    ipsec.loaded()
    with pair(ipv6=True) as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state]
        first(tap, b)
        b.close()
        for what, proto, family in (("IPv6: ", "esp", 6), ("AH: ", "ah", 4), ("AH, IPv6: ", "ah", 6)):
            b = Bench(lab, proto, family)
            window_cases(tap, b, 8192, what)
            b.close()


if __name__ == "__main__":
    run(replay)
