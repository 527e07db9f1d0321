#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: core debug
#
# IPComp with deflate, against xfrm and against Python's zlib: what is compressed
# and what is not, to the byte on the wire; and streams that nobody should send.
#
#	10.1.0.1/24 [k: kipsec] 10.0.0.1 ---- wire ---- 10.0.0.2 [x: xfrm] 10.2.0.1/24
#
# Transport between 10.0.0.x, a tunnel between the networks behind; the same with
# fd00::x, and fd01:: and fd02:: behind. IPComp alone hides nothing, so its payload is made of OPEN.
import contextlib
import os
import random
import socket
import struct
import sys
import zlib
from dataclasses import dataclass

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
import pfkey                                                    # noqa: E402
from fault import Nth, failslab                                 # noqa: E402
from ipsec import Kipsec, Moves, Xfrm                           # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import pair, wait_for                                # noqa: E402
from traffic import Udp, tcp_copy                               # noqa: E402
from wire import (ESP, IPCOMP, OPEN, SECRET, TCP, UDP, Capture, Injector, Packet,   # noqa: E402
                  fill, ip4, udp4)

K, X, KNET, XNET, PORT = "10.0.0.1", "10.0.0.2", "10.1.0.1", "10.2.0.1", 4000
ENDS = {"transport": (K, X), "tunnel": (KNET, XNET)}
OUT, BACK = 0x1701, 0x1702
IPIP = 4
# On the debug kernel one family does: the code is the same.
DEBUG = os.environ.get("KIPSEC_SUITE") == "debug"
RANDOM = random.Random(17)


@dataclass(frozen=True)
class Family:
    name: str
    ends: dict          # mode to the addresses between which packets travel
    nets: tuple
    header: int         # bytes
    inner: int          # next header of a tunnel

    @property
    def both(self):
        """Between which SAs are."""
        k, x = self.ends["transport"]
        return ((k, x, OUT), (x, k, BACK))


V4 = Family("IPv4", ENDS, ("10.1.0.0/24", "10.2.0.0/24"), 20, IPIP)
V6 = Family("IPv6", {"transport": ("fd00::1", "fd00::2"), "tunnel": ("fd01::1", "fd02::1")},
            ("fd01::/64", "fd02::/64"), 40, 41)


def sas(mode, extra=("", ""), v=V4):
    """extra: more words for the one out, and for the one back."""
    return "".join("add %s %s ipcomp %#x -m %s %s -C deflate;\n" % (*between, mode, more)
                   for between, more in zip(v.both, extra))


def policies(mode, v=V4):
    """As seen from k."""
    k, x = v.ends["transport"]
    if mode == "transport":
        return "".join("spdadd %s %s any -P %s ipsec ipcomp/transport//require;\n" % p
                       for p in ((k, x, "out"), (x, k, "in")))
    return "".join("spdadd %s %s any -P %s ipsec ipcomp/tunnel/%s/require;\n" % p
                   for p in ((*v.nets, "out", k + "-" + x), (*v.nets[::-1], "in", x + "-" + k)))


def xfrm(mode, v=V4):
    lines = ["xfrm state add src %s dst %s proto comp spi %#x mode %s comp deflate" %
             (src, dst, cpi, mode) for src, dst, cpi in v.both]
    k, x = v.ends["transport"]
    # xfrm takes what the peer did not compress only where the level is use.
    for a, b, way, nets, level in ((x, k, "out", v.nets[::-1], "required"),
                                   (k, x, "in", v.nets, "use")):
        ends = (a, b) if mode == "transport" else nets
        lines.append("xfrm policy add src %s dst %s dir %s tmpl%s proto comp mode %s level %s" %
                     (*ends, way, "" if mode == "transport" else " src %s dst %s" % (a, b), mode,
                      level))
    return lines


def squeeze(data, level=9, wbits=-15, strategy=zlib.Z_DEFAULT_STRATEGY):
    z = zlib.compressobj(level, zlib.DEFLATED, wbits, 8, strategy)
    return z.compress(data) + z.flush()


def expand(stream, limit=65515):
    """What Python's zlib makes of a stream; None if it is malformed or too long."""
    z = zlib.decompressobj(-15)
    try:
        data = z.decompress(stream, limit + 1000)
    except zlib.error:
        return None
    return data if z.eof and len(data) <= limit else None


def ipcomp(stream, next_header=UDP, cpi=BACK, flags=0):
    return struct.pack("!BBH", next_header, flags, cpi) + stream


class Bench:
    def __init__(self, lab):
        self.lab, self.k, self.x, self.wire = lab, Kipsec(lab["k"]), Xfrm(lab["x"]), Capture(lab)
        self.injector = Injector(lab["x"], lab["k"])
        self.udp = {}
        for v in (V6, V4):
            for mode, (own, peer) in v.ends.items():
                for side, addr in (("k", own), ("x", peer)):
                    self.udp[v.name, mode, side] = Udp(lab[side], addr, PORT)
                    if v is V4:
                        self.udp[mode, side] = self.udp[v.name, mode, side]

    def fresh(self, mode, extra=("", ""), text=None, x=True, v=V4):
        self.k.setkey("flush; spdflush;\n" + (text or sas(mode, extra, v) + policies(mode, v)))
        self.x.flush()
        if x:
            self.lab["x"].ip(*xfrm(mode, v))
        self.wire.flush()

    def inject(self, *payloads):
        self.injector.send(*[ip4(X, K, IPCOMP, p) for p in payloads])

    def counted(self, cpi, v):
        """(packets, bytes) that k counts for an SA."""
        src, dst, cpi = v.both[cpi == BACK]
        with self.lab["k"], pfkey.Key() as key:
            m = key.ok(pfkey.GET, pfkey.IPCOMP, pfkey.sa(cpi), *pfkey.ends(src, dst))
        return m.ext[pfkey.CURRENT].packets, m.ext[pfkey.CURRENT].octets


def unwrap(p, mode, cpi, v):
    """(was it compressed?, the UDP datagram) of a packet on the wire, which is checked."""
    payload, next_header = p.payload, p.proto
    if p.proto == IPCOMP:
        next_header, flags, number = struct.unpack_from("!BBH", payload)
        equal((flags, number), (0, cpi), "flags and CPI")
        z = zlib.decompressobj(-11)
        payload = z.decompress(payload[4:])
        equal((z.eof, z.unused_data), (True, b""), "end of the stream")
        check(len(payload) >= 90, "%d bytes were compressed" % len(payload))
        check(p.len - p.ihl < len(payload), "%s has grown from %d" % (p, len(payload)))
    if mode == "tunnel":
        equal(next_header, v.inner, "next header")
        inner = Packet(payload)
        equal(inner.len, len(payload), "length of the inner packet")
        payload, next_header = inner.payload, inner.proto
    equal(next_header, UDP, "next header")
    return p.proto == IPCOMP, payload


def carry(b, mode, side, v, data, small):
    """One datagram from a side to the other, as one packet; bytes counted by k for it."""
    other = "x" if side == "k" else "k"
    cpi = OUT if side == "k" else BACK
    dst = v.ends[mode][side == "k"]
    payload = 8 + len(data) + (v.header if mode == "tunnel" else 0)
    b.udp[v.name, mode, side].send(data, dst, PORT)
    got = b.udp[v.name, mode, other].recv()
    check(got == data, "%d bytes from %s: got %s" %
          (len(data), side, "nothing" if got is None else "%d bytes" % len(got)))
    packets = b.wire.collect(1)
    equal(len(packets), 1, "packets on the wire")
    compressed, datagram = unwrap(packets[0], mode, cpi, v)
    equal(compressed, small, "compressed, %d bytes" % payload)
    equal(datagram[8:], data, "data on the wire")
    equal(struct.unpack_from("!HHH", datagram), (PORT, PORT, 8 + len(data)), "UDP header")
    if not small:
        equal(packets[0].len, v.header + payload, "length")
    return payload if small else 0


def mixed(size):
    """Half of it random: to be made smaller, but by little."""
    return fill(size // 2, OPEN) + RANDOM.randbytes(size - size // 2)


def texts(mode, side, v):
    """(UDP data, is it worth an IPComp header?): the threshold is 90 bytes of payload."""
    least = 90 - 8 - (v.header if mode == "tunnel" else 0)
    sizes = [1, least - 1, least, least + 1, 500, 1400, 1444, 1472, 3000, 60000]
    if v is V6 and mode == "tunnel" and side == "x":
        sizes = sizes[:-4]      # xfrm cuts longer ones before it compresses them
    return [(fill(n, OPEN), n >= least) for n in sizes]


def noise(mode, v):
    """The IPv6 header has so many zeros that a few bytes behind it do not outweigh them."""
    sizes = (600, 1000, 1400) if v is V6 and mode == "tunnel" else (82, 200, 1000, 1400)
    return [(RANDOM.randbytes(n), False) for n in sizes]


def interop(tap, b, v):
    for mode in v.ends:
        for name in ("text", "noise", "both"):
            for side in "kx":
                things = texts(mode, side, v) if name == "text" else noise(mode, v) \
                    if name == "noise" else [(mixed(n), True) for n in (300, 1000, 1400)]
                with tap.case("%s %s from %s: %s" % (v.name, mode, side, name)):
                    b.fresh(mode, v=v)
                    # Clear packets of transport mode are not ours to count.
                    n = sum(small or mode == "tunnel" for _, small in things)
                    moves = {"OutProtected": len(things)} if side == "k" else {"InProtected": n}
                    with Moves(b.x), Moves(b.k, **moves):
                        sizes = [carry(b, mode, side, v, *thing) for thing in things]
                    equal(b.counted(OUT if side == "k" else BACK, v),
                          (len([s for s in sizes if s]), sum(sizes)), "packets, bytes of the SA")
                    equal(b.counted(BACK if side == "k" else OUT, v), (0, 0), "of the other SA")


def tcp(tap, b, v):
    size = 1 << 18
    for mode, (own, peer) in v.ends.items():
        for src, dst, a, z in (("k", "x", own, peer), ("x", "k", peer, own)):
            with tap.case("%s %s: TCP from %s" % (v.name, mode, src)):
                if src == "k":
                    ipsec.xfrm_expands_tcp()
                b.fresh(mode, v=v)
                with Moves(b.x):
                    tcp_copy(b.lab[src], b.lab[dst], z, size, src=a, pattern=OPEN)
                data = [p for p in b.wire.take() if p.src == v.ends["transport"][src == "x"]]
                bytes_ = sum(p.len for p in data)
                check(bytes_ < size // 4, "%d bytes on the wire" % bytes_)
                check({p.proto for p in data} <= {IPCOMP, TCP if mode == "transport" else v.inner},
                      "not IPComp: %s" % [p for p in data if p.proto != IPCOMP][:5])
                check(all(p.len < v.header + 90 for p in data if p.proto != IPCOMP),
                      "not compressed")


def bundles(tap, b):
    esp = "".join("add %s %s esp %#x -m transport -E aes-gcm-16 0x%s;\n" %
                  (src, dst, spi, "77" * 20) for src, dst, spi in ((K, X, 0x1711), (X, K, 0x1712)))
    xesp = ["xfrm state add src %s dst %s proto esp spi %#x mode transport "
            "aead rfc4106(gcm(aes)) 0x%s 128" % (src, dst, spi, "77" * 20)
            for src, dst, spi in ((K, X, 0x1711), (X, K, 0x1712))]
    for mode in ENDS:
        with tap.case("%s of IPComp inside ESP" % mode):
            text = policies(mode).replace("/require;", "/use esp/transport//require;")
            b.fresh(mode, text=sas(mode) + esp + text, x=False)
            b.lab["x"].ip(*[line + (" tmpl proto esp mode transport level required"
                                    if "policy" in line else "") for line in xfrm(mode)], *xesp)
            sizes = (20, 200, 1000, 1400)
            for side in "kx":
                other = "x" if side == "k" else "k"
                for n in sizes:
                    data = fill(n, SECRET)
                    b.udp[mode, side].send(data, ENDS[mode][side == "k"], PORT)
                    equal(b.udp[mode, other].recv(), data, "%d bytes from %s" % (n, side))
            packets = b.wire.take()
            equal([p.proto for p in packets], [ESP] * 2 * len(sizes), "protocols")
            check(all(p.len < 200 for p in packets), "not compressed: %s" % packets)


def streams(tap, b):
    """What zlib can make, delivered as UDP to k."""
    def deliver(name, data, stream, limit=True, **more):
        with tap.case("injected: " + name):
            check(not limit or len(stream) < 1470, "%d bytes of stream" % len(stream))
            with Moves(b.k, InProtected=1):
                b.inject(ipcomp(stream, **more))
                equal(b.udp["transport", "k"].recv(), data[8:], "data")

    def udp(data):
        return udp4(X, K, PORT, PORT, data)

    b.fresh("transport", x=False)
    text, noise = udp(fill(1000, OPEN)), RANDOM.randbytes(600)
    far = udp(noise + bytes(30000) + noise)
    deliver("stored", text, squeeze(text, 0))
    for level in (1, 6, 9):
        deliver("level %d" % level, text, squeeze(text, level))
    for name, strategy in (("fixed codes", 4), ("only Huffman", 2), ("only runs", 3)):
        deliver(name, text, squeeze(text, 9, -15, strategy))
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    blocks = b"".join(z.compress(text[i:i + 50]) + z.flush((1, 2, 3)[i // 50 % 3])
                      for i in range(0, len(text), 50)) + z.flush()
    deliver("many blocks, some of them empty", text, blocks)
    deliver("looks back 30 KiB", far, squeeze(far))
    deliver("reserved bits are ignored", text, squeeze(text), flags=0xff)
    deliver("what follows the end is padding", text, squeeze(text) + bytes(100))
    deliver("larger than what it holds", udp(b""), squeeze(udp(b""), 0))
    most = udp(bytes(65535 - 20 - 8))
    deliver("the longest packet", most, squeeze(most))
    with tap.case("injected: one byte too long"), Moves(b.k, InDecompress=1):
        b.inject(ipcomp(squeeze(most + b"\0")))
    b.fresh("tunnel", x=False)
    for size, name in ((65535, "the longest packet in a tunnel"), (65536, "one byte too long")):
        good = size < 65536
        whole = ip4(XNET, KNET, UDP, udp4(X, K, PORT, PORT, bytes(size - 28)),
                    total=min(size, 65535))
        with tap.case("injected: " + name):
            with Moves(b.k, **{"InProtected" if good else "InDecompress": 1}):
                b.inject(ipcomp(squeeze(whole), IPIP))
            equal(b.udp["tunnel", "k"].recv(2.0 if good else 0.1),
                  whole[28:] if good else None, "data")


def fate(stream):
    """The counter that a stream moves."""
    if len(stream) < 2:
        return "InTruncated"
    data = expand(stream)
    if data is None:
        return "InDecompress"
    return "InProtected" if len(data) >= 4 else "InInnerHeader"     # are there ports?


def hostile(tap, b):
    def judge(*found):
        wanted = {}
        for stream in found:
            wanted[fate(stream)] = wanted.get(fate(stream), 0) + 1
        # What has got another port is answered by ICMP.
        with Moves(b.k, ("OutProtected",), **wanted):
            for i in range(0, len(found), 50):
                b.inject(*map(ipcomp, found[i:i + 50]))
                b.udp["transport", "k"].all(timeout=0.02)
        return wanted

    b.fresh("transport", x=False)
    good = udp4(X, K, PORT, PORT, fill(300, OPEN) + RANDOM.randbytes(60))
    kinds = [squeeze(good), squeeze(good, 0), squeeze(good, 9, -15, 4)]
    with tap.case("bombs: megabytes out of a packet"):
        bomb = squeeze(bytes(1400 << 10))
        check(len(bomb) < 1470, "%d bytes" % len(bomb))
        equal(judge(*[bomb] * 100), {"InDecompress": 100}, "fates")
    with tap.case("bombs: that never end"):
        equal(judge(*[bomb[:n] for n in range(1000, 1400, 7)]), {"InDecompress": 58}, "fates")
    with tap.case("cut off at every length"):
        for stream in kinds:
            equal(judge(*[stream[:n] for n in range(len(stream))]),
                  {"InTruncated": 2, "InDecompress": len(stream) - 2}, "fates")
    # These are answered by ICMP, too, unless so much has been.
    with tap.case("not even a CPI"), Moves(b.k, ("OutProtected",), InUnknownSpi=4):
        b.inject(*[ipcomp(b"")[:n] for n in range(4)])
    with tap.case("a CPI that nobody knows"), Moves(b.k, ("OutProtected",), InUnknownSpi=1):
        b.inject(ipcomp(kinds[0], cpi=0x1799))
    with tap.case("each byte changed"):
        for stream in kinds:
            judge(*[stream[:i] + bytes((stream[i] ^ change,)) + stream[i + 1:]
                    for i in range(len(stream)) for change in (1, 0x10, 0x80, 0xff)])
    with tap.case("noise of every length"):
        judge(*[RANDOM.randbytes(n) for n in range(0, 1400, 3)])
        # Blocks of each kind, that begin well.
        judge(*[bytes((RANDOM.choice((1, 3, 5, 0, 2, 4)),)) + RANDOM.randbytes(n)
                for n in range(1, 1400, 3)])
    with tap.case("and then a good one"):
        check(judge(kinds[0]) == {"InProtected": 1}, "fate")


def memory():
    with open("/proc/vmallocinfo") as f:
        return len([line for line in f if "[kipsec]" in line])


def has_memory(areas):
    """In the end: the file is read in pieces, and others' areas come and go between."""
    check(wait_for(lambda: memory() == areas), "%d areas of memory, not %d" % (memory(), areas))


def control(tap, b):
    with tap.case("memory to work in: from the first SA to the last"):
        with open("/sys/devices/system/cpu/possible") as f:
            areas = 3 * (int(f.read().split("-")[-1]) + 1)
        b.k.setkey("flush; spdflush;")
        has_memory(0)
        for _ in range(3):
            for i in range(20):
                b.k.setkey("add %s %s ipcomp %#x -C deflate;" % (K, X, 0x2000 + i))
                has_memory(areas)
            for i in range(20):
                has_memory(areas)
                b.k.setkey("delete %s %s ipcomp %#x;" % (K, X, 0x2000 + i))
            has_memory(0)
    with tap.case("a limit of bytes is of bytes before compression"):
        b.fresh("transport", ("-bh 1500",) * 2)
        with Moves(b.k, OutProtected=2, OutSaExpired=1):
            for n in (692, 792, 492):
                try:
                    b.udp["transport", "k"].send(fill(n, OPEN), X, PORT)
                except OSError:
                    equal(n, 492, "size that was refused")
        equal(len(b.udp["transport", "x"].all(2)), 2, "datagrams that arrived")
    with tap.case("a replay window is kept for dumps and does nothing"):
        b.fresh("transport", ("-r 64",) * 2)
        stream = squeeze(udp4(X, K, PORT, PORT, fill(200, OPEN)))
        with Moves(b.k, InProtected=3):
            b.inject(*[ipcomp(stream)] * 3)
        equal(len(b.udp["transport", "k"].all(3)), 3, "datagrams")
        check("replay=64" in b.k.setkey(None, args=("-D",)), "the dump does not show it")
    with tap.case("refused: extended sequence numbers"):
        said = b.k.setkey("add %s %s ipcomp 0x1720 -r 64 -esn -C deflate;" % (K, X), check=False)
        check("Invalid argument" in said, "setkey says: %s" % said)
    with tap.case("bytes of a file that is being sent stay as they are"):
        sendfile(b)


def sendfile(b):
    """The payload lies in pages that are not the packet's."""
    ipsec.xfrm_expands_tcp()
    path, data = "/tmp/ipcomp-pages", fill(1 << 16, OPEN)
    b.fresh("transport")
    with open(path, "wb") as f:
        f.write(data)
    server = b.lab["x"].socket(socket.AF_INET, socket.SOCK_STREAM)
    server.bind((X, 5002))
    server.listen(1)
    client = b.lab["k"].socket(socket.AF_INET, socket.SOCK_STREAM)
    client.settimeout(20)
    client.connect((X, 5002))
    peer, _ = server.accept()
    peer.settimeout(20)
    with open(path, "rb") as f:
        sent = os.sendfile(client.fileno(), f.fileno(), 0, len(data))
        client.shutdown(socket.SHUT_WR)
        got = b""
        while len(got) < sent:
            more = peer.recv(1 << 16)
            if not more:
                break
            got += more
        equal(got == data[:sent], True, "what arrived is the file")
        equal(f.read() == data, True, "the file is as it was")
    for s in (client, peer, server):
        s.close()
    os.unlink(path)


def no_memory(tap, b):
    def moved(before):
        return {c: v - before[c] for c, v in b.k.counters().items()
                if v != before[c] and c not in ipsec.UNCERTAIN}

    with tap.case("no memory for an SA: nothing is left of it"):
        failslab(task_filter="Y", ignore_gfp_wait="N", verbose=0)
        b.k.setkey("flush; spdflush;")
        refused = 0
        with b.lab["k"], pfkey.Key() as key:
            for n in range(1, 500):
                has_memory(0)
                with Nth(n) as nth, contextlib.suppress(OSError):
                    key.send(pfkey.ADD, pfkey.IPCOMP, pfkey.sa(0x1730, enc=2), *pfkey.ends(K, X))
                if not nth.failed:
                    break
                refused += "00001730" not in b.k.setkey(None, check=False, args=("-D",))
                key.drain()
                b.k.setkey("flush;")
        check(refused > 5, "refused %d times" % refused)
    with tap.case("no memory on output"):
        failslab(task_filter="Y", ignore_gfp_wait="N", verbose=0)
        for mode in ENDS:
            b.fresh(mode, x=False)
            for n in range(1, 200):
                before = b.k.counters()
                with Nth(n) as nth, contextlib.suppress(OSError):
                    b.udp[mode, "k"].send(fill(3000, OPEN), ENDS[mode][1], PORT)
                check(moved(before) in ({}, {"OutNoMemory": 1}, {"OutProtected": 1},
                                        {"OutNoSa": 1}, {"OutNoRoute": 1}),
                      "allocation %d: %s" % (n, moved(before)))
                if not nth.failed:
                    break


def directions(tap, b):
    with tap.case("SAs of one direction each: what shrank, and what did not"):
        b.fresh("tunnel", ("-dir out", "-dir in"))
        with Moves(b.x), Moves(b.k, OutProtected=2, InProtected=2):
            for side in "kx":
                carry(b, "tunnel", side, V4, fill(1000, OPEN), True)
                carry(b, "tunnel", side, V4, RANDOM.randbytes(1000), False)
    with tap.case("an SA for input protects nothing that goes out"):
        b.fresh("tunnel", ("-dir in", "-dir in"))
        with Moves(b.x), Moves(b.k, OutNoSa=1), contextlib.suppress(OSError):
            b.udp["tunnel", "k"].send(fill(1000, OPEN), ENDS["tunnel"][1], PORT)
        b.wire.expect([])


def tests(tap):
    ipsec.loaded()
    with pair(ipv6=True) as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state, b.x.state]
        for v in (V6,) if DEBUG else (V4, V6):
            interop(tap, b, v)
            if not DEBUG:
                tcp(tap, b, v)
        streams(tap, b)
        hostile(tap, b)
        if not DEBUG:
            bundles(tap, b)
            directions(tap, b)
            control(tap, b)
        no_memory(tap, b)


if __name__ == "__main__":
    run(tests)
