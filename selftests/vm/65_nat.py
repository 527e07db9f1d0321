#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# A gateway that translates addresses, on both sides of its tunnel.
#
#	[a] 10.1.0.2 -- 10.1.0.1 [g1: kipsec] 10.0.0.1 -- w0 -- 10.0.0.2 [g2: xfrm] 10.2.0.1 -- [b]
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from bench import K, NETS, X                                    # noqa: E402
from gates import A, B, G1, Gates                               # noqa: E402
from ipsec import Policy                                        # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import gateways                                      # noqa: E402
from traffic import Ping, Udp, tcp_copy                         # noqa: E402
from wire import ICMP, OPEN, UDP, fill                          # noqa: E402

PORT = 4000


def exchange(b, client, server, dst, sport, seen, dport=PORT):
    """A datagram to dst and an answer; the server sees the client as "seen"."""
    one, two = Udp(client, port=sport), Udp(server, port=dport)
    one.sock.connect((dst, PORT))
    two.sock.settimeout(2)
    one.sock.send(fill(40))
    data, peer = two.sock.recvfrom(100)
    equal((data, peer[0]), (fill(40), seen), "received")
    two.sock.sendto(fill(60), peer)
    equal(one.recv(), fill(60), "answer")
    one.close()
    two.close()


def snat(tap, b):
    b.a.ip("addr add 10.1.0.3/24 dev eth0")
    ping, other = Ping(b.a, A), Ping(b.a, "10.1.0.3")
    b.lab["g2"].ip("route add 10.9.0.0/24 via " + K)
    post = """chain post { type nat hook postrouting priority srcnat;
        oifname eth0 ip saddr %s %s; }"""
    for name, rule, to in (("SNAT to a chosen address", "snat to 10.9.0.7", "10.9.0.7"),
                           ("masquerade", "masquerade", K)):
        with tap.case(name + ", which the tunnel's policy names: echo, datagrams, TCP"), \
             b.rules(post % (A, rule)):
            b.protect(0x6501, nets=(to + "/32", NETS[1]))
            with b.moves(1, 1):
                check(ping(B, 100) is not None, "no answer")
            b.expect(128, -128)
            equal(len(b.flows("icmp", B)), 1, "entries of the echo")
            with b.moves(1, 1):
                exchange(b, b.a, b.b, B, 5000, to)
            b.expect(68, -88)
            tcp_copy(b.a, b.b, B, 200000, port=5055)
            b.only_esp()
            b.one_flow("dport=5055", reply=to)
            b.forget()
        with tap.case(name + ": whose address is not translated goes in clear"), \
             b.rules(post % (A, rule)):
            b.protect(0x6511, nets=(to + "/32", NETS[1]))
            with b.moves():
                check(other(B, 10, pattern=OPEN) is not None, "no answer")
            equal([(p.src, p.proto) for p in b.wires[0].collect(2)],
                  [("10.1.0.3", ICMP), (B, ICMP)], "packets")
            b.forget()
    ping.close()
    other.close()


def six(b):
    """The same networks with IPv6: a is fd01::2, g1 fd01::1 and fd00::1, b fd02::2."""
    for name, dev, addr, route in (("a", "eth0", "fd01::2", "default via fd01::1"),
                                   ("g1", "eth1", "fd01::1", ""),
                                   ("g1", "eth0", "fd00::1", "fd02::/64 via fd00::2"),
                                   ("g2", "eth0", "fd00::2", "fd09::/64 via fd00::1"),
                                   ("g2", "eth1", "fd02::1", ""),
                                   ("b", "eth0", "fd02::2", "default via fd02::1")):
        b.lab[name].sysctl("net.ipv6.conf.all.forwarding", 1)
        b.lab[name].ip("addr add %s/64 dev %s nodad" % (addr, dev),
                       *["route add " + route] if route else [])


def snat6(tap):
    ipsec.loaded()
    with gateways(ipv6=True) as lab:
        b = Gates(lab)
        tap.on_failure[:] = [b.k.state, b.x.state]
        six(b)
        ping = Ping(b.a, "fd01::2")
        for rule, to in (("snat to fd09::7", "fd09::7"), ("masquerade", "fd00::1")):
            with tap.case("IPv6: %s, which the tunnel's policy names: echo, TCP" % rule), \
                 b.rules("chain post { type nat hook postrouting priority srcnat;"
                         "oifname eth0 ip6 saddr fd01::/64 %s; }" % rule, "ip6 f"):
                b.protect(0x6521, ends=("fd00::1", "fd00::2"), nets=(to + "/128", "fd02::/64"))
                with b.moves(1, 1):
                    check(ping("fd02::2", 100) is not None, "no answer")
                b.expect(148, -148)
                tcp_copy(b.a, b.b, "fd02::2", 100000, port=5055)
                b.only_esp()
                b.one_flow("dport=5055", reply=to, family="ipv6")
                b.forget()
        ping.close()


def dnat(tap, b):
    pre = """chain pre { type nat hook prerouting priority dstnat;
        iifname %s ip daddr %s udp dport 4000 dnat to %s; %s }"""
    with tap.case("DNAT of what comes out of the tunnel: a port of g1 is one of a"), \
         b.rules(pre % ("eth0", G1, A + ":4007",
                        "iifname eth0 ip daddr %s tcp dport 5056 dnat to %s;" % (G1, A))):
        # Policy knows nothing of a: what counts is what came, and what really goes.
        b.protect(0x6531, nets=(G1 + "/32", NETS[1]))
        with b.moves(1, 1):
            exchange(b, b.b, b.a, G1, 5001, B, 4007)
        b.expect(-68, 88)
        tcp_copy(b.b, b.a, G1, 200000, port=5056)
        b.only_esp()
        b.one_flow("dport=5056", reply=B)
        b.forget()
    with tap.case("DNAT before the tunnel: the policy of the new destination, not of the old"), \
         b.rules(pre % ("eth1", "10.5.0.9", B, "")):
        b.protect(0x6541)
        b.k.add(Policy(NETS[0], "10.5.0.0/24", "out", "discard"))
        b.g.ip("route add 10.5.0.0/24 via " + X)
        with b.moves(1, 1):
            exchange(b, b.a, b.b, "10.5.0.9", 5002, A)
        b.expect(68, -88)
        b.forget()
    with tap.case("DNAT before the tunnel, to where no policy leads: in clear"), \
         b.rules(pre % ("eth1", B, X, "")):
        b.protect(0x6551)
        udp, far = Udp(b.a, A), Udp(b.lab["g2"], X, PORT)
        with b.moves():
            udp.send(OPEN, B, PORT)
            equal(far.recv(), OPEN, "received")
        equal([(p.dst, p.proto) for p in b.wires[0].collect(1)], [(X, UDP)], "packets")
        udp.close()
        far.close()
        b.forget()


def snat4(tap):
    ipsec.loaded()
    with gateways() as lab:
        b = Gates(lab)
        tap.on_failure[:] = [b.k.state, b.x.state]
        snat(tap, b)
        dnat(tap, b)


if __name__ == "__main__":
    run(snat4, snat6)
