#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: debug
#
# PF_KEY as programs see it: who may speak it, how errors come back, who gets
# which answer, what each message does, dumps of any size, events, and that no
# key is shown to those who did not ask for it. Every message received is checked
# to the last byte by lib/pfkey.py.
import array
import ctypes
import errno
import fcntl
import os
import random
import socket
import struct
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import pfkey as p                                               # noqa: E402
from ktap import Skip, check, equal, run                        # noqa: E402
from pfkey import Key, ends, selector                           # noqa: E402

A, B, A6, B6 = "10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"
KEY32 = bytes(range(1, 33))
KEY16 = bytes(range(101, 117))
KEYS = p.key(p.KEY_ENC, KEY16), p.key(p.KEY_AUTH, KEY32)
SATYPES = (p.AH, p.ESP, p.IPCOMP)


def fresh():
    """A socket on empty data bases."""
    k = Key()
    k.ok(p.FLUSH)
    k.ok(p.SPDFLUSH)
    return k


def esp(spi, src=A, dst=B, **more):
    return (p.sa(spi, auth=p.SHA256, enc=p.AES, **more), *ends(src, dst), *KEYS)


def larval(k, spi, src=A, dst=B):
    """A cheap entry of the SAD."""
    return k.ok(p.GETSPI, p.ESP, *ends(src, dst), p.spirange(spi, spi), seq=0)


def fails_with(number, function, *args):
    try:
        function(*args)
    except OSError as e:
        equal(p.error_name(e.errno), p.error_name(number), "error")
        return
    check(False, "no error")


def stat(name):
    with open("/proc/net/kipsec_stat", encoding="ascii") as f:
        return dict(line.split() for line in f)[name]


class LarvalLifetime:
    """Another value of the knob while it lasts."""
    path = "/proc/sys/net/kipsec/larval_lifetime"

    def __init__(self, seconds):
        self.seconds = seconds

    def put(self, value):
        with open(self.path, "w", encoding="ascii") as f:
            f.write(value)

    def __enter__(self):
        with open(self.path, encoding="ascii") as f:
            self.old = f.read()
        self.put("%d\n" % self.seconds)

    def __exit__(self, *_):
        self.put(self.old)


# --- sockets ---

def creation(tap):
    def make(kind, protocol):
        socket.socket(p.PF_KEY, kind, protocol).close()

    def as_nobody(function):
        def child():
            os.setgid(65534)
            os.setuid(65534)
            return function()
        return p.in_child(child)

    def errno_of(*args):
        try:
            make(*args)
        except OSError as e:
            return e.errno
        return 0

    with tap.case("socket(): type and protocol"):
        make(socket.SOCK_RAW, 2)
        fails_with(errno.ESOCKTNOSUPPORT, make, socket.SOCK_DGRAM, 2)
        fails_with(errno.ESOCKTNOSUPPORT, make, socket.SOCK_STREAM, 7)
        fails_with(errno.EPROTONOSUPPORT, make, socket.SOCK_RAW, 1)
        fails_with(errno.EPROTONOSUPPORT, make, socket.SOCK_RAW, 0)
    with tap.case("socket(): no rights come first"):
        equal(as_nobody(lambda: errno_of(socket.SOCK_RAW, 2)), errno.EPERM, "errno")
        equal(as_nobody(lambda: errno_of(socket.SOCK_DGRAM, 1)), errno.EPERM, "errno")
    with tap.case("a socket that was passed on serves one without rights"):
        with fresh() as k:
            def use():
                k.ok(p.ADD, p.ESP, *esp(0x1000))
                return 0
            equal(as_nobody(use), 0, "child")
            k.ok(p.GET, p.ESP, p.sa(0x1000), *ends(A, B))
    with tap.case("a user's own namespace is refused unless asked for"):
        knob = "/sys/module/kipsec/parameters/userns"

        def in_userns():
            if ctypes.CDLL(None).unshare(0x50000000):        # user and network
                return 77
            return errno_of(socket.SOCK_RAW, 2)
        status = p.in_child(in_userns)
        if status == 77:
            raise Skip("no user namespaces here")
        equal(status, errno.EPERM, "errno")
        with open(knob, "w", encoding="ascii") as f:
            f.write("1")
        equal(p.in_child(in_userns), 0, "errno")
        with open(knob, "w", encoding="ascii") as f:
            f.write("0")
    with tap.case("a network namespace has its own data bases and sockets"):
        with fresh() as k:
            larval(k, 0x1000)

            def elsewhere():
                if ctypes.CDLL(None).unshare(0x40000000):
                    return 77
                with Key() as other:
                    check(not other.dump(), "not empty")
                    larval(other, 0x1000)
                    other.ok(p.FLUSH)
                return 0
            equal(p.in_child(elsewhere), 0, "child")
            k.quiet()
            equal(len(k.dump()), 1, "SAs")


def base_errors(tap):
    with tap.case("faults of the base header are errors of send()"):
        with fresh() as k:
            good = k.pack(p.FLUSH, 0)
            rows = [(good[:15], errno.EMSGSIZE), (b"", errno.EMSGSIZE),
                    (good + bytes(8), errno.EMSGSIZE), (good + b"x", errno.EMSGSIZE),
                    (b"\1" + good[1:], errno.EINVAL), (b"\2\0" + good[2:], errno.EINVAL),
                    (b"\2\x19" + good[2:], errno.EINVAL),
                    (good[:6] + b"\1\0" + good[8:], errno.EINVAL)]
            for data, number in rows:
                fails_with(number, k.sock.send, data)
            fails_with(errno.EOPNOTSUPP, k.sock.send, good, socket.MSG_OOB)
            fails_with(errno.EMSGSIZE, k.sock.send, good + bytes(1 << 20))
            k.quiet()
    with tap.case("later faults come back as one's own header, to nobody else"):
        with fresh() as k, Key() as other:
            other.ok(p.REGISTER, p.ESP)
            equal(k.fails(p.ADD, p.ESP, p.ext(p.SA, bytes(4))), "EINVAL")
            equal(k.fails(p.ADD, p.ESP, seq=0xdeadbeef, pid=0xffffffff), "EINVAL")
            equal(k.fails(p.DELETE, p.ESP, p.sa(1), *ends(A, B)), "ESRCH")
            k.quiet()
            other.quiet()
    with tap.case("messages that only the kernel sends"):
        with fresh() as k:
            for kind in (p.EXPIRE, p.PCHANGE, p.SPDACQUIRE, p.SPDEXPIRE, p.NEW_MAPPING):
                equal(k.fails(kind, p.ESP), "EOPNOTSUPP", "type %d" % kind)
    with tap.case("ACQUIRE from a program: a header is taken, more is not"):
        with fresh() as k:
            k.send(p.ACQUIRE, p.ESP, err=errno.ENOENT)
            k.quiet()
            equal(k.fails(p.ACQUIRE, p.ESP, *ends(A, B), err=errno.ENOENT), "EOPNOTSUPP")


def receiving(tap):
    with tap.case("peek with 16 bytes, short receive, flags"):
        with fresh() as k:
            data = k.send(p.GETSPI, p.ESP, *ends(A, B))
            head = k.sock.recv(16, socket.MSG_PEEK)
            equal(len(head), 16, "peek")
            equal(head[8:], data[8:16], "seq and pid")
            whole = k.sock.recv(struct.unpack_from("=H", head, 4)[0] * 8)
            p.Message(whole)
            k.quiet()
            k.send(p.GETSPI, p.ESP, *ends(A, B))
            equal(k.sock.recv_into(bytearray(16), 16, socket.MSG_TRUNC), len(whole), "length")
            k.quiet()
            fails_with(errno.EINVAL, k.sock.recv, 16, socket.MSG_WAITALL)
            fails_with(errno.EAGAIN, k.sock.recv, 16, socket.MSG_DONTWAIT)
    with tap.case("one message out of many pieces"):
        with fresh() as k:
            data = k.pack(p.ADD, p.ESP, *esp(0x2000))
            equal(k.sock.sendmsg([data[i:i + 7] for i in range(0, len(data), 7)]), len(data))
            equal(k.recv().errno, 0, "errno")
    with tap.case("no calls of other families"):
        with fresh() as k:
            for call in (lambda: k.sock.listen(1), lambda: k.sock.shutdown(socket.SHUT_RDWR)):
                fails_with(errno.EOPNOTSUPP, call)
            check(k.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 100000, "buffer")
            fails_with(errno.EOPNOTSUPP, fcntl.ioctl, k.sock, termios.FIONREAD,
                       array.array("i", [0]))
    with tap.case("/proc/net/pfkey"):
        with fresh() as k, Key() as other:
            k.send(p.FLUSH)
            with open("/proc/net/pfkey", encoding="ascii") as f:
                lines = f.read().splitlines()
            equal(lines[0], "sk       RefCnt Rmem   Wmem   User   Inode")
            rows = {int(row.split()[5]): row.split() for row in lines[1:]}
            for key in (k, other):
                row = rows[os.fstat(key.sock.fileno()).st_ino]
                check(int(row[2]) > 0, "no bytes are waiting: %s" % row)
            equal(len(rows), 2, "sockets")


def who_gets_it(tap):
    with tap.case("ADD, UPDATE, DELETE, FLUSH and SPD changes go to all, once"):
        with fresh() as k, Key() as other, Key() as third:
            pol = p.policy(p.OUT, requests=[p.request()])
            sel = selector("10.0.0.0/24", "10.1.0.0/24")
            asked = [(p.ADD, p.ESP, *esp(0x1000)),
                     (p.UPDATE, p.ESP, *esp(0x1000), p.lifetime(p.HARD, add=100)),
                     (p.DELETE, p.ESP, p.sa(0x1000), *ends(A, B)),
                     (p.FLUSH,), (p.FLUSH, p.AH), (p.SPDADD, 0, sel, pol),
                     (p.SPDUPDATE, 0, sel, pol), (p.SPDDELETE, 0, sel, pol), (p.SPDFLUSH,)]
            for request in asked:
                mine = k.ok(*request)
                equal(mine.type, request[0], "type")
                for listener in (other, third):
                    equal(listener.recv().data, mine.data, "copy")
                    listener.quiet()
                k.quiet()
    with tap.case("GETSPI, GET, SPDGET and dumps go to the one who asked"):
        with fresh() as k, Key() as other:
            k.ok(p.SPDADD, 0, selector("10.0.0.0/24", "10.1.0.0/24"), p.policy(p.OUT, p.NONE))
            other.send(p.REGISTER, p.ESP)
            other.drain()
            larval(k, 0x1000)
            k.ok(p.GET, p.ESP, p.sa(0x1000), *ends(A, B))
            k.ok(p.SPDGET, 0, p.policy(p.OUT, number=k.dump(p.SPDDUMP)[0].ext[p.POLICY].id))
            k.dump()
            other.quiet()
    with tap.case("REGISTER: to sender and registered sockets; once for each type"):
        with fresh() as k, Key() as other, Key() as third:
            first = k.ok(p.REGISTER, p.ESP)
            equal(first.order, [p.SUPPORTED_AUTH, p.SUPPORTED_ENC], "extensions")
            equal(k.fails(p.REGISTER, p.ESP), "EEXIST")
            k.ok(p.REGISTER, p.AH)
            k.ok(p.REGISTER, 0)
            k.ok(p.REGISTER, 0)
            equal(k.fails(p.REGISTER, 10), "EINVAL")
            third.ok(p.REGISTER, 0)             # asks for the list only
            k.recv()
            other.ok(p.REGISTER, p.IPCOMP)
            equal(k.recv().satype, p.IPCOMP, "satype")
            k.quiet()
            third.quiet()
    with tap.case("REGISTER lists what can be used, null with length 0"):
        with fresh() as k:
            m = k.ok(p.REGISTER, p.ESP)
            auths, encs = m.ext[p.SUPPORTED_AUTH], m.ext[p.SUPPORTED_ENC]
            equal(auths.get(p.NULL_AUTH), (0, 0, 0), "null")
            equal(encs.get(p.NULL), (0, 0, 0), "null")
            equal(auths.get(p.SHA256), (0, 256, 256), "sha256")
            equal(encs.get(p.AES, (0, 0, 0))[1:], (128, 256), "aes")
            equal(encs.get(p.GCM16, (0, 0, 0))[1:], (160, 288), "gcm")
    with tap.case("a full buffer loses messages in silence, and they are counted"):
        with fresh() as k, Key() as slow:
            slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
            before = int(stat("PfkeyLost"))
            for _ in range(20):
                k.ok(p.FLUSH)
            got = len(slow.drain())
            check(0 < got < 20, "%d messages" % got)
            equal(int(stat("PfkeyLost")) - before, 20 - got, "lost")
            k.ok(p.FLUSH)
            slow.recv()


# --- security associations ---

def getspi(tap):
    with tap.case("GETSPI makes a larval SA that is found, and lasts 30 s"):
        with fresh() as k:
            m = k.ok(p.GETSPI, p.ESP, *ends(A, B), p.sa2(p.TUNNEL, 7), p.natt(500, 4500))
            check(0x100 <= m.ext[p.SA].spi <= 0x0fffffff, "SPI 0x%x" % m.ext[p.SA].spi)
            equal(m.ext[p.SA].state, p.LARVAL, "state")
            equal(m.ext[p.HARD].add, 30, "lifetime")
            equal((m.ext[p.SA2].mode, m.ext[p.SA2].reqid), (p.TUNNEL, 7), "mode and reqid")
            check(p.KEY_ENC not in m.ext and p.NATT_TYPE not in m.ext, "%s" % m)
            equal((m.ext[p.SRC].addr, m.ext[p.DST].addr), (A, B), "addresses")
            spi = p.sa(m.ext[p.SA].spi)
            equal(k.ok(p.GET, p.ESP, spi, *ends(A, B)).ext[p.SA].state, p.LARVAL, "state")
            equal(len(k.dump()), 1, "SAs")
            equal(k.fails(p.ADD, p.ESP, *esp(m.ext[p.SA].spi)), "EEXIST")
            k.ok(p.DELETE, p.ESP, spi, *ends(A, B))
            equal(k.dump(), [], "SAs")
    with tap.case("GETSPI keeps to its range, and to SPIs that nobody has"):
        with fresh() as k:
            got = {k.ok(p.GETSPI, p.ESP, *ends(A, B), p.spirange(500, 509),
                        seq=0).ext[p.SA].spi for _ in range(10)}
            equal(got, set(range(500, 510)), "SPIs")
            equal(k.fails(p.GETSPI, p.ESP, *ends(A, B), p.spirange(500, 509), seq=0), "ENOENT")
            # unique in the namespace, not only for one destination
            equal(k.fails(p.GETSPI, p.ESP, *ends(B, A), p.spirange(505, 505)), "ENOENT")
            equal(k.ok(p.GETSPI, p.AH, *ends(B, A), p.spirange(505, 505)).ext[p.SA].spi, 505)
            equal(k.fails(p.GETSPI, p.ESP, *ends(A, B), p.spirange(9, 8)), "EINVAL")
            equal(k.fails(p.GETSPI, p.ESP, *ends(A, B), p.spirange(0, 0)), "EINVAL")
            equal(k.ok(p.GETSPI, p.ESP, *ends(A, B), p.spirange(0, 1)).ext[p.SA].spi, 1)
            m = k.ok(p.GETSPI, p.ESP, *ends(A, B), p.spirange(0xffffffff, 0xffffffff))
            equal(m.ext[p.SA].spi, 0xffffffff)
    with tap.case("GETSPI: IPComp, IPv6, faults"):
        with fresh() as k:
            check(k.ok(p.GETSPI, p.IPCOMP, *ends(A, B)).ext[p.SA].spi <= 0xffff, "CPI")
            equal(k.fails(p.GETSPI, p.IPCOMP, *ends(A, B), p.spirange(0x100, 0x10000)), "EINVAL")
            equal(k.ok(p.GETSPI, p.ESP, *ends(A6, B6)).ext[p.DST].addr, B6)
            equal(k.fails(p.GETSPI, p.ESP, p.address(p.SRC, A), p.address(p.DST, B6)), "EINVAL")
            equal(k.fails(p.GETSPI, 0, *ends(A, B)), "EINVAL")
            equal(k.fails(p.GETSPI, p.ESP, *ends(A, B), p.sa2(4)), "EINVAL")
            equal(k.fails(p.GETSPI, p.ESP, p.address(p.DST, B)), "EINVAL")
    with tap.case("GETSPI: one seq, two protocols, two SAs; once more, the same"):
        with fresh() as k:
            one = k.ok(p.GETSPI, p.ESP, *ends(A, B), seq=77).ext[p.SA].spi
            k.ok(p.GETSPI, p.AH, *ends(A, B), seq=77)
            equal(len(k.dump()), 2, "SAs")
            equal(k.ok(p.GETSPI, p.ESP, *ends(A, B), seq=77).ext[p.SA].spi, one, "SPI")
            k.ok(p.GETSPI, p.ESP, *ends(A, "10.0.0.3"), seq=77)
            equal(len(k.dump()), 3, "SAs")
    with tap.case("a larval SA that nobody completes ends with a hard EXPIRE"):
        with fresh() as k, Key() as other:
            other.ok(p.REGISTER, p.ESP)
            with LarvalLifetime(1):
                larval(k, 0x1000)
            m = other.recv(wait=10)
            equal((m.type, m.pid, m.seq), (p.EXPIRE, 0, 0), "EXPIRE")
            check(p.HARD in m.ext and p.SOFT not in m.ext, "%s" % m)
            equal((m.ext[p.SA].spi, m.ext[p.SA].state), (0x1000, p.DEAD), "SA")
            equal(k.dump(), [], "SAs")


def add(tap):
    with tap.case("ADD: all of it comes back by GET, all but keys in the answer"):
        with fresh() as k:
            asked = (p.sa(0x1234, replay=4, auth=p.SHA256, enc=p.AES, flags=0x40), *ends(A, B),
                     *KEYS, p.sa2(p.TUNNEL, 0x4000), p.lifetime(p.HARD, 10, 1000, 100, 50),
                     p.lifetime(p.SOFT, 8, 800, 80, 40), p.natt(4500, 1024),
                     p.address(p.PROXY, A), p.ext(p.SEC_CTX, bytes(4)), p.ext(99, bytes(4)))
            reply = k.ok(p.ADD, p.ESP, *asked)
            got = k.ok(p.GET, p.ESP, p.sa(0x1234), *ends(A, B))
            equal(reply.order, [p.SA, p.HARD, p.SOFT, p.CURRENT, p.SRC, p.DST, p.SA2,
                                p.NATT_TYPE, p.NATT_SPORT, p.NATT_DPORT], "answer")
            equal(got.order, [p.SA, p.HARD, p.SOFT, p.CURRENT, p.SRC, p.DST, p.KEY_AUTH,
                              p.KEY_ENC, p.SA2, p.NATT_TYPE, p.NATT_SPORT, p.NATT_DPORT], "GET")
            equal((got.ext[p.KEY_ENC], got.ext[p.KEY_AUTH]), (KEY16, KEY32), "keys")
            x = got.ext[p.SA]
            equal((x.spi, x.replay, x.state, x.auth, x.enc), (0x1234, 4, p.MATURE, 5, 12), "SA")
            equal(vars(got.ext[p.HARD]), dict(packets=10, octets=1000, add=100, use=50), "hard")
            equal(vars(got.ext[p.SOFT]), dict(packets=8, octets=800, add=80, use=40), "soft")
            equal((got.ext[p.SA2].mode, got.ext[p.SA2].reqid), (p.TUNNEL, 0x4000), "SA2")
            equal((got.ext[p.NATT_SPORT], got.ext[p.NATT_DPORT]), (4500, 1024), "ports")
            check(abs(got.ext[p.CURRENT].add - time.time()) < 60, "creation time")
            equal((got.ext[p.CURRENT].use, got.ext[p.CURRENT].packets), (0, 0), "use")
            equal((got.ext[p.SRC].prefix, got.ext[p.SRC].proto, got.ext[p.SRC].port), (32, 0, 0))
            check(KEY16 not in reply.data and KEY32 not in reply.data, "keys in the answer")
    with tap.case("ADD: an original address behind a NAT is taken, and means nothing"):
        with fresh() as k:
            k.ok(p.ADD, p.ESP, *esp(0x1000), p.natt(4500, 1024))
            # as libipsec writes it, with the bits of a whole sockaddr as prefix length
            k.ok(p.ADD, p.ESP, *esp(0x1001), p.natt(4500, 1024), p.address(p.NATT_OA, A, 16 << 3))
            k.ok(p.ADD, p.ESP, *esp(0x1002), p.address(p.NATT_OA, A))
            m = k.ok(p.GET, p.ESP, p.sa(0x1000), *ends(A, B))
            same = k.ok(p.GET, p.ESP, p.sa(0x1001), *ends(A, B))
            equal(same.order, m.order, "extensions")
            got = {m.ext[p.SA].spi: m.ext for m in k.dump()}
            equal([p.NATT_TYPE in got[spi] for spi in sorted(got)], [True, True, False], "in UDP")
            equal([p.NATT_OA in x for x in got.values()], [False] * 3, "shown")
    with tap.case("ADD: ports, prefix and protocol of addresses mean nothing"):
        with fresh() as k:
            k.ok(p.ADD, p.ESP, p.sa(0x1000, auth=p.SHA256, enc=p.AES),
                 p.address(p.SRC, A, 0, 255, 500), p.address(p.DST, B, 24, 17, 4500), *KEYS)
            m = k.ok(p.GET, p.ESP, p.sa(0x1000), *ends("1.2.3.4", B))
            equal((m.ext[p.SRC].addr, m.ext[p.DST].addr), (A, B), "addresses")
            equal((m.ext[p.DST].prefix, m.ext[p.DST].proto, m.ext[p.DST].port), (32, 0, 0))
    with tap.case("ADD: what is in the way"):
        with fresh() as k:
            k.ok(p.ADD, p.ESP, *esp(0x1000))
            equal(k.fails(p.ADD, p.ESP, *esp(0x1000)), "EEXIST")
            equal(k.fails(p.ADD, p.ESP, *esp(0x1000, src="1.2.3.4")), "EEXIST")
            k.ok(p.ADD, p.ESP, *esp(0x1000, dst="10.0.0.3"))
            k.ok(p.ADD, p.ESP, *esp(0x1000, A6, B6))
    rows = [
        ("SPI 0", p.sa(0, auth=5, enc=12), KEYS, "EINVAL"),
        ("hash unknown", p.sa(1, auth=99, enc=12), KEYS, "ENOSYS"),
        ("keyed hash", p.sa(1, auth=249, enc=12), KEYS, "ENOSYS"),
        ("cipher unknown", p.sa(1, auth=5, enc=99), KEYS, "ENOSYS"),
        ("no cipher", p.sa(1, auth=5), KEYS, "EINVAL"),
        ("no key", p.sa(1, auth=5, enc=12), KEYS[:1], "EINVAL"),
        ("no key", p.sa(1, auth=5, enc=12), KEYS[1:], "EINVAL"),
        ("key too short", p.sa(1, auth=5, enc=12), (KEYS[1], p.key(p.KEY_ENC, b"1234567")),
         "EINVAL"),
        ("odd key bits", p.sa(1, auth=5, enc=12), (KEYS[1], p.key(p.KEY_ENC, KEY16, 127)),
         "EINVAL"),
        ("more bits than bytes", p.sa(1, auth=5, enc=12), (KEYS[1], p.key(p.KEY_ENC, KEY16, 512)),
         "EINVAL"),
        ("old format", p.sa(1, auth=5, enc=12, flags=1), KEYS, "EINVAL"),
        ("derived IV", p.sa(1, auth=5, enc=12, flags=0x60), KEYS, "EINVAL"),
        ("mode", p.sa(1, auth=5, enc=12), (*KEYS, p.sa2(3)), "EINVAL"),
        ("encapsulation", p.sa(1, auth=5, enc=12), (*KEYS, p.natt(1, 2, 1)), "EINVAL"),
        ("original address of no known family", p.sa(1, auth=5, enc=12),
         (*KEYS, p.natt(1, 2), p.ext(p.NATT_OA, bytes(4) + struct.pack("=H14x", socket.AF_UNIX))),
         "EINVAL"),
        ("original address cut off", p.sa(1, auth=5, enc=12),
         (*KEYS, p.natt(1, 2), p.ext(p.NATT_OA, bytes(4) + struct.pack("=H6x", socket.AF_INET))),
         "EINVAL"),
        ("two original addresses", p.sa(1, auth=5, enc=12),
         (*KEYS, p.natt(1, 2), p.address(p.NATT_OA, A), p.address(p.NATT_OA, B)), "EINVAL"),
        ("label", p.sa(1, auth=5, enc=12),
         (*KEYS, p.ext(p.SEC_CTX, b"\1\1\5\0label")), "EINVAL"),
        ("hash beside an AEAD", p.sa(1, auth=5, enc=20),
         (KEYS[1], p.key(p.KEY_ENC, bytes(20))), "EINVAL"),
        ("window", p.sa(1, auth=5, enc=12),
         (*KEYS, p.kipsec_replay(8193)), "EINVAL"),
        ("extended numbers without a window", p.sa(1, auth=5, enc=12),
         (*KEYS, p.kipsec_replay(0, 1)), "EINVAL"),
        ("unknown flag", p.sa(1, auth=5, enc=12), (*KEYS, p.kipsec_replay(64, 2)), "EINVAL"),
        ("last number of 33 bits", p.sa(1, auth=5, enc=12),
         (*KEYS, p.kipsec_replay(64, 0, 1 << 32)), "EINVAL"),
        ("last number of 64 bits", p.sa(1, auth=5, enc=12),
         (*KEYS, p.kipsec_replay(64, 1, 1 << 63)), "EINVAL"),
        ("twice the same extension", p.sa(1, auth=5, enc=12), (*KEYS, *KEYS), "EINVAL"),
    ]
    with tap.case("ADD: faults"):
        with fresh() as k:
            for name, x, more, wanted in rows:
                equal(k.fails(p.ADD, p.ESP, x, *ends(A, B), *more), wanted, name)
            for satype in (0, 1, 4, 5, 10, 255):
                equal(k.fails(p.ADD, satype, *esp(1)), "EINVAL", "satype %d" % satype)
            equal(k.dump(), [], "SAs")
    with tap.case("ADD: null cipher without a key, AEAD, large window, one limit alone"):
        with fresh() as k:
            k.ok(p.ADD, p.ESP, p.sa(0x1000, auth=p.SHA256, enc=p.NULL), *ends(A, B), KEYS[1])
            k.ok(p.ADD, p.ESP, p.sa(0x1001, enc=p.GCM16), *ends(A, B),
                 p.key(p.KEY_ENC, bytes(range(20))))
            k.ok(p.ADD, p.ESP, *esp(0x1002), p.kipsec_replay(4096))
            k.ok(p.ADD, p.ESP, *esp(0x1005), p.kipsec_replay(64, 1, (1 << 63) - 1))
            k.ok(p.ADD, p.ESP, *esp(0x1003), p.lifetime(p.HARD, add=9))
            k.ok(p.ADD, p.ESP, *esp(0x1004), p.lifetime(p.SOFT, add=9))
            got = {m.ext[p.SA].spi: m for m in k.dump()}
            equal((got[0x1000].ext[p.SA].enc, p.KEY_ENC in got[0x1000].ext), (11, False), "null")
            equal((got[0x1001].ext[p.SA].auth, got[0x1001].ext[p.KEY_ENC]),
                  (0, bytes(range(20))), "GCM")
            for spi, wanted in ((0x1002, (4096, 0, 0)), (0x1005, (64, 1, (1 << 63) - 1))):
                x = got[spi].ext[p.KIPSEC_REPLAY]
                equal((x.window, x.flags, x.last), wanted, "window")
            check(p.KIPSEC_REPLAY not in got[0x1001].ext, "told of what it did not ask for")
            equal((got[0x1003].ext[p.HARD].add, got[0x1003].ext[p.SOFT].add), (9, 0), "limits")
            equal((got[0x1004].ext[p.HARD].add, got[0x1004].ext[p.SOFT].add), (0, 9), "limits")


def update(tap):
    with tap.case("UPDATE completes a larval SA, whatever its seq was"):
        with fresh() as k, Key() as other:
            spi = k.ok(p.GETSPI, p.ESP, *ends(A, B), p.sa2(1, 5)).ext[p.SA].spi
            m = k.ok(p.UPDATE, p.ESP, *esp(spi), p.sa2(2, 6), p.lifetime(p.HARD, add=500), pid=1)
            x, y = m.ext[p.SA], m.ext[p.SA2]
            equal((x.state, y.mode, y.reqid, m.ext[p.HARD].add), (p.MATURE, 2, 6, 500), "SA")
            check(p.KEY_ENC not in m.ext, "keys in the answer")
            equal(other.recv().data, m.data, "copy")
            equal(len(k.dump()), 1, "SAs")
    with tap.case("UPDATE without an SA, or with a bad one, changes nothing"):
        with fresh() as k:
            equal(k.fails(p.UPDATE, p.ESP, *esp(0x1000)), "ESRCH")
            larval(k, 0x1000)
            equal(k.fails(p.UPDATE, p.ESP, p.sa(0x1000, auth=5, enc=99), *ends(A, B), *KEYS),
                  "ENOSYS")
            equal(k.fails(p.UPDATE, p.ESP, p.sa(0x1000, auth=5, enc=12), *ends(A, B)), "EINVAL")
            equal([m.ext[p.SA].state for m in k.dump()], [p.LARVAL], "states")
    with tap.case("UPDATE of an SA in use: limits and ports, nothing else"):
        with fresh() as k:
            k.ok(p.ADD, p.ESP, *esp(0x1000, replay=32), p.sa2(2, 6), p.natt(4500, 4500),
                 p.lifetime(p.HARD, add=500), p.lifetime(p.SOFT, add=400))
            m = k.ok(p.UPDATE, p.ESP, *esp(0x1000), p.sa2(1, 9), p.natt(4500, 999),
                     p.lifetime(p.HARD, add=700))
            equal(m.ext[p.SA].state, p.MATURE, "state")
            equal((m.ext[p.HARD].add, m.ext[p.SOFT].add), (700, 400), "limits")
            equal(m.ext[p.NATT_DPORT], 999, "port")
            equal((m.ext[p.SA2].mode, m.ext[p.SA2].reqid, m.ext[p.SA].replay), (2, 6, 32), "rest")
            # without keys: the peer's new port; its limits stay
            m = k.ok(p.UPDATE, p.ESP, p.sa(0x1000), *ends(A, B), p.natt(4500, 1000))
            equal((m.ext[p.HARD].add, m.ext[p.NATT_DPORT]), (700, 1000), "after")
            equal(k.fails(p.UPDATE, p.ESP, *esp(0x1000)), "EINVAL")


def delete(tap):
    with tap.case("DELETE: one, none, and all between two addresses"):
        with fresh() as k:
            for spi in (0x1000, 0x1001, 0x1002):
                k.ok(p.ADD, p.ESP, *esp(spi))
            k.ok(p.ADD, p.ESP, *esp(0x1003, B, A))
            larval(k, 0x1004)
            equal(k.fails(p.DELETE, p.ESP, p.sa(0x9999), *ends(A, B)), "ESRCH")
            equal(k.fails(p.DELETE, p.AH, p.sa(0x1000), *ends(A, B)), "ESRCH")
            m = k.ok(p.DELETE, p.ESP, p.sa(0x1000), p.sa2(2, 3), *ends(A, B))
            equal((m.ext[p.SA].spi, m.ext[p.SA].state), (0x1000, p.DEAD), "SA")
            m = k.ok(p.DELETE, p.ESP, *ends(A, B))
            equal(m.order, [p.SRC, p.DST], "answer without SA")
            equal([m.ext[p.SA].spi for m in k.dump()], [0x1003, 0x1004], "left")
            equal(k.fails(p.DELETE, 0, *ends(A, B)), "EINVAL")
    with tap.case("FLUSH by protocol, one answer each, even with nothing there"):
        with fresh() as k:
            larval(k, 0x1000)
            k.ok(p.GETSPI, p.AH, *ends(A, B))
            for satype in SATYPES + (0, 0):
                m = k.ok(p.FLUSH, satype)
                equal((len(m.data), m.satype), (16, satype), "answer")
                k.quiet()
                if satype == p.AH:
                    equal([x.satype for x in k.dump()], [p.ESP], "left")
            equal(k.fails(p.FLUSH, 4), "EINVAL")


def expire(tap):
    with tap.case("EXPIRE: soft, then hard, to registered sockets, without keys"):
        with fresh() as k, Key() as other, Key() as deaf:
            other.ok(p.REGISTER, p.AH)
            k.ok(p.ADD, p.ESP, *esp(0x1000), p.sa2(2, 7), p.natt(4500, 4501),
                 p.lifetime(p.SOFT, add=1), p.lifetime(p.HARD, add=3))
            other.recv()
            deaf.drain()
            for kind, state in ((p.SOFT, p.DYING), (p.HARD, p.DEAD)):
                m = other.recv(wait=15)
                equal((m.type, m.satype, m.seq, m.pid), (p.EXPIRE, p.ESP, 0, 0), "header")
                equal(m.order, [p.SA, kind, p.CURRENT, p.SRC, p.DST, p.SA2, p.NATT_TYPE,
                                p.NATT_SPORT, p.NATT_DPORT], "extensions")
                equal((m.ext[p.SA].spi, m.ext[p.SA].state), (0x1000, state), "SA")
                equal((m.ext[p.SA2].mode, m.ext[p.SA2].reqid), (2, 7), "SA2")
                equal([x.ext[p.SA].state for x in k.dump()],
                      [p.DYING] if kind == p.SOFT else [], "SAs")
            k.quiet()
            deaf.quiet()
            other.quiet()
    with tap.case("SPDEXPIRE: to registered sockets, with all that names the policy"):
        with fresh() as k, Key() as other:
            other.ok(p.REGISTER, p.ESP)
            sel = selector("10.0.0.0/24", "10.1.0.0/16", 6, 80, 0)
            m = k.ok(p.SPDADD, 0, sel, p.lifetime(p.HARD, add=1),
                     p.policy(p.FWD, requests=[p.request(level=p.UNIQUE)]))
            other.recv()
            x = other.recv(wait=15)
            equal((x.type, x.satype, x.seq, x.pid), (p.SPDEXPIRE, 0, 0, 0), "header")
            equal(x.order, [p.SRC, p.DST, p.CURRENT, p.HARD, p.POLICY], "extensions")
            for kind in (p.SRC, p.DST, p.POLICY):
                equal(x.ext[kind], m.ext[kind], "extension %d" % kind)
            equal(k.dump(p.SPDDUMP), [], "policies")


# --- dumps ---

def dumps(tap):
    with tap.case("dumps of nothing: ENOENT"):
        with fresh() as k:
            equal(k.fails(p.DUMP), "ENOENT")
            equal(k.fails(p.SPDDUMP), "ENOENT")
            equal(k.fails(p.DUMP, 4), "EINVAL")
            larval(k, 0x1000)
            equal(k.fails(p.DUMP, p.AH), "ENOENT")
    with tap.case("DUMP: seq 0 at the end and nowhere else; pid of the request; by protocol"):
        with fresh() as k:
            for spi in range(0x1000, 0x1005):
                larval(k, spi)
            k.ok(p.GETSPI, p.AH, *ends(A, B))
            k.ok(p.ADD, p.ESP, *esp(0x1005))
            got = k.dump()
            equal([bool(m.seq) for m in got], [True] * 6 + [False], "seq")
            equal({m.pid for m in got}, {k.pid}, "pid")
            equal([m.satype for m in got], [p.ESP] * 5 + [p.AH, p.ESP], "satype")
            equal(got[-1].ext[p.KEY_ENC], KEY16, "key")
            equal([m.satype for m in k.dump(p.DUMP, p.AH)], [p.AH], "AH")
    with tap.case("DUMP with a filter of addresses"):
        with fresh() as k:
            larval(k, 0x1000, "10.0.0.1", "10.0.1.1")
            larval(k, 0x1001, "10.0.0.2", "10.0.1.1")
            larval(k, 0x1002, "10.0.0.1", "10.0.1.129")
            larval(k, 0x1003, A6, B6)

            def spis(*args):
                return [m.ext[p.SA].spi for m in k.dump(p.DUMP, 0, p.xfilter(*args))]
            equal(spis(socket.AF_INET), [0x1000, 0x1001, 0x1002])
            equal(spis(socket.AF_INET6), [0x1003])
            equal(spis(socket.AF_INET, "10.0.0.1", 32), [0x1000, 0x1002])
            equal(spis(socket.AF_INET, "10.0.0.1", 32, "10.0.1.0", 25), [0x1000])
            equal(spis(socket.AF_INET, None, 0, "10.0.1.255", 25), [0x1002])
            equal(spis(socket.AF_INET6, "fd00::", 64, B6, 128), [0x1003])
            equal(spis(socket.AF_INET, "10.9.0.0", 16), [])
            equal(k.fails(p.DUMP, 0, p.xfilter(socket.AF_INET, A, 129)), "EINVAL")
    with tap.case("a second dump while one waits: EBUSY; changes while it waits"):
        with fresh() as k, Key() as other:
            k.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
            for spi in range(0x1000, 0x1040):
                larval(other, spi)
            k.send(p.DUMP, seq=1)
            k.send(p.DUMP, seq=2)
            found, busy = [], 0
            # behind the reader, under him, and far ahead
            for spi in (0x1000, 0x1002, 0x1030, 0x103f):
                other.ok(p.DELETE, p.ESP, p.sa(spi), *ends(A, B))
            while True:
                m = k.recv()
                if m.type == p.DUMP and m.errno == errno.EBUSY:
                    busy += 1
                elif m.type == p.DUMP:
                    found.append(m.ext[p.SA].spi)
                    if not m.seq:
                        break
            equal(busy, 1, "EBUSY")
            equal(len(found), len(set(found)), "twice")
            kept = set(range(0x1000, 0x1040)) - {0x1000, 0x1002, 0x1030, 0x103f}
            check(kept <= set(found), "missing: %s" % sorted(kept - set(found)))
            check(not {0x1030, 0x103f} & set(found), "deleted before it was reached")
            k.drain()
            k.dump()
    with tap.case("a dump that nobody reads ends with its socket"):
        with fresh() as k:
            for spi in range(0x1000, 0x1020):
                larval(k, spi)
            with Key() as other:
                other.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
                other.send(p.DUMP)


def large_dumps(tap):
    # The debug kernel takes minutes for as many as a release kernel does in seconds.
    number = 10000 if os.path.exists("/sys/kernel/debug/kmemleak") else 100000
    with tap.case("%d SAs to a reader with the default buffer and no patience" % number):
        with fresh() as k, LarvalLifetime(100000):
            address_pair, answer = ends(A, B), bytearray(4096)
            for spi in range(0x10000, 0x10000 + number):
                k.sock.send(k.pack(p.GETSPI, p.ESP, *address_pair, p.spirange(spi, spi), seq=0))
                k.sock.recv_into(answer)
            k.send(p.DUMP)
            seen, last = [], 1
            while last:
                n = k.sock.recv_into(answer, 4096, socket.MSG_DONTWAIT)
                last, = struct.unpack_from("=I", answer, 8)
                seen.append(struct.unpack_from(">I", answer, 20)[0])
                check(n == struct.unpack_from("=H", answer, 4)[0] * 8, "length")
                if len(seen) == number // 2:
                    time.sleep(1)
            equal(len(seen), number, "SAs")
            check(seen == list(range(0x10000, 0x10000 + number)), "not in order")
            k.quiet()
            k.ok(p.FLUSH)


# --- policies ---

def spd(tap):
    with tap.case("SPDADD: all of it comes back; SPDGET; SPDDUMP"):
        with fresh() as k:
            sel = selector("10.0.0.9/24", "10.1.0.0/16", 17, 53, 1024)
            reqs = [p.request(108, p.TRANSPORT, p.USE), p.request(
                50, p.TUNNEL, p.UNIQUE, 77, (A, B), reserved=0xcdcdcdcd),
                p.request(51, p.TUNNEL, 0, 5, (A6, B6))]
            m = k.ok(p.SPDADD, p.ESP, p.policy(p.OUT, p.IPSEC, reqs, 0x80000000), sel,
                     p.lifetime(p.HARD, add=1000))
            equal((m.satype, m.type), (0, p.SPDADD), "header")
            equal(m.order, [p.SRC, p.DST, p.HARD, p.SOFT, p.CURRENT, p.POLICY], "extensions")
            equal(vars(m.ext[p.SRC]), dict(addr="10.0.0.9", prefix=24, proto=17, port=53))
            equal(vars(m.ext[p.DST]), dict(addr="10.1.0.0", prefix=16, proto=17, port=1024))
            x = m.ext[p.POLICY]
            equal((x.kind, x.dir, x.priority, x.id & 7), (p.IPSEC, p.OUT, 0x80000000, 1))
            check(x.id >= 8, "id %d" % x.id)
            equal([(r.proto, r.mode, r.level, r.reqid, r.pair) for r in x.requests],
                  [(108, 1, p.USE, 0, None), (50, 2, p.UNIQUE, 77, (A, B)),
                   (51, 2, p.REQUIRE, 0, (A6, B6))], "requests")
            equal(m.ext[p.HARD].add, 1000, "lifetime")
            got = k.ok(p.SPDGET, 0, p.policy(1, number=x.id))
            equal(got.ext, m.ext, "SPDGET")
            dump = k.dump(p.SPDDUMP)
            equal([d.ext for d in dump], [m.ext], "SPDDUMP")
            equal((dump[0].seq, dump[0].pid), (0, k.pid), "header")
    with tap.case("SPDADD of what is there: EEXIST; SPDUPDATE keeps the number"):
        with fresh() as k:
            sel = selector("10.0.0.0/24", "10.1.0.0/24")
            one = k.ok(p.SPDADD, 0, sel, p.policy(p.IN, p.NONE, priority=5)).ext[p.POLICY].id
            equal(k.fails(p.SPDADD, 0, sel, p.policy(p.IN, p.NONE, priority=6)), "EEXIST")
            equal(k.fails(p.SPDSETIDX, 0, sel, p.policy(p.IN, p.NONE)), "EEXIST")
            k.ok(p.SPDADD, 0, sel, p.policy(p.FWD, p.NONE))
            k.ok(p.SPDADD, 0, selector("10.0.0.1/24", "10.1.0.0/24"), p.policy(p.IN, p.NONE))
            m = k.ok(p.SPDUPDATE, 0, sel, p.policy(p.IN, p.DISCARD, priority=9))
            equal((m.type, m.ext[p.POLICY].id, m.ext[p.POLICY].kind), (13, one, p.DISCARD))
            m = k.ok(p.SPDUPDATE, 0, selector("10.0.0.0/25", "10.1.0.0/24"),
                     p.policy(p.IN, p.NONE))
            check(m.ext[p.POLICY].id != one, "number used twice")
            m = k.ask(p.SPDSETIDX, 0, selector("10.0.0.0/26", "10.1.0.0/24"),
                      p.policy(p.IN, p.NONE))
            equal((m.type, m.errno), (p.SPDADD, 0), "SPDSETIDX")
    with tap.case("SPDDELETE by selector, SPDDELETE2 by number, and misses"):
        with fresh() as k:
            sel = selector("10.0.0.0/24", "10.1.0.0/24")
            full = p.policy(p.OUT, requests=[p.request()])
            one = k.ok(p.SPDADD, 0, sel, full).ext[p.POLICY].id
            equal(k.fails(p.SPDDELETE, 0, sel, p.policy(p.IN)), "ENOENT")
            equal(k.fails(p.SPDDELETE, 0, selector("10.0.0.0/25", "10.1.0.0/24"), full), "ENOENT")
            equal(k.ok(p.SPDDELETE, 0, sel, full).ext[p.POLICY].id, one, "id")
            equal(k.fails(p.SPDGET, 0, p.policy(1, number=one)), "ENOENT")
            two = k.ok(p.SPDADD, 0, sel, full).ext[p.POLICY].id
            equal(k.fails(p.SPDDELETE2, 0, p.policy(1, number=two + 8)), "ENOENT")
            equal(k.fails(p.SPDGET, 0, p.policy(1, number=11)), "EINVAL")
            m = k.ok(p.SPDDELETE2, 0, p.policy(1, number=two))
            equal((m.type, m.ext[p.POLICY].id), (p.SPDDELETE2, two), "answer")
            equal(k.dump(p.SPDDUMP), [], "policies")
    with tap.case("SPDDUMP: in the order in which policies are tried, by direction"):
        with fresh() as k:
            wanted = {p.IN: [], p.OUT: [], p.FWD: []}
            for n, prio in enumerate((9, 5, 5, 0xffffffff, 0, 5)):
                for way in (p.FWD, p.OUT, p.IN):
                    m = k.ok(p.SPDADD, 0, selector("10.%d.0.0/16" % n, "10.9.0.0/16"),
                             p.policy(way, p.NONE, priority=prio))
                    wanted[way].append((prio, n, m.ext[p.POLICY].id))
            got = [m.ext[p.POLICY].id for m in k.dump(p.SPDDUMP)]
            equal(got, [i for way in (p.IN, p.OUT, p.FWD) for _, _, i in sorted(wanted[way])])
    with tap.case("unique: the kernel chooses a reqid for 0 and above 16383, and says which"):
        with fresh() as k:
            def reqids(net, *asked):
                m = k.ok(p.SPDADD, 0, selector(net, "10.9.0.0/16"), p.policy(p.OUT, requests=[
                    p.request(level=p.UNIQUE, reqid=r) for r in asked]))
                return [r.reqid for r in m.ext[p.POLICY].requests]
            equal(reqids("10.1.0.0/16", 1, 0x3fff), [1, 0x3fff])
            chosen = reqids("10.2.0.0/16", 0, 0x4000) + reqids("10.3.0.0/16", 0)
            check(min(chosen) >= 0x4000 and len(set(chosen)) == 3, "%s" % chosen)
    rows = [
        ("seven requests", p.OUT, p.IPSEC, [p.request()] * 7, "ELOOP"),
        ("direction 0", 0, p.NONE, [], "EINVAL"),
        ("direction 4", 4, p.NONE, [], "EINVAL"),
        ("type 3", p.OUT, 3, [], "EINVAL"),
        ("mode 0", p.OUT, p.IPSEC, [p.request(mode=0)], "EINVAL"),
        ("mode 3", p.OUT, p.IPSEC, [p.request(mode=3, pair=(A, B))], "EINVAL"),
        ("protocol", p.OUT, p.IPSEC, [p.request(6)], "EINVAL"),
        ("level", p.OUT, p.IPSEC, [p.request(level=4)], "EINVAL"),
        ("tunnel to nowhere", p.OUT, p.IPSEC, [p.request(mode=2)], "EINVAL"),
        ("mixed pair", p.OUT, p.IPSEC, [p.request(mode=2, pair=(A6, B))], "EINVAL"),
    ]
    with tap.case("SPDADD: faults"):
        with fresh() as k:
            sel = selector("10.0.0.0/24", "10.1.0.0/24")
            for name, way, kind, reqs, wanted in rows:
                for message in (p.SPDADD, p.SPDUPDATE):
                    equal(k.fails(message, 0, sel, p.policy(way, kind, reqs)), wanted, name)
            equal(k.fails(p.SPDADD, 0, sel), "EINVAL")
            equal(k.fails(p.SPDADD, 0, p.policy(p.OUT, p.NONE)), "EINVAL")
            equal(k.fails(p.SPDADD, 0, selector("10.0.0.0/24", "fd00::/64"),
                          p.policy(p.OUT, p.NONE)), "EINVAL")
            equal(k.fails(p.SPDADD, 0, selector("10.0.0.0/33", "10.1.0.0/24"),
                          p.policy(p.OUT, p.NONE)), "EINVAL")
            equal(k.dump(p.SPDDUMP), [], "policies")
    with tap.case("SPDADD: oddities that programs send"):
        with fresh() as k:
            def add(n, *policy, **more):
                return k.ok(p.SPDADD, 0, selector("10.%d.0.0/16" % n, "10.9.0.0/16"),
                            p.policy(*policy, **more)).ext[p.POLICY]
            m = add(1, p.OUT, p.IPSEC, [p.request(pair=(A, B))])
            equal(m.requests[0].pair, None, "addresses in transport mode")
            equal(add(2, p.FWD, p.IPSEC).kind, p.NONE, "no request at all")
            equal(add(3, p.OUT, p.IPSEC, [p.request(mode=2, level=p.USE, pair=(A, B))]
                      ).requests[0].level, p.USE, "tunnel, use, out")
            equal(add(4, p.FWD, p.IPSEC, [p.request()]).kind, p.IPSEC, "transport, forwarded")
            equal(add(5, p.OUT, p.IPSEC, [p.request(mode=2, pair=("0.0.0.0", B))]
                      ).requests[0].pair, ("0.0.0.0", B), "no local address")
            equal(add(6, p.OUT, p.IPSEC, [p.request(reqid=9)]).requests[0].reqid, 0, "reqid")
            m = k.ok(p.SPDADD, 0, p.policy(p.IN, p.NONE), p.sa2(0, 3),
                     selector("10.7.0.0/16", "10.9.0.0/16", proto=0))
            equal((m.ext[p.SRC].proto, m.ext[p.DST].proto), (255, 255), "protocol 0")
    with tap.case("SPDFLUSH: one answer, even with nothing there"):
        with fresh() as k:
            k.ok(p.SPDADD, 0, selector("10.0.0.0/24", "10.1.0.0/24"), p.policy(p.IN, p.NONE))
            for _ in range(2):
                m = k.ok(p.SPDFLUSH, p.ESP)
                equal((len(m.data), m.satype), (16, 0), "answer")
                k.quiet()
            equal(k.dump(p.SPDDUMP), [], "policies")


# --- promiscuous sockets ---

def promiscuous(tap):
    with tap.case("PROMISC: on, off, faults; everybody hears of it"):
        with fresh() as k, Key() as other:
            equal(k.fails(p.PROMISC, 2), "EINVAL")
            equal(k.fails(p.PROMISC, 1, *ends(A, B)), "EINVAL")
            k.ok(p.PROMISC, 1)
            equal([m.type for m in k.drain()], [p.PROMISC], "second copy")
            equal([m.type for m in other.drain()], [p.PROMISC], "others")
            k.send(p.PROMISC, 0)
            k.drain()
            k.ok(p.FLUSH)
            k.quiet()
    with tap.case("it sees requests, answers and dumps of others, but no keys"):
        with fresh() as k, Key() as nosy:
            nosy.send(p.PROMISC, 1)
            nosy.drain()
            k.drain()
            k.ok(p.ADD, p.ESP, *esp(0x1000))
            k.ok(p.GET, p.ESP, p.sa(0x1000), *ends(A, B))
            k.dump()
            equal(k.fails(p.ADD, p.ESP, p.sa(0x1000), *KEYS, p.ext(p.SA, bytes(12))), "EINVAL")
            equal(nosy.sock.recv(4096, socket.MSG_DONTWAIT)[1], p.ADD, "request")
            seen = b"\2\3"
            types = []
            while True:
                try:
                    data = nosy.sock.recv(65536, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    break
                types.append(data[1])
                seen += data
            equal(types, [p.ADD, p.ADD, p.GET, p.GET, p.DUMP, p.DUMP, p.ADD, p.ADD], "messages")
            check(KEY16[:8] not in seen and KEY32[:8] not in seen, "a key was seen")


# --- hostile messages ---

def spoil(data, rng):
    """A message with some bytes changed, or cut, its length put right."""
    data = bytearray(data)
    for _ in range(rng.randrange(6)):
        data[rng.randrange(16, len(data))] = rng.choice((0, 1, 2, 3, 5, 255,
                                                               rng.randrange(256)))
    if not rng.randrange(4):
        del data[rng.randrange(16, len(data) + 1) // 8 * 8:]
    data[1] = rng.choice((data[1], data[1], rng.randrange(1, 25)))
    data[3] = rng.choice((p.ESP, p.ESP, p.AH, p.IPCOMP, 0, rng.randrange(256)))
    struct.pack_into("=H", data, 4, len(data) // 8)
    return bytes(data)


def hostile(tap):
    number = int(os.environ.get("KIPSEC_HOSTILE", "5000"))
    with tap.case("%d spoiled messages: an answer each, all of them sound" % number):
        rng = random.Random(int(os.environ.get("KIPSEC_SEED", "1")))
        with fresh() as k, Key() as other:
            sel = selector("10.0.0.0/24", "10.1.0.0/16")
            good = [k.pack(p.ADD, p.ESP, *esp(0x1000), p.sa2(1, 2), p.natt(1, 2),
                           p.lifetime(p.HARD, add=1)),
                    k.pack(p.GETSPI, p.ESP, *ends(A, B), p.spirange(0x1000, 0x1010)),
                    k.pack(p.UPDATE, p.ESP, *esp(0x1000), p.lifetime(p.SOFT, add=2)),
                    k.pack(p.GET, p.ESP, p.sa(0x1000), *ends(A, B)),
                    k.pack(p.SPDADD, 0, sel, p.policy(p.OUT, p.IPSEC, [
                        p.request(level=p.UNIQUE), p.request(50, 2, 3, 4, (A, B))])),
                    k.pack(p.SPDGET, 0, p.policy(p.OUT, number=9)),
                    k.pack(p.DUMP, 0, p.xfilter(2, A, 24, B, 32))]
            refused = 0
            for _ in range(number):
                data = spoil(rng.choice(good), rng)
                try:
                    k.sock.send(data)
                except OSError:
                    continue
                answers = k.drain()
                check(answers or data[1] == p.ACQUIRE, "no answer to %s" % data.hex())
                refused += bool(answers and answers[0].errno)
                other.drain()
            check(number / 10 < refused < number, "%d refused" % refused)
            k.ok(p.FLUSH)
            k.ok(p.SPDFLUSH)


def module(tap):
    with tap.case("the module can go as soon as the last socket is closed"):
        with fresh() as k:
            k.ok(p.ADD, p.ESP, *esp(0x1000))
            k.ok(p.SPDADD, 0, selector("10.0.0.0/24", "10.1.0.0/24"), p.policy(p.IN, p.NONE))
            check(os.system("rmmod kipsec 2>/dev/null") != 0, "removed under an open socket")
        equal(os.system("rmmod kipsec"), 0, "rmmod")
        try:
            Key().close()
        except OSError:
            return
        check(False, "PF_KEY without kipsec: is af_key in the way?")


run(creation, base_errors, receiving, who_gets_it, getspi, add, update, delete, expire, dumps,
    large_dumps, spd, promiscuous, hostile, module)
