#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: core
#
# ESP in UDP (RFC 3948) against xfrm, with a NAT between, whose mapping changes;
# each side has a key manager's socket, which gets what is not ESP.
#
#	10.1.0.1 [k: kipsec] 10.0.0.1 -- wire -- 10.0.0.9 [n: NAT] 192.0.2.9 -- 192.0.2.2 [x: xfrm] 10.2.0.1
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import esp                                                      # noqa: E402
import ipsec                                                    # noqa: E402
import pfkey                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, alg, transport, tunnel   # noqa: E402
from ktap import Skip, check, equal, run                        # noqa: E402
from netns import Lab                                           # noqa: E402
from traffic import Ping, Udp, tcp_copy                         # noqa: E402
from wire import (OPEN, SECRET, TCP, UDP, Capture, Injector, fill, ip4,     # noqa: E402
                  sum_between, tcp, udp, udp4)

K, N, NX, X, KNET, XNET = "10.0.0.1", "10.0.0.9", "192.0.2.9", "192.0.2.2", "10.1.0.1", "10.2.0.1"
ORIGINAL = "172.16.0.5"         # a peer's own address, behind a NAT of its own
PORT, MAPPED = 4500, 61001
ALGS = ipsec.combinations() if os.environ.get("KIPSEC_SUITE") == "full" else \
    [ipsec.GCM, ipsec.AES_SHA1, (alg("chacha20-poly1305"), None)]


def nat_lab():
    lab = Lab("k", "n", "x")
    lab.wire("k:%s/24" % K, "n:%s/24" % N)
    lab.link("n:%s/24:eth1" % NX, "x:%s/24" % X)
    lab["n"].sysctl("net.ipv4.ip_forward", 1)
    lab["k"].ip("route add default via " + N, "link add net0 type dummy", "link set net0 up",
                "addr add %s/24 dev net0" % KNET, "route add 10.2.0.0/24 via %s src %s" % (N, KNET))
    lab["x"].ip("link add net0 type dummy", "link set net0 up", "addr add %s/24 dev net0" % XNET,
                "route add 10.1.0.0/24 via %s src %s" % (NX, XNET))
    return lab


def mapping(lab, port):
    """What K sends from port 4500 leaves as this one of the NAT's."""
    lab["n"].run("nft", "-f", "-", stdin="""
        flush ruleset
        table ip nat {
            chain post {
                type nat hook postrouting priority 100;
                ip saddr %s udp sport 4500 oifname eth1 snat to %s:%d;
                ip saddr %s oifname eth1 snat to %s;
            }
        }""" % (K, NX, port, K, NX))
    lab["n"].run("conntrack", "-F")


class Manager:
    """A key manager's socket: ESP in UDP goes to IPsec, the rest comes here."""

    def __init__(self, ns, addr):
        with ns:
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((addr, PORT))
        self.sock.setsockopt(socket.IPPROTO_UDP, 100, 2)        # UDP_ENCAP_ESPINUDP
        self.sock.settimeout(1.0)


class Bench:
    def __init__(self, lab):
        self.lab, self.k, self.x, self.wire = lab, Kipsec(lab["k"]), Xfrm(lab["x"]), Capture(lab)
        self.managers = {"k": Manager(lab["k"], K), "x": Manager(lab["x"], X)}

    def configure(self, algs, mode, port=MAPPED, oa=""):
        """K says what it sees: its own address. X sees the NAT's.

        oa: what K is told of X's original address, in setkey's words.
        """
        mapping(self.lab, port)
        self.k.flush()
        self.x.flush()
        out, back = SA(K, X, 0x1801, algs, mode), SA(X, K, 0x1802, algs, mode)
        self.k.setkey("".join(Kipsec.sa_line(sa).replace(" esp ", " esp-udp%s " % oa, 1)
                              for sa in (out, back)))
        lines = [Xfrm.sa_line(sa) + " encap espinudp %d %d 0.0.0.0" % ports for sa, ports in
                 ((SA(NX, X, 0x1801, algs, mode), (port, PORT)),
                  (SA(X, NX, 0x1802, algs, mode), (PORT, port)))]
        self.lab["x"].ip(*lines)
        if mode == "transport":
            self.k.add(Policy(K, X, "out", proto="icmp", requests=[transport()]),
                       Policy(X, K, "in", proto="icmp", requests=[transport()]),
                       Policy(K, X, "out", proto="tcp", requests=[transport()]),
                       Policy(X, K, "in", proto="tcp", requests=[transport()]))
            for proto in ("icmp", "tcp"):
                self.x.add(Policy(X, NX, "out", proto=proto, requests=[transport()]),
                           Policy(NX, X, "in", proto=proto, requests=[transport()]))
        else:
            self.k.add(Policy("10.1.0.0/24", "10.2.0.0/24", "out", requests=[tunnel(K, X)]),
                       Policy("10.2.0.0/24", "10.1.0.0/24", "in", requests=[tunnel(X, K)]))
            self.x.add(Policy("10.2.0.0/24", "10.1.0.0/24", "out", requests=[tunnel(X, NX)]),
                       Policy("10.1.0.0/24", "10.2.0.0/24", "in", requests=[tunnel(NX, X)]))
        self.wire.flush()
        return out, back


def expect_udp(b, sas, sizes):
    """Each packet on K's side of the NAT: UDP between the ports 4500, and in it ESP."""
    got = []
    for p in b.wire.collect(len(sizes)):
        sport, dport, length, check_, spi, seq = struct.unpack_from("!HHHHII", p.payload)
        got.append((p.src, p.proto, sport, dport, length, check_, spi, seq, p.len))
    wanted = [(sa.src, UDP, PORT, PORT, sa.wire_len(n) - 20 + 8, 0, sa.spi, seq,
               sa.wire_len(n) + 8) for sa, n, seq in zip(sas, sizes, (1, 1, 2, 2, 3, 3))]
    equal(got, wanted, "packets on the wire")


def through_nat(tap, b):
    for mode, src, dst, more in (("transport", K, X, 8), ("tunnel", KNET, XNET, 28)):
        for algs in ALGS:
            with tap.case("echoes: %s, %s" % (mode, " ".join(
                    "%s-%d" % (a.name, a.bits) for a in algs if a))):
                try:
                    out, back = b.configure(algs, mode)
                except RuntimeError:
                    if not ipsec.lacking(algs):
                        raise
                    raise Skip("this kernel lacks %s" %
                               " and ".join(ipsec.lacking(algs))) from None
                ping = Ping(b.lab["k"], src)
                sizes = (1, 100, 1300)
                pattern = OPEN if algs[0].name in ("null", "aes-gmac") else SECRET
                with Moves(b.x), Moves(b.k, OutProtected=3, InProtected=3):
                    for n in sizes:
                        check(ping(dst, n, pattern=pattern) is not None,
                              "no answer of %d bytes" % n)
                expect_udp(b, [out, back] * 3, [n + more for n in sizes for _ in "ab"])
                ping.close()
        with tap.case("TCP: " + mode):
            b.configure(ipsec.GCM, mode)
            tcp_copy(b.lab["k"], b.lab["x"], dst, 1 << 20, src=src)
            packets = b.wire.take()
            equal({p.proto for p in packets}, {UDP}, "protocols on the wire")
            longest = max(p.len for p in packets)
            check(1400 < longest <= 1500, "longest packet has %d bytes" % longest)


def tcp_sum(src, dst, segment):
    """0 if the segment's own checksum is right."""
    return sum_between(src, dst, TCP, segment)


def original(tap, b):
    """Transport with a peer behind a NAT: its checksums are those of its own address."""
    inject = Injector(b.lab["n"], b.lab["k"])

    def from_peer(back, seq, proto, segment):
        inject.send(ip4(X, K, UDP, udp4(X, K, PORT, PORT, esp.protect(back, seq, segment, proto))))

    for what, oa in (("not given", ""), ("given", " " + ORIGINAL)):
        with tap.case("original address %s: datagrams with the checksum for it" % what):
            _, back = b.configure(ipsec.NULL_SHA256, "transport", oa=oa)
            sink = Udp(b.lab["k"], K, 7000)
            with Moves(b.k, InProtected=2):
                for seq, src in enumerate((ORIGINAL, X), 1):
                    from_peer(back, seq, UDP, udp(src, K, 7001, 7000, src.encode()))
            equal(sink.all(2), [ORIGINAL.encode(), X.encode()], "datagrams")
            sink.close()
        with tap.case("original address %s: TCP, and its answer with the checksum for ours" % what):
            out, back = b.configure(ipsec.NULL_SHA256, "transport", oa=oa)
            b.x.flush()                 # X knows nothing of this connection
            server = b.lab["k"].socket(socket.AF_INET, socket.SOCK_STREAM)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((K, 7000))
            server.listen(1)
            with Moves(b.k, InProtected=1, OutProtected=1):
                from_peer(back, 1, TCP, tcp(ORIGINAL, K, 7001, 7000, 100, 2))
            there, answer = b.wire.collect(2)
            server.close()
            equal((there.dst, answer.src, answer.dst), (K, K, X), "addresses")
            _, segment, proto, _ = esp.open_(out, answer.payload[8:])
            equal((proto, struct.unpack_from("!HHxxxxIxB", segment)), (TCP, (7000, 7001, 101, 0x12)),
                  "what K answers")
            equal(tcp_sum(K, X, segment), 0, "sum over the answer")
        with tap.case("original address %s: TCP through the NAT" % what):
            b.configure(ipsec.GCM, "transport", oa=oa)
            tcp_copy(b.lab["k"], b.lab["x"], X, 1 << 17)
            equal({p.proto for p in b.wire.take()}, {UDP}, "protocols on the wire")
    inject.close()


def manager(tap, b):
    out, _ = b.configure(ipsec.GCM, "tunnel")
    with tap.case("what begins with four zero bytes is the key manager's, and keepalives end"):
        sender, inject = b.managers["k"].sock, Injector(b.lab["n"], b.lab["k"])
        sender.sendto(bytes(4) + b"IKE", (X, PORT))
        equal(b.managers["x"].sock.recv(100), bytes(4) + b"IKE", "what X's manager gets")
        with Moves(b.k):
            inject.send(ip4(X, K, UDP, udp4(X, K, PORT, PORT, b"\xff")),
                        ip4(X, K, UDP, udp4(X, K, PORT, PORT, bytes(4) + b"IKE")))
            equal(sender.recv(100), bytes(4) + b"IKE", "what K's manager gets")
    with tap.case("InEncap: ESP not in UDP, for an SA that has it"):
        b.configure(ipsec.GCM, "tunnel")
        with Moves(b.k, InEncap=1):
            inject.send(ip4(X, K, 50, struct.pack("!II", 0x1802, 1) + bytes(60)))
    with tap.case("InEncap: ESP in UDP, for an SA that has not"):
        b.k.setkey("flush;")
        b.k.add(SA(X, K, 0x1803, ipsec.GCM, "tunnel"))
        with Moves(b.k, InEncap=1):
            inject.send(ip4(X, K, UDP, udp4(X, K, PORT, PORT,
                                            struct.pack("!II", 0x1803, 1) + bytes(60))))
    with tap.case("a policy for all between the hosts does not refuse ESP in UDP as clear"):
        b.configure(ipsec.GCM, "tunnel")
        b.k.add(Policy(X, K, "in", requests=[transport()]))
        ping = Ping(b.lab["k"], KNET)
        with Moves(b.k, OutProtected=1, InProtected=1):
            check(ping(XNET, 50) is not None, "no answer")
        ping.close()
        with Moves(b.k, InClear=1):
            inject.send(ip4(X, K, UDP, udp4(X, K, PORT, PORT + 1,
                                            struct.pack("!II", 0x1802, 1) + bytes(60))))
    inject.close()


def moves(tap, b):
    def came_from(src, port, seq):
        inner = ip4(XNET, KNET, UDP, udp4(XNET, KNET, PORT, PORT, b"hello"))
        inject.send(ip4(src, K, UDP, udp4(src, K, port, PORT, esp.protect(back, seq, inner, 4))))

    def told():
        m = key.recv(3)
        equal((m.type, m.pid, m.satype, sorted(m.ext)), (23, 0, 3, [1, 5, 6, 21, 22]),
              "type, pid, satype, extensions")
        return (m.ext[pfkey.SRC].addr, m.ext[pfkey.NATT_SPORT], m.ext[pfkey.DST].addr,
                m.ext[pfkey.NATT_DPORT])

    with tap.case("the peer's port changes, and its address: key managers hear of it"):
        _, back = b.configure(ipsec.NULL_SHA256, "tunnel")
        inject, sink = Injector(b.lab["n"], b.lab["k"]), Udp(b.lab["k"], KNET, PORT)
        with b.lab["k"]:
            key = pfkey.Key()
        key.ok(pfkey.REGISTER, pfkey.ESP)
        with Moves(b.k, InProtected=3):
            came_from(X, PORT, 1)
            key.quiet()
            came_from(X, 5555, 2)
            equal(told(), (X, PORT, X, 5555), "old and new place")
            time.sleep(1.1)
            came_from("192.0.2.77", 6666, 3)
            equal(told(), (X, PORT, "192.0.2.77", 6666), "old and new place")
        equal(len(sink.all()), 3, "datagrams that arrived")
    with tap.case("many packets from elsewhere: at most one message a second"):
        time.sleep(1.1)
        with Moves(b.k, InProtected=50):
            for n in range(50):
                came_from(X, 7000 + n, 10 + n)
        time.sleep(0.5)
        n = len(key.drain())
        check(1 <= n <= 3, "%d messages" % n)
    with tap.case("a packet that is not authentic says nothing"):
        time.sleep(1.1)
        with Moves(b.k, InIcv=1):
            inject.send(ip4(X, K, UDP, udp4(X, K, 9999, PORT, struct.pack(
                "!II", back.spi, 100) + bytes(60))))
        time.sleep(0.3)
        key.quiet()
    key.close()
    inject.close()
    sink.close()


def natt(tap):
    ipsec.loaded()
    with nat_lab() as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state, b.x.state]
        for part in (through_nat, original, manager, moves):
            part(tap, b)


if __name__ == "__main__":
    run(natt)
