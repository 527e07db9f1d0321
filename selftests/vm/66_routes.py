#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# Where protected packets go: routes that move from link to link, rules and
# marks; what goes in clear beside them: broadcasts, multicasts, DHCP; firewall
# sets of what came protected.
#
#	10.1.0.1 [k: kipsec] 10.0.0.1 ---- wire w0 ---- 10.0.0.2 [x: xfrm] 10.2.0.1
#	                     10.4.0.1 ---- wire w1 ---- 10.4.0.2
import contextlib
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from bench import K, KNET, NETS, X, XNET, Bench, two_wires      # noqa: E402
from ipsec import SA, Moves, Policy, transport, tunnel          # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from traffic import Ping, Udp                                   # noqa: E402
from wire import ICMP, OPEN, UDP, fill                          # noqa: E402

SO_MARK, IGMP = 36, 2


# --- the way of the outer packet ---

def moving(tap, b):
    k = b.lab["k"]
    ping = Ping(k, KNET)
    with tap.case("the route to the peer moves to another link, and back"):
        b.protect(0x6701, ends=(KNET, XNET))
        b.echo(ping, XNET)
        k.ip("route replace 10.2.0.0/24 via 10.4.0.2 src " + KNET)
        b.echo(ping, XNET, there=1)
        b.lab["x"].ip("route replace 10.1.0.0/24 via 10.4.0.1 src " + XNET)
        b.echo(ping, XNET, there=1, back=1)
        k.ip("route replace 10.2.0.0/24 via 10.0.0.2 src " + KNET)
        b.lab["x"].ip("route replace 10.1.0.0/24 via 10.0.0.1 src " + XNET)
        b.echo(ping, XNET)
    with tap.case("a link goes down: the second best route; and up again"):
        k.ip("route add 10.2.0.0/24 via 10.4.0.2 src %s metric 20" % KNET)
        b.echo(ping, XNET)
        k.ip("link set eth0 down")
        b.lab["x"].ip("route replace 10.1.0.0/24 via 10.4.0.1 src " + XNET)
        b.echo(ping, XNET, there=1, back=1)
        k.ip("link set eth0 up", "route add 10.2.0.0/24 via 10.0.0.2 src " + KNET)
        b.echo(ping, XNET, there=0, back=1)
        b.lab["x"].ip("route replace 10.1.0.0/24 via 10.0.0.1 src " + XNET)
        b.echo(ping, XNET)
    with tap.case("the SA's own address goes and comes back, and the SA is still there"):
        k.ip("addr del %s/24 dev net0" % KNET)
        with Moves(b.k):
            check(ping(XNET, 10, 0.2) is None, "an answer without an address")
        k.ip("addr add %s/24 dev net0" % KNET,
             "route replace 10.2.0.0/24 via 10.0.0.2 src " + KNET)
        b.echo(ping, XNET)
    with tap.case("a device is removed by which an SA's packets went"):
        k.ip("route replace 10.2.0.0/24 via 10.4.0.2 src " + KNET)
        b.lab["x"].ip("route replace 10.1.0.0/24 via 10.4.0.1 src " + XNET)
        b.echo(ping, XNET, there=1, back=1)
        k.ip("link del eth1")
        k.ip("route replace 10.2.0.0/24 via 10.0.0.2 src " + KNET)
        b.lab["x"].ip("route replace 10.1.0.0/24 via 10.0.0.1 src " + XNET)
        b.echo(ping, XNET)
    ping.close()


def tunnel_moves(tap, b):
    ping = Ping(b.lab["k"], KNET)
    with tap.case("tunnel: the inner route stays, the outer one moves"):
        b.protect(0x6711, "tunnel")
        b.echo(ping, XNET)
        b.lab["k"].ip("route add %s/32 via 10.4.0.2 src %s" % (X, K))
        b.echo(ping, XNET, there=1)
        b.lab["k"].ip("route del %s/32" % X)
        b.echo(ping, XNET)
    with tap.case("tunnel: no way to the peer, then there is one"):
        b.lab["k"].ip("route add unreachable %s/32" % X)
        with Moves(b.k, OutNoRoute=1):
            check(ping(XNET, 10, 0.2) is None, "it was answered")
        b.lab["k"].ip("route del unreachable %s/32" % X)
        b.echo(ping, XNET)
    ping.close()


def rules(tap, b):
    k = b.lab["k"]
    k.ip("route add %s via 10.4.0.2 table 100" % NETS[1], "route add %s via 10.4.0.2 table 100" % X)
    ping, marked = Ping(k, KNET), Ping(k, KNET)
    marked.sock.setsockopt(socket.SOL_SOCKET, SO_MARK, 9)
    with tap.case("a rule by address sends ESP over another link"):
        b.protect(0x6721, ends=(KNET, XNET))
        b.echo(ping, XNET)
        k.ip("rule add from %s to %s lookup 100" % (KNET, XNET))
        b.echo(ping, XNET, there=1)
        k.ip("rule del from %s to %s lookup 100" % (KNET, XNET))
        b.echo(ping, XNET)
    with tap.case("a firewall marks ESP on its way out, and a rule follows the mark"):
        k.ip("rule add fwmark 5 lookup 100")
        k.nft("""table ip f {
            chain out { type route hook output priority 0; meta l4proto esp meta mark set 5; }
            }""")
        b.echo(ping, XNET, there=1)
        k.run("nft", "delete table ip f")
        k.ip("rule del fwmark 5")
        b.echo(ping, XNET)
    k.ip("rule add fwmark 9 lookup 100")
    with tap.case("a sender's mark leads its packets, protected or not"):
        b.echo(marked, XNET, there=1)
        b.echo(ping, XNET)
        b.echo(marked, XNET, there=1)
    with tap.case("tunnel: a sender's mark leads the outer packet, as in xfrm"):
        b.protect(0x6731, "tunnel")
        b.echo(marked, XNET, there=1)
        b.echo(ping, XNET)
        b.echo(marked, XNET, there=1)
    k.ip("rule del fwmark 9", "route flush table 100")
    with tap.case("tunnel: only marked packets have an inner route"):
        k.ip("route del " + NETS[1], "route add %s dev eth0 table 100" % NETS[1],
             "rule add fwmark 9 lookup 100")
        with Moves(b.k):
            check(ping(XNET, 10, 0.2) is None, "not marked: it was answered")
        b.echo(marked, XNET)
        k.ip("rule del fwmark 9", "route flush table 100",
             "route add %s via %s src %s" % (NETS[1], X, KNET))
    ping.close()
    marked.close()


# --- what policies for all leave alone, unless they name it ---

def datagrams(wire, *wanted):
    """In clear, to these addresses; reports of group members are no test's business."""
    time.sleep(0.2)
    equal([(p.dst, p.proto) for p in wire.take() if p.proto != IGMP],
          [(dst, UDP) for dst in wanted], "packets")


def named(tap, b):
    k, wire = b.lab["k"], b.wires[0]
    udp = Udp(k, K, 68)
    udp.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    udp.sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(K))
    sinks = [Udp(b.lab["x"], "0.0.0.0", 67)]
    group = "224.0.0.99"
    with tap.case("policy for all addresses: broadcast and multicast stay in clear"):
        b.protect(0x6741)
        b.k.setkey("spdflush;")
        b.k.add(Policy("0.0.0.0/0", "0.0.0.0/0", "out", requests=[transport()]),
                Policy("0.0.0.0/0", "0.0.0.0/0", "in", requests=[transport()]))
        for dst in ("255.255.255.255", group):
            with Moves(b.k):
                udp.send(OPEN, dst, 67)
            datagrams(wire, dst)
        equal(sinks[0].all(1), [OPEN], "broadcast received")
        with Moves(b.k, OutProtected=1):
            udp.send(fill(20), X, 67)
        equal([str(p) for p in wire.collect(1)], ["%s>%s esp 0x6741 #1 len %d" % (
            K, X, b.sas[0].wire_len(28))], "unicast")
        equal(sinks[0].all(1), [fill(20)], "unicast received")
    with tap.case("and from the wire: they are accepted in clear"):
        other, mine = Udp(b.lab["x"], X, 69), Udp(k, "0.0.0.0", 69)
        mine.sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                             socket.inet_aton(group) + socket.inet_aton(K))
        other.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        other.sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(X))
        b.x.flush()
        with Moves(b.k, InClear=1):
            for dst in ("255.255.255.255", group, K):
                other.send(OPEN + dst.encode(), dst, 69)
        equal(mine.all(3), [OPEN + b"255.255.255.255", OPEN + group.encode()], "received")
        mine.close()
        other.close()
        datagrams(wire, "255.255.255.255", group, K)
    with tap.case("policies that name them want them protected, or drop them"):
        # In front of the others: a policy that leaves a packet alone ends the search.
        b.k.setkey("spdadd 0.0.0.0/0 255.255.255.255[67] udp -P out prio high ipsec "
                   "esp/transport//require;"
                   "spdadd 0.0.0.0/0 %s any -P out prio high discard;" % group)
        # Of a broadcast there is one more copy, for those who listen here.
        with Moves(b.k, OutNoSa=2, OutDiscard=1):
            udp.send(OPEN, "255.255.255.255", 70)   # another port: not named
            for dst in ("255.255.255.255", group):
                with contextlib.suppress(OSError):
                    udp.send(fill(20), dst, 67)
        datagrams(wire, "255.255.255.255")
    with tap.case("a multicast group with an SA of its own, and a member here: each goes out once"):
        b.k.setkey("spdflush;")
        member = Udp(k, "0.0.0.0", 67)
        member.sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                               socket.inet_aton(group) + socket.inet_aton(K))
        sa = SA(K, group, 0x6751, ipsec.GCM, window=0)
        b.k.add(sa, Policy(K, group, "out", requests=[transport()]))
        # The member here gets ESP back like any other, but not from his own address.
        with Moves(b.k, OutProtected=2, InProtected=2):
            udp.send(fill(20), group, 67)
            udp.send(fill(30), group, 67)
        equal([str(p) for p in wire.take() if p.proto != IGMP],
              ["%s>%s esp 0x6751 #%d len %d" % (K, group, n, sa.wire_len(18 + 10 * n))
               for n in (1, 2)], "packets")
        member.close()
    udp.close()
    sinks[0].close()


def dhcp(tap, b):
    """A relay, 10.1.0.1, asks the server, 10.2.0.1, for a client on its own network."""
    k, wire = b.lab["k"], b.wires[0]
    with tap.case("DHCP: policies of ports 67 and 68 alone, a relay and its server"):
        b.protect(0x6761, "tunnel")
        b.k.setkey("spdflush;")
        b.lab["x"].ip("xfrm policy flush")
        for stack, own, peer, a, z in ((b.k, K, X, *NETS), (b.x, X, K, *NETS[::-1])):
            stack.add(*[Policy(src, dst, way, requests=[r], proto="udp", sport="67", dport="67")
                        for src, dst, way, r in ((a, z, "out", tunnel(own, peer)),
                                                 (z, a, "in", tunnel(peer, own)))])
        relay, server = Udp(k, KNET, 67), Udp(b.lab["x"], XNET, 67)
        with Moves(b.x), Moves(b.k, OutProtected=1, InProtected=1):
            relay.send(fill(300), XNET, 67)
            equal(server.recv(), fill(300), "request")
            server.send(fill(310), KNET, 67)
            equal(relay.recv(), fill(310), "answer")
        wire.expect(["%s>%s esp %#x #1 len %d" % (sa.src, sa.dst, sa.spi, sa.wire_len(28 + n))
                     for sa, n in zip(b.sas, (300, 310))])
        # In clear, and not for this tunnel: the client's ports, another protocol.
        client = Udp(k, KNET, 68)
        with Moves(b.k):
            client.send(OPEN, XNET, 67)
            check(Ping(k, KNET)(XNET, 16, pattern=OPEN) is not None, "no answer")
        equal([(p.dst, p.proto) for p in wire.collect(3)],
              [(XNET, UDP), (XNET, ICMP), (KNET, ICMP)], "packets")
        # An answer in clear is refused.
        b.lab["x"].ip("xfrm policy flush")
        with Moves(b.k, InClear=1):
            server.send(OPEN, KNET, 67)
        check(relay.recv(0.2) is None, "it arrived")
        for s in (relay, server, client):
            s.close()


def sets(tap, b):
    k = b.lab["k"]
    udp, far = Udp(k, KNET, 4000), Udp(b.lab["x"], XNET)
    with tap.case("nft: a set of peers learns only from what came protected"):
        b.protect(0x6771, "tunnel")
        k.nft("""table ip f {
            set peers { type ipv4_addr; flags dynamic; size 16; }
            chain in { type filter hook input priority 0;
                udp dport 4000 meta secpath exists add @peers { ip saddr } accept;
                udp dport 4000 ip saddr @peers drop; }
            }""")
        far.send(fill(20), KNET, 4000)
        equal(udp.recv(), fill(20), "protected")
        members = k.run("nft", "list", "set", "ip", "f", "peers")
        check("elements = { %s }" % XNET in members, "the set: " + members)
        b.k.setkey("spdflush;")
        b.x.flush()
        far.send(OPEN, KNET, 4000)
        check(udp.recv(0.2) is None, "what a peer sent in clear arrived")
        k.run("nft", "delete table ip f")
    with tap.case("nft: a set of SAs"):
        b.protect(0x6781, "tunnel")
        # By SPI or reqid. Of addresses the kernel tells only with a tunnel of xfrm's own.
        k.nft("""table ip f {
            set sas { typeof ipsec in spi; elements = { 0x6780, 0x6782 } }
            chain in { type filter hook input priority 0;
                udp dport 4000 ipsec in spi @sas accept;
                udp dport 4000 drop; }
            }""")
        far.send(fill(20), KNET, 4000)
        equal(udp.recv(), fill(20), "through the SA of the set")
        b.protect(0x6791, "tunnel")
        with Moves(b.k, InProtected=1):
            far.send(fill(20), KNET, 4000)
        check(udp.recv(0.2) is None, "through another SA: it arrived")
        k.run("nft", "delete table ip f")
    udp.close()
    far.close()


def hosts(tap):
    ipsec.loaded()
    with two_wires() as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state, b.x.state]
        for part in (tunnel_moves, rules, named, dhcp, sets, moving):
            part(tap, b)


if __name__ == "__main__":
    run(hosts)
