#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
#
# Ten thousand SAs and policies: read from one file, dumped whole (also to a
# reader that takes its time), the right one found, deleted again.
#
#	[k: kipsec] 10.0.0.1 ---- wire ---- 10.0.0.2 [x: routes 10.16.0.0/12]
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from ipsec import SA, Kipsec, Policy, transport                 # noqa: E402
from ktap import Skip, check, equal, run                        # noqa: E402
from netns import pair                                          # noqa: E402
from traffic import Udp                                         # noqa: E402
from wire import Capture, fill                                  # noqa: E402

K = "10.0.0.1"
COUNT = int(os.environ.get("KIPSEC_SCALE", "10000"))
SADB_DUMP, SPDDUMP = 10, 18


def peer(n):
    return "10.%d.%d.%d" % (16 + n // 60000, n // 250 % 240, n % 250 + 1)


def sa(n):
    return SA(K, peer(n), 0x10000 + n, ipsec.NULL_SHA256)


def policy(n):
    return Policy(K, peer(n), "out", requests=[transport()])


def seconds(function):
    start = time.monotonic()
    function()
    return time.monotonic() - start


def dump(ns, kind, slow):
    """All answers to a dump request, read as slowly as one can."""
    s = ns.socket(15, socket.SOCK_RAW, 2)
    if slow:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.settimeout(5)
    s.send(struct.pack("=BBBBHHII", 2, kind, 0, 0, 2, 0, 1, 77))
    messages = []
    while True:
        if slow and len(messages) % 500 == 0:
            time.sleep(0.1)
        m = s.recv(65536)
        _, _, errno, _, length, _, seq, pid = struct.unpack_from("=BBBBHHII", m)
        equal((errno, length * 8, pid), (0, len(m), 77), "errno, length, pid")
        messages.append((seq, m))
        if seq == 0:
            break
    s.close()
    return messages


def scale(tap):
    ipsec.loaded()
    with pair() as lab:
        k, wire = Kipsec(lab["k"]), Capture(lab)
        lab["k"].ip("route add 10.16.0.0/12 via 10.0.0.2")
        path = os.path.join(os.environ.get("TMPDIR", "/tmp"), "kipsec-scale.conf")
        with tap.case("one file with %d SAs and policies" % COUNT):
            with open(path, "w") as f:
                for n in range(COUNT):
                    f.write(Kipsec.sa_line(sa(n)) + Kipsec.policy_line(policy(n)))
            took = seconds(lambda: k.ns.run(ipsec.SETKEY, "-f", path, timeout=200))
            print("# took %.1f s" % took)
        for kind, name in ((SADB_DUMP, "SAs"), (SPDDUMP, "policies")):
            for slow in (False, True):
                with tap.case("dump of %s, %s reader" % (name, "slow" if slow else "quick")):
                    got = dump(k.ns, kind, slow)
                    equal(len(got), COUNT, "messages")
                    equal([s for s, _ in got] == list(range(1, COUNT)) + [0], True,
                          "sequence numbers are 1, 2, 3 ... and 0 for the last")
                    equal(len({m[16:] for _, m in got}), COUNT, "different messages")
        with tap.case("setkey -D and -DP show them all"):
            for args, mark in (("-D", "spi="), ("-DP", "spid=")):
                text = k.setkey(None, args=(args,))
                equal(text.count(mark), COUNT, "entries of setkey " + args)
        with tap.case("the last, the first and one in the middle are found"):
            u = Udp(lab["k"], K, 999)
            wire.flush()
            some = (COUNT - 1, 0, COUNT // 2)
            for n in some:
                u.send(fill(40), peer(n), 9)
            wire.expect(["%s>%s esp %#x #1 len %d" % (K, peer(n), sa(n).spi, sa(n).wire_len(48))
                         for n in some])
            u.close()
        with tap.case("an exception put in front of them all"):
            exception = Policy(K, peer(COUNT - 1), "out", "discard", proto="udp", prio="1")
            k.add(exception)
            u = Udp(lab["k"], K, 999)
            try:
                u.send(fill(40), peer(COUNT - 1), 9)
            except PermissionError:
                pass
            else:
                check(False, "the discard policy did not match")
            finally:
                u.close()
            k.setkey("spddelete %s %s udp -P out;" % (K, peer(COUNT - 1)))
        with tap.case("1000 deleted one by one, the rest by a flush"):
            k.setkey("".join("delete %s esp %#x;\nspddelete %s %s any -P out;\n" % (
                " ".join((K, peer(n))), sa(n).spi, K, peer(n)) for n in range(1000)))
            equal(len(dump(k.ns, SADB_DUMP, False)), COUNT - 1000, "SAs left")
            equal(len(dump(k.ns, SPDDUMP, False)), COUNT - 1000, "policies left")
            k.flush()
            equal(k.setkey(None, args=("-D",)).strip(), "No SAD entries.", "setkey -D")
            equal(k.setkey(None, args=("-DP",)).strip(), "No SPD entries.", "setkey -DP")
        os.unlink(path)


if __name__ == "__main__":
    if COUNT < 2000:
        raise Skip("KIPSEC_SCALE must be 2000 or more")
    run(scale)
