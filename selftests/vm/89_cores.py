#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: cores
#
# One SA on many cores (net.kipsec.pipeline): numbered datagrams pass a cipher
# that takes long, which the crew does. Whatever is done where, they go on the
# wire with numbers 1, 2, 3 ... and arrive in order, all of them: while an SA, a
# namespace, the module or a processor goes, and between two SAs in turn.
#
#	[k: kipsec] 10.0.0.1 ---- wire ---- 10.0.0.2 [x: xfrm]
import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, transport    # noqa: E402
from ktap import Skip, check, equal, run                        # noqa: E402
from netns import pair, unloads                                 # noqa: E402
from traffic import Udp, in_front, numbers, one_processor, tcp_copy     # noqa: E402
from wire import ESP, Capture, fill                             # noqa: E402

K, X, PORT, OTHER = "10.0.0.1", "10.0.0.2", 4000, 4001
KO = os.path.join(os.environ.get("KIPSEC_MODDIR", ""), "kipsec.ko")
SLOW = (ipsec.alg("3des-cbc"), ipsec.auth("hmac-sha1"))
# A pair for each of two ports: a reqid binds policy and SAs.
SAS = [SA(K, X, 0x8901, SLOW, window=1024, reqid=1), SA(X, K, 0x8902, SLOW, window=1024, reqid=1),
       SA(K, X, 0x8903, SLOW, window=1024, reqid=2), SA(X, K, 0x8904, SLOW, window=1024, reqid=2)]
BURST = 150             # less than may wait
SIZE = 1000
ONLINE = "/sys/devices/system/cpu/cpu1/online"


def policies(own, peer, kind):
    """For kipsec by ports, so that each has an SA pair; xfrm takes what comes."""
    if kind is Xfrm:
        return [Policy(own, peer, "out", requests=[transport()]),
                Policy(peer, own, "in", requests=[transport()])]
    return [p for port, unique in ((PORT, 1), (OTHER, 2)) for p in
            (Policy(own, peer, "out", requests=[transport("unique:%d" % unique)], proto="udp",
                    dport=str(port)),
             Policy(peer, own, "in", requests=[transport("unique:%d" % unique)], proto="udp",
                    dport=str(port)))] + \
        [Policy(own, peer, "out", requests=[transport("unique:1")], proto="tcp"),
         Policy(peer, own, "in", requests=[transport("unique:1")], proto="tcp")]


class Bench:
    def __init__(self, lab):
        self.lab, self.k, self.x, self.wire = lab, Kipsec(lab["k"]), Xfrm(lab["x"]), Capture(lab)
        self.udp = {"k": Udp(lab["k"], K, PORT), "x": Udp(lab["x"], X, PORT)}
        self.other = Udp(lab["x"], X, OTHER)
        self.single = Udp(lab["k"], K)
        # SO_SNDBUFFORCE: packets are their socket's until they are sent.
        self.udp["k"].sock.setsockopt(socket.SOL_SOCKET, 32, 8 << 20)
        self.x.add(*[replace(sa, window=0, reqid=0) for sa in SAS[2:] + SAS[:2]],
                   *policies(X, K, Xfrm))

    def configure(self, pipeline=1, algs=SLOW):
        """SAs that start again, and so send the same numbers again."""
        for udp in (*self.udp.values(), self.other):
            udp.all(timeout=0)
        self.k.flush()
        self.lab["k"].sysctl("net.kipsec.pipeline", pipeline)
        self.k.add(*[replace(sa, algs=algs) for sa in SAS], *policies(K, X, Kipsec))
        self.wire.flush()

    def send(self, src, count=BURST, first=0):
        for n in range(first, first + count):
            self.udp[src].send(number(n), X if src == "k" else K, PORT)

    def send_at_once(self, count):
        # Made before: the crew is faster than this program.
        self.send_batches([b"".join(map(number, range(n, n + 50))) for n in range(0, count, 50)])

    def send_batches(self, batches):
        """Each a packet of several datagrams, which the stack takes apart (UDP_SEGMENT)."""
        sock = self.udp["k"].sock
        sock.setsockopt(socket.IPPROTO_UDP, 103, SIZE)
        for data in batches:
            sock.sendto(data, (X, PORT))
        sock.setsockopt(socket.IPPROTO_UDP, 103, 0)

    def spread(self):
        return self.k.counters()["Spread"]

    def arrive(self, dst, count=BURST):
        got = self.udp[dst].all(count, timeout=3.0)
        equal(numbers(got, dst), list(range(count)), "numbers of datagrams")

    def numbers(self, count, others=0):
        """On the wire each number of the first SA once, in order; all packets, with other SAs'."""
        packets = self.wire.collect(count + others, timeout=3.0)
        equal({p.proto for p in packets}, {ESP}, "protocols on the wire")
        equal([p.seq for p in packets if p.spi == 0x8901], list(range(1, count + 1)),
              "sequence numbers")
        return packets


def number(n):
    return struct.pack("!I", n) + fill(SIZE - 4)


def order(tap, b):
    with tap.case("out: the crew does all, numbers and datagrams in order"):
        b.configure()
        with Moves(b.k, OutProtected=BURST, Spread=BURST), one_processor():
            b.send("k")
        b.numbers(BURST)
        b.arrive("x")
    with tap.case("in: the crew does all, datagrams in order, none replayed"):
        b.configure()
        with Moves(b.k, InProtected=BURST, Spread=BURST), one_processor():
            b.send("x")
            b.arrive("k")
    for src, dst, addr in (("k", "x", X), ("x", "k", K)):
        with tap.case("TCP from %s to %s, a megabyte" % (src, dst)):
            b.configure()
            before = b.spread()
            tcp_copy(b.lab[src], b.lab[dst], addr, 1 << 20)
            check(b.spread() - before > 700, "the crew had only %d" % (b.spread() - before))
            equal({p.proto for p in b.wire.take()}, {ESP}, "protocols on the wire")
    with tap.case("off: nobody helps"):
        b.configure(0)
        with Moves(b.k, OutProtected=BURST, Spread=0), one_processor():
            b.send("k")
        b.arrive("x")


@contextlib.contextmanager
def crew_waits():
    """The sender's processor is his, and on each other one a program does nothing, in front of
    the crew."""
    others = [subprocess.Popen(["sh", "-c", "while :; do :; done"])
              for _ in range(1, os.cpu_count())]
    try:
        for cpu, other in enumerate(others, 1):
            os.sched_setaffinity(other.pid, {cpu})
            os.sched_setscheduler(other.pid, os.SCHED_FIFO, os.sched_param(1))
        with in_front(), one_processor():
            yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def before_it(b):
    """How many packets of a burst are on the wire before one of another SA, sent after all?"""
    b.configure()
    with crew_waits():
        b.send_at_once(250)
        b.single.send(number(0), X, OTHER)
    packets = b.numbers(250, others=1)
    equal(len(packets), 251, "packets on the wire")
    b.arrive("x", 250)
    return [p.spi for p in packets].index(0x8903)


def turns(tap, b):
    with tap.case("two SAs take turns: one packet does not wait for a whole burst of the other"):
        # The host may take away the processor that has it in hand.
        check(any(before_it(b) < 50 for _ in range(5)), "fifty were before it, five times")
    with tap.case("more than may wait: the sender does the rest, and nothing is lost"):
        b.configure()
        with Moves(b.k, OutProtected=600), one_processor():
            b.send_at_once(600)
        b.numbers(600)
        b.arrive("x", 600)


def helped(b):
    """One sender, as fast as he can, until some packets were others' work; all are captured."""
    # What x cannot check, it does not decrypt on the sender's processor.
    b.configure(2, (SLOW[0], ipsec.auth("hmac-sha512")))
    before, n = b.spread(), 0
    batch = b"".join(map(number, range(50)))

    def batches():
        nonlocal n
        while b.spread() - before < 50 and n < 10000:
            yield batch
            n += 50

    with one_processor():
        b.send_batches(batches())
    b.numbers(n)
    return b.spread() - before >= 50


def load(tap, b):
    with tap.case("automatic: little traffic stays where it is"):
        b.configure(2)
        time.sleep(1.2)         # after a burst helpers stay for a second
        with Moves(b.k, OutProtected=20, Spread=0), one_processor():
            for n in range(20):
                b.send("k", 1, n)
                time.sleep(0.02)
        b.arrive("x", 20)
    with tap.case("automatic: a processor that is busy all the time gets helpers"):
        # All checkers slow down the sender, and not the cipher, which is assembler.
        if "debug" in os.uname().release:
            raise Skip("on the debug kernel the crew is faster than any sender")
        check(any(helped(b) for _ in range(12)), "nobody helped, twelve times")
    with tap.case("automatic: where the cipher is not the work, the busy one keeps it"):
        b.configure(2, (ipsec.alg("null"), ipsec.auth("hmac-sha1")))
        before, n, end = b.spread(), 0, time.monotonic() + 3
        with one_processor():
            while time.monotonic() < end:
                b.send("k", 100, n)
                n += 100
        # Few, for it must learn what a packet costs from machines that are interrupted.
        check((b.spread() - before) * 50 < n, "%d of %d were spread" % (b.spread() - before, n))
        b.numbers(n)


def goes(tap, b):
    for what, line in (("SAs", "flush;"), ("policies", "spdflush;")):
        with tap.case("%s deleted with packets in other hands, both ways" % what):
            b.configure()
            with Moves(b.k, ignore=("InClear",), OutProtected=BURST), one_processor():
                b.send("k")
                b.k.setkey(line)
            b.arrive("x")
    with tap.case("a processor comes and goes under traffic"):
        if not os.path.exists(ONLINE):
            raise Skip("this kernel does not let go of processors")
        b.configure()
        done = threading.Event()

        def switch():
            while not done.is_set():
                for state in "01":
                    with open(ONLINE, "w") as f:
                        f.write(state)

        thread = threading.Thread(target=switch)
        thread.start()
        try:
            with Moves(b.k, OutProtected=400), one_processor():
                for n in range(0, 400, 50):
                    b.send("k", 50, n)
                    time.sleep(0.05)
        finally:
            done.set()
            thread.join()
        b.numbers(400)
        b.arrive("x", 400)
    with tap.case("module unloaded with packets in other hands, both ways"):
        for _ in range(5):
            b.configure()
            b.send("x")
            b.send("k")
            equal(subprocess.run(["rmmod", "kipsec"]).returncode, 0, "rmmod")
            equal(subprocess.run(["insmod", KO]).returncode, 0, "insmod")
    with tap.case("namespace deleted with packets in other hands, both ways"):
        b.configure()
        b.send("x")
        b.send("k")
        b.lab.drop("k")
        b.lab.drop("x")
        check(unloads("kipsec"), "the module does not unload")
        equal(subprocess.run(["insmod", KO]).returncode, 0, "insmod")


def cores(tap):
    ipsec.loaded()
    if os.cpu_count() < 2:
        raise Skip("there is but one processor")
    with pair() as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state]
        for part in (order, turns, load, goes):
            part(tap, b)


if __name__ == "__main__":
    run(cores)
