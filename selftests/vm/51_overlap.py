#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# Policies that overlap: transport with neighbours and a tunnel for all the rest,
# with exceptions; policies that match the tunnel's own packets; six requests in
# one policy; what policies may name beside ports.
#
#	[k: kipsec] 10.0.0.1 --+-- 10.0.0.2 [x: xfrm]
#	                       +-- 10.0.0.3 [y: xfrm]
#	                       +-- 10.0.0.9 [g: xfrm] 10.2.0.1, 198.51.100.1
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import esp                                                      # noqa: E402
import ipsec                                                    # noqa: E402
import pfkey                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, auth, transport, tunnel  # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import Lab, wait_for                                 # noqa: E402
from traffic import Ping, Udp                                   # noqa: E402
from wire import (AH, ESP, ICMP, OPEN, Capture, Injector, checksum,     # noqa: E402
                  fill, ip4)

K, X, Y, G, NET, FAR = "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.9", "10.2.0.1", "198.51.100.1"
LAN, ALL = "10.0.0.0/24", "0.0.0.0/0"
N = ipsec.NULL_SHA256
# (out, in) of k's, by what the peer is to k
SAS = {X: (SA(K, X, 0x5101, N), SA(X, K, 0x5102, N)),
       Y: (SA(K, Y, 0x5111, N), SA(Y, K, 0x5112, N)),
       G: (SA(K, G, 0x5121, N), SA(G, K, 0x5122, N)),
       "tunnel": (SA(K, G, 0x5131, N, "tunnel"), SA(G, K, 0x5132, N, "tunnel"))}


def both(a, b, there, here, **kw):
    """Policies of one who is at a, out and in."""
    return [Policy(a, b, "out", requests=there, **kw), Policy(b, a, "in", requests=here, **kw)]


class Local:
    def __init__(self, lab):
        self.lab, self.k, self.wire = lab, Kipsec(lab["k"]), Capture(lab)
        self.peers = {a: Xfrm(lab[n]) for a, n in ((X, "x"), (Y, "y"), (G, "g"))}

    def configure(self, *first, sas=tuple(SAS), prio=""):
        """k's policies, in order; first come before those that all cases have.

        prio: that of the tunnel.
        """
        self.k.flush()
        own = [Policy("127.0.0.0/8", ALL, "out", "none"), Policy(K, K, "out", "none"),
               Policy(K, K, "in", "none"),
               *both(LAN, LAN, [transport()], [transport()]),
               *both(K, ALL, [tunnel(K, G)], [tunnel(G, K)], prio=prio)]
        self.k.add(*[sa for name in sas for sa in SAS[name]], *first, *own)
        for addr, stack in self.peers.items():
            stack.flush()
            stack.add(*SAS[addr], *both(addr, K, [transport()], [transport()]))
        # xfrm goes by priority where prefixes differ, not by age.
        self.lab["g"].ip(*[Xfrm.sa_line(sa) for sa in SAS["tunnel"]],
                         *[Xfrm.policy_line(p).replace(" tmpl", " priority 10 tmpl", 1)
                           for p in both(ALL, K, [tunnel(G, K)], [tunnel(K, G)])])
        self.wire.flush()

    def sas(self):
        with self.lab["k"], pfkey.Key() as key:
            return sorted(m.ext[pfkey.SA].spi for m in key.dump())

    def expect(self, *wanted):
        """(name of SAS, way, sequence number, payload)."""
        self.wire.expect(["%s>%s esp %#x #%d len %d" % (sa.src, sa.dst, sa.spi, seq,
                                                       sa.wire_len(size))
                          for sa, seq, size in ((SAS[name][way], seq, size)
                                                for name, way, seq, size in wanted)])

    def ping(self, src, dst, size):
        p = Ping(self.lab[src])
        check(p(dst, size) is not None, "no answer from %s" % dst)
        p.close()


def right_mode(tap, b):
    with tap.case("each pair gets its mode: neighbours transport, all else the tunnel"):
        b.configure()
        with Moves(b.k, OutProtected=5, InProtected=5), Moves(b.peers[X]), Moves(b.peers[G]):
            for dst in (X, Y, G, NET, FAR):
                b.ping("k", dst, 100)
        b.expect(*[(x, way, 1, 108) for x in (X, Y, G) for way in (0, 1)],
                 *[("tunnel", way, seq, 128) for seq in (1, 2) for way in (0, 1)])
    with tap.case("the same when the others begin"):
        b.configure()
        with Moves(b.k, OutProtected=3, InProtected=3):
            for src in "xyg":
                b.ping(src, K, 50)
        b.expect(*[(x, way, 1, 58) for x in (X, Y, G) for way in (1, 0)])
        with Moves(b.k, OutProtected=1, InProtected=1):
            p = Ping(b.lab["g"], NET)
            check(p(K, 50) is not None, "no answer through the tunnel")
            p.close()
        b.expect(("tunnel", 1, 1, 78), ("tunnel", 0, 1, 78))
    with tap.case("SAs do not pile up"):
        b.configure()
        before = b.sas()
        equal(len(before), 2 * len(SAS), "SAs")
        for _ in range(5):
            for dst in (X, Y, G, NET, FAR):
                b.ping("k", dst, 1)
        equal(b.sas(), before, "SAs afterwards")
        b.wire.flush()
    with tap.case("a neighbour without an SA is not sent through the tunnel, nor in clear"):
        b.configure(sas=(X, G, "tunnel"))
        u = Udp(b.lab["k"], K)
        with Moves(b.k, OutNoSa=1):
            try:
                u.send(fill(10), Y, 9)
            except OSError:
                pass
        u.close()
        b.wire.expect([], timeout=0.1)


def exceptions(tap, b):
    with tap.case("none for loopback and own addresses: nothing is protected or refused"):
        b.configure()
        with Moves(b.k):
            for addr in ("127.0.0.1", K):
                b.ping("k", addr, 40)
        b.wire.expect([], timeout=0.1)
    with tap.case("none for a port of the tunnel's and of neighbours', both ways"):
        b.configure(Policy(K, ALL, "out", "none", proto="udp", dport="53"),
                    Policy(ALL, K, "in", "none", proto="udp", sport="53"))
        for addr in (X, FAR):
            b.peers[G if addr == FAR else X].flush()
            u = Udp(b.lab["k"], K, 5353)
            server = Udp(b.lab["g" if addr == FAR else "x"], addr, 53)
            with Moves(b.k, OutClear=1):
                u.send(fill(30, OPEN), addr, 53)
                equal(server.recv(), fill(30, OPEN), "question")
                server.send(fill(31, OPEN), K, 5353)
                equal(u.recv(), fill(31, OPEN), "answer")
            b.wire.expect(["%s>%s udp len 58" % (K, addr), "%s>%s udp len 59" % (addr, K)])
            u.close()
            server.close()


def order(tap, b):
    inject = Injector(b.lab["x"], b.lab["k"])

    def arrives(outer, sa, inner_src, dst=K):
        """One echo answer to k in this SA; its counter tells."""
        echo = bytes((0, 0)) + b"\xff" * 6
        if sa.mode == "tunnel":
            text = esp.protect(sa, arrives.seq, ip4(inner_src, dst, 1, echo), 4)
        else:
            text = esp.protect(sa, arrives.seq, echo, 1)
        arrives.seq += 1
        inject.send(ip4(outer, K, ESP, text))
    arrives.seq = 100

    with tap.case("in: a neighbour's address out of the tunnel is refused, a far one accepted"):
        b.configure()
        with Moves(b.k, InPolicy=2, InProtected=1):
            for src in (X, G, FAR):
                arrives(G, SAS["tunnel"][1], src)
    with tap.case("in: a far address in a neighbour's transport SA is refused"):
        with Moves(b.k, InPolicy=1, InProtected=1):
            arrives(FAR, SAS[X][1], None)
            arrives(X, SAS[X][1], None)
    with tap.case("in: clear from a neighbour and from far is refused"):
        with Moves(b.k, InClear=2):
            for src in (X, FAR):
                inject.send(ip4(src, K, 1, bytes(8)))
    with tap.case("priority turns the order round, out and in"):
        b.configure(prio="10")
        u = Udp(b.lab["k"], K)
        b.lab["g"].ip("xfrm policy flush", "xfrm state flush")
        with Moves(b.k, OutProtected=2):
            u.send(fill(72), X, 9)
            u.send(fill(72), FAR, 9)
        b.expect(("tunnel", 0, 1, 100), ("tunnel", 0, 2, 100))
        with Moves(b.k, InPolicy=1, InProtected=1):
            arrives(X, SAS[X][1], None)
            arrives(G, SAS["tunnel"][1], X)
        u.close()
        b.wire.flush()
    inject.close()


def no_loop(tap, b):
    g = b.peers[G]
    with tap.case("a tunnel for all, its own outer packets too: one layer, to the peer itself too"):
        b.k.flush()
        g.flush()
        b.k.add(*SAS["tunnel"], *both(ALL, ALL, [tunnel(K, G)], [tunnel(G, K)]))
        g.add(*SAS["tunnel"], *both(ALL, K, [tunnel(G, K)], [tunnel(K, G)]))
        b.wire.flush()
        with Moves(b.k, OutProtected=3, InProtected=3):
            for dst in (FAR, NET, G):
                b.ping("k", dst, 1000)
        b.expect(*[("tunnel", way, seq, 1028) for seq in (1, 2, 3) for way in (0, 1)])
    with tap.case("the same, fragments of the outer packet: they are not tunnelled again"):
        with Moves(b.k, OutProtected=1, InProtected=1):
            b.ping("k", FAR, 1460)
        packets = b.wire.collect(4)
        equal({p.proto for p in packets}, {ESP}, "protocols on the wire")
        whole = SAS["tunnel"][0].wire_len(1488)
        equal([p.len for p in packets if p.src == K], [1500, whole - 1480], "lengths of k's")
    with tap.case("transport for all between the gateways beside a tunnel: each packet one layer"):
        b.k.flush()
        g.flush()
        nets = ("10.1.0.1", "10.2.0.0/24")
        b.k.add(*SAS[G], *SAS["tunnel"], *both(K, G, [transport()], [transport()]),
                *both(nets[0], nets[1], [tunnel(K, G)], [tunnel(G, K)]))
        g.add(*SAS[G], *SAS["tunnel"], *both(G, K, [transport()], [transport()]),
              *both(nets[1], nets[0], [tunnel(G, K)], [tunnel(K, G)]))
        b.wire.flush()
        with Moves(b.k, OutProtected=2, InProtected=2):
            p = Ping(b.lab["k"], "10.1.0.1")
            check(p(NET, 100) is not None, "no answer through the tunnel")
            p.close()
            b.ping("k", G, 100)
        b.expect(("tunnel", 0, 1, 128), ("tunnel", 1, 1, 128), (G, 0, 1, 108), (G, 1, 1, 108))
    with tap.case("tunnel in transport, where policy says so: two layers, in both directions"):
        for stack, way in ((b.k, (K, G)), (g, (G, K))):
            stack.flush()
            ends = nets if stack is b.k else nets[::-1]
            stack.add(*SAS[G], *SAS["tunnel"],
                      *both(*ends, [tunnel(*way), transport()],
                            [tunnel(*way[::-1]), transport()]))
        b.wire.flush()
        for src, own, dst, ways in (("k", "10.1.0.1", NET, (0, 1)), ("g", NET, "10.1.0.1", (1, 0))):
            with Moves(b.k, OutProtected=1, InProtected=1):
                p = Ping(b.lab[src], own)
                check(p(dst, 100) is not None, "no answer")
                p.close()
            seq = 1 + (src == "g")
            inner = SAS["tunnel"][0].wire_len(128) - 20
            b.expect(*[(G, way, seq, inner) for way in ways])


def by_hand(sas, seq, payload, proto):
    """What the SAs make of a packet's payload, the first of them innermost."""
    for sa in sas:
        payload, proto = esp.protect(sa, seq, payload, proto), ESP
    return payload


def requests(tap, b):
    """Several headers, each with its own SA."""
    def chain(*kinds):
        # xfrm does not verify AH behind ESP: its header still says ESP then
        return [[SA(s, d, spi + 16 * n, N if p == "esp" else (None, auth("hmac-sha256")),
                    reqid=n + 1, proto=p) for n, p in enumerate(kinds)]
                for s, d, spi in ((K, X, 0x5301), (X, K, 0x5302))]

    def own(there, back):
        wanted = [transport("unique:%d" % sa.reqid, sa.proto) for sa in there]
        b.k.flush()
        b.peers[X].flush()
        b.k.add(*there, *back, *both(K, X, wanted, wanted))

    with tap.case("five requests in a policy, each its own SA; against xfrm, which takes no more"):
        there, back = chain("esp", "esp", "esp", "ah", "ah")
        own(there, back)
        tmpl = " ".join("tmpl proto %s reqid %d mode transport" % (sa.proto, sa.reqid)
                        for sa in there)
        b.lab["x"].ip(*[Xfrm.sa_line(sa) for sa in (*there, *back)],
                      "xfrm policy add src %s dst %s dir out %s" % (X, K, tmpl),
                      "xfrm policy add src %s dst %s dir in %s" % (K, X, tmpl))
        b.wire.flush()
        size = 108
        for sa in there:
            size = sa.wire_len(size) - 20
        with Moves(b.k, OutProtected=2, InProtected=2), Moves(b.peers[X]):
            b.ping("k", X, 100)
            b.ping("x", K, 100)
        b.wire.expect(["%s>%s ah %#x #%d len %d" % (sa.src, sa.dst, sa.spi, seq, 20 + size)
                       for sa, seq in ((there[4], 1), (back[4], 1), (back[4], 2), (there[4], 2))])
    with tap.case("six requests: six headers come in and go out, each as made by hand"):
        there, back = chain(*["esp"] * 6)
        own(there, back)
        b.wire.flush()
        inject = Injector(b.lab["x"], b.lab["k"])
        echo = struct.pack("!BBHHH", 8, 0, 0, 7, 1) + fill(100)
        echo = echo[:2] + struct.pack("!H", checksum(echo)) + echo[4:]
        with Moves(b.k, OutProtected=1, InProtected=1):
            inject.send(ip4(X, K, ESP, by_hand(back, 1, echo, ICMP)))
            answer = [p for p in b.wire.collect(2) if p.src == K]
        equal(len(answer), 1, "answers")
        payload = answer[0].payload
        for sa, inside in zip(there[::-1], [ESP] * 5 + [ICMP]):
            seq, payload, proto, _ = esp.open_(sa, payload)
            equal((seq, proto), (1, inside), "number and content of %#x" % sa.spi)
        equal((payload[0], payload[4:]), (0, echo[4:]), "the answer")
        inject.close()
    with tap.case("one of the six headers is not enough"):
        inject, packet = Injector(b.lab["x"], b.lab["k"]), bytes((0, 0)) + b"\xff" * 6
        with Moves(b.k, InPolicy=1):
            inject.send(ip4(X, K, ESP, esp.protect(back[0], 50, packet, 1)))
        inject.close()
    with tap.case("seven requests are refused"):
        line = "spdadd %s %s any -P out ipsec %s;" % (K, Y, "esp/transport//require " * 7)
        said = b.k.setkey(line, check=False)
        check(said.strip(), "setkey did not complain")
        with b.lab["k"], pfkey.Key() as key:
            equal([m for m in key.dump(pfkey.SPDDUMP) if m.ext[pfkey.DST].addr == Y], [],
                  "policies for %s" % Y)


def selectors(tap, b):
    """What policies may name beside ports: any protocol, GRE keys, mobility messages."""
    k6, x6 = "fd00::1", "fd00::2"
    for name, addr in (("k", k6), ("x", x6)):
        b.lab[name].sysctl("net.ipv6.conf.all.disable_ipv6", 0)
        b.lab[name].sysctl("net.ipv6.conf.eth0.disable_ipv6", 0)
        b.lab[name].ip("addr add %s/64 dev eth0 nodad" % addr)

    def fate(proto, payload, src=K, dst=X):
        family = socket.AF_INET6 if ":" in src else socket.AF_INET
        s = b.lab["k"].socket(family, socket.SOCK_RAW, proto)
        s.bind((src, 0))
        b.wire.flush()
        try:
            s.sendto(payload, (dst, 0))
        except OSError:
            return "drop"
        finally:
            s.close()
        found = []

        def came():
            found.extend(p for p in b.wire.take() if p.src == src)
            return found
        wait_for(came, 0.5)
        if not found:
            return "drop"
        return "%#x" % found[0].spi if found[0].proto in (ESP, AH) else "clear %d" % found[0].proto

    def case(name, policies, sends):
        with tap.case("selectors: " + name):
            b.k.flush()
            b.k.setkey(Kipsec.sa_line(SAS[X][0]) + Kipsec.sa_line(SA(k6, x6, 0x5141, N)) + policies)
            equal([fate(*s[:-1]) for s in sends], [s[-1] for s in sends], "fate")

    def gre(key, flags=0x2000):
        return struct.pack("!HH", flags, 0x0800) + (bytes(4) if flags & 0x8000 else b"") + \
            struct.pack("!I", key) + OPEN

    def mh(kind):
        return bytes((59, 1, kind, 0, 0, 0)) + bytes(10)

    line = "spdadd %s %s %%s -P out ipsec esp/transport//require;"
    v4, v6 = line % (K, X), line % (k6, x6)
    case("a protocol by its number", v4 % "103",
         [(103, OPEN, "0x5101"), (104, OPEN, "clear 104"), (17, bytes(8), "clear 17")])
    case("all protocols, those without ports too", v4 % "any",
         [(103, OPEN, "0x5101"), (255, ip4(K, X, 132, bytes(12)), "0x5101"),
          (47, bytes(4), "0x5101")])
    case("GRE, whatever key", v4 % "gre",
         [(47, gre(1234), "0x5101"), (47, struct.pack("!HH", 0, 0x800) + OPEN, "0x5101")])
    case("GRE by its key", v4 % "gre 305419896",
         [(47, gre(0x12345678), "0x5101"), (47, gre(0x12345678, 0xa000), "0x5101"),
          (47, gre(0x12345679), "clear 47"), (47, gre(0x12340000), "clear 47"),
          (47, struct.pack("!HH", 0, 0x800) + OPEN, "clear 47")])
    case("mobility header, all messages", v6 % "135",
         [(135, mh(1), k6, x6, "0x5141"), (135, mh(5), k6, x6, "0x5141"),
          (103, OPEN, k6, x6, "clear 103")])
    case("mobility header by message", v6 % "135 5,0",
         [(135, mh(5), k6, x6, "0x5141"), (135, mh(1), k6, x6, "clear 135")])


def local(tap):
    ipsec.loaded()
    with Lab("k", "x", "y", "g") as lab:
        lab.wire("k:%s/24" % K, "x:%s/24" % X, "y:%s/24" % Y, "g:%s/24" % G)
        lab["g"].ip("link add net0 type dummy", "link set net0 up", "addr add %s/24 dev net0" % NET,
                    "addr add %s/24 dev net0" % FAR, "route add 10.1.0.0/24 via " + K)
        lab["k"].ip("link add net0 type dummy", "link set net0 up", "addr add 10.1.0.1/24 dev net0",
                    "route add default via %s src %s" % (G, K))
        b = Local(lab)
        tap.on_failure[:] = [b.k.state, *[p.state for p in b.peers.values()]]
        for part in (right_mode, exceptions, order, no_loop, requests, selectors):
            part(tap, b)


if __name__ == "__main__":
    run(local)
