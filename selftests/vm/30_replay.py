#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: core debug
#
# The replay window on real packets (RFC 4303 section 3.4.3), forged with the
# SA's key so that any sequence number can be sent.
#
#	[k: kipsec, UDP receiver] 10.0.0.1 ---- wire ---- 10.0.0.2 [x: forger]
#
# Each packet carries its sequence number as UDP payload: what arrives tells
# which ones were accepted. The model is three lines long, see class Window.
import os
import random
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import esp                                                      # noqa: E402
import ipsec                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves                             # noqa: E402
from ktap import equal, run                                     # noqa: E402
from netns import pair                                          # noqa: E402
from traffic import Udp                                         # noqa: E402
from wire import ESP, UDP, Injector, ip4, udp4                  # noqa: E402

X, K, PORT = "10.0.0.2", "10.0.0.1", 4000
TOP = 0xffffffff


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
    def __init__(self, lab):
        self.k = Kipsec(lab["k"])
        self.udp = Udp(lab["k"], K, PORT)
        self.injector = Injector(lab["x"], lab["k"])
        self.spi = 0x3000

    def start(self, window):
        """A fresh SA with this window."""
        self.spi += 1
        self.sa = SA(X, K, self.spi, ipsec.NULL_SHA256, window=window)
        self.k.setkey("flush;\n" + Kipsec.sa_line(self.sa))
        self.model = Window(window)

    def packet(self, seq, bad=False):
        data = udp4(X, K, PORT, PORT, struct.pack("!I", seq))
        text = esp.protect(self.sa, seq, data, UDP)
        if bad:
            text = text[:-1] + bytes((text[-1] ^ 1,))
        return ip4(X, K, ESP, text)

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


def window_cases(tap, b, size):
    with tap.case("window %d: in order, duplicates of each" % size):
        b.start(size)
        b.send(1, 2, 3, 4, 5)
        b.send(5, 4, 3, 2, 1)
    with tap.case("window %d: reordered inside, to the last place" % size):
        b.start(size)
        b.send(size + 10)
        b.send(11, 12, size + 9, size // 2)
        b.send(11, 12, size + 9, size + 10)
    with tap.case("window %d: one left of it" % size):
        b.start(size)
        b.send(size + 10, 10, 9, 1, 11)
    with tap.case("window %d: a jump by more than its size" % size):
        b.start(size)
        b.send(1, 2, size + 2, 2, 3, 5 * size, 4 * size, 4 * size + 1, 4 * size + 1)
    with tap.case("window %d: a bad ICV moves nothing" % size):
        b.start(size)
        b.send(100)
        b.send_bad(100 + 10 * size, TOP)
        b.send(101, 99, 100)
        b.send_bad(98, 99)
        b.send(98)
    with tap.case("window %d: up to the last number" % size):
        b.start(size)
        b.send(TOP - size, TOP, TOP, TOP - 1, TOP - size + 1, TOP - size, 1, 0)
    with tap.case("window %d: 300 at random" % size):
        b.start(size)
        rng = random.Random(size)
        at, seqs = 1, []
        for _ in range(300):
            at += rng.choice((0, 1, 1, 2, size // 3, size + 1) if rng.random() < 0.2 else (1, 2))
            seqs.append(max(0, at - rng.choice((0, 0, 1, 5, size - 1, size, size + 1))))
        for i in range(0, 300, 50):
            b.send(*seqs[i:i + 50])


def replay(tap):
    ipsec.loaded()
    with pair() as lab:
        b = Bench(lab)
        with tap.case("sequence number 0"):
            b.start(64)
            b.send(0, 1, 0)
        for size in (32, 64, 255, 1024, 4096):
            window_cases(tap, b, size)
        with tap.case("window 0: everything passes, twice too"):
            b.start(0)
            with Moves(b.k, InProtected=6):
                b.injector.send(*[b.packet(s) for s in (5, 5, 1, TOP, 1, 0)])
            b.udp.all(6)


if __name__ == "__main__":
    run(replay)
