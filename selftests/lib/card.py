# SPDX-License-Identifier: GPL-2.0
"""The test card (offload/testcard): ciphers that answer later, and misbehave on command."""
import os
import subprocess
from typing import NamedTuple

from ktap import Failed, Skip
from netns import unloads, wait_for

KO = os.path.join(os.environ.get("KIPSEC_MODDIR", ""), "testcard.ko")
DIR = "/sys/kernel/debug/testcard/"
GCM, CBC, AUTHENC = "testcard-gcm", "testcard-cbc", "testcard-authenc"
# Knobs, and where they stand when nothing is asked for; see card.h.
KNOBS = dict(delay=0, at_once=0, batch=0, batch_wait=20, shuffle=0, fail=0, fail_errno=5, depth=0,
             refuse=0, refuse_errno=16, corrupt=0, badmsg=0, stall=0)

TIMEOUT = "/sys/module/kipsec/parameters/card_timeout"
LONG = 600000         # ms that kipsec waits for a card, where a test stalls it


def patience(ms):
    """How long kipsec waits for a card from now on; also of what it waits for already."""
    with open(TIMEOUT, "w") as f:
        f.write(str(ms))


class Engine(NamedTuple):
    """What kipsec says of an SA's driver."""
    driver: str
    requests: int
    bytes: int
    in_flight: int
    errors: int
    fallbacks: int


def engines(ns):
    """{SPI: Engine}"""
    rows = [line.split() for line in ns.read("/proc/net/kipsec_engines").splitlines()]
    return {int(row[3], 16): Engine(row[4], *map(int, row[5:])) for row in rows}


class Card:
    """Loaded for a block; SAs that are made in it go through the card.

    With by_name=True only those that ask for its drivers. With hardware=False it passes
    for a cipher in software that answers later, whose errors nobody makes good.
    """

    def __init__(self, by_name=False, hardware=True):
        self.parameters = ["priority=%d" % (1 if by_name else 10000), "hardware=%d" % hardware]

    def __enter__(self):
        if not os.path.exists(KO):
            raise Skip("testcard.ko is not built")
        p = subprocess.run(["insmod", KO, *self.parameters], stderr=subprocess.PIPE, text=True)
        if p.returncode:
            raise Failed("testcard: " + p.stderr)
        self.stands = dict(KNOBS)
        return self

    def __exit__(self, *exc):
        self.does()
        # An SA that was deleted lets go of its driver a little later.
        if not unloads("testcard"):
            raise Failed("testcard is still in use")

    def _write(self, name, value):
        with open(DIR + name, "w") as f:
            f.write(str(int(value)))

    def does(self, **knobs):
        """From now on this, and nothing of what it did before; counters from 0."""
        wanted = dict(KNOBS, **knobs)
        for name in wanted:
            if wanted[name] != self.stands[name]:
                self._write(name, wanted[name])
        self.stands = wanted
        self._write("reset", 1)

    def release(self, errno=0):
        """Answer what it holds, as it comes out or with an error."""
        self._write("release", errno)

    def resume(self):
        """Stall no more; what it does else, and the counters, stay."""
        self._write("stall", 0)
        self.stands["stall"] = 0

    def remove(self):
        self._write("present", 0)

    @staticmethod
    def bound(on):
        """Its device gets its driver, or loses it: a process, which ends when that is so."""
        return subprocess.Popen("echo testcard >/sys/bus/platform/drivers/testcard/%s" %
                                ("bind" if on else "unbind"), shell=True)

    def insert(self):
        self._write("present", 1)

    def counters(self):
        with open(DIR + "counters") as f:
            return {k: int(v) for k, v in (line.split() for line in f)}

    def holds(self, n):
        """Wait until n requests are in it."""
        if not wait_for(lambda: self.counters()["in_flight"] == n):
            raise Failed("requests in the card: %d, expected %d" %
                         (self.counters()["in_flight"], n))


def drivers(name):
    """Drivers of an algorithm that /proc/crypto lists, and their priorities."""
    found, entry = {}, {}
    with open("/proc/crypto") as f:
        for line in list(f) + ["\n"]:
            if ":" in line:
                key, value = line.split(":", 1)
                entry[key.strip()] = value.strip()
            elif entry:
                if entry["name"] == name:
                    found[entry["driver"]] = int(entry["priority"])
                entry = {}
    return found
