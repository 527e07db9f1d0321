# SPDX-License-Identifier: GPL-2.0
"""Two networks and two gateways, with hosts between those, in both families.

	[a] -- [g1: kipsec] ---- w0 ---- [r] ---- w1 ---- [g2: xfrm] -- [b]

a is 10.1.0.2 and fd01::2, b 10.2.0.2 and fd02::2.
"""
import socket

import ipsec
from ipsec import SA, Kipsec, Policy, Xfrm, auth, tunnel
from ktap import equal
from netns import Lab
from traffic import Udp
from wire import SECRET, UDP, Capture, fill, ip4, ip6, udp4

A, B, G1, G2, R = {}, {}, {}, {}, {}
A[4], B[4], G1[4], G2[4], R[4] = "10.1.0.2", "10.2.0.2", "10.0.0.1", "10.0.9.2", "10.0.0.9"
A[6], B[6], G1[6], G2[6], R[6] = "fd01::2", "fd02::2", "fd00::1", "fd09::2", "fd00::9"
NETS = {4: ("10.1.0.0/24", "10.2.0.0/24"), 6: ("fd01::/64", "fd02::/64")}
PORT, IP_MTU, IPV6_MTU = 4000, 14, 24
AH = (None, auth("hmac-sha256"))
WAYS = [(4, 4), (6, 6), (6, 4), (4, 6)]         # families inside and outside
HEADER = {4: 20, 6: 40}


def fits(sa, mtu):
    """The longest inner packet whose protected form has no more than mtu bytes."""
    return max(n for n in range(mtu) if sa.wire_len(n) <= mtu)


def join(lab, left, right, n4, n6, mtu=1500, watched=True, dev=("eth0", "eth0")):
    """Two hosts on one link; n4 and n6 are lists of their addresses."""
    ends = ["%s:%s/24:%s" % (h, a, d) for h, a, d in zip((left, right), n4, dev)]
    if watched:
        lab.wire(*ends, mtu=mtu)
    else:
        lab.link(*ends)
    for host, addr, d in zip((left, right), n6, dev):
        lab[host].ip("addr add %s/64 dev %s nodad" % (addr, d))


def ways(lab, host, **gates):
    """Routes: the ends of an address family's gateway, and what is behind it."""
    for name, (gate4, gate6) in gates.items():
        for net in {"left": ("10.1.0.0/24", "10.0.0.0/24", "10.0.4.0/24"),
                    "right": ("10.2.0.0/24", "10.0.9.0/24")}[name]:
            lab[host].ip("route add %s via %s" % (net, gate4), check=False)
        for net in {"left": ("fd01::/64", "fd00::/64", "fd04::/64"),
                    "right": ("fd02::/64", "fd09::/64")}[name]:
            lab[host].ip("route add %s via %s" % (net, gate6), check=False)


def chain(*middle):
    """The hosts, and the links at both ends."""
    lab = Lab("a", "g1", *middle, "g2", "b", ipv6=True)
    join(lab, "a", "g1", (A[4], "10.1.0.1"), (A[6], "fd01::1"), watched=False,
         dev=("eth0", "eth1"))
    join(lab, "b", "g2", (B[4], "10.2.0.1"), (B[6], "fd02::1"), watched=False,
         dev=("eth0", "eth1"))
    for host in ("g1", *middle, "g2"):
        lab[host].sysctl("net.ipv4.ip_forward", 1)
        lab[host].sysctl("net.ipv6.conf.all.forwarding", 1)
    lab["a"].ip("route add default via 10.1.0.1", "route add default via fd01::1")
    lab["b"].ip("route add default via 10.2.0.1", "route add default via fd02::1")
    return lab


def router_lab(mtu=1400):
    """With one router, whose link to g2 has this MTU."""
    lab = chain("r")
    join(lab, "g1", "r", (G1[4], R[4]), (G1[6], R[6]))
    join(lab, "r", "g2", ("10.0.9.9", G2[4]), ("fd09::9", G2[6]), mtu=mtu, dev=("eth1", "eth0"))
    ways(lab, "g1", right=(R[4], R[6]))
    ways(lab, "g2", left=("10.0.9.9", "fd09::9"))
    return lab


class Bench:
    """Tunnels between g1 and g2, for both families inside."""

    def __init__(self, lab):
        self.lab, self.g1, self.g2 = lab, Kipsec(lab["g1"]), Xfrm(lab["g2"])
        self.wires = [Capture(lab, w) for w in lab.wires]
        self.receiver = {f: Udp(lab["b"], B[f], PORT) for f in B}

    def configure(self, outer, algs=ipsec.GCM):
        left, right = G1[outer], G2[outer]
        proto = "esp" if algs[0] else "ah"
        self.out = SA(left, right, 0x4601, algs, "tunnel", proto=proto, window=1024)
        self.back = SA(right, left, 0x4602, algs, "tunnel", proto=proto, window=1024)
        for stack, own, peer in ((self.g1, left, right), (self.g2, right, left)):
            stack.flush()
            stack.add(self.out, self.back)
            for a, b in NETS.values():
                if stack is self.g2:
                    a, b = b, a
                there, here = tunnel(own, peer, proto=proto), tunnel(peer, own, proto=proto)
                stack.add(Policy(a, b, "out", requests=[there]),
                          Policy(b, a, "in", requests=[here]))
                if stack is self.g2:
                    stack.add(Policy(b, a, "fwd", requests=[here]))
        self.forget()
        return self.out

    def forget(self):
        """Let no routing table remember a path MTU, and no capture a packet."""
        for name in self.lab.ns:
            self.lab[name].sysctl("net.ipv4.route.flush", 0)
        # Of IPv6 only a new route forgets what the old one learned.
        for name, gate in (("a", "fd01::1"), ("b", "fd02::1")):
            self.lab[name].ip("route del default via " + gate, "route add default via " + gate)
        for wire in self.wires:
            wire.flush()

    def sender(self, inner, df=2):
        """A connected socket of a's; df as in IP_MTU_DISCOVER: 2 sets it, 0 does not."""
        u = Udp(self.lab["a"], A[inner], df=df)
        u.sock.connect((B[inner], PORT))
        return u

    def arrives(self, inner, size, pattern=SECRET):
        data = fill(size - HEADER[inner] - 8, pattern)
        equal(self.receiver[inner].recv(), data, "datagram at b")


def send(u, inner, size, pattern=SECRET):
    """A datagram in an IP packet of so many bytes; gives errno of a refusal."""
    u.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)       # of an earlier one
    try:
        u.sock.send(fill(size - HEADER[inner] - 8, pattern))
        return 0
    except OSError as e:
        return e.errno


def known_mtu(u, inner):
    return u.sock.getsockopt(*((41, IPV6_MTU) if inner == 6 else (0, IP_MTU)))


def udp_packet(inner, size, df=True, pattern=SECRET):
    """The same datagram whole, for an Injector."""
    data = udp4("", "", 9, PORT, fill(size - HEADER[inner] - 8, pattern))
    if inner == 6:
        return ip6(A[6], B[6], UDP, data)
    return ip4(A[4], B[4], UDP, data, flags=2 if df else 0)
