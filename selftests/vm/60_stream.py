#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: debug
#
# Streams and big datagrams: TCP through transport and tunnel with segmentation
# by the stack on and off, locally made and forwarded, at the MTU of 1500 that
# nobody set by hand; UDP up to its longest, in fragments.
#
#	10.1.0.1/24 [k: kipsec] 10.0.0.1 ---- wire ---- 10.0.0.2 [x: xfrm] 10.2.0.1/24
#	[a] 10.1.0.2 -- [g1: kipsec] ---- wire ---- [g2: kipsec] -- 10.2.0.2 [b]
import errno
import os
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, transport, tunnel   # noqa: E402
from ktap import Skip, check, equal, run                        # noqa: E402
from netns import gateways, pair                                # noqa: E402
from traffic import Udp, tcp_copy                               # noqa: E402
from wire import ESP, Capture, fill                             # noqa: E402

K, X, KNET, XNET = "10.0.0.1", "10.0.0.2", "10.1.0.1", "10.2.0.1"
SIZE = 1 << 20
DROPS = {"InReplayOld", "InReplayDup", "InIcv", "InClear", "InPolicy", "InTruncated",
         "OutNoSa", "OutMalformed", "OutCrypto", "InCrypto", "OutNoRoute", "InInnerHeader"}


def no_losses(stack, before):
    now = stack.counters()
    bad = {c: now[c] - before[c] for c in now if c in DROPS and now[c] != before[c]}
    equal(bad, {}, "%s: drops" % stack.ns.name)


def offload(lab, names, on):
    for name in names:
        lab[name].run("ethtool", "-K", "eth0", *[w for f in ("tso", "gso", "gro", "tx")
                                                 for w in (f, "on" if on else "off")])


def only_esp(wire):
    packets = wire.take()
    equal([str(p) for p in packets if p.proto != ESP][:3], [], "packets that are not ESP")
    check(packets, "nothing on the wire")
    return packets


def pair_policies(side):
    own, peer, a, b = (K, X, "10.1.0.0/24", "10.2.0.0/24") if side == "k" else \
                      (X, K, "10.2.0.0/24", "10.1.0.0/24")
    return [Policy(own, peer, "out", requests=[transport()]),
            Policy(peer, own, "in", requests=[transport()]),
            Policy(a, b, "out", requests=[tunnel(own, peer)]),
            Policy(b, a, "in", requests=[tunnel(peer, own)])]


def with_xfrm(tap):
    ipsec.loaded()
    with pair() as lab:
        k, x, wire = Kipsec(lab["k"]), Xfrm(lab["x"]), Capture(lab)
        sas = [SA(K, X, 0x7001, ipsec.GCM, window=1024), SA(X, K, 0x7002, ipsec.GCM, window=1024),
               SA(K, X, 0x7003, ipsec.GCM, "tunnel", window=1024),
               SA(X, K, 0x7004, ipsec.GCM, "tunnel", window=1024)]
        for side, stack in (("k", k), ("x", x)):
            stack.add(*sas, *pair_policies(side))
        tap.on_failure += [k.state, x.state]
        # Before TCP makes the stack learn what fits: such datagrams carry DF, but
        # their socket lets this host fragment them.
        for mode, a, b in (("transport", K, X), ("tunnel", KNET, XNET)):
            with tap.case("UDP of 1472 bytes, %s, no path MTU known yet" % mode):
                sender, receiver = Udp(lab["k"], a), Udp(lab["x"], b, 4000)
                with Moves(k, OutProtected=1):
                    sender.send(fill(1472), b, 4000)
                    equal(receiver.recv(), fill(1472), "datagram")
                sender.close()
                receiver.close()
        for on in (True, False):
            offload(lab, "kx", on)
            for mode, kaddr, xaddr in (("transport", K, X), ("tunnel", KNET, XNET)):
                for src, dst, a, b in (("k", "x", kaddr, xaddr), ("x", "k", xaddr, kaddr)):
                    with tap.case("TCP %s, %s to %s, offloads %s" %
                                  (mode, src, dst, "on" if on else "off")):
                        wire.flush()
                        before = k.counters()
                        tcp_copy(lab[src], lab[dst], b, SIZE, src=a)
                        no_losses(k, before)
                        longest = max(p.len for p in only_esp(wire))
                        check(1400 < longest <= 1500, "longest packet has %d bytes" % longest)
        for mode, kaddr, xaddr in (("transport", K, X), ("tunnel", KNET, XNET)):
            for src, dst, a, b in (("k", "x", kaddr, xaddr), ("x", "k", xaddr, kaddr)):
                with tap.case("UDP of 1 to 65407 bytes, %s, %s to %s" % (mode, src, dst)):
                    udp_sizes(lab, wire, src, dst, a, b)
            with tap.case("UDP of 65507 bytes, %s: with ESP more than a packet can have, refused" % mode):
                sender = Udp(lab["k"], kaddr)
                with Moves(k, OutTooBig=1):
                    try:
                        sender.send(fill(65507), xaddr, 4000)
                        check(False, "it was sent")
                    except OSError as e:
                        equal(e.errno, errno.EMSGSIZE, "errno")
                equal(wire.take(), [], "packets on the wire")
                sender.close()


def udp_sizes(lab, wire, src, dst, a, b):
    limit = 65507 - 100         # room for ESP within one IP packet
    sender, receiver = Udp(lab[src], a), Udp(lab[dst], b, 4000)
    try:
        for size in (1, 1300, 1400, 1430, 1440, 1450, 1472, 1473, 3000, 9000, 60000, limit):
            sender.send(fill(size), b, 4000)
            got = receiver.recv()
            check(got is not None, "%d bytes: nothing arrived" % size)
            check(got == fill(size), "%d bytes: changed" % size)
        only_esp(wire)
    finally:
        sender.close()
        receiver.close()


def sctp(tap):
    """Its checksum is none of the Internet's, and devices would make it."""
    with pair() as lab:
        k, x = Kipsec(lab["k"]), Xfrm(lab["x"])
        sas = [SA(K, X, 0x6101, ipsec.GCM), SA(X, K, 0x6102, ipsec.GCM)]
        k.add(*sas, *pair_policies("k"))
        x.add(*sas, *pair_policies("x"))
        for src, dst, to in (("k", "x", X), ("x", "k", K)):
            with tap.case("SCTP, %s to %s" % (src, dst)):
                if subprocess.run(["modprobe", "-q", "sctp"]).returncode:
                    raise Skip("the kernel has no SCTP")
                server = lab[dst].socket(socket.AF_INET, socket.SOCK_STREAM, 132)
                server.bind((to, 4000))
                server.listen()
                client = lab[src].socket(socket.AF_INET, socket.SOCK_STREAM, 132)
                client.settimeout(10)
                client.connect((to, 4000))
                there = server.accept()[0]
                there.settimeout(10)
                for size in (1, 1000, 5000):
                    client.sendall(fill(size))
                    got = b""
                    while len(got) < size:
                        got += there.recv(size)
                    equal(got, fill(size), "what came")
                for s in (client, there, server):
                    s.close()


def forwarded(tap):
    with gateways() as lab:
        wire = Capture(lab)
        # Two processors take numbers and send; one that is held up between the
        # two comes late by more than 64 packets.
        sas = [SA(K, X, 0x7011, ipsec.GCM, "tunnel", window=1024),
               SA(X, K, 0x7012, ipsec.GCM, "tunnel", window=1024)]
        gates = []
        for name, a, b, own, peer in (("g1", "10.1.0.0/24", "10.2.0.0/24", K, X),
                                      ("g2", "10.2.0.0/24", "10.1.0.0/24", X, K)):
            g = Kipsec(lab[name])
            g.add(*sas, Policy(a, b, "out", requests=[tunnel(own, peer)]),
                  Policy(b, a, "in", requests=[tunnel(peer, own)]))     # and fwd, by setkey
            tap.on_failure.append(g.state)
            gates.append(g)
        for src, dst, to in (("a", "b", "10.2.0.2"), ("b", "a", "10.1.0.2")):
            with tap.case("TCP forwarded, %s to %s" % (src, dst)):
                wire.flush()
                before = [g.counters() for g in gates]
                tcp_copy(lab[src], lab[dst], to, 2 * SIZE)
                for g, b in zip(gates, before):
                    no_losses(g, b)
                longest = max(p.len for p in only_esp(wire))
                check(1400 < longest <= 1500, "longest packet has %d bytes" % longest)
        with tap.case("UDP forwarded, 1 to 60000 bytes"):
            udp_sizes(lab, wire, "a", "b", "10.1.0.2", "10.2.0.2")


if __name__ == "__main__":
    run(with_xfrm, forwarded, sctp)
