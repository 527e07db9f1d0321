#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# kipsec beside the rest of the network stack: address translation, connection
# tracking, strict reverse path filters, firewall rules about IPsec, and xfrm in
# the same namespace.
#
#	[a] 10.1.0.2 -- [g1: kipsec, nat] 10.0.0.1 ---- wire ---- 10.0.0.2 [g2: xfrm] -- [b]
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import esp                                                      # noqa: E402
import ipsec                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, transport, tunnel    # noqa: E402
from ktap import Skip, check, equal, run                        # noqa: E402
from netns import gateways, pair                                # noqa: E402
from traffic import Ping, Udp, tcp_copy                         # noqa: E402
from wire import ESP, UDP, Capture, Injector, ip4, udp4         # noqa: E402

K, X, PORT = "10.0.0.1", "10.0.0.2", 4000
N = ipsec.NULL_SHA256


def only_esp(wire, count=None):
    packets = wire.take()
    equal([str(p) for p in packets if p.proto != ESP], [], "packets that are not ESP")
    if count is not None:
        equal(len(packets), count, "packets")


def masquerade(tap):
    ipsec.loaded()
    with gateways() as lab:
        k, x, wire = Kipsec(lab["g1"]), Xfrm(lab["g2"]), Capture(lab)
        sas = [SA(K, X, 0xc001), SA(X, K, 0xc002)]
        for stack, own, peer in ((k, K, X), (x, X, K)):
            stack.add(*sas, Policy(own, peer, "out", requests=[transport()]),
                      Policy(peer, own, "in", requests=[transport()]))
        tap.on_failure += [k.state, x.state]
        lab["g1"].nft("""table ip t { chain post {
            type nat hook postrouting priority 100; oifname "eth0" masquerade; }
            }""")
        with tap.case("masquerade, and a policy on the translated address: ping"):
            ping = Ping(lab["a"])
            with Moves(k, OutProtected=3, InProtected=3):
                for _ in range(3):
                    check(ping(X, 100) is not None, "no answer")
            only_esp(wire, 6)
        with tap.case("masquerade: TCP, and the flow is confirmed and ASSURED"):
            tcp_copy(lab["a"], lab["g2"], X, 200000, port=5055)
            only_esp(wire)
            try:
                table = lab["g1"].read("/proc/net/nf_conntrack")
            except FileNotFoundError:
                raise Skip("no /proc/net/nf_conntrack") from None
            mine = [line for line in table.splitlines() if "dport=5055" in line]
            equal(len(mine), 1, "entries of the flow")
            check("ASSURED" in mine[0] and "dst=%s" % K in mine[0].split("src=%s" % X)[-1],
                  "entry: " + mine[0])
        with tap.case("masquerade: what no policy is for goes out translated and in clear"):
            k.flush()
            x.flush()
            check(Ping(lab["a"])(X, 10, pattern=b"o") is not None, "no answer")
            equal([p.src for p in wire.take()], [K, X], "sources")


def filters(tap):
    with pair() as lab:
        k, injector = Kipsec(lab["k"]), Injector(lab["x"], lab["k"])
        sa = SA(X, K, 0xc011, N, "tunnel", window=0)
        sa2 = SA(X, K, 0xc012, N, window=0)
        k.add(sa, sa2)
        u = Udp(lab["k"], "0.0.0.0", PORT)
        inner = ip4("10.2.0.1", "10.1.0.1", UDP, udp4("", "", 9, PORT, b"inner"))
        tunnelled = ip4(X, K, ESP, esp.protect(sa, 1, inner, 4))
        direct = ip4(X, K, ESP, esp.protect(sa2, 1, udp4(X, K, 9, PORT, b"inner"), UDP))
        clear = ip4(X, K, UDP, udp4(X, K, 9, PORT, b"clear"))

        with tap.case("strict rp_filter, and the way back is another device"):
            lab["k"].sysctl("net.ipv4.conf.all.rp_filter", 1)
            lab["k"].sysctl("net.ipv4.conf.eth0.rp_filter", 1)
            lab["k"].ip("route replace 10.2.0.0/24 dev net0")
            injector.send(inner)
            equal(u.recv(0.2), None, "in clear")
            with Moves(k, InProtected=1):
                injector.send(tunnelled)
            equal(u.recv(), b"inner", "through the tunnel")
            lab["k"].sysctl("net.ipv4.conf.all.rp_filter", 0)
            lab["k"].sysctl("net.ipv4.conf.eth0.rp_filter", 0)
        with tap.case("nft: meta secpath"):
            lab["k"].nft("""table ip f { chain in { type filter hook input priority 0;
                udp dport %d meta secpath missing drop; }
                }""" % PORT)
            injector.send(clear, tunnelled, direct)
            equal(u.all(3, 0.2), [b"inner", b"inner"], "passed")
            lab["k"].nft("delete table ip f")
        with tap.case("nft: ipsec in spi"):
            lab["k"].nft("""table ip f { chain in { type filter hook input priority 0;
                udp dport %d ipsec in spi != %d drop; }
                }""" % (PORT, 0xc011))
            injector.send(tunnelled, direct)
            equal(u.all(3, 0.2), [b"inner"], "passed")
            lab["k"].nft("delete table ip f")
        with tap.case("iptables: -m policy"):
            try:
                lab["k"].run("iptables", "-A", "INPUT", "-p", "udp", "-m", "policy", "--dir", "in",
                             "--pol", "none", "-j", "DROP")
            except (FileNotFoundError, RuntimeError) as e:
                raise Skip("iptables: " + str(e).replace("\n", " ")[:120]) from None
            injector.send(clear, tunnelled, direct)
            equal(u.all(3, 0.2), [b"inner", b"inner"], "passed")
            lab["k"].run("iptables", "-F")
        with tap.case("a firewall sees the decapsulated packet on the device it came by"):
            lab["k"].nft("""table ip f { chain pre { type filter hook prerouting priority 0;
                iifname "eth0" udp dport %d drop; }
                }""" % PORT)
            injector.send(tunnelled, direct)
            equal(u.all(1, 0.2), [], "passed")
            lab["k"].nft("delete table ip f")
        u.close()


def beside_xfrm(tap):
    with pair() as lab:
        k, kx, x, wire = Kipsec(lab["k"]), Xfrm(lab["k"]), Xfrm(lab["x"]), Capture(lab)
        mine = [SA(K, X, 0xc021), SA(X, K, 0xc022)]
        theirs = [SA(K, X, 0xc031, mode="tunnel"), SA(X, K, 0xc032, mode="tunnel")]
        for stack, own, peer in ((k, K, X), (x, X, K)):
            stack.add(*mine, Policy(own, peer, "out", requests=[transport()]),
                      Policy(peer, own, "in", requests=[transport()]))
        for stack, a, b, own, peer in ((kx, "10.1.0.0/24", "10.2.0.0/24", K, X),
                                       (x, "10.2.0.0/24", "10.1.0.0/24", X, K)):
            stack.add(*theirs, Policy(a, b, "out", requests=[tunnel(own, peer)]),
                      Policy(b, a, "in", requests=[tunnel(peer, own)]))
        tap.on_failure += [k.state, kx.state, x.state]
        with tap.case("xfrm's SAs in the same namespace, between the same addresses"):
            with Moves(k, OutProtected=2, InProtected=2, InUnknownSpi=2), Moves(kx), Moves(x):
                for _ in range(2):
                    check(Ping(lab["k"])(X, 50) is not None, "kipsec: no answer")
                    check(Ping(lab["k"], "10.1.0.1")("10.2.0.1", 50) is not None,
                          "xfrm: no answer")
            size = {"transport": 58, "tunnel": 78}
            wire.expect(["%s>%s esp %#x #%d len %d" % (s.src, s.dst, s.spi, n,
                                                       s.wire_len(size[s.mode]))
                         for n in (1, 2) for s in mine + theirs])


if __name__ == "__main__":
    run(masquerade, filters, beside_xfrm)
