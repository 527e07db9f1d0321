#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: debug
#
# PF_KEY as programs see it: who may speak it, how errors come back, who gets
# which answer, what a promiscuous socket sees, and that no key is shown to those
# who did not ask for it. What the messages do: 40_pfkey_sa and 40_pfkey_sp. Every
# message received is checked to the last byte by lib/pfkey.py.
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

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import pfkey as p                                               # noqa: E402
from ktap import Skip, check, equal, run                        # noqa: E402
from pfkey import Key, ends, selector                           # noqa: E402
from pfkey_cases import KEY16, KEY32, KEYS, A, B, esp, fresh, larval  # noqa: E402


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
    with tap.case("who asks and does not read: no more waits than the buffer holds"):
        with fresh() as k:
            k.ok(p.ADD, p.ESP, *esp(0x2001))
            lost, room = int(stat("PfkeyLost")), k.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            for _ in range(1000):
                k.send(p.GET, p.ESP, p.sa(0x2001), *ends(A, B))
            lost = int(stat("PfkeyLost")) - lost
            with open("/proc/net/pfkey", encoding="ascii") as f:
                waiting = int(f.read().splitlines()[1].split()[2])
            check(room < waiting < room + 4096, "%d bytes for %d" % (waiting, room))
            equal(len(k.drain()) + lost, 1000, "answers, and lost ones")
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


run(creation, base_errors, receiving, who_gets_it, promiscuous, hostile, module)
