#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
#
# Ten thousand SAs and policies: read from one file, dumped whole (also to a
# reader that takes its time), the right one found, deleted again, or gone by
# themselves. KIPSEC_SCALE=100000 in the environment makes it so many, in a machine
# with 3 GiB of memory.
#
#	[k: kipsec] 10.0.0.1 ---- wire ---- 10.0.0.2 [x: routes 10.16.0.0/12]
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
import pfkey                                                    # noqa: E402
from ipsec import SA, Kipsec, Policy, transport                 # noqa: E402
from ktap import Skip, check, equal, run                        # noqa: E402
from netns import pair                                          # noqa: E402
from traffic import Udp                                         # noqa: E402
from wire import Capture, fill                                  # noqa: E402

K = "10.0.0.1"
HUGE = 100000
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


class Manager:
    """Adds what ends in the same second, and counts what it is told of that."""

    def __init__(self, ns):
        with ns:
            self.key = pfkey.Key()
        self.key.sock.setsockopt(socket.SOL_SOCKET, 33, 256 << 20)      # SO_RCVBUFFORCE
        self.key.ok(pfkey.REGISTER, pfkey.ESP)
        self.ended = {pfkey.EXPIRE: 0, pfkey.SPDEXPIRE: 0}

    def read(self):
        """The next message's type and errno, unread but for that: there are many."""
        m = self.key.sock.recv(4096)
        if m[1] in self.ended:
            self.ended[m[1]] += 1
        return m[1], m[2]

    def add(self, data, *patches):
        """A message, with (offset, bytes) changed in it."""
        data = bytearray(data)
        for at, new in patches:
            data[at:at + len(new)] = new
        self.key.sock.send(data)
        answer = self.read()
        while answer[0] != data[1]:
            answer = self.read()
        equal(answer, (data[1], 0), "type and errno")

    def fill(self, count):
        end = time.clock_gettime(time.CLOCK_BOOTTIME) + max(10, count // 700)
        limit = pfkey.lifetime(pfkey.HARD, add=1)
        mark = "99.88.77.66"
        key = pfkey.key(pfkey.KEY_AUTH, bytes(range(32)))
        add = self.key.pack(pfkey.ADD, pfkey.ESP,
                            pfkey.sa(1, 32, pfkey.SHA256, pfkey.NULL), limit,
                            *pfkey.ends(K, mark), key)
        spdadd = self.key.pack(pfkey.SPDADD, 0, limit, pfkey.selector(K + "/32", mark + "/32"),
                               pfkey.policy(pfkey.OUT, requests=[pfkey.request()]))
        places = [m.index(socket.inet_aton(mark)) for m in (add, spdadd)]
        for n in range(count):
            dst = socket.inet_aton(peer(n))
            left = struct.pack("=Q", max(1, int(end) - int(time.clock_gettime(
                time.CLOCK_BOOTTIME))))
            self.add(add, (16 + 4, struct.pack("!I", sa(n).spi)), (32 + 16, left),
                     (places[0], dst))
            self.add(spdadd, (16 + 16, left), (places[1], dst))

    def wait(self, count, longest):
        """Until all have ended, with no silence so long; seconds from the first to the last."""
        self.key.sock.settimeout(longest)
        first = None
        while min(self.ended.values()) < count:
            self.read()
            first = first or time.monotonic()
        return time.monotonic() - (first or time.monotonic())


def limits(tap, k):
    with tap.case("%d SAs and policies end in the same second" % COUNT):
        m, before = Manager(k.ns), k.counters()["PfkeyLost"]
        took = seconds(lambda: m.fill(COUNT))
        ending = m.wait(COUNT, 30 + COUNT // 1000)
        print("# took %.1f s to add, %.1f s to end" % (took, ending))
        equal(m.ended, {pfkey.EXPIRE: COUNT, pfkey.SPDEXPIRE: COUNT}, "messages")
        equal(k.setkey(None, args=("-D",)).strip(), "No SAD entries.", "setkey -D")
        equal(k.setkey(None, args=("-DP",)).strip(), "No SPD entries.", "setkey -DP")
        m.key.sock.setblocking(False)
        m.key.quiet()
        equal(k.counters()["PfkeyLost"], before, "PfkeyLost")
        m.key.close()


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
        limits(tap, k)
        if COUNT < HUGE:
            with tap.case("%d SAs and policies" % HUGE):
                raise Skip("takes minutes, see KIPSEC_SCALE above")


if __name__ == "__main__":
    if COUNT < 2000:
        raise Skip("KIPSEC_SCALE must be 2000 or more")
    run(scale)
