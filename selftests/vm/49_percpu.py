#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: core
#
# Several SAs of one pair, each bound to a processor (RFC 9611): packets take the
# one of the processor that they are sent on, else one bound to none, else any.
# xfrm receives.
#
#	[k: kipsec] 10.0.0.1 ---- wire ---- 10.0.0.2 [x: xfrm]
#	  processor 0 ==== SPI 0x4a00 ====>
#	  processor 1 ==== SPI 0x4a01 ====>
import errno
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
import pfkey as p                                               # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, transport    # noqa: E402
from ktap import Skip, equal, run                               # noqa: E402
from netns import pair                                          # noqa: E402
from traffic import Udp                                         # noqa: E402
from wire import Capture, fill                                  # noqa: E402

K, X, PORT = "10.0.0.1", "10.0.0.2", 4000
ZERO, ONE, FREE, NEXT = 0x4a00, 0x4a01, 0x4a0f, 0x4a11
BURST = 20


class Bench:
    def __init__(self, lab):
        self.lab, self.k, self.x, self.wire = lab, Kipsec(lab["k"]), Xfrm(lab["x"]), Capture(lab)
        self.k.add(Policy(K, X, "out", requests=[transport()]))
        self.x.add(*[SA(K, X, spi, ipsec.GCM) for spi in (ZERO, ONE, FREE, NEXT)],
                   Policy(K, X, "in", requests=[transport()]))
        self.numbers = dict.fromkeys((ZERO, ONE, FREE, NEXT), 0)
        self.from_, self.to = Udp(lab["k"], K, PORT), Udp(lab["x"], X, PORT)

    def add(self, spi, cpu=None, **more):
        extra = "" if cpu is None else "-cpu %d" % cpu
        self.k.add(SA(K, X, spi, ipsec.GCM, extra=extra, last=self.numbers[spi], **more))

    def delete(self, spi):
        self.k.setkey("delete %s %s esp %#x;" % (K, X, spi))

    def send(self, cpus):
        before = os.sched_getaffinity(0)
        try:
            for cpu in cpus:
                os.sched_setaffinity(0, {cpu})
                self.from_.send(fill(100), X, PORT)
        finally:
            os.sched_setaffinity(0, before)

    def expect(self, *wanted):
        """(processor, SPI) of each packet: sent, on the wire, and received.

        The wire does not keep the order of packets of two processors.
        """
        self.wire.flush()
        with Moves(self.k, OutProtected=len(wanted)):
            self.send([cpu for cpu, _ in wanted])
        lines = []
        for _, spi in wanted:
            self.numbers[spi] += 1
            lines.append("%s>%s esp %#x #%d len %d" % (
                K, X, spi, self.numbers[spi], SA(K, X, spi, ipsec.GCM).wire_len(108)))
        equal(sorted(str(packet) for packet in self.wire.collect(len(wanted))), sorted(lines),
              "packets on the wire")
        equal(len(self.to.all(len(wanted))), len(wanted), "datagrams that xfrm let through")


def chosen(tap, b):
    b.add(FREE)
    with tap.case("one SA, bound to none: both processors' packets"):
        b.expect((0, FREE), (1, FREE), (0, FREE))
    b.add(ZERO, 0)
    with tap.case("one for processor 0 beside it"):
        b.expect(*[(0, ZERO), (1, FREE)] * BURST)
    b.add(ONE, 1)
    with tap.case("one for each"):
        b.expect(*[(0, ZERO), (1, ONE)] * BURST, *[(1, ONE)] * BURST, *[(0, ZERO)] * BURST)
    with tap.case("the next one for processor 1"):
        b.add(NEXT, 1)
        b.expect(*[(0, ZERO), (1, NEXT)] * BURST)
        b.delete(NEXT)
        b.expect((0, ZERO), (1, ONE))
    with tap.case("that of processor 1 goes: one bound to none"):
        b.delete(ONE)
        b.expect(*[(0, ZERO), (1, FREE)] * BURST)
    with tap.case("there is none: that of processor 0"):
        b.delete(FREE)
        b.expect(*[(1, ZERO), (0, ZERO)] * BURST)
    with tap.case("that one goes too, and comes back bound to none"):
        b.delete(ZERO)
        with Moves(b.k, OutNoSa=1):
            try:
                b.send([0])
            except OSError:
                pass            # the sender is told
        b.add(ZERO)
        b.expect(*[(1, ZERO), (0, ZERO)] * BURST)
        b.delete(ZERO)
    with tap.case("with reqids, of which the policy says nothing"):
        b.add(ZERO, 0, reqid=7)
        b.add(ONE, 1, reqid=8)
        b.expect(*[(0, ZERO), (1, ONE)] * BURST)


def said(tap, b):
    with tap.case("dumps say so"):
        lines = b.k.setkey(None, args=("-D",)).splitlines()
        equal([line for line in lines if "cpu" in line], ["\tcpu=0", "\tcpu=1"], "lines")
    with b.lab["k"], p.Key() as key:
        with tap.case("DUMP: only where it was said"):
            b.add(FREE)
            key.drain()
            equal([(m.ext[p.SA].spi, m.ext.get(p.KIPSEC_CPU)) for m in key.dump()],
                  [(ZERO, 0), (ONE, 1), (FREE, None)], "dump")
        with tap.case("a processor that cannot be"):
            for cpu in (4096, 0xffffffff):
                equal(key.ask(p.ADD, p.ESP, p.sa(0x4a20, enc=p.GCM16), *p.ends(K, X),
                              p.key(p.KEY_ENC, bytes(20)), p.kipsec_cpu(cpu)).errno,
                      errno.EINVAL, "errno of %d" % cpu)


def percpu(tap):
    ipsec.loaded()
    if not {0, 1} <= os.sched_getaffinity(0):
        raise Skip("one processor only")
    with pair() as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state, b.x.state]
        chosen(tap, b)
        said(tap, b)


if __name__ == "__main__":
    run(percpu)
