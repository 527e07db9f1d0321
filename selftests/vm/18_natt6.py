#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# ESP in UDP over IPv6 against xfrm: there, unlike IPv4, UDP has its checksum. A
# firewall that lets nothing else pass is reason enough, and so is a NAT of prefixes.
#
#	fd01::1 [k: kipsec] fd00::1 ---- wire ---- fd00::2 [x: xfrm] fd02::1
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import esp                                                      # noqa: E402
import ipsec                                                    # noqa: E402
import pfkey                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, alg, transport, tunnel   # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import pair, still_neighbours                        # noqa: E402
from traffic import Ping, Udp, tcp_copy                         # noqa: E402
from wire import ICMP6, UDP, Capture, Injector, fill, ip6, sum_between, udp     # noqa: E402

K, X, KNET, XNET, PORT = "fd00::1", "fd00::2", "fd01::1", "fd02::1", 4500
NETS = "fd01::/64", "fd02::/64"
ALGS = [ipsec.GCM, ipsec.AES_SHA1, (alg("chacha20-poly1305"), None)]


def udp_sum(p):
    """0 if the checksum is right."""
    return sum_between(p.src, p.dst, UDP, p.payload)


class Bench:
    def __init__(self, lab):
        self.lab, self.k, self.x, self.wire = lab, Kipsec(lab["k"]), Xfrm(lab["x"]), Capture(lab)
        self.inject = Injector(lab["x"], lab["k"])
        self.managers = {}
        for name, addr in (("k", K), ("x", X)):
            sock = lab[name].socket(socket.AF_INET6, socket.SOCK_DGRAM)
            sock.bind((addr, PORT))
            sock.setsockopt(socket.IPPROTO_UDP, 100, 2)         # UDP_ENCAP_ESPINUDP
            sock.settimeout(1.0)
            self.managers[name] = sock
        still_neighbours(lab)

    def configure(self, algs, mode):
        self.k.flush()
        self.x.flush()
        sas = SA(K, X, 0x1861, algs, mode), SA(X, K, 0x1862, algs, mode)
        self.k.setkey("".join(Kipsec.sa_line(sa).replace(" esp ", " esp-udp ", 1) for sa in sas))
        self.x.ns.ip(*[Xfrm.sa_line(sa) + " encap espinudp 4500 4500 ::" for sa in sas])
        a, z = NETS if mode == "tunnel" else (K, X)
        there, back = (tunnel(K, X), tunnel(X, K)) if mode == "tunnel" else (transport(),) * 2
        for proto in ("any",) if mode == "tunnel" else ("icmp6", "tcp", "udp"):
            # of UDP only what is for this port: the rest is the key managers'
            ports = dict(dport="7000") if proto == "udp" else {}
            self.k.add(Policy(a, z, "out", requests=[there], proto=proto, **ports),
                       Policy(z, a, "in", requests=[back], proto=proto, **ports))
            self.x.add(Policy(z, a, "out", requests=[back], proto=proto, **ports),
                       Policy(a, z, "in", requests=[there], proto=proto, **ports))
        self.wire.flush()
        return sas


def echoes(tap, b):
    for mode, src, dst, more in (("transport", K, X, 8), ("tunnel", KNET, XNET, 48)):
        for algs in ALGS:
            with tap.case("echoes: %s, %s" % (mode, algs[0].name)):
                sas = b.configure(algs, mode)
                ping, sizes, wanted = Ping(b.lab["k"], src), (1, 100, 1200), []
                with Moves(b.x), Moves(b.k, OutProtected=3, InProtected=3):
                    for n in sizes:
                        check(ping(dst, n) is not None, "no answer of %d bytes" % n)
                ping.close()
                for n, size in enumerate(sizes, 1):
                    for sa in sas:
                        length = sa.wire_len(size + more) + 8
                        wanted.append((sa.src, UDP, PORT, PORT, length - 40, 0, sa.spi, n, length))
                got = []
                for p in b.wire.collect(len(wanted)):
                    sport, dport, length, _, spi, seq = struct.unpack_from("!HHHHII", p.payload)
                    got.append((p.src, p.proto, sport, dport, length, udp_sum(p), spi, seq, p.len))
                equal(got, wanted, "packets on the wire")
        with tap.case("TCP both ways: " + mode):
            b.configure(ipsec.GCM, mode)
            tcp_copy(b.lab["k"], b.lab["x"], dst, 1 << 19, src=src)
            tcp_copy(b.lab["x"], b.lab["k"], src, 1 << 19, port=5002, src=dst)
            packets = b.wire.take()
            equal({p.proto for p in packets}, {UDP}, "protocols on the wire")
            equal({udp_sum(p) for p in packets}, {0}, "sums")
            longest = max(p.len for p in packets)
            check(1400 < longest <= 1500, "longest packet has %d bytes" % longest)


def from_peer(b, back, seq, datagram, port=PORT, flip=0):
    """A datagram of X's in ESP in UDP, perhaps with a wrong checksum of that UDP."""
    text = udp(X, K, port, PORT, esp.protect(back, seq, datagram, UDP))
    return ip6(X, K, UDP, text[:6] + bytes([text[6] ^ flip]) + text[7:])


def by_hand(tap, b):
    _, back = b.configure(ipsec.NULL_SHA256, "transport")
    sink = Udp(b.lab["k"], K, 7000)
    inner = udp(X, K, 7001, 7000, b"kipsec-open")
    with tap.case("made by hand: received; with a wrong checksum of UDP it never comes to ESP"):
        with Moves(b.k, InProtected=1):
            b.inject.send(from_peer(b, back, 1, inner), from_peer(b, back, 2, inner, flip=1))
        equal(sink.all(2, 0.3), [b"kipsec-open"], "datagrams")
    with tap.case("a checksum of the peer's own address, before the NAT: TCP and UDP are believed"):
        with Moves(b.k, InProtected=1):
            b.inject.send(from_peer(b, back, 3, udp("fd99::9", K, 7001, 7000, b"kipsec-open")))
        equal(sink.all(1), [b"kipsec-open"], "datagrams")
    with tap.case("the key manager gets what is its own"):
        b.managers["x"].sendto(bytes(4) + b"IKE", (K, PORT))
        equal(b.managers["k"].recv(100), bytes(4) + b"IKE", "what K's manager gets")
    with tap.case("InEncap: in UDP or not, and the SA is the other way"):
        with Moves(b.k, InEncap=1):
            b.inject.send(ip6(X, K, 50, esp.protect(back, 4, inner, UDP)))
        b.k.setkey("flush;")
        b.k.add(back)
        with Moves(b.k, InEncap=1):
            b.inject.send(from_peer(b, back, 5, inner))
    sink.close()


def moves(tap, b):
    with tap.case("the peer's port changes: key managers hear of it"):
        _, back = b.configure(ipsec.NULL_SHA256, "transport")
        sink = Udp(b.lab["k"], K, 7000)
        with b.lab["k"], pfkey.Key() as key:
            key.ok(pfkey.REGISTER, pfkey.ESP)
            with Moves(b.k, InProtected=1):
                b.inject.send(from_peer(b, back, 1, udp(X, K, 7001, 7000, b"kipsec-open"), 5555))
            m = key.recv(3)
        equal((m.type, m.ext[pfkey.SRC].addr, m.ext[pfkey.NATT_SPORT], m.ext[pfkey.DST].addr,
               m.ext[pfkey.NATT_DPORT]), (23, X, PORT, X, 5555), "old and new place")
        sink.close()


def too_big(tap, b):
    with tap.case("packet too big about ESP in UDP: learned; about another port: not"):
        b.configure(ipsec.GCM, "tunnel")
        sender, sink = Udp(b.lab["k"], KNET), Udp(b.lab["x"], XNET, 7000)
        sender.send(fill(1200), XNET, 7000)
        sent = b.wire.collect(1)[0]
        for flip, mtu in ((1, 1280), (0, 1290)):
            quoted = sent.raw[:41] + bytes([sent.raw[41] ^ flip]) + sent.raw[42:]
            b.inject.send(ip6(X, K, ICMP6, icmp6_too_big(quoted[:1200], mtu)))
            shown = b.lab["k"].read("/proc/net/kipsec_pmtu")
            equal("1290" in shown, not flip, "in /proc/net/kipsec_pmtu: %s" % shown)
            check("1280" not in shown, "learned from a forged one: %s" % shown)
        equal(sink.all(1), [fill(1200)], "datagrams")
        sender.close()
        sink.close()


def icmp6_too_big(quoted, mtu):
    text = struct.pack("!BBHI", 2, 0, 0, mtu) + quoted
    return text[:2] + struct.pack("!H", sum_between(X, K, ICMP6, text)) + text[4:]


def natt6(tap):
    ipsec.loaded()
    with pair(ipv6=True) as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state, b.x.state]
        for part in (echoes, by_hand, moves, too_big):
            part(tap, b)


if __name__ == "__main__":
    run(natt6)
