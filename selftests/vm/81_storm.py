#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: cores
#
# Many at once: managers that add, complete, delete, expire and flush the same SAs
# while packets use them; a policy that comes and goes with its hook; floods of packets
# for nobody and of old ones, which must cost neither memory nor lines of the log.
#
#	[k: kipsec] 10.0.0.1 ---- wire ---- 10.0.0.2 [x]
import contextlib
import mmap
import os
import random
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import esp                                                      # noqa: E402
import ipsec                                                    # noqa: E402
import pfkey                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, settle, transport  # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import pair, wait_for                                # noqa: E402
from traffic import Udp                                         # noqa: E402
from wire import ESP, OPEN, UDP, Injector, fill, ip4, udp4      # noqa: E402

K, X, PORT = "10.0.0.1", "10.0.0.2", 4000
SPIS = range(0x8101, 0x8121)
TRACER = "/sys/kernel/tracing/set_ftrace_filter"
SECONDS = 6
ROUNDS, EARLY, LIMIT = 200, 12, 60      # fewer packets than may wait for one SA
ALGS = ipsec.NULL_SHA256
AUTH = bytes.fromhex(ALGS[1].key)
# What one manager may hear because another was faster.
EXPECTED = {"ESRCH", "EEXIST", "ENOENT", "EINVAL"}


def sealed(sa, seq, data=fill(40), port=PORT):
    """A datagram in ESP, from x to k."""
    return ip4(X, K, ESP, esp.protect(sa, seq, udp4("", "", 9, port, data), UDP))


# --- managers ---

def ask(key, *request):
    """The answer, among what the others' requests make the kernel tell."""
    key.send(*request)
    while True:
        m = key.recv(1)
        if (m.seq, m.pid) == (key.seq, key.pid):
            return m


def whole(spi):
    """What makes an SA of it."""
    return (pfkey.sa(spi, replay=32, auth=pfkey.SHA256, enc=pfkey.NULL), *pfkey.ends(X, K),
            pfkey.key(pfkey.KEY_AUTH, AUTH), pfkey.sa2(1))


def add(key, spi, verb=pfkey.ADD):
    return ask(key, verb, pfkey.ESP, *whole(spi),
               pfkey.lifetime(pfkey.HARD, octets=random.choice((0, 200)),
                              add=random.choice((0, 1))))


def larval(key, spi):
    m = ask(key, pfkey.GETSPI, pfkey.ESP, *pfkey.ends(X, K), pfkey.spirange(spi, spi + 4))
    return m if m.errno else add(key, m.ext[pfkey.SA].spi, pfkey.UPDATE)


def manager(ns, seed):
    """Until the time is over; 0, or 1 after an answer that nobody expects."""
    random.seed(seed)
    with ns, pfkey.Key() as key:
        key.pid = 5000 + seed
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            spi, dice = random.choice(SPIS), random.random()
            if dice < 0.5:
                m = add(key, spi)
            elif dice < 0.6:
                m = larval(key, spi)
            elif dice < 0.9:
                m = ask(key, pfkey.DELETE, pfkey.ESP, pfkey.sa(spi), *pfkey.ends(X, K))
            elif dice < 0.95:
                m = ask(key, pfkey.DELETE, pfkey.ESP, *pfkey.ends(X, K))
            elif dice < 0.98:
                m = ask(key, pfkey.GET, pfkey.ESP, pfkey.sa(spi), *pfkey.ends(X, K))
            else:
                m = ask(key, pfkey.FLUSH, pfkey.ESP)
            if m.errno and pfkey.error_name(m.errno) not in EXPECTED:
                print("# manager %d: %s" % (seed, m), flush=True)
                return 1
            key.drain()
    return 0


def sender(ns, to, seed):
    """Packets for all those SAs, whether they are there or not."""
    inject = Injector(ns, to)
    end, seq = time.monotonic() + SECONDS, seed
    while time.monotonic() < end:
        seq += 1
        for spi in SPIS:
            inject.send(sealed(SA(X, K, spi, ALGS), seq, fill(40, OPEN), 9))
    return 0


def children(*jobs):
    pids = []
    for job, *args in jobs:
        pid = os.fork()
        if not pid:
            status = 99
            try:
                status = job(*args)
            finally:
                os._exit(status)
        pids.append(pid)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def storm(tap, lab, k):
    with tap.case("managers and packets at the same SAs"):
        equal(children(*[(manager, lab["k"], n) for n in range(4)],
                       (sender, lab["x"], lab["k"], 0)), [0] * 5, "status of each")
    with tap.case("nothing is left of it, and SAs work"):
        # The last of them have a second to live.
        k.setkey("delete %s %s esp 0x8101;" % (X, K), check=False)
        wait_for(lambda: "esp" not in k.setkey(None, args=("-D",), check=False), 3) or \
            k.setkey("flush;")
        with lab["k"], pfkey.Key() as key:
            equal(key.dump(), [], "SAs")
        k.add(SA(X, K, 0x8101, ALGS), Policy(X, K, "in", requests=[transport()]))
        inject = Injector(lab["x"], lab["k"])
        settle(k)
        with Moves(k, InProtected=1):
            inject.send(sealed(SA(X, K, 0x8101, ALGS), 1, fill(40, OPEN)))
        inject.close()
        k.flush()


# --- two processors ---

def on_processor(n):
    os.sched_setaffinity(0, {n % os.cpu_count()})


@contextlib.contextmanager
def slow(function):
    """The tracer, if there is one, notes by which way each call came: more happens meanwhile."""
    def tell(command):
        if os.path.exists(TRACER):
            with open(TRACER, "a") as f:
                f.write(command)
    tell(function + ":stacktrace")
    try:
        yield
    finally:
        tell("!" + function + ":stacktrace")


# --- an SA is completed ---

class Turns:
    """A number that two processes share: each waits until it is his."""

    def __init__(self):
        self.memory = mmap.mmap(-1, 4)

    def now(self, n):
        struct.pack_into("=I", self.memory, 0, n)

    def wait(self, n):
        end = time.monotonic() + LIMIT
        while struct.unpack_from("=I", self.memory)[0] < n:
            if time.monotonic() > end:
                raise TimeoutError("turn %d" % n)


def complete(ns, turns, spis):
    """As the packets for it begin to come."""
    on_processor(1)
    with ns, pfkey.Key() as key:
        for n, spi in enumerate(spis):
            key.ok(pfkey.GETSPI, pfkey.ESP, *pfkey.ends(X, K), pfkey.spirange(spi, spi))
            turns.now(2 * n + 1)
            turns.wait(2 * n + 2)
            key.ok(pfkey.UPDATE, pfkey.ESP, *whole(spi))
    return 0


def visit(ns, to, turns, bursts):
    on_processor(0)
    inject = Injector(ns, to)
    for n, packets in enumerate(bursts):
        turns.wait(2 * n + 1)
        turns.now(2 * n + 2)
        inject.send(*packets)
    return 0


def completion(tap, lab, k):
    # A packet that has found the larval SA sees it dead, for another is in its place.
    with tap.case("SAs are completed as packets find them: all wait, and are let in"):
        spis, turns = range(0x9001, 0x9001 + ROUNDS), Turns()
        bursts = [[sealed(SA(X, K, spi, ALGS), seq + 1) for seq in range(EARLY)] for spi in spis]
        k.add(SA(K, X, 0x8152, ALGS))   # else they would wait for that one, too
        sink = Udp(lab["k"], K, PORT)   # or k would quote them
        with Moves(k, InProtected=ROUNDS * EARLY), slow("kipsec_input_protected"):
            equal(children((complete, lab["k"], turns, spis),
                           (visit, lab["x"], lab["k"], turns, bursts)), [0] * 2, "status of each")
        check(k.counters()["InEarly"], "no packet waited")
        sink.close()
        k.flush()


# --- the hook ---

def policies_come_and_go(ns):
    """With the last one the hook goes, too."""
    on_processor(1)
    end = time.monotonic() + SECONDS
    with ns, pfkey.Key() as key:
        while time.monotonic() < end:
            key.ok(pfkey.SPDFLUSH)
            for way, src, dst in ((pfkey.IN, X, K), (pfkey.OUT, K, X)):
                key.ok(pfkey.SPDADD, 0, pfkey.selector(src + "/32", dst + "/32"),
                       pfkey.policy(way, pfkey.IPSEC, [pfkey.request()]))
    return 0


def copies(ns, to, packet):
    """The hook looks at each of them, before anybody sees that they are copies."""
    on_processor(0)
    inject = Injector(ns, to)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        inject.send(*[packet] * 100)
    return 0


def datagrams(ns):
    """Those of a moment without policies go in clear."""
    on_processor(0)
    sender = Udp(ns)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        sender.send(fill(40, OPEN), X, 9)
    return 0


def hooks(tap, lab, k):
    # The kernel's list of hooks becomes none then, while packets are in ours. With no
    # hook in all the system it would also change its code each time, which takes long.
    # What x says of unwanted datagrams is in clear, and might come after the storm.
    with tap.case("policies come and go under traffic both ways"):
        lab["x"].nft("table ip f {\nchain in { type filter hook prerouting priority 0; }\n"
                     "chain out { type filter hook output priority 0; ip protocol icmp drop\n}\n}")
        sa = SA(X, K, 0x8151, ALGS)
        packets = [sealed(sa, seq) for seq in (1, 2, 3)]
        inject, sink = Injector(lab["x"], lab["k"]), Udp(lab["k"], K, PORT)
        k.add(sa, SA(K, X, 0x8152, ALGS), Policy(X, K, "in", requests=[transport()]))
        inject.send(*packets[:2])       # the first one's way is remembered
        with slow("hook_in4"):
            equal(children((policies_come_and_go, lab["k"]),
                           (copies, lab["x"], lab["k"], packets[1]), (datagrams, lab["k"])),
                  [0] * 3, "status of each")
        settle(k)
        with Moves(k, InProtected=1):
            inject.send(packets[2])
        equal(len(sink.all(3)), 3, "datagrams")
        inject.close()
        sink.close()
        k.flush()


# --- floods ---

def log_length():
    return len(subprocess.run(["dmesg"], stdout=subprocess.PIPE).stdout.splitlines())


def slab():
    with open("/proc/meminfo") as f:
        return {w[0]: int(w[1]) for w in map(str.split, f)}["Slab:"]


def flood(tap, lab, k):
    count = 10000
    sa = SA(X, K, 0x8201, ALGS, window=64)
    k.add(sa)
    inject, sink = Injector(lab["x"], lab["k"]), Udp(lab["k"], K, PORT)
    packets = [sealed(sa, seq) for seq in (1, 1000)]
    for title, reason, packet in (
            ("SPIs of nobody", "InUnknownSpi", None),
            ("copies of a packet", "InReplayDup", packets[1]),
            ("packets left of the window", "InReplayOld", packets[0])):
        with tap.case("flood: %d %s" % (count, title)):
            inject.send(packets[1])
            sink.all(1)
            before, memory = log_length(), slab()
            with Moves(k, **{reason: count}):
                for n in range(count):
                    inject.send(packet or ip4(X, K, ESP, (0x9000 + n).to_bytes(4, "big") +
                                              bytes(60)))
            equal(sink.all(1, 0.1), [], "datagrams that arrived")
            equal(log_length() - before, 0, "new lines of the log")
            check(slab() - memory < 8192, "slabs grew by %d KiB" % (slab() - memory))
    inject.close()
    sink.close()


def many(tap):
    ipsec.loaded()
    with pair() as lab:
        k = Kipsec(lab["k"])
        tap.on_failure[:] = [k.state]
        storm(tap, lab, k)
        completion(tap, lab, k)
        hooks(tap, lab, k)
        flood(tap, lab, k)


if __name__ == "__main__":
    run(many)
