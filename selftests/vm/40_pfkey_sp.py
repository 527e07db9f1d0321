#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: debug
#
# PF_KEY's messages about policies, one by one: what they do, what is refused.
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import pfkey as p                                               # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from pfkey import selector                                      # noqa: E402
from pfkey_cases import A6, B6, A, B, fresh                     # noqa: E402


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


run(spd)
