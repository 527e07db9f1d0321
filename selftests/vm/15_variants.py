#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: core
#
# Variants of ESP that both ends must have been told of, against xfrm: extended
# sequence numbers over the end of 32 bits; ICVs longer and shorter than in the
# RFCs; SAs for one direction.
#
#	10.1.0.1/24 [k: kipsec] 10.0.0.1 ---- wire ---- 10.0.0.2 [x: xfrm] 10.2.0.1/24
import os
import sys
from dataclasses import replace

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
import pfkey as p                                               # noqa: E402
from ipsec import SA, Kipsec, Moves, Xfrm, alg, auth, both_modes    # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import pair                                          # noqa: E402
from traffic import Ping                                        # noqa: E402
from wire import Capture, Injector                              # noqa: E402

K, X, KNET, XNET = "10.0.0.1", "10.0.0.2", "10.1.0.1", "10.2.0.1"
PARAMETER = "/sys/module/kipsec/parameters/sha256_96"
ALGS = [ipsec.GCM, ipsec.AES_SHA1, ipsec.NULL_SHA256, (alg("aes-ctr", 160), auth("hmac-sha512")),
        (alg("aes-gmac", 160), None), (alg("aes-ccm-16", 152), None),
        (alg("chacha20-poly1305"), None)]
PINGS = 6


class Bench:
    def __init__(self, lab):
        self.lab, self.k, self.x, self.wire = lab, Kipsec(lab["k"]), Xfrm(lab["x"]), Capture(lab)
        self.injector = Injector(lab["x"], lab["k"])
        self.k.add(*both_modes(K, X, "10.1.0.0/24", "10.2.0.0/24"))
        self.x.add(*both_modes(X, K, "10.2.0.0/24", "10.1.0.0/24"))

    def exchange(self, algs, mode, **more):
        """PINGS echoes each way; what was on the wire, which is checked."""
        out, back = [SA(src, dst, spi, algs, mode, **more)
                     for src, dst, spi in ((K, X, 0x1501), (X, K, 0x1502))]
        equal(self.x.replace_sas(out, back), "", "what ip says")
        equal(self.k.replace_sas(out, back), "", "what setkey says")
        self.wire.flush()
        wanted, sizes = [], range(0, 8 * PINGS, 8)
        with Moves(self.x), Moves(self.k, OutProtected=2 * PINGS, InProtected=2 * PINGS):
            for ns, a, b in (("k", out, back), ("x", back, out)):
                src, dst = (K, X) if ns == "k" else (X, K)
                if mode == "tunnel":
                    src, dst = (KNET, XNET) if ns == "k" else (XNET, KNET)
                ping = Ping(self.lab[ns], src)
                for n in sizes:
                    check(ping(dst, n) is not None, "no answer of %d bytes" % n)
                    number = a.last + 1 + len(wanted) // 2 & 0xffffffff
                    size = a.wire_len(n + (28 if mode == "tunnel" else 8))
                    wanted += ["%s>%s esp %#x #%d len %d" % (s.src, s.dst, s.spi, number, size)
                               for s in (a, b)]
                ping.close()
        packets = self.wire.collect(len(wanted))
        equal([str(p) for p in packets], wanted, "packets on the wire")
        return packets


def esn(tap, b):
    for algs in ALGS:
        for mode, last in (("transport", 0), ("transport", 2 ** 32 - 4), ("tunnel", 2 ** 32 - 8),
                           ("tunnel", 5 * 2 ** 32 - 4)):
            with tap.case("64 bits: %s %s from %#x on" % (mode, algs[0].name, last)):
                packets = b.exchange(algs, mode, esn=True, last=last)
                mine = [p.raw for p in packets if p.dst == K]
                with Moves(b.k, InReplayDup=len(mine)):
                    b.injector.send(*mine)
    with tap.case("64 bits: the numbers of the peer's last 2^32 are not those of this one"):
        b.exchange(ipsec.GCM, "transport", esn=True, last=2 ** 32)
        b.wire.flush()
        # The same keys, but the receiver believes itself 2^32 further.
        sas = [SA(K, X, 0x1501, ipsec.GCM, esn=True, last=2 ** 32),
               SA(X, K, 0x1502, ipsec.GCM, esn=True, last=2 ** 32)]
        b.x.replace_sas(*sas)
        b.k.replace_sas(sas[0], replace(sas[1], last=2 ** 33))
        with Moves(b.k, InIcv=1):
            ping = Ping(b.lab["x"], X)
            check(ping(K, 56, 0.3) is None, "it was accepted")
            ping.close()
    with tap.case("64 bits: dumps say so"):
        lines = b.k.setkey(None, args=("-D",)).splitlines()
        equal([line for line in lines if "esn" in line], ["\tesn"] * 2, "lines with esn")


def refused(tap, b):
    for name, words, error in (         # SPI 0x1510 = 5392
            ("ESN without authentication", "-r 64 -esn -E aes-cbc 0x" + "11" * 16,
             "Invalid argument"),
            ("last number beyond 63 bits", "-r 64 -esn -seq 9223372036854775808 -E null -A "
             "hmac-sha1 0x" + "22" * 20, "no such sequence number")):
        with tap.case("refused: " + name):
            said = b.k.setkey("add %s %s esp 0x1510 %s;" % (K, X, words), check=False)
            check(error in said, "setkey says: %s" % said)
            check("5392" not in b.k.setkey(None, args=("-D",)), "the SA is there")


def sha256_96(tap, b):
    short = (alg("aes-cbc", 128), replace(auth("hmac-sha256"), icv=12))
    for mode in ("transport", "tunnel"):
        with tap.case("SHA-256 cut to 96 bits: " + mode):
            with open(PARAMETER, "w") as f:
                f.write("Y")
            try:
                b.exchange(short, mode)
            finally:
                with open(PARAMETER, "w") as f:
                    f.write("N")
        with tap.case("and to 128 bits again: " + mode):
            b.exchange((short[0], auth("hmac-sha256")), mode)


def icv(tap, b):
    for name, bits in (("hmac-sha256", 96), ("hmac-sha256", 256), ("hmac-sha512", 512),
                       ("hmac-sha1", 160)):
        cut = replace(auth(name), icv=bits // 8)
        with tap.case("%s with %d bits of ICV: tunnel" % (name, bits)):
            b.exchange((alg("aes-cbc", 128), cut), "tunnel", extra="-icv %d" % bits)
    for k_bits, x_bits in ((96, 128), (128, 96)):
        with tap.case("%d bits of ICV here, %d there: refused" % (k_bits, x_bits)):
            sas = [SA(src, dst, spi, (alg("null"), replace(auth("hmac-sha256"), icv=x_bits // 8)),
                      extra="-icv %d" % k_bits)
                   for src, dst, spi in ((K, X, 0x1501), (X, K, 0x1502))]
            equal(b.x.replace_sas(*sas) + b.k.replace_sas(*sas), "", "what they say")
            ping = Ping(b.lab["x"], X)
            with Moves(b.k, InIcv=1):
                check(ping(K, 56, 0.3) is None, "it was accepted")
            ping.close()
    with tap.case("the length of an ICV: dumps say so, and faults are refused"):
        b.k.replace_sas()
        with b.lab["k"], p.Key() as key:
            def add(spi, enc, hash_, bits, way=0):
                keys = [p.key(kind, bytes.fromhex(a.key)) for kind, a in
                        ((p.KEY_ENC, enc), (p.KEY_AUTH, hash_)) if a and a.key]
                ids = {"aes-cbc": 12, "aes-gcm-16": 20, "null": 11, "hmac-sha256": 5}
                return key.ask(p.ADD, p.ESP, p.sa(
                    spi, auth=ids[hash_.name] if hash_ else 0, enc=ids[enc.name]),
                    *p.ends(K, X), *keys, p.kipsec_sa(bits, way)).errno
            sha = auth("hmac-sha256")
            for n, (enc, hash_, bits, way, error) in enumerate((
                    (alg("aes-cbc", 128), sha, 96, p.IN, 0),
                    (alg("aes-cbc", 128), sha, 0, 0, 0),
                    (alg("aes-cbc", 128), sha, 64, 0, 22), (alg("aes-cbc", 128), sha, 100, 0, 22),
                    (alg("aes-cbc", 128), sha, 288, 0, 22), (alg("aes-cbc", 128), sha, 65504, 0, 22),
                    (alg("aes-cbc", 128), sha, 96, 3, 22), (alg("aes-cbc", 128), None, 96, 0, 22),
                    (alg("aes-gcm-16", 160), None, 96, 0, 22))):
                equal(add(0x1520 + n, enc, hash_, bits, way), error, "errno of row %d" % n)
            equal([(m.ext[p.SA].spi, m.ext.get(p.KIPSEC_SA)) for m in key.dump()],
                  [(0x1520, (96, p.IN)), (0x1521, None)], "dump")


def directions(tap, b):
    there, back = SA(K, X, 0x1531, ipsec.GCM), SA(X, K, 0x1532, ipsec.GCM)
    ping = Ping(b.lab["k"], K)

    def load(out, in_):
        b.x.replace_sas(there, back)
        equal(b.k.replace_sas(replace(there, extra=out), replace(back, extra=in_)), "", "setkey")
    with tap.case("SAs of one direction each: echoes"):
        load("-dir out", "-dir in")
        with Moves(b.k, OutProtected=1, InProtected=1):
            check(ping(X) is not None, "no answer")
    with tap.case("an SA for input protects nothing that goes out"):
        load("-dir in", "-dir in")
        with Moves(b.k, OutNoSa=1):
            check(ping(X, 56, 0.2) is None, "an answer")
    with tap.case("an SA for output takes nothing in"):
        load("-dir out", "-dir out")
        with Moves(b.k, OutProtected=1, InSaState=1):
            check(ping(X, 56, 0.2) is None, "an answer")
    ping.close()


def variants(tap):
    ipsec.loaded()
    with pair() as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state, b.x.state]
        esn(tap, b)
        refused(tap, b)
        sha256_96(tap, b)
        icv(tap, b)
        directions(tap, b)


if __name__ == "__main__":
    run(variants)
