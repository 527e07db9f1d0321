#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: debug
#
# PF_KEY's messages about SAs, one by one: what they do, what is refused, events
# of limits; and dumps of any size.
import errno
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import pfkey as p                                               # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from pfkey import Key, ends, selector                           # noqa: E402
from pfkey_cases import (A6, B6, KEY16, KEY32, KEYS, A, B, LarvalLifetime,  # noqa: E402
                         esp, fresh, larval)

SATYPES = (p.AH, p.ESP, p.IPCOMP)


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


run(getspi, add, update, delete, expire, dumps, large_dumps)
