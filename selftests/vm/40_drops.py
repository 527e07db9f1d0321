#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: debug
#
# Each reason for which kipsec drops a packet: provoked once, counted once, no
# other counter moved, and one trace event kipsec_drop with that reason.
#
#	10.1.0.1/24 [k: kipsec] 10.0.0.1 ---- wire ---- 10.0.0.2 [x: forger] 10.2.0.1/24
import contextlib
import errno
import os
import re
import socket
import struct
import sys
import zlib
from dataclasses import replace

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ah                                                       # noqa: E402
import esp                                                      # noqa: E402
import ipsec                                                    # noqa: E402
import pfkey                                                    # noqa: E402
from card import LONG, Card, patience                           # noqa: E402
from fault import Nth, failslab                                 # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, transport, tunnel  # noqa: E402
from ktap import Failed, Skip, check, equal, run                # noqa: E402
from netns import pair, wait_for                                # noqa: E402
from traffic import Udp                                         # noqa: E402
from wire import ESP, IPCOMP, OPEN, UDP, Capture, Injector, fill, ip4, udp4     # noqa: E402

K, X, PORT = "10.0.0.1", "10.0.0.2", 4000
TRACE = "/sys/kernel/tracing"
QUEUE = 1024          # packets of an SA in other hands
REASONS = os.path.join(ipsec.TOP, "kmod/reasons.inc")


class Trace:
    """The drop events of a block: exactly one for each of these reasons."""

    def __init__(self, *reasons):
        self.reasons = sorted(reasons)

    def events(self):
        with open(TRACE + "/trace") as f:
            lines = [line for line in f if " kipsec_drop: " in line]
        return sorted(line.split("reason=")[1].split()[0] for line in lines)

    def __enter__(self):
        with open(TRACE + "/events/kipsec/kipsec_drop/enable", "w") as f:
            f.write("1")
        open(TRACE + "/trace", "w").close()
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            wait_for(lambda: self.events() == self.reasons)
            equal(self.events(), self.reasons, "trace events")
        with open(TRACE + "/events/kipsec/kipsec_drop/enable", "w") as f:
            f.write("0")
        return False


class Bench:
    def __init__(self, lab):
        self.lab = lab
        self.k = Kipsec(lab["k"])
        self.injector = Injector(lab["x"], lab["k"])
        self.udp = Udp(lab["k"], K, PORT)
        self.wire = Capture(lab)

    def fresh(self, *things, text=""):
        """These SAs and policies and no others."""
        self.k.setkey("flush; spdflush;\n" + text)
        if things:
            self.k.add(*things)
        self.wire.flush()
        self.udp.all(timeout=0)

    @contextlib.contextmanager
    def drops(self, reason, times=1, **others):
        with Trace(*[reason] * times), Moves(self.k, **{reason: times}, **others):
            yield

    def inject(self, *esp_parts, src=X):
        self.injector.send(*[ip4(src, K, ESP, p) for p in esp_parts])

    def send_fails(self, wanted, size=100, dst=X, **kw):
        """A local UDP send must give this errno."""
        udp = Udp(self.lab["k"], **kw)
        try:
            udp.send(fill(size), dst, PORT)
        except OSError as e:
            equal(errno.errorcode[e.errno], errno.errorcode[wanted], "errno of send")
            return
        finally:
            udp.close()
        raise Failed("the send did not fail")


SA_IN = SA(X, K, 0x4001, ipsec.NULL_SHA256)
SA_OUT = SA(K, X, 0x4002, ipsec.NULL_SHA256)
TUNNEL_IN = SA(X, K, 0x4003, ipsec.NULL_SHA256, "tunnel")
IN_REQUIRE = Policy(X, K, "in", requests=[transport()])
OUT_REQUIRE = Policy(K, X, "out", requests=[transport()])


def datagram(size=60):
    return udp4(X, K, PORT, PORT, fill(size - 8))


def input_packets(tap, b):
    with tap.case("InTruncated: every length of ESP up to the first that is complete"):
        b.fresh(SA_IN)
        good = esp.protect(SA_IN, 1, b"", UDP)
        equal(len(good), 28, "shortest packet")
        with b.drops("InTruncated", 24):
            for n in range(4, 28):
                b.inject(good[:n])
        with Moves(b.k, InUnknownSpi=4):
            for n in range(4):
                b.inject(good[:n])
    with tap.case("no drop of ours: SPIs 0 to 255, which nobody gave out"):
        b.fresh(SA_IN)
        # which the stack may quote in ICMP
        data = udp4(X, K, PORT, PORT, fill(52, OPEN))
        with Moves(b.k, InUnknownSpi=2 * 256 + 1):
            for spi in range(256):
                sa = replace(SA_IN, spi=spi)
                b.inject(esp.protect(sa, 1, data, UDP))
                b.injector.send(ah.protect(sa, 1, ip4(X, K, UDP, data)))
            b.injector.send(ip4(X, K, IPCOMP, struct.pack("!BBH", UDP, 0, 0) + data))
        check(not b.udp.all(1, 0.1), "a packet arrived")
    with tap.case("InTruncated: not a whole number of blocks"):
        b.fresh(SA(X, K, 0x4010, ipsec.AES_SHA1))
        with b.drops("InTruncated", 15):
            for n in range(1, 16):
                b.inject(struct.pack("!II", 0x4010, 1) + bytes(16 + 16 + n + 12))
    with tap.case("InSaState: a larval SA that is not completed"):
        b.fresh(text="getspi %s %s esp 0x4100;" % (X, K))
        with b.drops("InSaState"):
            with Moves(b.k):
                b.inject(struct.pack("!II", 0x4100, 1) + bytes(40))
            b.k.setkey("delete %s %s esp 0x4100;" % (X, K))
    with tap.case("InSaExpired: hard limit of bytes"):
        # With an SA left, the SPI of the one that went is counted as unknown.
        b.fresh(SA_IN, SA(X, K, 0x4011, ipsec.NULL_SHA256, extra="-bh 100 -bs 90"))
        sa = SA(X, K, 0x4011, ipsec.NULL_SHA256)
        with b.drops("InSaExpired", InProtected=1):
            b.inject(esp.protect(sa, 1, datagram(), UDP), esp.protect(sa, 2, datagram(), UDP))
        with Moves(b.k, InUnknownSpi=1):
            b.inject(esp.protect(sa, 3, datagram(), UDP))
    with tap.case("InEncap: its SA says that it comes in UDP"):
        b.fresh(text="add %s %s esp-udp 0x4013 -E null -A hmac-sha1 0x%s;" % (X, K, "00" * 20))
        with b.drops("InEncap"):
            b.inject(struct.pack("!II", 0x4013, 1) + bytes(40))
    with tap.case("InSeqZero"):
        b.fresh(SA_IN)
        with b.drops("InSeqZero"):
            b.inject(esp.protect(SA_IN, 0, datagram(), UDP))
    with tap.case("InReplayOld"):
        b.fresh(SA_IN)
        with b.drops("InReplayOld", InProtected=1):
            b.inject(esp.protect(SA_IN, 1000, datagram(), UDP),
                     esp.protect(SA_IN, 1000 - SA_IN.window, datagram(), UDP))
    with tap.case("InReplayDup"):
        b.fresh(SA_IN)
        with b.drops("InReplayDup", InProtected=1):
            b.inject(*[esp.protect(SA_IN, 7, datagram(), UDP)] * 2)
    with tap.case("InIcv: each byte of the packet changed in turn"):
        b.fresh(SA_IN)
        good = esp.protect(SA_IN, 9, b"abcd" * 3, UDP)
        bad = [good[:i] + bytes((good[i] ^ 0x80,)) + good[i + 1:] for i in range(8, len(good))]
        with b.drops("InIcv", len(bad)):
            b.inject(*bad)
    with tap.case("InIcv: another sequence number"):
        b.fresh(SA_IN)
        good = esp.protect(SA_IN, 9, datagram(), UDP)
        with b.drops("InIcv"):
            b.inject(good[:4] + struct.pack("!I", 10) + good[8:])
    for late in (0, 1):
        with tap.case("InCrypto: the driver fails, %s" % ("later" if late else "at once")), \
                Card(hardware=False) as card:
            b.fresh(SA(X, K, 0x4012, ipsec.GCM))
            card.does(at_once=not late, fail=1)
            with b.drops("InCrypto"):
                b.inject(struct.pack("!II", 0x4012, 1) + bytes(60))
            b.fresh()
    with tap.case("InQueueFull: a card has %d packets of an SA" % QUEUE), Card() as card:
        b.fresh(SA(X, K, 0x4014, ipsec.GCM))
        card.does(stall=1)
        patience(LONG)
        with Moves(b.k):
            b.inject(*[struct.pack("!II", 0x4014, n + 1) + bytes(60) for n in range(QUEUE)])
            card.holds(QUEUE)
        with b.drops("InQueueFull", 3):
            b.inject(*[struct.pack("!II", 0x4014, QUEUE + n) + bytes(60) for n in (1, 2, 3)])
        with Moves(b.k, InIcv=QUEUE):
            card.does()
            card.holds(0)
        b.fresh()
    with tap.case("InPadding"):
        b.fresh(SA_IN)
        with b.drops("InPadding"):
            b.inject(esp.seal(SA_IN, 1, bytes(14) + bytes((15, UDP))))
    with tap.case("InDecompress: a stream that has no end, one that is none, a bomb"):
        b.fresh(text="add %s %s ipcomp 0x4013 -C deflate;" % (X, K))
        with b.drops("InDecompress", 3):
            b.injector.send(*[ip4(X, K, IPCOMP, struct.pack("!BBH", UDP, 0, 0x4013) + stream)
                              for stream in (b"\0" * 5, b"\xff" * 60,
                                             zlib.compress(bytes(1 << 20), 9)[2:-4])])
    with tap.case("InNextHeader: a tunnel with anything but a tunnel inside"):
        b.fresh(TUNNEL_IN)
        with b.drops("InNextHeader", 3):
            b.inject(*[esp.protect(TUNNEL_IN, i + 1, datagram(), n)
                       for i, n in enumerate((UDP, 1, 255))])
    with tap.case("InDummy"):
        b.fresh(SA_IN, TUNNEL_IN)
        with b.drops("InDummy", 2):
            b.inject(esp.protect(SA_IN, 1, bytes(30), 59), esp.protect(TUNNEL_IN, 1, b"", 59))
    with tap.case("InInnerHeader: version, header length, total length, too short"):
        b.fresh(TUNNEL_IN)
        d = datagram()
        bad = [ip4(X, K, UDP, d, version=6), ip4(X, K, UDP, d, ihl=4), ip4(X, K, UDP, d, total=19),
               ip4(X, K, UDP, d, total=21 + len(d)), ip4(X, K, UDP, d, ihl=15, total=24),
               ip4(X, K, UDP, d)[:19], b"\x45", b""]
        with b.drops("InInnerHeader", len(bad)):
            b.inject(*[esp.protect(TUNNEL_IN, i + 1, p, 4) for i, p in enumerate(bad)])
    with tap.case("InInnerHeader: ports missing"):
        b.fresh(SA_IN, IN_REQUIRE)
        with b.drops("InInnerHeader"):
            b.inject(esp.protect(SA_IN, 1, b"ab", UDP))
    with tap.case("InEcn: congestion outside, and an inner packet that cannot be marked"):
        b.fresh(TUNNEL_IN)
        inner = ip4(X, K, UDP, datagram())
        with b.drops("InEcn"):
            b.injector.send(ip4(X, K, ESP, esp.protect(TUNNEL_IN, 1, inner, 4), tos=3))
    with tap.case("InNoMemory"):
        in_nomem(b)


def input_policy(tap, b):
    with tap.case("InPolicy: through an SA with another reqid"):
        b.fresh(SA_IN, Policy(X, K, "in", requests=[transport("unique:7")]))
        with b.drops("InPolicy"):
            b.inject(esp.protect(SA_IN, 1, datagram(), UDP))
    with tap.case("InPolicy: through a transport SA where a tunnel is asked for"):
        b.fresh(SA_IN, Policy(X, K, "in", requests=[tunnel("10.0.0.9", K)]))
        with b.drops("InPolicy"):
            b.inject(esp.protect(SA_IN, 1, datagram(), UDP))
    with tap.case("InPolicy: an SA where two are asked for"):
        b.fresh(SA_IN, Policy(X, K, "in", requests=[transport(), tunnel(X, K)]))
        with b.drops("InPolicy"):
            b.inject(esp.protect(SA_IN, 1, datagram(), UDP))
    with tap.case("InClear: UDP, ICMP, a protocol nobody knows"):
        b.fresh(SA_IN, IN_REQUIRE)
        with b.drops("InClear", 3):
            b.injector.send(ip4(X, K, UDP, udp4(X, K, PORT, PORT, b"clear")),
                            ip4(X, K, 1, b"\x08\0\0\0\0\0\0\0"), ip4(X, K, 200, b"clear"))
        check(not b.udp.all(1, 0.1), "the packet arrived")
    with tap.case("InDiscard"):
        b.fresh(Policy(X, K, "in", "discard", proto="udp"))
        with b.drops("InDiscard"):
            b.injector.send(ip4(X, K, UDP, udp4(X, K, PORT, PORT, b"clear")))
    with tap.case("InDiscard: protected packets too"):
        b.fresh(SA_IN, Policy(X, K, "in", "discard", proto="udp"))
        with b.drops("InDiscard"):
            b.inject(esp.protect(SA_IN, 1, datagram(), UDP))


def output(tap, b):
    with tap.case("OutMalformed: ports missing"):
        b.fresh(SA_OUT, OUT_REQUIRE)
        raw = b.lab["k"].socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        with b.drops("OutMalformed"), contextlib.suppress(OSError):
            raw.sendto(ip4(K, X, UDP, b"ab"), (X, 0))
        raw.close()
    with tap.case("OutDiscard"):
        b.fresh(Policy(K, X, "out", "discard"))
        with b.drops("OutDiscard"):
            b.send_fails(errno.EPERM)
    with tap.case("OutNoSa"):
        b.fresh(OUT_REQUIRE)
        with b.drops("OutNoSa"):
            b.send_fails(errno.EHOSTUNREACH)
    with tap.case("OutAcquire: a key manager is asked, and the policy goes"):
        b.fresh(OUT_REQUIRE)
        with b.lab["k"], pfkey.Key() as manager:
            manager.ok(pfkey.REGISTER, pfkey.ESP)
            udp = Udp(b.lab["k"])
            with b.drops("OutAcquire"):
                udp.send(fill(20), X, PORT)
                b.k.setkey("spdflush;")
            udp.close()
    with tap.case("OutNoSa: SAs of other reqid, mode, direction, address"):
        b.fresh(SA_IN, SA(K, X, 0x4021, ipsec.NULL_SHA256, reqid=8),
                SA(K, X, 0x4022, ipsec.NULL_SHA256, "tunnel", reqid=7),
                SA(K, "10.0.0.9", 0x4023, ipsec.NULL_SHA256, reqid=7),
                Policy(K, X, "out", requests=[transport("unique:7")]))
        with b.drops("OutNoSa"):
            b.send_fails(errno.EHOSTUNREACH)
    with tap.case("OutNoRoute"):
        b.fresh(SA(K, "172.16.0.1", 0x4024, ipsec.NULL_SHA256, "tunnel"),
                Policy(K, X, "out", requests=[tunnel(K, "172.16.0.1")]))
        with b.drops("OutNoRoute"):
            b.send_fails(errno.EHOSTUNREACH)
    with tap.case("OutSeqOverflow: the last number is sent, then the SA is over"):
        b.fresh(SA(K, X, 0x4026, ipsec.NULL_SHA256, extra="-seq %d" % (2 ** 32 - 2)), OUT_REQUIRE)
        with b.drops("OutSeqOverflow", OutProtected=1):
            udp = Udp(b.lab["k"])
            udp.send(fill(60), X, PORT)
            with contextlib.suppress(OSError):
                udp.send(fill(60), X, PORT)
            udp.close()
        b.wire.expect(["%s>%s esp 0x4026 #4294967295 len %d" % (K, X, SA_OUT.wire_len(68))])
        check(wait_for(lambda: "4026" not in b.k.setkey(None, args=("-D",))), "the SA is still there")
    with tap.case("OutSaExpired: hard limit of bytes"):
        b.fresh(SA(K, X, 0x4025, ipsec.NULL_SHA256, extra="-bh 100 -bs 90"), OUT_REQUIRE)
        with b.drops("OutSaExpired", OutProtected=1):
            udp = Udp(b.lab["k"])
            udp.send(fill(60), X, PORT)
            with contextlib.suppress(OSError):
                udp.send(fill(60), X, PORT)
            udp.close()
        b.wire.expect(["%s>%s esp 0x4025 #1 len %d" % (K, X, SA_OUT.wire_len(68))])
    with tap.case("OutTooBig: DF set, one byte too long"):
        b.fresh(SA_OUT, OUT_REQUIRE)
        # 1500 - 20 IP - 8 ESP - 16 ICV = 1456 of text, 2 of them the trailer
        with b.drops("OutTooBig"):
            b.send_fails(errno.EMSGSIZE, 1454 - 8 + 1, df=2)
    with tap.case("OutTooBig: the longest that fits passes"):
        b.lab["k"].ip("route flush cache")
        b.fresh(SA_OUT, OUT_REQUIRE)
        with Moves(b.k, OutProtected=1):
            udp = Udp(b.lab["k"], df=3)
            udp.send(fill(1454 - 8), X, PORT)
            udp.close()
        b.wire.expect(["%s>%s esp 0x4002 #1 len 1500" % (K, X)])
    for late in (0, 1):
        with tap.case("OutCrypto: the driver fails, %s" % ("later" if late else "at once")), \
                Card(hardware=False) as card:
            b.fresh(SA(K, X, 0x4027, ipsec.GCM), OUT_REQUIRE)
            card.does(at_once=not late, fail=1)
            with b.drops("OutCrypto"):
                if late:
                    Udp(b.lab["k"]).send(fill(100), X, PORT)
                else:
                    b.send_fails(errno.EIO)
            b.fresh()
    with tap.case("OutQueueFull: a card has %d packets of an SA" % QUEUE), Card() as card:
        out_queue(b, card)
    with tap.case("OutNoMemory"):
        out_nomem(b)


def in_nomem(b):
    """Let one of the next atomic allocations fail, whosever it is, many times."""
    hit = 0
    for n in range(200):
        b.fresh(SA_IN)
        before = b.k.counters()
        failslab(task_filter="N", ignore_gfp_wait="Y", verbose=0, space=0, probability=100,
                 times=1, interval=2 + n % 9)
        try:
            b.inject(esp.protect(SA_IN, 1, datagram(), UDP))
            b.udp.all(1, 0.03)
        finally:
            failslab(probability=0, times=0)
        moved = {c: v - before[c] for c, v in b.k.counters().items()
                 if v != before[c] and c not in ipsec.UNCERTAIN}
        check(moved in ({}, {"InNoMemory": 1}, {"InProtected": 1}), "try %d: %s" % (n, moved))
        hit += moved.get("InNoMemory", 0)
        if hit == 2:
            break
    check(hit, "no failing allocation was counted")


def out_queue(b, card):
    b.fresh(SA(K, X, 0x4028, ipsec.GCM), OUT_REQUIRE)
    card.does(stall=1)
    patience(LONG)
    # Released at once they are more than the next queue takes.
    with open("/proc/sys/net/core/netdev_max_backlog", "w") as f:
        f.write(str(4 * QUEUE))
    udp = Udp(b.lab["k"])
    udp.sock.setsockopt(socket.SOL_SOCKET, 32, 64 << 20)        # SO_SNDBUFFORCE
    udp.sock.setsockopt(socket.SOL_IP, 11, 1)                   # IP_RECVERR: ENOBUFS is told
    with Moves(b.k):
        for _ in range(QUEUE):
            udp.send(fill(20), X, PORT)
        card.holds(QUEUE)
    with b.drops("OutQueueFull", 3):
        for _ in range(3):
            try:
                udp.send(fill(20), X, PORT)
                raise Failed("a packet more was taken")
            except OSError as e:
                equal(errno.errorcode[e.errno], "ENOBUFS", "errno of send")
    with Moves(b.k, OutProtected=QUEUE):
        card.does()
        card.holds(0)
    equal([p.seq for p in b.wire.collect(QUEUE, 10)], list(range(1, QUEUE + 1)), "on the wire")
    udp.close()
    b.fresh()


def out_nomem(b):
    """Fail the n-th allocation of a send, for every n, until it succeeds."""
    failslab(ignore_gfp_wait="N", verbose=0)
    b.fresh(SA_OUT, OUT_REQUIRE)
    udp = Udp(b.lab["k"])
    hit = 0
    for n in range(1, 200):
        before = b.k.counters()
        with Nth(n) as nth, contextlib.suppress(OSError):
            udp.send(fill(3000), X, PORT)       # in pieces, so that it is copied
        moved = {c: v - before[c] for c, v in b.k.counters().items()
                 if v != before[c] and c not in ipsec.UNCERTAIN}
        check(moved in ({}, {"OutNoMemory": 1}, {"OutProtected": 1}, {"OutNoSa": 1}),
              "allocation %d failed: %s" % (n, moved))
        hit += moved.get("OutNoMemory", 0)
        if not nth.failed:
            break
    udp.close()
    check(hit, "no failing allocation was counted")


def every_reason_has_a_case(tap, names):
    with tap.case("every reason of the list has a case here"):
        with open(REASONS) as f:
            text = f.read()
        with open(__file__) as f:
            mine = f.read()
        listed = re.findall(r'^REASON\(\w+,\s*"(\w+)"', text, re.M)
        check(len(listed) > 20, "the list could not be read")
        equal([n for n in listed if n not in mine], [], "reasons without a case")
        equal([n for n in listed if n not in names], [], "reasons without a counter")


def drops(tap):
    ipsec.loaded()
    with pair() as lab:
        b = Bench(lab)
        tap.on_failure.append(b.k.state)
        input_packets(tap, b)
        input_policy(tap, b)
        output(tap, b)
        every_reason_has_a_case(tap, b.k.counters())


if __name__ == "__main__":
    run(drops)
