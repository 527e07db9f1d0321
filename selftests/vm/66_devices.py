#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# Bridges and VRFs, as the way to the peer and as the network behind a gateway,
# and strict reverse path filters. Hosts, and gateways between networks:
#
#	10.1.0.1 [k: kipsec] 10.0.0.1 ---- wire ---- 10.0.0.2 [x: xfrm] 10.2.0.1
#
#	[a] 10.1.0.2 -- 10.1.0.1 [g1: kipsec] 10.0.0.1 ---- wire ----
#	---- wire ---- 10.0.0.2 [g2: xfrm] 10.2.0.1 -- 10.2.0.2 [b]
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from bench import K, KNET, NETS, X, XNET, Bench, need           # noqa: E402
from ipsec import Moves                                         # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import gateways, pair                                # noqa: E402
from traffic import Ping, tcp_copy                              # noqa: E402
from wire import ESP, OPEN                                      # noqa: E402

SO_BINDTODEVICE = 25


def bridge(lab, name, *ports):
    """Make the first port's address the bridge's."""
    ns = lab[name]
    addr = next(line.split()[3] for line in ns.run(
        "ip", "-4", "-o", "addr", "show", "dev", ports[0]).splitlines())
    ns.ip("link add br0 type bridge forward_delay 0 mcast_snooping 0",
          *["addr flush dev " + p for p in ports], *["link set %s master br0" % p for p in ports],
          "link set br0 up", "addr add %s dev br0" % addr)


CALLS = {"": 0, ", bridged packets pass the firewall": 1}


def firewalled(ns, on):
    """br_netfilter: whether iptables and its like see bridged packets."""
    if on:
        need("br_netfilter")
    if os.path.exists("/proc/sys/net/bridge"):
        ns.sysctl("net.bridge.bridge-nf-call-iptables", on)


def bridges(tap):
    ipsec.loaded()
    with pair() as lab:
        bridge(lab, "k", "eth0")
        lab["k"].ip("route add %s via %s src %s" % (NETS[1], X, KNET))
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state, b.x.state]
        ping, far = Ping(lab["k"], K), Ping(lab["k"], KNET)
        for name, on in CALLS.items():
            with tap.case("the outer device is a bridge" + name):
                firewalled(lab["k"], on)
                b.protect(0x67a1)
                b.echo(ping, X)
                tcp_copy(lab["x"], lab["k"], K, 100000)
                equal({p.proto for p in b.wires[0].take()}, {ESP}, "protocols")
                b.protect(0x67b1, "tunnel")
                b.echo(far, XNET)
                b.x.flush()
                with Moves(b.k, InClear=1):
                    check(Ping(lab["x"], XNET)(KNET, 10, 0.2, OPEN) is None, "answered in clear")
                b.flush()


def bridged_lan(tap):
    with gateways() as lab:
        lab.add("c")
        lab.link("c:10.1.0.3/24", "g1:10.1.0.9/24:eth2")
        lab["c"].ip("route add default via 10.1.0.1")
        bridge(lab, "g1", "eth1", "eth2")
        b = Bench(lab, "g1", "g2")
        tap.on_failure[:] = [b.k.state, b.x.state]
        for name, on in CALLS.items():
            with tap.case("the network behind a gateway is bridged" + name):
                firewalled(lab["g1"], on)
                b.protect(0x67c1, "tunnel", nets=("10.1.0.0/24", "0.0.0.0/0"))
                # The gateway itself talks to its network in clear.
                b.k.setkey("spdadd 10.1.0.1 10.1.0.0/24 any -P out prio high none;")
                for host in "ac":
                    b.echo(Ping(lab[host]), "10.2.0.2")
            with tap.case("its hosts reach each other past the policies" + name):
                with Moves(b.k):
                    check(Ping(lab["c"])("10.1.0.2", 10, pattern=OPEN) is not None, "no answer")


def vrfs(tap):
    with pair() as lab:
        k, b = lab["k"], Bench(lab)
        tap.on_failure[:] = [b.k.state, b.x.state]
        with tap.case("VRF: a host's address is in it, transport mode, both directions"):
            need("vrf")
            k.ip("link add red type vrf table 10", "link set red up", "link set eth0 master red")
            b.protect(0x67d1)
            ping = Ping(k)
            ping.sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, b"red")
            b.echo(ping, X)
            with Moves(b.x), Moves(b.k, OutProtected=1, InProtected=1):
                check(Ping(lab["x"])(K, 100) is not None, "from the peer: no answer")
            b.seq += 1
            equal([p.proto for p in b.wires[0].collect(2)], [ESP] * 2, "protocols")
            ping.close()
        with tap.case("VRF: without SAs nothing is sent, in clear nothing comes in"):
            b.k.setkey("flush;")
            b.x.flush()
            ping = Ping(k)
            ping.sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, b"red")
            with Moves(b.k, OutNoSa=1, InClear=1):
                check(ping(X, 10, 0.2) is None, "it was answered")
                check(Ping(lab["x"])(K, 10, 0.2, OPEN) is None, "answered in clear")
            equal([p.src for p in b.wires[0].take()], [X], "sources on the wire")


def vrf_gateways(tap):
    for name, devices in (("the network", ("eth1",)), ("the network and the way to the peer",
                                                       ("eth1", "eth0"))):
        with gateways() as lab, tap.case("VRF of a gateway: %s in it" % name):
            need("vrf")
            g1, b = lab["g1"], Bench(lab, "g1", "g2")
            tap.on_failure[:] = [b.k.state, b.x.state]
            g1.ip("link add red type vrf table 10", "link set red up",
                  *["link set %s master red" % d for d in devices])
            g1.ip("route replace %s via %s dev eth0 table 10" % (NETS[1], X))
            if len(devices) == 1:               # and back from the other side
                g1.ip("route add 10.1.0.0/24 dev eth1")
            b.protect(0x67e1, "tunnel")
            b.echo(Ping(lab["a"]), "10.2.0.2")
            tcp_copy(lab["a"], lab["b"], "10.2.0.2", 100000)
            tcp_copy(lab["b"], lab["a"], "10.1.0.2", 100000)
            equal({p.proto for p in b.wires[0].take()}, {ESP}, "protocols")


def strict(tap):
    with gateways() as lab:
        b = Bench(lab, "g1", "g2")
        tap.on_failure[:] = [b.k.state, b.x.state]
        for name in ("all", "eth0", "eth1"):
            lab["g1"].sysctl("net.ipv4.conf.%s.rp_filter" % name, 1)
        with tap.case("strict rp_filter on a gateway, all routes straight"):
            b.protect(0x67f1, "tunnel")
            b.echo(Ping(lab["a"]), "10.2.0.2")
        with tap.case("strict rp_filter, the far network's route is not the tunnel's way"):
            lab["g1"].ip("route del " + NETS[1], "link add net9 type dummy", "link set net9 up",
                         "route add %s dev net9" % NETS[1],
                         "neigh add 10.2.0.2 lladdr 02:00:00:00:00:02 dev net9 nud permanent")
            b.echo(Ping(lab["a"]), "10.2.0.2")
            tcp_copy(lab["b"], lab["a"], "10.1.0.2", 100000)
            equal({p.proto for p in b.wires[0].take()}, {ESP}, "protocols")


if __name__ == "__main__":
    run(bridges, bridged_lan, vrfs, vrf_gateways, strict)
