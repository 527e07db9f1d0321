#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: core debug
#
# A protected fragment and one in clear must never become one packet, in
# whatever order and overlap they come; protected ones must.
#
#	[k: kipsec, UDP receiver] 10.0.0.1 ---- wire ---- 10.0.0.2 [x: forger]
#
# The datagram is cut in two: the first half is made of P, the second of X.
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import esp                                                      # noqa: E402
import ipsec                                                    # noqa: E402
from ipsec import SA, Kipsec, Policy, transport, tunnel         # noqa: E402
from ktap import equal, run                                     # noqa: E402
from netns import pair                                          # noqa: E402
from traffic import Udp                                         # noqa: E402
from wire import ESP, UDP, Injector, ip4, udp4                  # noqa: E402

K, X, PORT = "10.0.0.1", "10.0.0.2", 4000
SA1 = SA(X, K, 0x8001, ipsec.NULL_SHA256, "tunnel", window=0)
SA2 = SA(X, K, 0x8002, ipsec.NULL_SHA256, "tunnel", window=0, reqid=2)
WHOLE = b"P" * 40 + b"X" * 48


class Cut:
    """A datagram in two fragments, with an id of its own."""
    ident = 100

    def __init__(self, whole=WHOLE):
        Cut.ident += 1
        data = udp4(X, K, 9, PORT, whole)
        self.first = ip4(X, K, UDP, data[:48], ident=Cut.ident, flags=1)
        self.last = ip4(X, K, UDP, data[48:], ident=Cut.ident, offset=48)
        # overlaps the first by eight bytes
        self.over = ip4(X, K, UDP, data[40:], ident=Cut.ident, offset=40)


def protected(packet, sa=SA1):
    return ip4(X, K, ESP, esp.protect(sa, 1, packet, 4))


def fragments(tap):
    ipsec.loaded()
    with pair() as lab:
        k, injector, u = Kipsec(lab["k"]), Injector(lab["x"], lab["k"]), Udp(lab["k"], K, PORT)
        tap.on_failure.append(k.state)
        lab["k"].sysctl("net.ipv4.ipfrag_time", 1)

        def case(name, packets, wanted, requests=(tunnel(X, K),), sas=(SA1, SA2)):
            with tap.case(name):
                k.setkey("flush; spdflush;")
                k.add(*sas, Policy(X, K, "in", requests=list(requests)))
                injector.send(*packets)
                equal(u.all(len(wanted) + 1, 0.2), wanted, "received")

        c = Cut()
        case("both protected", [protected(c.first), protected(c.last)], [WHOLE])
        c = Cut()
        case("both protected, the last one first", [protected(c.last), protected(c.first)],
             [WHOLE])
        c = Cut()
        case("first protected, last in clear", [protected(c.first), c.last], [])
        c = Cut()
        case("last in clear, then first protected", [c.last, protected(c.first)], [])
        c = Cut()
        case("first in clear, last protected", [c.first, protected(c.last)], [])
        c = Cut()
        case("last protected, then first in clear", [protected(c.last), c.first], [])
        c = Cut()
        case("a clear one that overlaps, between two protected ones",
             [protected(c.first), c.over, protected(c.last)], [WHOLE])
        c = Cut()
        case("through two SAs", [protected(c.first), protected(c.last, SA2)], [])
        c, d = Cut(), Cut()
        case("of two datagrams", [protected(c.first), protected(d.last)], [])
        c = Cut()
        case("level use: clear and protected still do not mix",
             [protected(c.first), c.last], [], requests=(tunnel(X, K, "use"),))
        data = udp4(X, K, 9, PORT, WHOLE)
        sa = SA(X, K, 0x8003, ipsec.NULL_SHA256, window=0)
        text = esp.protect(sa, 1, data, UDP)
        case("ESP itself in fragments", [ip4(X, K, ESP, text[:48], ident=9, flags=1),
                                         ip4(X, K, ESP, text[48:], ident=9, offset=48)],
             [WHOLE], requests=(transport(),), sas=(sa,))
        u.close()


if __name__ == "__main__":
    run(fragments)
