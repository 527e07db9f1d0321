#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# The set-ups of docs/examples: each network is built as its README draws it, the
# very files there are loaded, and real traffic goes both ways. Once with kipsec
# at all ends, and then once for each end with xfrm there, told the same by
# lib/conf.py. What stood on the wire is compared packet by packet.
import os
import re
import socket
import struct
import sys
from collections import Counter
from contextlib import ExitStack

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import conf                                                     # noqa: E402
import ipsec                                                    # noqa: E402
from ipsec import SETKEY, Kipsec, Moves, Xfrm, settle           # noqa: E402
from ktap import Skip, check, equal, run                        # noqa: E402
from netns import Lab, wait_for                                 # noqa: E402
from traffic import Ping, Udp, tcp_copy                         # noqa: E402
from wire import OPEN, SECRET, UDP, Capture, Injector, fill, ip4, udp4   # noqa: E402

EXAMPLES = os.path.join(ipsec.TOP, "docs/examples")
A, B = "192.0.2.1", "192.0.2.2"
SIZES = (8, 100, 1200)
STREAM = 100000
PORT = 4000
# Headers between an SA's own and an echo's data.
TRANSPORT, TUNNEL, TUNNEL6 = 8, 20 + 8, 40 + 8
GRE = 4 + 20 + 8
L2TP = 8 + 8 + 4 + 14 + 20 + 8          # UDP, session, sublayer, Ethernet, IP, ICMP


def example(*path):
    return os.path.join(EXAMPLES, *path)


def describe(packet):
    """As str(packet), but ESP in UDP shows its ports and what is in it; the IP length."""
    if packet.proto == UDP and packet.len >= 20 + 8 + 8:
        sport, dport, _, sum_, spi, seq = struct.unpack_from("!HHHHII", packet.payload)
        return "%s>%s udp %d>%d (%d) %#x #%d len %d" % (
            packet.src, packet.dst, sport, dport, sum_, spi, seq, packet.len)
    return str(packet)


class Bench:
    """An example at work. ends: namespace = file; moved: on a wire's far side of a NAT."""

    def __init__(self, tap, lab, folder, moved=None, **ends):
        self.tap, self.lab, self.folder, self.stacks = tap, lab, folder, {}
        self.ends = {name: example(folder, file) for name, file in ends.items()}
        # Where each wire is, addresses are not the same.
        self.wires = [(Capture(lab, w), (moved or {}).get(w, {})) for w in lab.wires]
        self.sas = {}
        for path in self.ends.values():
            for sa, ports in conf.associations(path):
                self.sas.setdefault(sa.spi, (sa, ports))
        tap.on_failure[:] = [self.state]

    def state(self):
        return [line for s in self.stacks.values() for line in s.state()]

    def variants(self):
        """Load the files in each way; gives the words for it where that went well."""
        for xfrm in [None, *self.ends]:
            words, loads = "%s: %s" % (self.folder, "xfrm at " + xfrm if xfrm else "kipsec"), False
            with self.tap.case(words + ": the files load"):
                self.load(xfrm)
                loads = True
            if loads:
                yield words

    def load(self, xfrm=None):
        self.xfrm = xfrm
        for name, path in self.ends.items():
            ns = self.lab[name]
            Kipsec(ns).flush()
            Xfrm(ns).flush()
            if name == xfrm:
                conf.load(ns, path)
                self.stacks[name] = Xfrm(ns)
                continue
            equal(ns.run(SETKEY, "-f", path), "", "what setkey says to " + path)
            self.stacks[name] = Kipsec(ns)
            equal(ns.run(SETKEY, "-D").count("state=mature"), len(conf.associations(path)), "SAs")
        self.seq = Counter()
        for wire, _ in self.wires:
            wire.flush()

    def take(self, wire, count=0):
        """What was on a wire, but for keepalives of UDP. No byte of it may be readable."""
        packets = [p for p in wire.collect(count) if not (p.proto == UDP and p.len == 29)]
        for p in packets:
            check(SECRET not in p.raw, "clear text in %s" % p)
        return packets

    def wanted(self, spis, size, moved):
        """A packet with size bytes, as describe() shows it; spis from the innermost."""
        for spi in spis:
            sa, ports = self.sas[spi]
            size = sa.wire_len(size) - 20
        self.seq[sa.spi] += 1
        src, dst = (moved.get(a, a) for a in (sa.src, sa.dst))
        kind = "udp %s>%s (0)" % ports if ports else sa.proto
        return "%s>%s %s %#x #%d len %d" % (src, dst, kind, sa.spi, self.seq[sa.spi],
                                            size + (28 if ports else 20))

    def moves(self, one, two, there, back):
        """The counters of all ends: so many packets from one to two, and back."""
        expected = {name: {} for name in self.stacks}
        expected[one] = {"OutProtected": there, "InProtected": back}
        expected[two] = {"OutProtected": back, "InProtected": there}
        return {name: expected[name] if isinstance(s, Kipsec) else {}
                for name, s in self.stacks.items()}

    def echoes(self, words, ns, src, dst, ends, there, back, inside):
        """From a namespace; ends: whose SAs there (the request's) and back are."""
        with self.tap.case("%s: echoes from %s to %s" % (words, ns, dst)), ExitStack() as stack:
            n = len(SIZES)
            for name, moves in self.moves(*ends, n, n).items():
                stack.enter_context(Moves(self.stacks[name], **moves))
            ping = Ping(self.lab[ns], src)
            stack.callback(ping.close)
            for size in SIZES:
                check(ping(dst, size) is not None, "no answer of %d bytes" % size)
            for wire, moved in self.wires:
                before = Counter(self.seq)
                wanted = [self.wanted(way, inside + size, moved)
                          for size in SIZES for way in (there, back)]
                equal([describe(p) for p in self.take(wire, len(wanted))], wanted,
                      "packets on " + wire.wire)
                after, self.seq = self.seq, before
            self.seq = after

    def stream(self, words, ns, to, dst, ends, there, back, src=None):
        """TCP: whatever was on the wire is what the ends count, numbered without a gap."""
        with self.tap.case("%s: TCP from %s to %s" % (words, ns, to)), ExitStack() as stack:
            # TCP learns what fits by a packet that does not; xfrm counts it so.
            moves = {name: stack.enter_context(Moves(s, ("OutTooBig", "XfrmOutStateModeError")))
                     for name, s in self.stacks.items()}
            tcp_copy(self.lab[ns], self.lab[to], dst, STREAM, src=src, timeout=20)
            for s in self.stacks.values():
                settle(s, 0.1)
            for wire, moved in self.wires:
                numbers = {}
                for p in self.take(wire):
                    kind, seq = re.fullmatch(r"(.*) #(\d+) len \d+", describe(p)).groups()
                    numbers.setdefault(kind, []).append(int(seq))
                kinds = [self.wanted(way, 0, moved).split(" #")[0] for way in (there, back)]
                for way in (there, back):
                    self.seq[way[-1]] -= 1
                equal(sorted(numbers), sorted(kinds), "packets on " + wire.wire)
                for way, kind in zip((there, back), kinds):
                    first = self.seq[way[-1]] + 1
                    equal(sorted(numbers[kind]), list(range(first, first + len(numbers[kind]))),
                          "numbers of " + kind)
            counts = [len(numbers[kind]) for kind in kinds]
            for way, n in zip((there, back), counts):
                self.seq[way[-1]] += n
            check(counts[0] > STREAM / 1460, "only %d packets there" % counts[0])
            for name, wanted in self.moves(*ends, *counts).items():
                moves[name].wanted = wanted

    def both(self, words, one, two, ends, there, back, inside):
        """Echoes and TCP from each side; one and two are (namespace, address).

        With xfrm at an end TCP goes only from one to two: it is now at this end, now
        at that.
        """
        ways = ((one, two, ends, there, back), (two, one, ends[::-1], back, there))
        for a, b, e, t, u in ways:
            self.echoes(words, a[0], a[1], b[1], e, t, u, inside)
        for a, b, e, t, u in ways[:1] if self.xfrm else ways:
            self.stream(words, a[0], b[0], b[1], e, t, u, a[1])


def script(ns, *path):
    """Run an example's script in a namespace; Skip if the kernel lacks such links."""
    try:
        ns.run(example(*path))
    except RuntimeError as e:
        if re.search("not supported|Unknown device|not found|No such file", str(e)):
            raise Skip("the kernel lacks it: " + " ".join(str(e).split())[-120:]) from None
        raise


def clear(b, wire, sender, dst, ns, **moves):
    """A datagram that no policy protects; moves: the sender's counters."""
    with Moves(b.stacks[ns], **moves):
        sender.send(OPEN, dst, PORT)
        equal([(p.dst, p.proto) for p in wire.collect(1)], [(dst, UDP)], "packets on the wire")


def masquerade(ns):
    """What leaves by eth1 has the router's own address there."""
    ns.run("nft", "-f", "-", stdin="""
        flush ruleset
        table ip t {
            chain post {
                type nat hook postrouting priority 100
                oifname "eth1" masquerade
            }
        }""")


def forward(lab, *names):
    for name in names:
        lab[name].sysctl("net.ipv4.ip_forward", 1)


def hosts(tap):
    ipsec.loaded()
    with Lab("alice", "bob") as lab:
        lab.wire("alice:%s/24" % A, "bob:%s/24" % B)
        for folder, there, back, inside in (
                ("transport-ah-esp", (0x1101, 0x1103), (0x1102, 0x1104), TRANSPORT),
                ("host-tunnel", (0x1201,), (0x1202,), TUNNEL)):
            b = Bench(tap, lab, folder, alice="alice.conf", bob="bob.conf")
            for words in b.variants():
                b.both(words, ("alice", A), ("bob", B), ("alice", "bob"), there, back, inside)


OFFICES = ("a", "left", "right", "b")


def offices(lab, *, ipv6=False, routes=False):
    """[a] 10.1.0.2 -- [left] 192.0.2.1 -- wire -- 192.0.2.2 [right] -- 10.2.0.2 [b]"""
    lab.wire("left:%s/24" % A, "right:%s/24" % B)
    for gate, host, n, m, peer in (("left", "a", 1, 2, B), ("right", "b", 2, 1, A)):
        lab.link("%s:10.%d.0.2/24" % (host, n), "%s:10.%d.0.1/24:eth1" % (gate, n))
        lab[host].ip("route add default via 10.%d.0.1" % n)
        if routes:
            lab[gate].ip("route add 10.%d.0.0/24 via %s" % (m, peer))
        if ipv6:
            lab[gate].sysctl("net.ipv6.conf.all.forwarding", 1)
            lab[gate].ip("addr add 2001:db8:%d::1/64 dev eth1 nodad" % n,
                         "route add 2001:db8:%d::/64 dev eth0" % m)
            lab[host].ip("addr add 2001:db8:%d::2/64 dev eth0 nodad" % n,
                         "route add ::/0 via 2001:db8:%d::1" % n)
    forward(lab, "left", "right")


def refused(sender, size):
    """Does the system know that so many bytes are too many?"""
    sender.sock.connect(("2001:db8:2::2", PORT))
    return sender.sock.getsockopt(41, 24) < size + 48       # IPV6_MTU


def networks(tap):
    with Lab(*OFFICES) as lab:
        offices(lab, routes=True)
        b = Bench(tap, lab, "net-to-net", left="left.conf", right="right.conf")
        for words in b.variants():
            ends, there, back = ("left", "right"), (0x1001,), (0x1002,)
            b.both(words, ("a", "10.1.0.2"), ("b", "10.2.0.2"), ends, there, back, TUNNEL)
            b.echoes(words, "left", "10.1.0.1", "10.2.0.2", ends, there, back, TUNNEL)
    with Lab(*OFFICES, ipv6=True) as lab:
        offices(lab, ipv6=True)
        b = Bench(tap, lab, "ipv6-over-ipv4", left="left.conf", right="right.conf")
        for words in b.variants():
            b.both(words, ("a", "2001:db8:1::2"), ("b", "2001:db8:2::2"), ("left", "right"),
                   (0x1801,), (0x1802,), TUNNEL6)
        b.load()
        with tap.case("ipv6-over-ipv4: a sender is told what fits"):
            # 1500 less 20 IP, 16 ESP with IV, 16 ICV: 1448 of text, 2 of them the trailer
            fits = 1446 - 40 - 8
            # TCP has taught the old route; a new one knows nothing.
            lab["a"].ip("route del ::/0", "route add ::/0 via 2001:db8:1::1")
            sender = Udp(lab["a"], "2001:db8:1::2", df=2)
            sink = Udp(lab["b"], "2001:db8:2::2", PORT)
            with Moves(b.stacks["left"], OutTooBig=1, OutProtected=1):
                sender.send(fill(fits + 1), "2001:db8:2::2", PORT)
                check(wait_for(lambda: refused(sender, fits + 1)), "nobody told it")
                sender.send(fill(fits), "2001:db8:2::2", PORT)
                equal(sink.recv(), fill(fits), "datagram")
            sender.close()
            sink.close()


def laptop(tap):
    own, gate, server = "192.168.7.2", "192.168.7.1", "198.51.100.9"
    with Lab("laptop", "gateway", "server") as lab:
        lab.wire("laptop:%s/24" % own, "gateway:%s/24" % gate)
        lab.link("gateway:198.51.100.1/24:eth1", "server:%s/24" % server)
        forward(lab, "gateway")
        for name, via in (("laptop", gate), ("server", "198.51.100.1")):
            lab[name].ip("route add default via " + via)
        b = Bench(tap, lab, "laptop", laptop="laptop.conf", gateway="gateway.conf")
        ends, there, back = ("laptop", "gateway"), (0x1301,), (0x1302,)
        for words in b.variants():
            b.both(words, ("laptop", own), ("server", server), ends, there, back, TUNNEL)
            b.echoes(words, "gateway", gate, own, ends[::-1], back, there, TUNNEL)
        b.load()
        wire, = (w for w, _ in b.wires)
        with tap.case("laptop: the neighbour on the Wi-Fi is refused, and nothing answers"):
            injector, sink = Injector(lab["gateway"], lab["laptop"]), Udp(lab["laptop"], own, PORT)
            with Moves(b.stacks["laptop"], InClear=1):
                injector.send(ip4("192.168.7.66", own, UDP, udp4("", "", 9, PORT, OPEN)))
            check(sink.recv(0.2) is None, "it arrived")
            injector.close()
            sink.close()
            equal(len(wire.take()), 1, "packets on the wire")
        sender = Udp(lab["laptop"], own)
        sender.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        with tap.case("laptop: broadcasts pass, as DHCP's, and multicasts"):
            for dst in ("255.255.255.255", "224.0.0.251"):
                clear(b, wire, sender, dst, "laptop")
        with tap.case("laptop: a broadcast of its network goes through the tunnel, once"):
            sink = Udp(lab["gateway"], "192.168.7.255", PORT)
            with Moves(b.stacks["laptop"], OutProtected=1), \
                    Moves(b.stacks["gateway"], InProtected=1):
                sender.send(fill(100), "192.168.7.255", PORT)
            equal(sink.all(timeout=0.1), [fill(100)], "datagrams")
            equal([describe(p) for p in b.take(wire, 1)], [b.wanted(there, TUNNEL + 100, {})],
                  "packets on the wire")
            sink.close()
        sender.close()
        for xfrm in (None, "gateway"):
            with tap.case("laptop: the gateway translates to its own address%s" %
                          (", xfrm there" if xfrm else "")):
                masquerade(lab["gateway"])
                b.load(xfrm)
                sender, sink = Udp(lab["laptop"]), Udp(lab["server"], server, PORT)
                sender.send(fill(100), server, PORT)
                equal(sink.recv(), fill(100), "datagram")
                sender.send(fill(100), server, PORT)
                data, peer = sink.sock.recvfrom(1000)
                equal((data, peer[0]), (fill(100), "198.51.100.1"), "datagram, and from whom")
                sink.sock.sendto(fill(90), peer)
                equal(sender.recv(), fill(90), "answer")
                equal([p.spi for p in b.take(wire, 3)], [0x1301, 0x1301, 0x1302], "on the wire")
                sender.close()
                sink.close()


def local_network(tap):
    gate, alice, bob, server = "10.1.0.1", "10.1.0.2", "10.1.0.3", "198.51.100.9"
    with Lab("alice", "bob", "gateway", "server") as lab:
        lab.wire("alice:%s/24" % alice, "bob:%s/24" % bob, "gateway:%s/24" % gate)
        lab.link("gateway:198.51.100.1/24:eth1", "server:%s/24" % server)
        forward(lab, "gateway")
        for name, via in (("alice", gate), ("bob", gate), ("server", "198.51.100.1")):
            lab[name].ip("route add default via " + via)
        b = Bench(tap, lab, "local-network", alice="alice.conf", bob="bob.conf",
                  gateway="gateway.conf")
        wire, = (w for w, _ in b.wires)
        for words in b.variants():
            for one, two, ends, there, inside in (
                    (("alice", alice), ("bob", bob), ("alice", "bob"), 0x1401, TRANSPORT),
                    (("alice", alice), ("gateway", gate), ("alice", "gateway"), 0x1411, TRANSPORT),
                    (("bob", bob), ("gateway", gate), ("bob", "gateway"), 0x1421, TRANSPORT),
                    (("alice", alice), ("server", server), ("alice", "gateway"), 0x1413, TUNNEL),
                    (("bob", bob), ("server", server), ("bob", "gateway"), 0x1423, TUNNEL)):
                if b.xfrm in (None, *ends):
                    b.both(words, one, two, ends, (there,), (there + 1,), inside)
            with tap.case(words + ": broadcasts of the network, and one's own address"):
                sender = Udp(lab["alice"], alice)
                sender.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                sinks = [Udp(lab[ns], "10.1.0.255", PORT) for ns in ("bob", "gateway")]
                # It passes twice: what goes out, and the sender's own copy.
                clear(b, wire, sender, "10.1.0.255", "alice",
                      **{"OutClear": 2} if b.xfrm != "alice" else {})
                for sink in sinks:
                    equal(sink.recv(), OPEN, "datagram")
                    sink.close()
                sender.close()
                with Moves(b.stacks["alice"]):
                    check(Ping(lab["alice"], alice)(alice, 50) is not None, "no answer")
                equal(wire.take(), [], "packets on the wire")


def holds(ns):
    return wait_for(lambda: re.search(r":1194 .* 07 ", ns.read("/proc/net/udp")), 20.0)


def road_warrior(tap):
    own, nat, gate, inner, server = ("192.168.1.23", "203.0.113.7", "192.0.2.1", "10.3.0.1",
                                     "10.2.0.2")
    with Lab("laptop", "nat", "gateway", "server") as lab, ExitStack() as stack:
        lab.wire("laptop:%s/24" % own, "nat:192.168.1.1/24")
        lab.wire("nat:%s/24:eth1" % nat, "gateway:%s/24" % gate)
        lab.link("gateway:10.2.0.1/24:eth1", "server:%s/24" % server)
        forward(lab, "nat", "gateway")
        lab["laptop"].ip("addr add %s/32 dev lo" % inner, "route add default via 192.168.1.1",
                         "route add 10.2.0.0/24 via 192.168.1.1 src " + inner)
        lab["nat"].ip("route add default via %s dev eth1 onlink" % gate)
        lab["gateway"].ip("route add default via %s dev eth0 onlink" % nat)
        lab["server"].ip("route add default via 10.2.0.1")
        masquerade(lab["nat"])
        b = Bench(tap, lab, "road-warrior", {"w1": {own: nat}}, laptop="laptop.conf",
                  gateway="gateway.conf")
        with tap.case("road-warrior: hold-port.py on both, and its first byte opens the way back"):
            for name, args in (("gateway", ()), ("laptop", (gate,))):
                p = lab[name].popen(example("road-warrior", "hold-port.py"), *args)
                stack.callback(p.wait)
                stack.callback(p.kill)
                check(holds(lab[name]), "port 4500 of %s is not open" % name)
            for (wire, _), src in zip(b.wires, (own, nat)):
                equal([(p.src, p.dst, p.proto, p.payload[:4], p.payload[8:])
                       for p in wire.collect(1)],
                      [(src, gate, UDP, struct.pack("!HH", 4500, 4500), b"\xff")], wire.wire)
        ends, there, back = ("laptop", "gateway"), (0x1501,), (0x1502,)
        for words in b.variants():
            b.both(words, ("server", server), ("laptop", inner), ends[::-1], back, there, TUNNEL)


def as_ever(b):
    """From left to right, what the example does not name."""
    b.load()
    sink = Udp(b.lab["right"], B, PORT)
    clear(b, b.wires[0][0], Udp(b.lab["left"]), B, "left")
    equal(sink.recv(), OPEN, "datagram")


def gre(tap):
    with Lab(*OFFICES) as lab:
        offices(lab)
        for side in ("left", "right"):
            script(lab[side], "gre", side + ".sh")
        b = Bench(tap, lab, "gre", left="left.conf", right="right.conf")
        ends, there, back = ("left", "right"), (0x1601,), (0x1602,)
        for words in b.variants():
            b.both(words, ("a", "10.1.0.2"), ("b", "10.2.0.2"), ends, there, back, GRE)
            b.echoes(words, "left", "10.9.0.1", "10.9.0.2", ends, there, back, GRE)
        with tap.case("gre: what is not GRE goes as ever"):
            as_ever(b)


def l2tp(tap):
    with Lab("left", "right") as lab:
        lab.wire("left:%s/24" % A, "right:%s/24" % B)
        for side in ("left", "right"):
            script(lab[side], "l2tp", side + ".sh")
        # ARP would go the same way, and be counted.
        for side, peer, address in (("left", "right", "10.9.0.2"), ("right", "left", "10.9.0.1")):
            mac = lab[peer].run("ip", "-br", "link", "show", "office").split()[2]
            lab[side].ip("neigh replace %s lladdr %s dev office nud permanent" % (address, mac))
        b = Bench(tap, lab, "l2tp", left="left.conf", right="right.conf")
        ends, there, back = ("left", "right"), (0x1701,), (0x1702,)
        for words in b.variants():
            b.both(words, ("left", "10.9.0.1"), ("right", "10.9.0.2"), ends, there, back, L2TP)
        with tap.case("l2tp: another port goes as ever"):
            as_ever(b)


def complete(tap):
    """Each folder has its README, the index names it, and its keys are marked."""
    folders = sorted(e.name for e in os.scandir(EXAMPLES) if e.is_dir())
    with open(example("README.md")) as f:
        index = f.read()
    for folder in folders:
        with tap.case("%s: described, and its keys are said to be examples" % folder):
            with open(example(folder, "README.md")) as f:
                lines = f.read().splitlines()
            check(10 <= len(lines) <= 40, "README.md has %d lines" % len(lines))
            check("](%s)" % folder in index, "the index does not name it")
            files = [f for f in os.listdir(example(folder)) if f.endswith(".conf")]
            told = 0
            for name in files:
                with open(example(folder, name)) as f:
                    told += "(the ones below are published)" in f.read()
            equal(told, 1, "files that say so")


if __name__ == "__main__":
    run(complete, hosts, networks, laptop, local_network, road_warrior, gre, l2tp)
