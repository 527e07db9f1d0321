#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: core debug
#
# Hostile messages on the PF_KEY socket: for each type each extension missing,
# twice, short, long, torn. The answer is an error, an echo of the request's own
# header, after which both data bases are as before to the last byte; or one that
# lib/pfkey.py finds sound, with zeros wherever nothing belongs. Then random changes
# to sound messages, by a program (selftests/fuzz) that sends more of them.
#
# KIPSEC_SEED and KIPSEC_HOSTILE in the environment: another seed, more messages;
# millions of them: scripts/fuzz.
import contextlib
import errno
import os
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
import pfkey as p                                               # noqa: E402
from ktap import Failed, Skip, check, equal, run                # noqa: E402

A, B, A6, B6 = "10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"
FULL = os.environ.get("KIPSEC_SUITE") == "full"
DEBUG = os.environ.get("KIPSEC_SUITE") == "debug"
NUMBER = int(os.environ.get("KIPSEC_HOSTILE", "100000" if FULL else "2000" if DEBUG else "20000"))
FUZZ = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fuzz/pfkey_fuzz")
MODPROBE = "/proc/sys/kernel/modprobe"
LARVAL = "/proc/sys/net/kipsec/larval_lifetime"
POLICY_ID = 0x7a7b7c7d  # stands for that of a policy which is there
MOST = 40               # messages that both dumps may have before all begins anew

KEYS = p.key(p.KEY_ENC, bytes(range(16))), p.key(p.KEY_AUTH, bytes(range(32)))
ESP_SA = p.sa(0x1000, 32, p.SHA256, p.AES)
LIMITS = p.lifetime(p.HARD, 0, 1 << 40, 90000, 0), p.lifetime(p.SOFT, 0, 1 << 39, 80000, 0)
SELECTOR = (p.address(p.SRC, "10.1.0.0", 24, 17), p.address(p.DST, "10.2.0.0", 16, 17, 53))
REQUESTS = [p.request(51, p.TRANSPORT, p.UNIQUE, 7), p.request(50, p.TUNNEL, pair=(A, B)),
            p.request(108, p.TUNNEL, p.USE, pair=(A6, B6))]
POLICY = p.policy(p.OUT, p.IPSEC, REQUESTS, 99)
ALL = (ESP_SA, *LIMITS, *p.ends(A, B), *KEYS, p.sa2(p.TUNNEL, 3), p.natt(4500, 4500),
       p.address(p.NATT_OA, A), p.kipsec_replay(128))
# A sound message of each type, satype, and what it cannot do without.
SA_ENDS, SRC_DST = {p.SA, p.SRC, p.DST}, {p.SRC, p.DST}
WHOLE = [
    (p.GETSPI, p.ESP, (*p.ends(A, B), p.spirange(0x2000, 0x20ff), p.sa2(p.TUNNEL, 3)), SRC_DST),
    (p.UPDATE, p.ESP, ALL, SA_ENDS),
    (p.UPDATE, p.ESP, (p.sa(0x3000, 32, p.SHA256, p.AES), *p.ends(B, A), *KEYS, LIMITS[0]),
     SA_ENDS | {p.KEY_AUTH, p.KEY_ENC}),
    (p.ADD, p.ESP, (p.sa(0x1001, 32, p.SHA256, p.AES), *ALL[1:]), SA_ENDS | {p.KEY_AUTH, p.KEY_ENC}),
    (p.ADD, p.AH, (p.sa(0x1002, 32, p.SHA256), *p.ends(A6, B6), KEYS[1], p.sa2(p.TRANSPORT)),
     SA_ENDS | {p.KEY_AUTH}),
    (p.ADD, p.IPCOMP, (p.sa(0x1003, 0, 0, 2), *p.ends(A, B)), SA_ENDS),
    (p.GET, p.ESP, (ESP_SA, *p.ends(A, B)), SA_ENDS),
    (p.DELETE, p.ESP, (ESP_SA, *p.ends(A, B)), SRC_DST),
    (p.ACQUIRE, p.ESP, (), set()),
    (p.REGISTER, p.ESP, (), set()),
    (p.EXPIRE, p.ESP, (ESP_SA, LIMITS[0], *p.ends(A, B)), SA_ENDS),
    (p.FLUSH, p.ESP, (), set()),
    (p.DUMP, 0, (p.xfilter(2, A, 24, B, 32),), set()),
    (p.PROMISC, 0, (), set()),
    (p.PCHANGE, 0, (), set()),
    (p.SPDADD, 0, (*SELECTOR, p.policy(p.IN, p.IPSEC, REQUESTS), *LIMITS), SRC_DST | {p.POLICY}),
    (p.SPDUPDATE, 0, (*SELECTOR, POLICY), SRC_DST | {p.POLICY}),
    (p.SPDSETIDX, 0, (*SELECTOR, POLICY), SRC_DST | {p.POLICY}),
    (p.SPDGET, 0, (p.policy(p.OUT, number=POLICY_ID),), {p.POLICY}),
    (p.SPDDELETE, 0, (*SELECTOR, POLICY), SRC_DST | {p.POLICY}),
    (p.SPDDELETE2, 0, (p.policy(p.OUT, number=POLICY_ID),), {p.POLICY}),
    (p.SPDDUMP, 0, (), set()),
    (p.SPDFLUSH, 0, (), set()),
    (p.SPDACQUIRE, 0, (*SELECTOR, POLICY), set()),
    (p.SPDEXPIRE, 0, (*SELECTOR, POLICY), set()),
    (p.NEW_MAPPING, p.ESP, (ESP_SA, *p.ends(A, B)), set()),
    (p.MIGRATE, 0, (*SELECTOR, POLICY), set()),
]


class Victim:
    """Two sockets, one that asks and one that listens, and what is in the data bases."""

    def __init__(self):
        self.open()
        self.begin()

    def open(self):
        self.key, self.other = p.Key(), p.Key()
        for satype in (p.AH, p.ESP, p.IPCOMP):
            self.other.ok(p.REGISTER, satype)
        self.other.drain()
        self.key.drain()

    def close(self):
        self.key.close()
        self.other.close()

    def begin(self):
        """A few entries of each kind."""
        for kind in (p.FLUSH, p.SPDFLUSH):
            self.key.ok(kind)
        k = self.key
        k.ok(p.ADD, p.ESP, *ALL)
        k.ok(p.ADD, p.AH, p.sa(0x1004, 32, p.SHA256), *p.ends(A6, B6), KEYS[1])
        k.ok(p.GETSPI, p.ESP, *p.ends(B, A), p.spirange(0x3000, 0x3000))
        k.ok(p.SPDADD, 0, *SELECTOR, POLICY)
        k.ok(p.SPDADD, 0, p.selector("fd00::/64", "fd01::/48"), p.policy(p.IN, p.DISCARD))
        self.number = k.dump(p.SPDDUMP)[0].ext[p.POLICY].id
        self.other.drain()
        self.state = self.dumps()

    def dumps(self):
        """Both data bases, as bytes: to compare them costs less than to read them."""
        found = []
        for kind in (p.DUMP, p.SPDDUMP):
            self.key.sock.send(struct.pack("=BBBBHHII", 2, kind, 0, 0, 2, 0, 0, self.key.pid))
            while True:
                found.append(self.key.sock.recv(65536))
                if found[-1][8:12] == bytes(4):
                    break
        return found

    def hit(self, data):
        """Send it; "refused", "answered" or "silent" after everything has been checked."""
        data = data.replace(struct.pack("=I", POLICY_ID), struct.pack("=I", self.number))
        try:
            self.key.sock.send(data)
        except OSError as e:
            check(e.errno in (errno.EMSGSIZE, errno.EINVAL), "send: %s" % e)
            return self.same("refused")
        answers = self.key.drain()
        if not answers:
            equal(data[1], p.ACQUIRE, "type without an answer")
            return self.same("silent")
        first = answers[0]
        if not first.errno:
            self.changed(data[1])
            return "answered"
        equal(len(answers), 1, "answers")
        equal(first.data, data[:2] + bytes([first.errno]) + data[3:4] + struct.pack("=H", 2) +
              data[6:16], "echo")
        return self.same("refused")

    def same(self, verdict):
        now = self.dumps()
        told = self.other.drain()
        if not told:
            check(now == self.state, "the data bases changed, though it was refused")
        elif all(m.type in (p.EXPIRE, p.SPDEXPIRE) for m in told):
            self.state = self.dumps()   # a limit of time that an earlier message set
        else:
            raise Failed("others were told: %s" % told[0])
        return verdict

    def changed(self, kind):
        if kind in (p.PROMISC, p.REGISTER):
            self.close()
            self.open()
        self.other.drain()
        self.state = self.dumps()
        for raw in self.state:
            p.Message(raw)
        if len(self.state) > MOST or len(self.state) < 4:
            self.begin()


def split(extension):
    """An entry may hold several extensions."""
    parts = []
    while extension:
        size = 8 * struct.unpack_from("=H", extension)[0]
        parts.append(extension[:size])
        extension = extension[size:]
    return parts


def kind_of(extension):
    return struct.unpack_from("=H", extension, 2)[0]


def sized(extension, units):
    """Cut or filled to so many units, its length field with it."""
    return (struct.pack("=H", units) + extension[2:8 * units]).ljust(8 * units, b"\0")


# Here more or fewer units may be right: keys with room behind them, policies with
# padding or fewer requests.
ELASTIC = {p.KEY_AUTH, p.KEY_ENC, p.POLICY}


def changes(parts, need):
    """(name, must it be refused, extensions)"""
    for i, e in enumerate(parts):
        kind, units = kind_of(e), len(e) // 8
        before, after = parts[:i], parts[i + 1:]
        yield "%d missing" % kind, kind in need, before + after
        yield "%d twice" % kind, True, before + [e, e] + after
        yield "%d twice, the second at the end" % kind, True, parts + [e]
        for n in range(1, units):
            yield "%d cut to %d" % (kind, n), kind not in ELASTIC, before + [sized(e, n)] + after
        yield "%d too long" % kind, kind in (p.SRC, p.DST), before + [sized(e, units + 1)] + after
        for n in (0, units + 1, 0xffff):
            wrong = struct.pack("=H", n) + e[2:]
            yield "%d says %d" % (kind, n), n != units + 1 or not after, before + [wrong] + after
        yield "%d of type 0" % kind, True, before + [e[:2] + bytes(2) + e[4:]] + after
        yield "%d of a type that nobody knows" % kind, kind in need, \
            before + [e[:2] + b"\xff\x7f" + e[4:]] + after
        yield "%d not on a unit" % kind, True, before + [bytes(4) + e + bytes(4)] + after


def each_extension(tap):
    for number, (kind, satype, exts, need) in enumerate(WHOLE):
        with tap.case("message %d, type %d, satype %d: each extension missing, twice, short, long, torn" % (
                number, kind, satype)):
            v = Victim()
            whole = v.key.pack(kind, satype, *exts)
            parts = [part for e in exts for part in split(e)]
            cuts = range(0, len(whole), 1 if FULL else 7)
            seen = {"refused": len(cuts) + 8, "answered": 0, "silent": 0}
            for n in cuts:
                equal(v.hit(whole[:n]), "refused", "cut to %d bytes" % n)
            for n in range(1, 9):
                equal(v.hit(whole + bytes(n)), "refused", "%d bytes too many" % n)
            for name, fatal, changed in changes(parts, need):
                verdict = v.hit(v.key.pack(kind, satype, *changed))
                seen[verdict] += 1
                check(verdict == "refused" or not fatal, "%s: %s" % (name, verdict))
                if verdict == "answered":
                    v.begin()
            print("# %(refused)d refused, %(answered)d taken, %(silent)d in silence" % seen)
            v.close()


# --- at random ---

def at_random(tap):
    seed = int(os.environ.get("KIPSEC_SEED", "0")) or int(time.time())
    with tap.case("%d at random" % NUMBER):
        if not os.access(FUZZ, os.X_OK):
            raise Skip("selftests/fuzz/pfkey_fuzz is not built: make -C selftests programs")
        ran = subprocess.run([FUZZ, "-n", str(NUMBER), "-s", str(seed)], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        print(ran.stdout, end="")
        equal(ran.returncode, 0, "exit status")


@contextlib.contextmanager
def setting(path, value):
    with open(path, encoding="ascii") as f:
        usual = f.read()
    with open(path, "w", encoding="ascii") as f:
        f.write(value)
    try:
        yield
    finally:
        with open(path, "w", encoding="ascii") as f:
            f.write(usual)


def fuzz(tap):
    ipsec.loaded()
    # Nothing may go by itself; and no cipher's module is looked for.
    with setting(LARVAL, "3600"), setting(MODPROBE, "\n"):
        each_extension(tap)
        at_random(tap)
        with p.Key() as key:
            key.ok(p.FLUSH)
            key.ok(p.SPDFLUSH)


if __name__ == "__main__":
    run(fuzz)
