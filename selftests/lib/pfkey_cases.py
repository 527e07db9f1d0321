# SPDX-License-Identifier: GPL-2.0
"""What the tests of PF_KEY's messages (40_pfkey) begin with: addresses, keys, an SA."""
import pfkey as p
from pfkey import Key, ends

A, B, A6, B6 = "10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"
KEY32 = bytes(range(1, 33))
KEY16 = bytes(range(101, 117))
KEYS = p.key(p.KEY_ENC, KEY16), p.key(p.KEY_AUTH, KEY32)


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
