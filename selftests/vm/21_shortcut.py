#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: core
#
# The short way in: ESP that is decapsulated in the hook of PRE_ROUTING, where nobody
# would see the long one. It is taken, and then all that holds on the long way holds:
# window, ICV, limits, policies, congestion marks, counters; and whoever begins to look
# turns the next packet to the long way, and sees it there.
#
#	[k: kipsec, UDP receiver] 10.0.0.1 ---- wire ---- 10.0.0.2 [x: forger]
#	                           fd00::1                fd00::2
#
# Packets are forged with the SA's key. No socket of k sees frames, for that is one of
# those who look; the forger's stands in x.
import os
import socket
import struct
import sys
import time
from contextlib import contextmanager

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import esp                                                      # noqa: E402
import ipsec                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, transport, tunnel  # noqa: E402
from ktap import Skip, check, equal, run                        # noqa: E402
from netns import pair                                          # noqa: E402
from traffic import Udp                                         # noqa: E402
from wire import ESP, ICMP6, OPEN, UDP, Injector, fill, ip4, ip6, udp  # noqa: E402

ENDS = {4: ("10.0.0.2", "10.0.0.1"), 6: ("fd00::2", "fd00::1")}     # source, destination
PORT = 4000
IPIP = {4: 4, 6: 41}
HEADER = {4: ip4, 6: ip6}
SNMP = {4: ("/proc/net/snmp", "Ip", "InReceives InDelivers"),
        6: ("/proc/net/snmp6", "Ip6", "InReceives InDelivers InOctets")}


class Bench:
    """An SA from x to k and a policy of k's that wants it."""

    def __init__(self, lab):
        self.lab, self.k, self.ns = lab, Kipsec(lab["k"]), lab["k"]
        self.udp = {f: Udp(lab["k"], ENDS[f][1], PORT) for f in ENDS}
        self.injector = Injector(lab["x"], lab["k"])
        self.spi = 0x2100

    def start(self, family=4, mode="tunnel", life="", window=64):
        self.family, self.mode = family, mode
        self.src, self.dst = ENDS[family]
        self.spi += 1
        self.sa = SA(self.src, self.dst, self.spi, mode=mode, window=window,
                     algs=ipsec.NULL_SHA256, extra=life)
        want = tunnel(self.src, self.dst) if mode == "tunnel" else transport()
        self.k.flush()
        self.k.add(self.sa, Policy(self.src, self.dst, "in", requests=[want]))
        self.seq = 0
        self.first()

    def first(self):
        """By it the SA's way in becomes known, and what policies say of it."""
        self.send(1, None)
        self.send(1, None)

    def inner(self, text=None, **fields):
        data = udp(self.src, self.dst, PORT, PORT, text or fill(60, OPEN))
        return HEADER[self.family](self.src, self.dst, UDP, data, **fields)

    def packet(self, seq, inner=None, outer=None):
        if self.mode == "tunnel":
            text, what = inner or self.inner(), IPIP[self.family]
        else:
            text, what = udp(self.src, self.dst, PORT, PORT, fill(60, OPEN)), UDP
        return HEADER[self.family](self.src, self.dst, ESP,
                                   esp.protect(self.sa, seq, text, what), **(outer or {}))

    def push(self, *packets, arrive=None):
        """Put them on the wire; so many datagrams arrive, all if nothing is said."""
        self.injector.send(*packets)
        wanted = len(packets) if arrive is None else arrive
        equal(len(self.udp[self.family].all(wanted, 1.0)), wanted, "datagrams")
        if wanted < len(packets):
            equal(self.udp[self.family].all(1, 0.1), [], "datagrams more")

    def send(self, n, short=True, arrive=None, **kw):
        """n packets in order; they go the short way, or none of them does (None: whatever).

        A route may change meanwhile (IPv6 has timers), and then the next one goes the long way.
        """
        packets = [self.packet(self.seq + i + 1, **kw) for i in range(n)]
        self.seq += n
        before = self.k.counters()["InShort"]
        with Moves(self.k, InProtected=n):
            self.push(*packets, arrive=arrive)
        went = self.k.counters()["InShort"] - before
        if short is not None:
            check(max(n - 1, 1) <= went <= n if short else went == 0,
                  "%d of %d packets went the short way" % (went, n))

    def forward(self, n, source, to, short=True):
        """n packets from and to others."""
        inner = HEADER[self.family](source, to, UDP, udp(source, to, 9, 9, fill(60, OPEN)))
        self.send(n, short, arrive=0, inner=inner)

    @contextmanager
    def refused(self, **moves):
        """Exactly these drops, nothing arrives, and nothing goes the short way."""
        with Moves(self.k, **moves):
            before = self.k.counters()["InShort"]
            yield
            time.sleep(0.1)
            equal(self.k.counters()["InShort"], before, "packets by the short way")

    def snmp(self):
        path, name, words = SNMP[self.family]
        text = self.ns.read(path)
        if self.family == 6:
            table = dict(line.split() for line in text.splitlines())
            return {w: int(table["Ip6" + w]) for w in words.split()}
        names, values = (line.split()[1:] for line in text.splitlines() if line.startswith(name + ":"))
        table = dict(zip(names, map(int, values)))
        return {w: table[w] for w in words.split()}

    def snmp_of(self, n, **kw):
        before = self.snmp()
        self.send(n, **kw)
        now = self.snmp()
        return {k: now[k] - before[k] for k in now}

    def same_snmp(self, n):
        """By either way. Now and then neighbour discovery comes in between: once more."""
        for _ in range(3):
            short = self.snmp_of(n)
            with looking(self):
                long = self.snmp_of(n, short=False)
            if short == long:
                return
        equal(long, short, "long way")


def taken(tap, b):
    for family, mode in ((4, "tunnel"), (4, "transport"), (6, "tunnel"), (6, "transport")):
        with tap.case("IPv%d, %s: the short way is taken" % (family, mode)):
            b.start(family, mode)
            b.send(20)
        with tap.case("IPv%d, %s: the stack counts as by the long way" % (family, mode)):
            b.same_snmp(10)


def holds(tap, b):
    for family in ENDS:
        name = "IPv%d: " % family
        with tap.case(name + "numbers seen before, and those left of the window"):
            b.start(family)
            b.send(3)
            b.seq += 100
            b.send(1)
            seen = [b.packet(n) for n in (b.seq, b.seq, 3)]
            with b.refused(InReplayDup=2, InReplayOld=1):
                b.push(*seen, arrive=0)
            b.send(2)
        with tap.case(name + "a wrong ICV"):
            b.start(family)
            packet = b.packet(b.seq + 1)
            with b.refused(InIcv=1):
                b.push(packet[:-1] + bytes([packet[-1] ^ 1]), arrive=0)
            b.send(2)
        with tap.case(name + "a hard limit of bytes"):
            b.start(family, life="-bh %d" % (6 * {4: 88, 6: 108}[family]))
            b.send(4)
            with b.refused(InSaExpired=1):
                b.push(b.packet(b.seq + 1), arrive=0)
        with tap.case(name + "an inner source that no policy allows through the SA"):
            b.start(family)
            wrong = HEADER[family]({4: "10.0.0.9", 6: "fd00::9"}[family], b.dst, UDP,
                                   udp(b.src, b.dst, PORT, PORT, fill(60, OPEN)))
            b.k.setkey("spdadd %s %s any -P in ipsec esp/tunnel/%s-%s/unique:77;" %
                       ({4: "10.0.0.9", 6: "fd00::9"}[family], b.dst, b.src, b.dst))
            b.first()
            with b.refused(InPolicy=1):
                b.push(b.packet(b.seq + 1, inner=wrong), arrive=0)
            b.seq += 1
            b.send(2)
        with tap.case(name + "a policy that changes its mind is obeyed at once"):
            b.start(family)
            b.send(2)
            line = "spdupdate %s %s any -P in ipsec esp/tunnel/%s-%s/" % (b.src, b.dst, b.src, b.dst)
            b.k.setkey(line + "unique:77;")
            with b.refused(InPolicy=2):
                b.push(b.packet(b.seq + 1), b.packet(b.seq + 2), arrive=0)
            b.seq += 2
            b.k.setkey(line + "require;")
            b.first()
            b.send(2)
            b.k.setkey("spdupdate %s %s any -P in discard;" % (b.src, b.dst))
            with b.refused(InDiscard=1):
                b.push(b.packet(b.seq + 1), arrive=0)
        with tap.case(name + "an SA that is gone"):
            b.start(family)
            b.send(2)
            b.k.setkey("delete %s;" % b.sa.ident)
            with b.refused():
                b.push(b.packet(b.seq + 1), arrive=0)


def headers(tap, b):
    with tap.case("congestion marks come inwards, and what cannot have one is dropped"):
        b.start()
        b.send(1, inner=b.inner(tos=2), outer={"tos": 3})
        with b.refused(InEcn=1):
            b.push(b.packet(b.seq + 1, inner=b.inner(tos=0), outer={"tos": 3}), arrive=0)
    with tap.case("an inner header with a wrong checksum: the stack refuses it, by the long way"):
        b.start()
        bad = bytearray(b.inner())
        bad[10] ^= 1
        with b.refused(InProtected=1):
            b.push(b.packet(b.seq + 1, inner=bytes(bad)), arrive=0)
    with tap.case("inner addresses that the stack refuses, IPv6"):
        b.start(6)
        for src in ("ff02::1", "::1"):
            b.k.setkey("spdadd %s %s any -P in none;" % (src, b.dst))
            with Moves(b.k, ignore=("InProtected", "InPolicy")):
                b.push(b.packet(b.seq + 1, inner=ip6(src, b.dst, UDP, udp(b.src, b.dst, PORT, PORT, fill(60, OPEN)))),
                       arrive=0)
            b.seq += 1
    with tap.case("fragments inside, options outside: the long way, and all arrives"):
        b.start()
        whole = b.inner(fill(1000, OPEN))
        parts = [ip4(b.src, b.dst, UDP, whole[20:20 + 504], ident=7, flags=1),
                 ip4(b.src, b.dst, UDP, whole[20 + 504:], ident=7, offset=504)]
        with Moves(b.k, InProtected=1):
            before = b.k.counters()["InShort"]
            b.push(*[b.packet(b.seq + 1 + i, inner=p) for i, p in enumerate(parts)], arrive=1)
            equal(b.k.counters()["InShort"], before, "packets by the short way")


# --- those who look ---

@contextmanager
def looking(b, kind=socket.SOCK_DGRAM, proto=3):
    """A packet socket of k's."""
    with b.ns:
        sock = socket.socket(socket.AF_PACKET, kind, socket.htons(proto))
    try:
        yield sock
    finally:
        sock.close()


def captured(sock):
    """Protocols of the IP packets that it got from the wire, without neighbour discovery."""
    got = []
    sock.settimeout(0.2)
    try:
        while True:
            data, (_, _, kind, _, _) = sock.recvfrom(2000)
            if kind != 4:
                got.append(data[9] if data[0] >> 4 == 4 else data[6])
    except TimeoutError:
        return [proto for proto in got if proto != ICMP6]


def rps(b, mask):
    """Of eth0, in the namespace's own view of /sys, which nobody else gets to see."""
    b.ns.run("unshare", "-m", "sh", "-c", "mount -t sysfs s /sys; echo %d >"
             "/sys/class/net/eth0/queues/rx-0/rps_cpus" % mask)


def lookers(tap, b):
    for what, proto in (("all", 3), ("IPv4", 0x800)):
        with tap.case("a packet socket for %s sees each packet twice, then it is quick again" % what):
            b.start()
            with looking(b, proto=proto) as sock:
                b.send(3, short=False)
                equal(sorted(captured(sock)), [UDP] * 3 + [ESP] * 3, "packets")
            b.send(3)
    with tap.case("a raw socket for ESP gets what the handler gets"):
        b.start()
        raw = b.ns.socket(socket.AF_INET, socket.SOCK_RAW, ESP)
        b.send(3, short=False)
        equal([raw.recv(2000)[9] for _ in range(3)], [ESP] * 3, "packets")
        raw.close()
        b.send(3)
    with tap.case("RPS wants to spread what is in clear"):
        b.start()
        rps(b, 1)
        b.send(3, short=False)
        rps(b, 0)
        b.send(3)
    with tap.case("traffic control where the device delivers"):
        b.start()
        try:
            b.ns.run("tc", "qdisc", "add", "dev", "eth0", "clsact")
        except (FileNotFoundError, RuntimeError) as e:
            raise Skip("tc: %s" % str(e)[:80]) from None
        b.ns.run("tc", "filter", "add", "dev", "eth0", "ingress", "matchall", "action", "pass")
        b.send(3, short=False)
        b.ns.run("tc", "qdisc", "del", "dev", "eth0", "clsact")
        b.send(3)


def rules(tap, b):
    chain = "chain c { type filter hook %s priority filter; %s; }"
    for hook, rule, moves, arrive in (
            ("input", "ip protocol esp counter drop", {}, 0),
            ("input", "udp dport 4000 meta secpath exists counter", {"InProtected": 3}, 3),
            ("prerouting", "udp dport 4000 meta secpath exists counter", {"InProtected": 3}, 3),
            ("forward", "counter", {"InProtected": 3, "InShort": 3}, 3)):
        with tap.case("nft, %s: %s" % (hook, rule)):
            b.start()
            b.ns.nft("table ip f {\n%s\n}\n" % (chain % (hook, rule)))
            with Moves(b.k, **moves):
                b.push(*[b.packet(b.seq + 1 + i) for i in range(3)], arrive=arrive)
            b.seq += 3
            counted = b.ns.run("nft", "list table ip f")
            if hook != "forward":
                check("packets 3 " in counted, "the rule has counted: " + counted)
            b.ns.run("nft", "delete table ip f")
            b.send(3)


def forwarded(tap, b):
    """Through k to a device of nothing: rules of FORWARD are the last that can ask for the tag."""
    for family, table, source, to in ((4, "ip", "10.9.0.1", "10.1.0.77"),
                                      (6, "ip6", "fd09::1", "fd01::77")):
        with tap.case("IPv%d, forwarded: without rules there is no tag, and with rules they see it" % family):
            start_forward(b, family, source, to, "net0")
            b.forward(4, source, to)
            b.ns.nft("""table %s f {
                chain c { type filter hook forward priority filter;
                meta secpath exists counter; meta secpath missing counter drop; }
                chain out { type filter hook postrouting priority filter; udp dport 9 counter; }
                }""" % table)
            b.forward(4, source, to)
            counted = b.ns.run("nft", "list table %s f" % table)
            for words in ("exists counter packets 4 ", "missing counter packets 0 ",
                          "dport 9 counter packets 4 "):
                check(words in counted, "%s: %s" % (words, counted))
            b.ns.run("nft", "delete table %s f" % table)


def start_forward(b, family, source, to, dev):
    """What x sends through the tunnel from this source goes on to that neighbour."""
    b.start(family)
    b.ns.sysctl("net.ipv4.ip_forward", 1)
    b.ns.sysctl("net.ipv6.conf.all.forwarding", 1)
    b.k.setkey("spdadd %s %s any -P in ipsec esp/tunnel/%s-%s/require;" % (source, to, b.src, b.dst))
    b.ns.ip("neigh replace %s lladdr 02:00:00:00:00:77 dev %s" % (to, dev))
    b.forward(1, source, to, short=None)


def redirects(ns):
    """How many k has sent, by family."""
    names, values = (x.split() for x in ns.read("/proc/net/snmp").splitlines() if x.startswith("Icmp:"))
    table = dict(line.split() for line in ns.read("/proc/net/snmp6").splitlines())
    return {4: int(dict(zip(names, values))["OutRedirects"]), 6: int(table["Icmp6OutRedirects"])}


def unasked(tap, b):
    """What the stack does not do to packets out of a tunnel, because of the tag or without it."""
    for family, source, to in ((4, "10.0.0.70", "10.0.0.130"), (6, "fd00::70", "fd00::130")):
        with tap.case("IPv%d, forwarded to where it came from: nobody is told of a shorter way" % family):
            start_forward(b, family, source, to, "eth0")
            b.ns.ip("neigh replace %s lladdr 02:00:00:00:00:79 dev eth0" % source)
            b.forward(4, source, to)
            equal(redirects(b.ns), {4: 0, 6: 0}, "redirects")
    with tap.case("a strict reverse path filter lets inner sources lie anywhere"):
        b.start()
        b.k.setkey("spdadd 10.9.0.0/16 %s any -P in ipsec esp/tunnel/%s-%s/require;" %
                   (b.dst, b.src, b.dst))
        inner = ip4("10.9.0.1", b.dst, UDP, udp("10.9.0.1", b.dst, 9, PORT, fill(60, OPEN)))
        b.ns.ip("route add 10.9.0.0/16 dev net0")
        with Moves(b.k, InProtected=1):
            b.ns.sysctl("net.ipv4.conf.all.rp_filter", 1)
            b.push(b.packet(b.seq + 1, inner=inner))
        with Moves(b.k, InProtected=4, InShort=4):
            b.push(*[b.packet(b.seq + 2 + i, inner=inner) for i in range(4)])
        b.ns.sysctl("net.ipv4.conf.all.rp_filter", 0)
        b.ns.ip("route del 10.9.0.0/16 dev net0")


def shortcut(tap):
    ipsec.loaded()
    with pair(ipv6=True) as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state]
        for part in (taken, holds, headers, lookers, rules, forwarded, unasked):
            part(tap, b)


if __name__ == "__main__":
    run(shortcut)
