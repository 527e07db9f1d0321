#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# Tunnels of other kinds over ESP in transport mode, against xfrm: GRE, IP in IP
# of all four combinations, VXLAN, L2TPv3. Policies name the tunnel's protocol, or
# its port.
#
#	10.9.0.1 [tun0  k: kipsec] 10.0.0.1, fd00::1 ---- wire ----
#	---- wire ---- 10.0.0.2, fd00::2 [x: xfrm  tun0] 10.9.0.2
import os
import sys
from typing import NamedTuple

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from bench import need                                          # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, transport     # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import pair                                          # noqa: E402
from traffic import Ping, tcp_copy                              # noqa: E402
from wire import ESP, OPEN, Capture                             # noqa: E402

ENDS = {4: ("10.0.0.1", "10.0.0.2"), 6: ("fd00::1", "fd00::2")}
K, X = ENDS[4]
KNET, XNET = "10.1.0.1", "10.2.0.1"
MTU, SIZES = 1400, (1, 100, 1300, 3000)
QUIET = ("OutProtected", "InProtected", "OutTooBig")
MACS = ("02:00:00:00:09:01", "02:00:00:00:09:02")


class Link(NamedTuple):
    """A kind of link; overhead: between the outer IP header and the inner one."""
    modules: tuple
    commands: tuple                 # of ip(8); {local}, {remote}, {mac}
    proto: str                      # in the policies
    overhead: int
    outer: int = 4                  # families
    inner: int = 4
    port: str = ""                  # of UDP, as destination; sport: as source too
    sport: str = ""
    ether: bool = False


def l2tp(encap, ports=""):
    return ("l2tp add tunnel tunnel_id 1 peer_tunnel_id 1 encap %s local {local} "
            "remote {remote} %s" % (encap, ports),
            "l2tp add session name tun0 tunnel_id 1 session_id 1 peer_session_id 1",
            "link set tun0 address {mac}")


IN = "local {local} remote {remote}"
VX = "link add tun0 address {mac} type vxlan id 9 dstport 4789 noudpcsum " + IN
PORTS = "udp_sport 1701 udp_dport 1701"
L2TP = ("l2tp_netlink", "l2tp_eth")
LINKS = {
    "GRE": Link(("ip_gre",), ("link add tun0 type gre " + IN,), "47", 4),
    "GRE with key": Link(("ip_gre",), ("link add tun0 type gre key 7 " + IN,), "47", 8),
    "GRE, Ethernet": Link(("ip_gre",), ("link add tun0 address {mac} type gretap " + IN,), "47", 18,
                          ether=True),
    "GRE, IPv6": Link(("ip6_gre",), ("link add tun0 type ip6gre encaplimit none " + IN,), "47", 4,
                      outer=6),
    "ipip": Link(("ipip",), ("link add tun0 type ipip " + IN,), "4", 0),
    "sit": Link(("sit",), ("link add tun0 type sit " + IN,), "41", 0, inner=6),
    "ip6tnl, 6 in 6": Link(("ip6_tunnel",), ("link add tun0 type ip6tnl mode any encaplimit none " +
                                             IN,), "41", 0, outer=6, inner=6),
    "ip6tnl, 4 in 6": Link(("ip6_tunnel",), ("link add tun0 type ip6tnl mode any encaplimit none " +
                                             IN,), "4", 0, outer=6),
    "VXLAN": Link(("vxlan",), (VX,), "udp", 30, port="4789", ether=True),
    "VXLAN, IPv6": Link(("vxlan",), (VX + " udp6zerocsumtx udp6zerocsumrx",), "udp", 30, outer=6,
                        port="4789", ether=True),
    "L2TPv3, IP": Link(L2TP + ("l2tp_ip",), l2tp("ip"), "115", 22, ether=True),
    "L2TPv3, UDP": Link(L2TP, l2tp("udp", PORTS), "udp", 34, port="1701", sport="1701",
                        ether=True),
}


def only_esp(wire, count=None):
    packets = wire.collect(count) if count else wire.take()
    equal([str(p) for p in packets if p.proto != ESP], [], "packets that are not ESP")
    if count is not None:
        equal(len(packets), count, "packets")
    return packets


# --- tunnels over transport mode ---

class Bench:
    def __init__(self, lab):
        self.lab, self.k, self.x, self.wire = lab, Kipsec(lab["k"]), Xfrm(lab["x"]), Capture(lab)
        self.sas = ()

    def protect(self, link, spi):
        a, b = ENDS[link.outer]
        self.sas = SA(a, b, spi, ipsec.GCM, window=1024), SA(b, a, spi + 1, ipsec.GCM, window=1024)
        for stack, own, peer in ((self.k, a, b), (self.x, b, a)):
            stack.flush()
            stack.add(*self.sas, *[
                Policy(src, dst, direction, requests=[transport()], proto=link.proto,
                       sport=link.sport, dport=link.port)
                for src, dst, direction in ((own, peer, "out"), (peer, own, "in"))])

    def link(self, link, mtu=None):
        need(*link.modules)
        self.unlink()
        for n, name in enumerate(("k", "x")):
            ns, (local, remote) = self.lab[name], ENDS[link.outer][::1 - 2 * n]
            own, peer = inner(link)[::1 - 2 * n]
            ns.ip(*[c.format(local=local, remote=remote, mac=MACS[n]) for c in link.commands])
            # No router solicitations and listener reports among the packets.
            ns.ip("link set tun0 addrgenmode none")
            if link.inner == 4:
                ns.sysctl("net.ipv6.conf.tun0.disable_ipv6", 1)
            if mtu:
                ns.ip("link set tun0 mtu %d" % mtu)
            ns.ip("addr add %s dev tun0" % (own + ("/64 nodad" if link.inner == 6 else "/24")),
                  "link set tun0 up")
            if link.ether:
                ns.ip("neigh replace %s lladdr %s dev tun0 nud permanent" % (peer, MACS[1 - n]))

    def unlink(self):
        for name in ("k", "x"):
            self.lab[name].run("ip", "link", "del", "tun0", check=False)
            self.lab[name].run("ip", "l2tp", "del", "tunnel", "tunnel_id", "1", check=False)


def inner(link):
    return ("fd09::1", "fd09::2") if link.inner == 6 else ("10.9.0.1", "10.9.0.2")


def pieces(link, sa, size):
    """Lengths on the wire of an echo, which the link's MTU may have cut."""
    head, more = (40, 8) if link.inner == 6 else (20, 0)
    left, found = 8 + size, []
    if head + left <= MTU:
        return [sa.wire_len(link.overhead + head + left)]
    room = (MTU - head - more) // 8 * 8
    while left > 0:
        found.append(sa.wire_len(link.overhead + head + more + min(room, left)))
        left -= room
    return found


def exact_echoes(b, link):
    wanted, n, numbers = [], 0, {}
    for echo in (b.sas, b.sas[::-1]):
        for size in SIZES:
            for sa in echo:             # there and back
                for length in pieces(link, sa, size):
                    n = numbers[sa.spi] = numbers.get(sa.spi, 0) + 1
                    wanted.append("%s>%s esp %#x #%d len %d" % (sa.src, sa.dst, sa.spi, n, length))
    with Moves(b.x), Moves(b.k, OutProtected=n, InProtected=n):
        for name, (own, peer) in (("k", inner(link)), ("x", inner(link)[::-1])):
            ping = Ping(b.lab[name], own)
            for size in SIZES:
                check(ping(peer, size) is not None, "%s: no answer of %d bytes" % (name, size))
            ping.close()
    b.wire.expect(wanted)


def refusals(b, link):
    own, peer = inner(link)
    ping = Ping(b.lab["x"], peer)
    family = "-6" if link.inner == 6 else "-4"
    sel = "%s %s any" % (peer, own)
    # The link's packet was protected; what it carries was not, if policies name it.
    b.k.setkey("spdadd %s %s -P in ipsec esp/transport//require;" % (family, sel))
    with Moves(b.k, InProtected=1, InClear=1):
        check(ping(own, 50, 0.2) is None, "inner policy: it was answered")
    b.k.setkey("spddelete %s %s -P in;" % (family, sel))
    # Clear packets of the link are dropped, and without SAs none is sent.
    b.x.flush()
    with Moves(b.k, InClear=1):
        check(ping(own, 50, 0.2, OPEN) is None, "in clear: it was answered")
    ping.close()
    equal([p.proto == ESP for p in b.wire.take()], [True, False], "ESP on the wire")
    b.k.setkey("flush;")
    ping = Ping(b.lab["k"], own)
    with Moves(b.k, OutNoSa=1):
        check(ping(peer, 50, 0.2) is None, "without SAs: it was answered")
    ping.close()
    equal(b.wire.take(), [], "packets without SAs")


def links(tap):
    ipsec.loaded()
    with pair(ipv6=True) as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state, b.x.state]
        for n, (name, link) in enumerate(LINKS.items()):
            if os.environ.get("KIPSEC_LINKS", "") not in name:
                continue
            with tap.case(name + ": echoes both ways, every packet on the wire"):
                b.link(link, MTU)
                b.protect(link, 0x6600 + 16 * n)
                b.wire.flush()
                exact_echoes(b, link)
            if not b.sas or b.sas[0].spi != 0x6600 + 16 * n:
                continue
            with tap.case(name + ": TCP both ways, MTU as the link finds it"):
                b.link(link)
                for src, dst, addrs in (("k", "x", inner(link)), ("x", "k", inner(link)[::-1])):
                    # What is too long is said once or twice, and all else passes.
                    with Moves(b.x), Moves(b.k, QUIET):
                        tcp_copy(lab[src], lab[dst], addrs[1], 150000, src=addrs[0], timeout=20)
                    packets = only_esp(b.wire)
                    check(len(packets) > 100, "%d packets" % len(packets))
                    check(max(p.len for p in packets) <= 1500, "a packet is too long")
            with tap.case(name + ": in clear refused, without SAs nothing sent"):
                refusals(b, link)
            b.unlink()


if __name__ == "__main__":
    run(links)
