#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# A gateway whose firewall refuses, tracks connections and marks them, and asks
# about IPsec, on both sides of its tunnel.
#
#	[a] 10.1.0.2 -- 10.1.0.1 [g1: kipsec] 10.0.0.1 -- w0 -- 10.0.0.2 [g2: xfrm] 10.2.0.1 -- [b]
#	                                      10.4.0.1 -- w1 -- 10.4.0.2
import os
import select
import socket
import sys
from dataclasses import replace

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from bench import K, NETS, X                                    # noqa: E402
from gates import A, B, G1, Gates                               # noqa: E402
from ktap import Skip, check, equal, run                        # noqa: E402
from netns import gateways                                      # noqa: E402
from traffic import Ping, Udp, tcp_copy                         # noqa: E402
from wire import ESP, ICMP, OPEN, SECRET, fill                  # noqa: E402

PORT = 4000


# --- refused ---

def refused(ns, dst, kind, data=SECRET):
    """Is the sender told at once?"""
    sock = ns.socket(socket.AF_INET, kind)
    sock.settimeout(2)
    try:
        sock.connect((dst, PORT))
        sock.send(fill(40, data))
        select.select([sock], [], [], 2)
        sock.recv(1)
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    finally:
        sock.close()
    return False


def reject(tap, b):
    rule = """chain c { type filter hook %s priority filter;
        iifname %s udp dport 4000 reject;
        iifname %s tcp dport 4000 reject with tcp reset; }"""
    # An error has the address of the route to the sender; here one that the policy names.
    b.g.ip("route replace %s via %s src %s" % (NETS[1], X, G1))
    for hook, dst in (("forward", A), ("prerouting", A), ("input", G1)):
        with tap.case("REJECT, %s: of what came out of the tunnel, the answer is protected" % hook), \
             b.rules(rule % (hook, "eth0", "eth0")):
            b.protect(0x6561)
            with b.moves(1, 1):
                check(refused(b.b, dst, socket.SOCK_DGRAM), "UDP: b was not told")
            b.expect(-68, 96)           # 28 of ICMP's own
            with b.moves(1, 1):
                check(refused(b.b, dst, socket.SOCK_STREAM), "TCP: b was not told")
            b.expect(-60, 40)
    for hook in ("forward", "prerouting"):
        with tap.case("REJECT, %s: of what would go in, a is told, and nothing is sent" % hook), \
             b.rules(rule % (hook, "eth1", "eth1")):
            b.protect(0x6571)
            with b.moves():
                check(refused(b.a, B, socket.SOCK_DGRAM), "UDP: a was not told")
                check(refused(b.a, B, socket.SOCK_STREAM), "TCP: a was not told")
            b.expect()
    b.g.ip("route replace %s via %s" % (NETS[1], X))
    with tap.case("REJECT with an address that no policy names: the error, and what it quotes, in clear"), \
         b.rules(rule % ("forward", "eth0", "eth0")):
        b.protect(0x6577)
        with b.moves(0, 1):
            check(refused(b.b, A, socket.SOCK_DGRAM, OPEN), "b was not told")
        equal([(p.src, p.proto) for p in b.wires[0].collect(2)], [(X, ESP), (K, ICMP)], "packets")


# --- connections ---

def states(tap, b):
    here, there = Ping(b.a, A), Ping(b.b, B)
    rule = """chain c { type filter hook forward priority filter; policy drop;
        ct state established,related accept; iifname eth1 ct state new accept; }"""
    with tap.case("rules by state: what a starts works, and its errors come back"), b.rules(rule):
        b.protect(0x6581)
        with b.moves(2, 2):
            check(here(B, 100) is not None, "no answer")
            check(refused(b.a, B, socket.SOCK_DGRAM), "a was not told that the port is closed")
        b.expect(128, -128, 68, -96)
        tcp_copy(b.a, b.b, B, 200000, port=5057)
        b.only_esp()
        b.one_flow("dport=5057", reply=A)
        b.forget()
    with tap.case("rules by state: what b starts is dropped, and answers nobody"), b.rules(rule):
        b.protect(0x6591)
        with b.moves(0, 2):
            check(there(A, 100, 0.3) is None, "it was answered")
            udp = Udp(b.b, B)
            udp.send(fill(40), A, PORT)
            udp.close()
        b.expect(-128, -68)
        equal(b.flows("src=%s dst=%s" % (B, A)), [], "entries of what was dropped")
    here.close()
    there.close()


def marks(tap, b):
    far, near = Ping(b.b, B), Ping(b.a, A)
    b.g.ip("route add %s via 10.4.0.2 table 100" % NETS[1], "route add %s via 10.4.0.2 table 100" % X,
           "rule add fwmark 5 lookup 100")
    with tap.case("the mark of a connection out of the tunnel leads the answer, and its ESP"), \
         b.rules("""chain pre { type filter hook prerouting priority mangle;
             iifname eth0 meta secpath exists ct state new ct mark set 5;
             iifname eth1 meta mark set ct mark; }"""):
        b.protect(0x65a1)
        b.forget()
        for _ in range(2):
            b.echo(far, A, there=1)
            b.echo(near, B)             # not from there: no mark
        equal(len(b.flows("icmp", "src=%s dst=%s type=8" % (B, A), "mark=5")), 1, "marked entries")
    b.g.ip("rule del fwmark 5", "route flush table 100")
    far.close()
    near.close()


# --- rules about IPsec ---

def counted(b, chain, rules):
    """Rules that only count, in a chain; gives what each has counted."""
    table = [line.split()[0] for line in b.g.run("iptables", "-nvxL", chain).splitlines()[1:] if line]
    return dict(zip(rules, (int(word) for word in table if word.isdigit())))


def match(tap, b):
    ping = Ping(b.a, A)
    tagged = "-i eth0 -m policy --dir in --pol ipsec "
    # kipsec shows every SA as transport, whatever it is (kmod/check.c); so its addresses do
    # not match, which xt_policy compares in tunnel mode alone. What goes out is protected
    # after the last rule, and has nothing of xfrm's that a rule could see. iptables of some
    # versions gives the kernel the SPI in the host's byte order: here it reads the same.
    wanted = {
        tagged + "--reqid 7": 3, tagged + "--reqid 8": 0, tagged + "--proto esp": 3,
        tagged + "--proto ah": 0, tagged + "--spi 0x65b2b265": 3, tagged + "--spi 0x65b2b264": 0,
        tagged + "--mode transport": 3, tagged + "--mode tunnel": 0,
        tagged + "--strict --reqid 7 --mode transport --proto esp": 3,
        tagged + "--strict --reqid 7 --next --reqid 7": 0,
        "-i eth0 -m policy --dir in --pol none": 0,
        "-i eth1 -m policy --dir in --pol ipsec": 0, "-i eth1 -m policy --dir in --pol none": 3,
        "-o eth0 -m policy --dir out --pol ipsec": 0,
        "-o eth0 -m policy --dir out --pol none": 3,
        "-o eth1 -m policy --dir out --pol none": 3,
    }
    with tap.case("iptables: -m policy with reqid, SPI, protocol, mode, strict, of forwarded packets"):
        b.protect(0x65b2b264)
        b.sas = tuple(replace(sa, reqid=7) for sa in b.sas)
        b.k.replace_sas(*b.sas)
        try:
            for rule in wanted:
                b.g.run("iptables", "-A", "FORWARD", *rule.split())
        except (FileNotFoundError, RuntimeError) as e:
            raise Skip("iptables: " + str(e).replace("\n", " ")[:120]) from None
        for _ in range(3):
            b.echo(ping, B)
        equal(counted(b, "FORWARD", wanted), wanted, "packets")
        b.g.run("iptables", "-F")
    with tap.case("nft: ipsec in reqid and secpath of forwarded packets; rt ipsec, ipsec out of none"), \
         b.rules("""chain post { type filter hook forward priority filter;
            ipsec in reqid 7 counter comment "3";
            ipsec in reqid 8 counter comment "0";
            meta secpath exists oifname eth1 counter comment "3";
            meta secpath exists oifname eth0 counter comment "0";
            rt ipsec exists counter comment "0";
            oifname eth0 rt ipsec missing counter comment "3";
            ipsec out reqid 7 counter comment "0"; }"""):
        for _ in range(3):
            b.echo(ping, B)
        lines = [line for line in b.g.run("nft", "list table ip f").splitlines() if "packets" in line]
        equal(len(lines), 7, "rules")
        for line in lines:
            check('packets %s bytes' % line.split('"')[-2] in line, "counted: " + line.strip())
    ping.close()


def gates(tap):
    ipsec.loaded()
    with gateways() as lab:
        lab.wire("g1:10.4.0.1/24:eth2", "g2:10.4.0.2/24:eth2")
        b = Gates(lab)
        tap.on_failure[:] = [b.k.state, b.x.state]
        for part in (reject, states, marks, match):
            part(tap, b)


if __name__ == "__main__":
    run(gates)
