#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: debug
#
# Which policy applies: actions, priorities, prefixes, protocols, ports, types
# of ICMP, levels; out, in, and between two gateways.
#
#	10.1.0.1/24 [k: kipsec] 10.0.0.1 ---- wire ---- 10.0.0.2 [x] 10.2.0.1/24
#	[a] 10.1.0.2 -- [g1: kipsec] ---- wire ---- [g2: kipsec] -- 10.2.0.2 [b]
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import esp                                                      # noqa: E402
import ipsec                                                    # noqa: E402
import pfkey                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, transport, tunnel  # noqa: E402
from ktap import Failed, check, equal, run                      # noqa: E402
from netns import gateways, pair, wait_for                                # noqa: E402
from traffic import Ping, Udp                                   # noqa: E402
from wire import ESP, OPEN, UDP, Capture, Injector, fill, ip4, udp4     # noqa: E402

K, X = "10.0.0.1", "10.0.0.2"
N = ipsec.NULL_SHA256
OUT = SA(K, X, 0x5001, N)
IN = SA(X, K, 0x5002, N)
REQ = [transport()]


def out(action="ipsec", requests=None, **kw):
    if action == "ipsec" and requests is None:
        requests = REQ
    kw = {"src": K, "dst": X, **kw}
    return Policy(dir="out", action=action, requests=requests or [], **kw)


class Sender:
    """Sends one packet of a kind from k and tells what became of it."""

    def __init__(self, lab):
        self.ns, self.wire = lab["k"], Capture(lab)
        self.tcp_port = 20000

    def udp(self, sport, dport, dst=X, src="0.0.0.0"):
        u = Udp(self.ns, src, sport)
        try:
            u.send(fill(32, OPEN), dst, dport)
        except OSError:
            return "drop"
        finally:
            u.close()
        return self.fate("udp")

    def tcp(self, dport):
        s = self.ns.socket(socket.AF_INET, socket.SOCK_STREAM)
        s.setblocking(False)
        s.connect_ex((X, dport))
        answer = self.fate("tcp")
        s.close()
        self.wire.flush()
        return answer

    def icmp(self, kind, code=0):
        s = self.ns.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        try:
            s.sendto(bytes((kind, code)) + b"\xff" * 2 + fill(32, OPEN), (X, 0))
        except OSError:
            return "drop"
        finally:
            s.close()
        return self.fate("icmp")

    def fate(self, proto):
        mine = []

        def came():
            mine.extend(p for p in self.wire.take() if p.src != X)
            return mine
        wait_for(came, 0.5)
        if len(mine) != 1:
            return "drop" if not mine else "%d packets" % len(mine)
        if mine[0].proto == ESP:
            return "esp %#x" % mine[0].spi
        return "clear" if proto in str(mine[0]) else str(mine[0])


def outbound(tap, lab, k):
    s = Sender(lab)
    esp1 = "esp 0x5001"

    def case(name, policies, sends, sas=(OUT,)):
        with tap.case("out: " + name):
            k.setkey("flush; spdflush;")
            k.add(*sas, *policies)
            s.wire.flush()
            equal([f() for f, _ in sends], [w for _, w in sends], "fate")

    case("no policy for it", [Policy("10.9.0.0/16", X, "out", requests=REQ)],
         [(lambda: s.udp(1, 9), "clear")])
    case("ipsec, none, discard by port", [
        out(proto="udp", dport="1001"), out("none", proto="udp", dport="1002"),
        out("discard", proto="udp", dport="1003")],
        [(lambda: s.udp(5, 1001), esp1), (lambda: s.udp(5, 1002), "clear"),
         (lambda: s.udp(5, 1003), "drop"), (lambda: s.udp(5, 1004), "clear")])
    case("an exception in front by priority", [
        out(), out("none", proto="udp", dport="53", prio="100")],
        [(lambda: s.udp(5, 53), "clear"), (lambda: s.udp(5, 54), esp1),
         (lambda: s.tcp(53), esp1)])
    case("an exception in front by order", [
        out("none", proto="udp", dport="53"), out()],
        [(lambda: s.udp(5, 53), "clear"), (lambda: s.udp(5, 54), esp1)])
    case("of equal priority the older wins, however narrow the younger", [
        out(src="10.0.0.0/24", dst="10.0.0.0/24"), out("discard", proto="udp", dport="53")],
        [(lambda: s.udp(5, 53), esp1)])
    case("priorities as numbers and as words", [
        out("discard", prio="low"), out("none", proto="udp", prio="def"),
        out(proto="udp", dport="7", prio="high + 5"), out("discard", proto="udp", dport="8",
                                                       prio="high - 5"),
        out("none", proto="udp", sport="6", dport="8", prio="high")],
        [(lambda: s.udp(5, 9), "clear"), (lambda: s.udp(5, 7), esp1),
         (lambda: s.udp(5, 8), "drop"), (lambda: s.udp(6, 8), "clear"),
         (lambda: s.tcp(9), "drop")])
    case("source port, destination port, both", [
        out(proto="udp", sport="11"), out("discard", proto="udp", dport="12", prio="1"),
        out("none", proto="udp", sport="11", dport="13", prio="2")],
        [(lambda: s.udp(11, 9), esp1), (lambda: s.udp(11, 12), "drop"),
         (lambda: s.udp(11, 13), "clear"), (lambda: s.udp(9, 11), "clear")])
    case("upper protocols", [out(proto="tcp"), out("discard", proto="icmp")],
         [(lambda: s.tcp(22), esp1), (lambda: s.icmp(8), "drop"), (lambda: s.udp(1, 2), "clear")])
    case("type and code of ICMP", [
        out(proto="icmp", detail="8,0"), out("discard", proto="icmp", detail="13,0")],
        [(lambda: s.icmp(8), esp1), (lambda: s.icmp(13), "drop"), (lambda: s.icmp(0), "clear"),
         (lambda: s.icmp(3, 1), "clear")])
    case("prefixes that end inside a byte", [
        out("discard", src="0.0.0.0/0", dst="10.2.0.0/31"),
        out("none", src="0.0.0.0/0", dst="10.2.0.0/30")],
        [(lambda: s.udp(1, 2, "10.2.0.1"), "drop"), (lambda: s.udp(1, 2, "10.2.0.2"), "clear"),
         (lambda: s.udp(1, 2, "10.2.0.4"), "clear")])
    case("level use without an SA", [out(requests=[transport("use")])],
         [(lambda: s.udp(1, 2), "clear")], sas=())
    case("level use with an SA", [out(requests=[transport("use")])],
         [(lambda: s.udp(1, 2), esp1)])
    case("level default is require", [out(requests=[transport("default")])],
         [(lambda: s.udp(1, 2), "drop")], sas=())
    case("level unique takes its own SA", [
        out(proto="udp", dport="1", requests=[transport("unique:1")]),
        out(proto="udp", dport="2", requests=[transport("unique:2")]),
        out(proto="udp", dport="3", requests=[transport("unique:3")])],
        [(lambda: s.udp(9, 1), "esp 0x5011"), (lambda: s.udp(9, 2), "esp 0x5012"),
         (lambda: s.udp(9, 3), "drop")],
        sas=(OUT, SA(K, X, 0x5012, N, reqid=2), SA(K, X, 0x5011, N, reqid=1)))
    case("the newest SA, and the one before it once that is deleted", [out()],
         [(lambda: s.udp(9, 1), "esp 0x5021"),
          (lambda: k.setkey("delete %s %s esp 0x5021;" % (K, X)) and None or s.udp(9, 1), esp1)],
         sas=(OUT, SA(K, X, 0x5021, N)))
    lab["k"].sysctl("net.kipsec.prefered_oldsa", 1)
    case("the oldest SA with prefered_oldsa", [out()], [(lambda: s.udp(9, 1), esp1)],
         sas=(OUT, SA(K, X, 0x5021, N)))
    lab["k"].sysctl("net.kipsec.prefered_oldsa", 0)
    case("spdupdate changes at once", [out()],
         [(lambda: s.udp(9, 1), esp1),
          (lambda: k.setkey(Kipsec.policy_line(out("discard"), "spdupdate")) and None or
           s.udp(9, 1), "drop")])
    case("each destination of a wide policy has its own SA", [
        out(src="0.0.0.0/0", dst="0.0.0.0/0")],
        [(lambda: s.udp(1, 2), esp1), (lambda: s.udp(1, 2, "10.2.0.1", K), "esp 0x5031"),
         (lambda: s.udp(1, 2, "10.2.0.9", K), "drop")],
        sas=(OUT, SA(K, "10.2.0.1", 0x5031, N)))
    idle(tap, lab, k, s)


def inbound(tap, lab, k):
    injector, u = Injector(lab["x"], lab["k"]), Udp(lab["k"], K, 4000)

    def clear(sport=9):
        return ip4(X, K, UDP, udp4(X, K, sport, 4000, b"clear"))

    def through(seq, sa=IN, sport=9):
        return ip4(X, K, ESP, esp.protect(sa, seq, udp4(X, K, sport, 4000, b"inner"), UDP))

    def case(name, policies, packets, got, sas=(IN,), **moves):
        with tap.case("in: " + name):
            k.setkey("flush; spdflush;")
            k.add(*sas, *policies)
            with Moves(k, **moves):
                injector.send(*packets)
            equal(u.all(len(got) + 1, 0.15), got, "received")

    def policy(action="ipsec", requests=None, **kw):
        return Policy(X, K, "in", action, REQ if action == "ipsec" and requests is None
                      else requests or [], **kw)

    case("require: clear is dropped, protected passes", [policy()], [clear(), through(1)],
         [b"inner"], InClear=1, InProtected=1)
    case("use: both pass", [policy(requests=[transport("use")])], [clear(), through(1)],
         [b"clear", b"inner"], InProtected=1)
    case("none: both pass", [policy("none")], [clear(), through(1)], [b"clear", b"inner"],
         InProtected=1)
    case("no policy: both pass", [Policy("10.9.0.0/16", K, "in", requests=REQ)],
         [clear(), through(1)], [b"clear", b"inner"], InProtected=1)
    case("discard: neither", [policy("discard")], [clear(), through(1)], [], InDiscard=2)
    case("by port", [policy(proto="udp", sport="10"), policy("discard", proto="udp", sport="11")],
         [clear(9), clear(10), clear(11), through(1, sport=10)], [b"clear", b"inner"],
         InClear=1, InDiscard=1, InProtected=1)
    case("unique: only through its SA", [policy(requests=[transport("unique:4")])],
         [through(1), through(1, SA(X, K, 0x5044, N, reqid=4))], [b"inner"],
         sas=(IN, SA(X, K, 0x5044, N, reqid=4)), InPolicy=1, InProtected=1)
    case("a fragment in clear is dropped", [policy()],
         [ip4(X, K, UDP, udp4(X, K, 9, 4000, bytes(72))[:40], ident=77, flags=1),
          ip4(X, K, UDP, bytes(40), ident=77, offset=40)], [], InClear=1)
    with tap.case("in: ports are told apart as soon as a policy does, and no longer"):
        line = Kipsec.policy_line
        k.setkey("flush; spdflush;")
        for change, sport, arrives in (
                (line(policy("none")), 9, True), ("", 11, True),
                (line(policy("discard", proto="udp", sport="11", prio="1")), 11, False),
                ("", 9, True), ("", 12, True), ("", 11, False),
                ("spddelete %s[11] %s udp -P in;" % (X, K), 11, True), ("", 9, True),
                ("spdflush;" + line(policy("discard")), 9, False), ("", 11, False),
                ("spdflush;" + line(policy("discard", proto="udp", sport="9")), 11, True),
                ("", 9, False), ("", 11, True)):
            if change:
                k.setkey(change)
            injector.send(clear(sport))
            equal(u.all(2, 0.15), [b"clear"] * arrives, "received from %d, %s" % (sport, change))
    u.close()


def between_gateways(tap):
    with gateways() as lab:
        g1, g2, wire = Kipsec(lab["g1"]), Kipsec(lab["g2"]), Capture(lab)
        net1, net2 = "10.1.0.0/24", "10.2.0.0/24"
        there = SA("10.0.0.1", "10.0.0.2", 0x6001, mode="tunnel")
        back = SA("10.0.0.2", "10.0.0.1", 0x6002, mode="tunnel")
        t12, t21 = [tunnel("10.0.0.1", "10.0.0.2")], [tunnel("10.0.0.2", "10.0.0.1")]
        tap.on_failure += [g1.state, g2.state]
        for g, mine, peers, own, other in ((g1, net1, net2, t12, t21), (g2, net2, net1, t21, t12)):
            g.add(there, back, Policy(mine, peers, "out", requests=own),
                  Policy(peers, mine, "in", requests=other))    # and fwd, by setkey
        ping = Ping(lab["a"])

        def go(size, answered=True, dst="10.2.0.2"):
            ok = ping(dst, size, timeout=2.0 if answered else 0.3) is not None
            check(ok == answered, "ping of %d bytes %s" % (size, "answered" if ok else "lost"))

        with tap.case("gateways: ping from network to network"):
            wanted = []
            with Moves(g1, OutProtected=3, InProtected=3), Moves(g2, OutProtected=3, InProtected=3):
                for n, size in enumerate((1, 500, 1300), 1):
                    go(size)
                    for sa in (there, back):
                        wanted.append("%s>%s esp %#x #%d len %d" % (
                            sa.src, sa.dst, sa.spi, n, sa.wire_len(28 + size)))
            wire.expect(wanted)
        with tap.case("gateways: TTL goes down by one at each, outer TTL starts anew"):
            go(10)
            check(all(p.ttl == 64 for p in wire.take()), "outer TTL")
        with tap.case("gateways: clear packets into the protected network are dropped"):
            raw = Injector(lab["g2"], lab["g1"])
            with Moves(g1, InClear=2):
                raw.send(ip4("10.2.0.2", "10.1.0.2", UDP, udp4("", "", 1, 2, b"clear")),
                         ip4("10.2.0.2", "10.1.0.1", UDP, udp4("", "", 1, 2, b"clear")))
            wire.flush()
        with tap.case("gateways: a discard policy for forwarded packets"):
            g1.add(Policy(net2, net1, "fwd", "discard", proto="icmp", prio="1"))
            with Moves(g1, OutProtected=1, InDiscard=1), Moves(g2, OutProtected=1, InProtected=1):
                go(10, answered=False)
            g1.setkey("spddelete %s %s icmp -P fwd;" % (net2, net1))
        with tap.case("gateways: without SAs nothing leaves"):
            g1.setkey("flush;")
            wire.flush()
            with Moves(g1, OutNoSa=1):
                go(10, answered=False)
            wire.expect([], timeout=0.1)
        with tap.case("gateways: without policies traffic is in clear again"):
            for g in (g1, g2):
                g.flush()
            clear = ping("10.2.0.2", 20, pattern=OPEN)
            check(clear is not None, "no answer")
            wire.expect(["10.1.0.2>10.2.0.2 icmp len 48", "10.2.0.2>10.1.0.2 icmp len 48"])
        with tap.case("gateways: packets arriving for 100 changes of policy are never in clear"):
            swap(lab, g1, g2, t12, wire, there, back)


def idle(tap, lab, k, send):
    """A policy that ends when nothing has used it for 6 seconds."""
    with tap.case("limits of use do not follow the wall clock"):
        k.flush()
        ends = ("%s/32" % K, "%s/32" % X)
        with lab["k"], pfkey.Key() as key:
            key.ok(pfkey.SPDADD, 0, pfkey.selector(*ends), pfkey.lifetime(pfkey.HARD, use=6),
                   pfkey.policy(pfkey.OUT, pfkey.DISCARD))
            key.drain()
            time.sleep(3)
            equal(send.udp(1, 2), "drop", "datagram")
            real = time.time()
            try:
                time.clock_settime(time.CLOCK_REALTIME, real + 86400)
                time.sleep(4.5)
                current = key.dump(pfkey.SPDDUMP)[0].ext[pfkey.CURRENT]
                check(real + 86390 < current.use < real + 86410, "used at %d, of %d" % (current.use, real))
                check(wait_for(lambda: not key.dump(pfkey.SPDDUMP)), "the policy does not end")
            finally:
                time.clock_settime(time.CLOCK_REALTIME, time.time() - 86400)


def swap(lab, g1, g2, t12, wire, there, back):
    """spdupdate swaps two SAs' policies while packets flow; the wire shows ESP only."""
    other = SA("10.0.0.1", "10.0.0.2", 0x6011, mode="tunnel", reqid=9)
    g1.add(there, back, other, Policy("10.1.0.0/24", "10.2.0.0/24", "out", requests=t12))
    u = Udp(lab["a"], "10.1.0.2", 777)
    policies = [Policy("10.1.0.0/24", "10.2.0.0/24", "out", requests=r) for r in
                (t12, [tunnel("10.0.0.1", "10.0.0.2", "unique:9")])]
    text = "".join(Kipsec.policy_line(policies[i % 2], "spdupdate") for i in range(100))
    before = g1.counters()
    process = g1.ns.popen(ipsec.SETKEY, "-c", stdin=-1, stdout=-3)
    process.stdin.write(text.encode())
    process.stdin.close()
    sent = 0
    while process.poll() is None or sent < 200:
        u.send(fill(100), "10.2.0.2", 888)
        sent += 1
    packets = []

    def all_came():
        packets.extend(p for p in wire.take() if p.src in ("10.0.0.1", "10.1.0.2"))
        return len(packets) >= sent
    wait_for(all_came)
    if process.returncode:
        raise Failed("setkey: status %d" % process.returncode)
    equal([str(p) for p in packets if p.proto != ESP], [], "packets that are not ESP")
    equal(len(packets), sent, "ESP packets")
    after = g1.counters()
    equal(after["OutProtected"] - before["OutProtected"], sent, "OutProtected")


def spd(tap):
    ipsec.loaded()
    with pair() as lab:
        k = Kipsec(lab["k"])
        tap.on_failure.append(k.state)
        outbound(tap, lab, k)
        inbound(tap, lab, k)


if __name__ == "__main__":
    run(spd, between_gateways)
