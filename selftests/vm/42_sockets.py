#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: core
#
# Sockets of key managers bypass all policies, out and in, and nobody else does.
#
#	[k: kipsec] 10.0.0.1, fd00::1 ---- wire ---- 10.0.0.2, fd00::2 [x]
import errno
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from ipsec import Kipsec, Moves, Policy, transport              # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import pair, still_neighbours                        # noqa: E402
from traffic import Udp                                         # noqa: E402
from wire import OPEN, UDP, Capture                             # noqa: E402

ENDS = {4: ("10.0.0.1", "10.0.0.2"), 6: ("fd00::1", "fd00::2")}
OPTION = {4: (socket.IPPROTO_IP, 16), 6: (socket.IPPROTO_IPV6, 34)}
IKE, OTHER = 500, 4000
IN, OUT = 1, 2
DISCARD, NONE, IPSEC, ENTRUST, BYPASS = range(5)


def option(kind, direction, size=16, exttype=12):
    """As iked writes it, type of the extension and all."""
    return struct.pack("=HHHBBII", 2, exttype, kind, direction, 0, 0, 0)[:size]


def bypass(sock, family):
    for direction in (IN, OUT):
        sock.sock.setsockopt(*OPTION[family], option(BYPASS, direction))


def bypassing(tap, lab, k, wire):
    for family, (own, peer) in ENDS.items():
        k.flush()
        k.add(Policy(own, peer, "out", requests=[transport()]),
              Policy(peer, own, "in", requests=[transport()]))
        ike, other = Udp(lab["k"], own, IKE), Udp(lab["k"], own, OTHER)
        far = Udp(lab["x"], peer, IKE)
        bypass(ike, family)
        with tap.case("IPv%d: what a bypassing socket sends goes in clear" % family):
            wire.flush()
            with Moves(k):
                ike.send(OPEN, peer, IKE)
                equal(far.recv(), OPEN, "datagram")
            equal([p.proto for p in wire.collect(1)], [UDP], "protocols")
        with tap.case("IPv%d: what another sends does not" % family):
            with Moves(k, OutNoSa=1):
                try:
                    other.send(OPEN, peer, IKE)
                except OSError as e:
                    equal(e.errno, errno.EHOSTUNREACH, "errno")
            equal(wire.take(), [], "packets")
        with tap.case("IPv%d: it receives what comes in clear, another does not" % family):
            with Moves(k):
                far.send(OPEN, own, IKE)
                equal(ike.recv(), OPEN, "datagram")
            with Moves(k, InClear=1):
                far.send(OPEN, own, OTHER)
            check(other.recv(0.2) is None, "another socket received it")
        with tap.case("IPv%d: without the option again, it is as all others" % family):
            lib_clear(ike, family)
            with Moves(k, OutNoSa=1, InClear=1):
                try:
                    ike.send(OPEN, peer, IKE)
                except OSError as e:
                    equal(e.errno, errno.EHOSTUNREACH, "errno")
                far.send(OPEN, own, IKE)
            check(ike.recv(0.2) is None, "it received in clear")
        for s in (ike, other, far):
            s.close()


def lib_clear(sock, family):
    """No value at all takes the policies away; Python passes a NULL for None."""
    sock.sock.setsockopt(*OPTION[family], None, 0)


def refused(tap, lab):
    def said(*args, sock=None):
        s = sock or Udp(lab["k"], ENDS[4][0])
        try:
            s.sock.setsockopt(*args)
        except OSError as e:
            return e.errno
        finally:
            s.close()
        return 0

    with tap.case("what cannot be had is refused"):
        v4 = OPTION[4]
        for value, wanted in ((option(BYPASS, 3), errno.EINVAL), (option(BYPASS, 0), errno.EINVAL),
                              (option(BYPASS, OUT, 8), errno.EINVAL),
                              (option(DISCARD, OUT), errno.EOPNOTSUPP),
                              (option(IPSEC, OUT), errno.EOPNOTSUPP),
                              (option(ENTRUST, OUT), errno.EOPNOTSUPP),
                              (option(NONE, OUT), 0), (option(BYPASS, OUT, exttype=18), 0)):
            equal(said(*v4, value), wanted, "errno for %s" % value.hex())
        equal(said(*v4, option(BYPASS, OUT), sock=Udp(lab["k"], ENDS[6][0])), errno.EOPNOTSUPP,
              "the option of IPv4 at a socket of IPv6")


def sockets(tap):
    ipsec.loaded()
    with pair(ipv6=True) as lab:
        still_neighbours(lab)
        k, wire = Kipsec(lab["k"]), Capture(lab)
        tap.on_failure[:] = [k.state]
        bypassing(tap, lab, k, wire)
        refused(tap, lab)


if __name__ == "__main__":
    run(sockets)
