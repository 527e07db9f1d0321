#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: core
#
# The Authentication Header, against xfrm, scapy and packets made by hand: each
# hash, both modes, both directions; what may change on the way and what not;
# IP options; extended sequence numbers; AH around ESP; a cipher that answers
# later; what just fits.
#
#	10.1.0.1/24 [k: kipsec] 10.0.0.1 ---- wire ---- 10.0.0.2 [x: xfrm] 10.2.0.1/24
#	                        10.0.0.11
import contextlib
import errno
import os
import socket
import subprocess
import sys
from dataclasses import replace

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ah                                                       # noqa: E402
import ipsec                                                    # noqa: E402
from ah import flipped, with_length                             # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, both_modes, transport, tunnel    # noqa: E402
from ktap import Skip, check, equal, run                        # noqa: E402
from netns import pair, wait_for                                # noqa: E402
from traffic import Ping, Udp, tcp_copy                         # noqa: E402
from wire import AH, UDP, Capture, Injector, fill, ip4, udp4    # noqa: E402

K, K2, X, KNET, XNET = "10.0.0.1", "10.0.0.11", "10.0.0.2", "10.1.0.1", "10.2.0.1"
PORT = 4000
SHA1 = (None, ipsec.auth("hmac-sha1"))
SHA256 = (None, ipsec.auth("hmac-sha256"))
SCAPY = {"hmac-sha1": "HMAC-SHA1-96", "hmac-md5": "HMAC-MD5-96", "hmac-sha256": "SHA2-256-128",
         "hmac-sha384": "SHA2-384-192", "hmac-sha512": "SHA2-512-256"}
SIZES = (0, 1, 7, 100, 1300)

# (name, bytes as the socket gets them)
OPTIONS = [("none but no-operation", b"\1\1\1\0"),
           ("record route", bytes((7, 15, 4)) + bytes(12) + b"\0"),
           ("timestamp", bytes((68, 12, 5, 0)) + bytes(8)),
           ("router alert", bytes((148, 4, 0, 0))),
           ("security", bytes((130, 11)) + fill(9) + b"\0"),
           ("router alert and record route", bytes((148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0)))]


def scapy_verify(sa, packets):
    from scapy.layers.inet import IP
    from scapy.layers.ipsec import AH as ScapyAH
    from scapy.layers.ipsec import SecurityAssociation
    hash_ = sa.algs[1]
    if hash_.name in SCAPY:
        other = SecurityAssociation(ScapyAH, sa.spi, auth_algo=SCAPY[hash_.name],
                                    auth_key=bytes.fromhex(hash_.key))
        for p in packets:
            other.decrypt(IP(p.raw))        # or an exception


class Bench:
    def __init__(self, lab):
        self.lab, self.k, self.x, self.wire = lab, Kipsec(lab["k"]), Xfrm(lab["x"]), Capture(lab)
        self.injector = Injector(lab["x"], lab["k"])
        self.udp = {"k": Udp(lab["k"], K, PORT), "x": Udp(lab["x"], X, PORT)}
        lab["k"].ip("addr add %s/24 dev eth0" % K2)
        self.k.add(*both_modes(K, X, "10.1.0.0/24", "10.2.0.0/24", "ah"))
        self.x.add(*both_modes(X, K, "10.2.0.0/24", "10.1.0.0/24", "ah"))

    def install(self, algs, mode="transport", **more):
        out, back = [SA(src, dst, spi, algs, mode, proto="ah", **more)
                     for src, dst, spi in ((K, X, 0x1601), (X, K, 0x1602))]
        refused = self.x.replace_sas(out, back)
        said = self.k.replace_sas(out, back)
        if refused and said:
            raise Skip("this kernel lacks " + algs[1].kernel)
        equal(said, "", "what setkey says")
        if refused:
            raise Skip("this kernel's xfrm lacks " + algs[1].kernel)
        self.wire.flush()
        return out, back

    def exchange(self, algs, mode, sizes=SIZES, **more):
        """Echoes of these sizes each way; the SAs, and what was on the wire, checked."""
        out, back = self.install(algs, mode, **more)
        wanted = []
        with Moves(self.x), Moves(self.k, OutProtected=2 * len(sizes), InProtected=2 * len(sizes)):
            for ns, a, b in (("k", out, back), ("x", back, out)):
                src, dst = (K, X) if ns == "k" else (X, K)
                if mode == "tunnel":
                    src, dst = (KNET, XNET) if ns == "k" else (XNET, KNET)
                ping = Ping(self.lab[ns], src)
                for n in sizes:
                    check(ping(dst, n) is not None, "no answer of %d bytes from %s" % (n, ns))
                    number = a.last + 1 + len(wanted) // 2 & 0xffffffff
                    size = a.wire_len(n + (28 if mode == "tunnel" else 8))
                    wanted += ["%s>%s ah %#x #%d len %d" % (s.src, s.dst, s.spi, number, size)
                               for s in (a, b)]
                ping.close()
        packets = self.wire.collect(len(wanted))
        equal([str(p) for p in packets], wanted, "packets on the wire")
        return out, back, packets


def algorithms(tap, b):
    for hash_ in ipsec.AUTHS:
        for mode in ("transport", "tunnel"):
            with tap.case("%s %s" % (mode, hash_.name)):
                out, back, packets = b.exchange((None, hash_), mode)
                scapy_verify(out, [p for p in packets if p.src == K])
                mine = [p.raw for p in packets if p.dst == K]
                with Moves(b.k, InReplayDup=len(mine)):
                    b.injector.send(*mine)


def esn(tap, b):
    for algs in (SHA1, SHA256, (None, ipsec.auth("aes-xcbc-mac"))):
        for mode, last in (("transport", 0), ("transport", 2 ** 32 - 4), ("tunnel", 2 ** 32 - 8),
                           ("tunnel", 5 * 2 ** 32 - 4)):
            with tap.case("64 bits: %s %s from %#x on" % (mode, algs[1].name, last)):
                _, _, packets = b.exchange(algs, mode, esn=True, last=last)
                mine = [p.raw for p in packets if p.dst == K]
                with Moves(b.k, InReplayDup=len(mine)):
                    b.injector.send(*mine)
    with tap.case("64 bits: the upper half is authenticated"):
        out, back = b.install(SHA1, esn=True, last=2 ** 32)
        b.k.replace_sas(out, replace(back, last=2 ** 33))
        with Moves(b.k, InIcv=1):
            b.udp["x"].send(fill(50), K, PORT)
    with tap.case("64 bits without an ICV is refused"):
        said = b.k.setkey("add %s %s ah 0x1610 -r 64 -esn -A null;" % (K, X), check=False)
        check("Invalid argument" in said, "setkey says: %s" % said)


def padding(tap, b):
    with tap.case("xfrm's own idea of padding, 8 bytes with IPv4, is understood"):
        out, back = b.install(SHA256)
        lines = [b.x.sa_line(sa).replace(" flag align4", "") for sa in (out, back)]
        b.x.ns.ip("xfrm state flush", *lines)
        with Moves(b.k, InProtected=1):
            b.udp["x"].send(fill(50), K, PORT)
        equal(b.udp["k"].all(1), [fill(50)], "received")
        b.wire.expect(["%s>%s ah %#x #1 len %d" % (X, K, back.spi, back.wire_len(58) + 4)])


class Forge:
    """UDP datagrams to K with AH made here, each with the next sequence number."""

    def __init__(self, b):
        self.b, self.seq = b, 0
        self.sa = b.install(SHA1)[1]
        # The same SPI and key for K's other address: only the ICV tells.
        b.k.add(replace(self.sa, dst=K2))

    def packet(self, padding=b"", options=b"", **more):
        self.seq += 1
        p = ip4(X, K, UDP, udp4(X, K, 9, PORT, fill(40)), ident=0x1234, **more)
        p = bytes((p[0] + len(options) // 4,)) + p[1:20] + options + p[20:]
        return ah.protect(self.sa, self.seq, p, padding)

    def sent(self, p, got, **moves):
        self.b.udp["k"].all(timeout=0)
        with Moves(self.b.k, **moves):
            self.b.injector.send(ah.fix(bytes(p)))
        equal(self.b.udp["k"].all(1, 0.05 if not got else 2.0), [fill(40)] * got, "received")

    def accepted(self, p):
        self.sent(p, 1, InProtected=1)

    def refused(self, p, **moves):
        self.sent(p, 0, **moves or {"InIcv": 1})


# (name, offset, bits) in a packet without options; the ICV has 12 bytes
CHANGES = [("identification", 4, 0x80), ("identification", 5, 1), ("source", 15, 4),
           ("next header", 20, 1), ("reserved", 22, 0x80), ("reserved", 23, 1),
           ("sequence number", 31, 0x10), ("first byte of the ICV", 32, 0x80),
           ("last byte of the ICV", 43, 1), ("padding", 47, 1), ("first byte of the payload", 48, 1),
           ("last byte of the payload", -1, 1)]
HARMLESS = [("type of service", 1, 0xfc), ("ECN", 1, 3), ("do not fragment", 6, 0x40),
            ("time to live", 8, 0x3f)]


def forged(tap, b):
    f = Forge(b)
    for name, at, bits in CHANGES:
        with tap.case("changed: %s (byte %d)" % (name, at)):
            p = f.packet(padding=b"pad!")
            f.refused(flipped(p, at, bits))
            f.accepted(p)
    for name, at, bits in HARMLESS:
        with tap.case("changed, which is allowed: " + name):
            f.accepted(flipped(f.packet(), at, bits))
    with tap.case("changed: destination"):
        p = f.packet()
        f.refused(p[:16] + socket.inet_aton(K2) + p[20:])
        f.accepted(p)
    with tap.case("changed: SPI"):
        b.k.add(replace(f.sa, spi=f.sa.spi ^ 1))
        p = f.packet()
        f.refused(flipped(p, 27))
        f.accepted(p)
    with tap.case("changed: total length"):
        p = f.packet()
        f.refused(with_length(p[:-4]))
        f.refused(with_length(p + b"more"))
        f.accepted(p)
    with tap.case("changed: four options more"):
        p = f.packet()
        f.refused(with_length(flipped(p, 0, 3)[:20] + bytes((1, 1, 1, 1)) + p[20:]))
        f.accepted(p)
    with tap.case("header length: one word more or less, and much more"):
        p = f.packet()
        f.refused(p[:21] + b"\5" + p[22:])
        f.refused(p[:21] + b"\3" + p[22:], InTruncated=1)
        f.refused(p[:21] + b"\0" + p[22:], InTruncated=1)
        f.refused(p[:21] + b"\xff" + p[22:], InTruncated=1)
        f.refused(with_length(p[:43]), InTruncated=1)
        f.accepted(p)
    for n in (4, 8, 100, 980):
        with tap.case("%d bytes of padding behind the ICV" % n):
            f.accepted(f.packet(padding=bytes(range(n % 256)) + bytes(n - n % 256)))
    forged_options(tap, f)


def forged_options(tap, f):
    with tap.case("options: router alert stays as it is"):
        p = f.packet(options=bytes((148, 4, 0, 0)))
        f.refused(flipped(p, 23))
        f.accepted(p)
    with tap.case("options: record route and timestamp change on the way"):
        p = f.packet(options=bytes((7, 7, 4, 0, 0, 0, 0, 1)))
        f.accepted(p[:22] + b"\x08\1\2\3\4" + p[27:])
        p = f.packet(options=bytes((68, 12, 5, 0)) + bytes(8))
        f.accepted(p[:22] + b"\x09\0\1\2\3\4" + p[28:])
    with tap.case("options: kinds and lengths that nobody knows"):
        f.accepted(f.packet(options=bytes((30, 4, 5, 6, 1, 1, 1, 0))))


def options(tap, b):
    for name, text in OPTIONS:
        with tap.case("options to and from xfrm: " + name):
            out, back = b.install(SHA1)
            b.udp["k"].all(timeout=0)
            for ns, dst, sa, to in (("k", X, out, "x"), ("x", K, back, "k")):
                s = Udp(b.lab[ns])
                s.sock.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, text)
                s.send(fill(30), dst, PORT)
                equal(b.udp[to].all(1), [fill(30)], "received by " + to)
                packets = b.wire.collect(1)
                equal([(p.ihl, p.len) for p in packets],
                      [(20 + len(text), sa.wire_len(38) + len(text))], "lengths")
                check(ah.good(sa, packets[0].raw), "ICV of " + str(packets[0]))
                scapy_verify(sa, packets)
                s.close()
    for name, kind in (("loose", 0x83), ("strict", 0x89)):
        with tap.case("options: a %s source route, authenticated as it ends" % name):
            out, _ = b.install(SHA1)
            s = Udp(b.lab["k"])
            s.sock.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS,
                              bytes((kind, 7, 4)) + socket.inet_aton(X) + b"\0")
            s.send(fill(30), XNET, PORT)
            packets = b.wire.collect(1)
            equal([(p.dst, p.raw[23:27]) for p in packets], [(X, socket.inet_aton(XNET))], "route")
            check(ah.good(out, packets[0].raw), "ICV")
            s.close()


def streams(tap, b):
    for mode in ("transport", "tunnel"):
        b.install(SHA256, mode, window=1024)
        for src, dst, a, z in (("k", "x", K, X), ("x", "k", X, K)):
            if mode == "tunnel":
                a, z = (KNET, XNET) if src == "k" else (XNET, KNET)
            with tap.case("TCP, %s, from %s" % (mode, src)):
                tcp_copy(b.lab[src], b.lab[dst], z, 1 << 20, src=a)
                equal({p.proto for p in b.wire.take()}, {AH}, "protocols on the wire")


def fits(tap, b):
    for mode, src, dst in (("transport", K, X), ("tunnel", KNET, XNET)):
        with tap.case("what just fits, " + mode):
            out, _ = b.install(SHA256, mode)
            there = Udp(b.lab["x"], dst, PORT + 1)      # so that no ICMP comes back
            s = Udp(b.lab["k"], src, df=2)
            room = 1500 - out.wire_len(28 if mode == "tunnel" else 8)
            with Moves(b.k, OutProtected=1):
                s.send(fill(room), dst, there.port)
            equal([p.len for p in b.wire.collect(1)][:1], [1500], "length on the wire")
            with Moves(b.k, OutTooBig=1):
                try:
                    s.send(fill(room + 1), dst, there.port)
                    error = 0
                except OSError as e:
                    error = e.errno
            equal(error, errno.EMSGSIZE, "errno")
            s.close()
            there.close()
        with tap.case("AH itself in fragments, " + mode):
            b.install(SHA256, mode)
            ping = Ping(b.lab["k"], src)
            with Moves(b.k, OutProtected=1, InProtected=1):
                check(ping(dst, 3000) is not None, "no answer")
            ping.close()
            packets = b.wire.take()
            equal({p.proto for p in packets}, {AH}, "protocols on the wire")


def bundle(tap, b):
    """AH around ESP."""
    sas = [SA(K, X, 0x1621, ipsec.AES_SHA1), SA(X, K, 0x1622, ipsec.AES_SHA1),
           SA(K, X, 0x1623, SHA256, proto="ah"), SA(X, K, 0x1624, SHA256, proto="ah")]
    for name, mode, src, dst in (("transport", "transport", K, X), ("tunnel", "tunnel", KNET, XNET)):
        with tap.case("AH around ESP, " + name):
            both = [replace(sa, mode=mode) for sa in sas[:2]] + sas[2:]
            for stack, ends in ((b.k, (K, X, KNET, XNET)), (b.x, (X, K, XNET, KNET))):
                own, peer, ownnet, peernet = ends
                stack.flush()
                for d, a, z, g, h in (("out", own, peer, ownnet, peernet),
                                      ("in", peer, own, peernet, ownnet)):
                    esp = tunnel(a, z) if mode == "tunnel" else transport()
                    s, t = (g, h) if mode == "tunnel" else (a, z)
                    stack.add(Policy(s, t, d, requests=[esp, transport(proto="ah")]))
                stack.add(*both)
            b.wire.flush()
            wanted = []
            with Moves(b.x), Moves(b.k, OutProtected=len(SIZES), InProtected=len(SIZES)):
                ping = Ping(b.lab["k"], src)
                for n, size in enumerate(SIZES, 1):
                    check(ping(dst, size) is not None, "no answer of %d bytes" % size)
                    inner = both[0].wire_len(size + (28 if mode == "tunnel" else 8)) - 20
                    wanted += ["%s>%s ah %#x #%d len %d" % (s.src, s.dst, s.spi, n,
                                                            s.wire_len(inner)) for s in sas[2:]]
                ping.close()
            packets = b.wire.collect(len(wanted))
            equal([str(p) for p in packets], wanted, "packets on the wire")
            check(all(p.payload[0] == 50 for p in packets), "ESP is not next")


class Parallel:
    """pcrypt in front of SHA-256's cipher: it always answers later."""

    def __enter__(self):
        subprocess.run(["modprobe", "-qa", "pcrypt", "algif_aead"])
        with contextlib.suppress(OSError):      # made, but not found by this name
            with socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET) as s:
                s.bind(("aead", "pcrypt(authenc(hmac(sha256),ecb(cipher_null)))"))
        with open("/proc/crypto") as f:
            self.there = "driver       : pcrypt(authenc(hmac(sha256" in f.read()
        return self

    def __exit__(self, *exc):
        wait_for(lambda: subprocess.run(["rmmod", "pcrypt"],
                                        stderr=subprocess.DEVNULL).returncode == 0, 10.0, 0.2)


def parallel(tap, b):
    if os.path.exists("/proc/lockdep_stats"):
        # It would see nothing more after that.
        tap.result("skip", "answers that come later", ["lockdep takes padata's locks for one"])
        return
    with Parallel() as p:
        if p.there:
            later(tap, b)
        else:
            tap.result("skip", "answers that come later", ["no pcrypt here"])
        b.k.setkey("flush;")


def later(tap, b):
    for mode in ("transport", "tunnel"):
        with tap.case("answers that come later: echoes, " + mode):
            b.exchange(SHA256, mode)
        with tap.case("answers that come later: TCP, " + mode):
            src, dst = (K, X) if mode == "transport" else (KNET, XNET)
            b.install(SHA256, mode, window=1024)
            tcp_copy(b.lab["k"], b.lab["x"], dst, 1 << 18, src=src)
            tcp_copy(b.lab["x"], b.lab["k"], src, 1 << 18, src=dst)
    with tap.case("answers that come later: a changed byte"):
        f = Forge(b)
        f.sa = b.install(SHA256)[1]
        p = f.packet()
        f.refused(flipped(p, 60))
        f.accepted(p)


def header(tap):
    ipsec.loaded()
    with pair() as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state, b.x.state]
        for part in (algorithms, fits, esn, padding, forged, options, streams, parallel, bundle):
            part(tap, b)


if __name__ == "__main__":
    run(header)
