#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# Packets that are several packets: UDP in one buffer with a segment size (GSO),
# local and forwarded, their checksums left to the device; packets that a gateway's
# device joined (GRO), as one with pages and as a list; and every size, for padding
# and room behind the packet.
#
#	10.1.0.1, fd01::1 [k: kipsec] 10.0.0.1, fd00::1 ---- wire ----
#	---- wire ---- 10.0.0.2, fd00::2 [x: xfrm] 10.2.0.1, fd02::1
#
#	[a] 10.1.0.2 -- [g1: kipsec] ---- wire ---- [g2: xfrm] -- 10.2.0.2 [b]
import errno
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, auth, transport, tunnel  # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import gateways, pair, still_neighbours              # noqa: E402
from traffic import Udp, tcp_copy                               # noqa: E402
from wire import ESP, ETH_P_ALL, Capture, fill                  # noqa: E402

SOL_UDP, UDP_SEGMENT = 17, 103
PORT, PARTS, PART = 4000, 10, 1000
HOSTS = {4: ("10.0.0.1", "10.0.0.2"), 6: ("fd00::1", "fd00::2")}
INSIDE = {4: ("10.1.0.1", "10.2.0.1"), 6: ("fd01::1", "fd02::1")}
NETS = {4: ("10.1.0.0/24", "10.2.0.0/24"), 6: ("fd01::/64", "fd02::/64")}
SHA256 = (None, auth("hmac-sha256"))


def features(ns, dev, *words):
    ns.run("ethtool", "-K", dev, *words)


def policies(own, peer, a, z, mode, proto="esp"):
    there, here = (tunnel(own, peer, proto=proto), tunnel(peer, own, proto=proto)) \
        if mode == "tunnel" else (transport(proto=proto), transport(proto=proto))
    found = [Policy(a, z, "out", requests=[there]), Policy(z, a, "in", requests=[here])]
    return found + [Policy(z, a, "fwd", requests=[here])]


class Bench:
    """kipsec at one end of the wire, xfrm at the other."""

    def __init__(self, lab, near="k", far="x"):
        self.lab, self.wire = lab, Capture(lab)
        self.k, self.x = Kipsec(lab[near]), Xfrm(lab[far])

    def configure(self, family, mode, algs=ipsec.GCM, proto="esp"):
        """SAs out and in."""
        left, right = HOSTS[family]
        sas = [SA(left, right, 0x6101, algs, mode, window=1024, proto=proto),
               SA(right, left, 0x6102, algs, mode, window=1024, proto=proto)]
        a, z = NETS[family] if mode == "tunnel" else HOSTS[family]
        self.k.flush()
        self.x.flush()
        # setkey makes the policy for forwarding itself
        self.k.add(*sas, *policies(left, right, a, z, mode, proto)[:2])
        self.x.add(*sas, *policies(right, left, z, a, mode, proto))
        self.wire.flush()
        return sas

    def expect(self, sa, inner):
        """So many packets of an SA, each with this much inside."""
        self.wire.expect(["%s>%s esp %#x #%d len %d" % (sa.src, sa.dst, sa.spi, seq + 1,
                                                        sa.wire_len(inner))
                          for seq in range(PARTS)])


def burst(sender, dst, size=PART):
    """Datagrams in one buffer: one packet of the stack's until somebody parts it."""
    sender.sock.setsockopt(SOL_UDP, UDP_SEGMENT, size)
    data = b"".join(bytes((n,)) + fill(size - 1) for n in range(PARTS))
    sender.send(data, dst, PORT)
    return [data[n * size:(n + 1) * size] for n in range(PARTS)]


# --- between two hosts ---

def inside(family, mode):
    return 8 + PART + ((20 if family == 4 else 40) if mode == "tunnel" else 0)


def udp_gso(tap, b):
    """From kipsec only: a socket whose packets xfrm protects cannot send such."""
    for family in HOSTS:
        for mode in ("transport", "tunnel"):
            own, peer = HOSTS[family] if mode == "transport" else INSIDE[family]
            with tap.case("IPv%d %s: UDP GSO" % (family, mode)):
                sas = b.configure(family, mode)
                sender, receiver = Udp(b.lab["k"], own), Udp(b.lab["x"], peer, PORT)
                with Moves(b.x), Moves(b.k, OutProtected=PARTS):
                    parts = burst(sender, peer)
                    equal(receiver.all(PARTS), parts, "datagrams")
                b.expect(sas[0], inside(family, mode))
                sender.close()
                receiver.close()
    with tap.case("UDP GSO whose segments do not fit: refused whole, none in clear"):
        b.configure(4, "tunnel")
        own, peer = INSIDE[4]
        sender = Udp(b.lab["k"], own)
        with Moves(b.k, OutTooBig=1):
            try:
                burst(sender, peer, 1472)
                said = 0
            except OSError as e:
                said = e.errno
        equal((said, b.wire.take()), (errno.EMSGSIZE, []), "errno, packets on the wire")
        sender.close()


def every_size(tap, b):
    """Each length of payload; later ones, in fragments, with a stride.

    The debug kernel is slow: there a stride for all but the first.
    """
    stride = 1 if os.environ.get("KIPSEC_SUITE") == "full" else 13
    for name, mode, algs, proto, step in (("aes-gcm-16", "transport", ipsec.GCM, "esp", 1),
                                          ("aes-cbc", "tunnel", ipsec.AES_SHA1, "esp", stride),
                                          ("AH", "transport", SHA256, "ah", stride)):
        sizes = [*range(0, 1473, step), *range(1473, 65400, 1733)]
        ends = HOSTS[4] if mode == "transport" else INSIDE[4]
        b.configure(4, mode, algs, proto)
        for src, dst, own, peer in (("k", "x", *ends), ("x", "k", *ends[::-1])):
            with tap.case("every size, %s %s, %s to %s" % (name, mode, src, dst)):
                sender, receiver = Udp(b.lab[src], own, df=0), Udp(b.lab[dst], peer, PORT)
                moves = {"OutProtected" if src == "k" else "InProtected": len(sizes)}
                data = fill(sizes[-1])
                with Moves(b.x), Moves(b.k, **moves):
                    for size in sizes:
                        sender.send(data[:size], peer, PORT)
                        got = receiver.recv()
                        check(got == data[:size], "%d bytes: %s" % (
                            size, "nothing" if got is None else "something else"))
                b.wire.flush()
                sender.close()
                receiver.close()


def hosts(tap):
    ipsec.loaded()
    with pair(ipv6=True) as lab:
        still_neighbours(lab)
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state, b.x.state]
        udp_gso(tap, b)
        every_size(tap, b)


# --- through gateways ---

class Seen:
    """Lengths of the packets that a namespace's device gives to its stack."""

    def __init__(self, ns, dev):
        self.sock = ns.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.sock.bind((dev, ETH_P_ALL))
        self.sock.setblocking(False)

    def longest(self):
        lens = [0]
        while True:
            try:
                lens.append(len(self.sock.recv(70000)))
            except BlockingIOError:
                return max(lens)


# name: what g1's device does with what comes in
JOINED = {"as it was sent": (),
          "parted by the sender": (),
          "joined by GRO": ("gro", "on", "rx-udp-gro-forwarding", "on"),
          "joined by GRO into lists": ("gro", "on", "rx-udp-gro-forwarding", "off",
                                       "rx-gro-list", "on")}


def forwarded(tap):
    with gateways() as lab:
        b = Bench(lab, "g1", "g2")
        tap.on_failure[:] = [b.k.state, b.x.state]
        seen = Seen(lab["g1"], "eth1")
        sender, receiver = Udp(lab["a"], "10.1.0.2"), Udp(lab["b"], "10.2.0.2", PORT)
        for name, words in JOINED.items():
            whole = name != "parted by the sender"
            with tap.case("forwarded: UDP GSO, " + name):
                if name != "as it was sent":
                    features(lab["a"], "eth0", "gso", "off", "tso", "off",
                             "tx-udp-segmentation", "off")
                if words:
                    features(lab["g1"], "eth1", *words)
                sas = b.configure(4, "tunnel")
                seen.longest()
                with Moves(b.x), Moves(b.k, OutProtected=PARTS):
                    parts = burst(sender, "10.2.0.2")
                    equal(receiver.all(PARTS), parts, "datagrams")
                b.expect(sas[0], inside(4, "tunnel"))
                equal(seen.longest() > PART + 28, whole, "g1 got one packet for several")
            with tap.case("forwarded: TCP, " + name):
                seen.longest()
                for src, dst, addr in (("a", "b", "10.2.0.2"), ("b", "a", "10.1.0.2")):
                    tcp_copy(lab[src], lab[dst], addr, 1 << 19)
                equal({p.proto for p in b.wire.take()}, {ESP}, "protocols on the wire")
                equal(seen.longest() > 1500, whole, "g1 got one packet for several")


if __name__ == "__main__":
    run(hosts, forwarded)
