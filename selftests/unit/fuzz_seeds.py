#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
#
# fuzz_seeds.py FOLDER: whole PF_KEY messages for fuzz_pfkey to begin with; it
# would take long to come across them by chance.
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import pfkey as p                                               # noqa: E402

A, B, A6, B6 = "10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"
KEYS = p.key(p.KEY_ENC, bytes(20)), p.key(p.KEY_AUTH, bytes(32))
REQUESTS = [p.request(108, p.TRANSPORT, p.USE), p.request(50, p.TUNNEL, p.UNIQUE, 7, (A, B)),
            p.request(51, p.TUNNEL, pair=(A6, B6)), p.request(pair=(A, B))]

SEEDS = [
    (p.ADD, p.sa(1, 32, 5, 12), *p.ends(A, B), *KEYS, p.sa2(2, 3), p.natt(4500, 4500),
     p.lifetime(p.HARD, 1, 2, 3, 4), p.lifetime(p.SOFT, 1, 2, 3, 4), p.address(p.PROXY, A),
     p.address(p.NATT_OA, A), p.ext(p.SEC_CTX, bytes(4)), p.ext(p.KIPSEC_REPLAY, bytes(20)),
     p.ext(99, bytes(4))),
    (p.ADD, p.sa(1, 32, 5, 12), *p.ends(A6, B6), *KEYS),
    (p.GETSPI, *p.ends(A, B), p.spirange(256, 512)),
    (p.DUMP, p.xfilter(2, A, 32, B, 24)),
    (p.SPDADD, p.selector("10.0.0.0/24", "10.1.0.0/16"), p.policy(p.OUT, p.IPSEC, REQUESTS)),
    (p.SPDADD, p.selector("fd00::/64", "fd01::/64"), p.policy(p.IN, p.IPSEC, REQUESTS * 2)),
    (p.SPDADD, p.selector("10.0.0.0/24", "10.1.0.0/16"), p.policy(p.FWD, p.NONE)),
]

os.makedirs(sys.argv[1], exist_ok=True)
maker = p.Key.__new__(p.Key)                    # needs no socket to pack
for number, (kind, *exts) in enumerate(SEEDS):
    with open(os.path.join(sys.argv[1], "seed%d" % number), "wb") as f:
        f.write(maker.pack(kind, p.ESP, *exts, seq=1))
