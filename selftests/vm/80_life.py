#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: cores
#
# The module comes and goes: again and again under traffic with policies and SAs,
# with a namespace deleted under traffic, and not at all beside af_key.
#
#	10.1.0.1/24 [k: kipsec] 10.0.0.1 ---- wire ---- 10.0.0.2 [x: kipsec]
import os
import re
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from ipsec import SA, Kipsec, Policy, transport                 # noqa: E402
from ktap import Skip, check, equal, run                        # noqa: E402
from netns import pair, unloads                                 # noqa: E402
from traffic import Ping                                        # noqa: E402
from wire import OPEN, fill                                     # noqa: E402

K, X = "10.0.0.1", "10.0.0.2"
KO = os.path.join(os.environ.get("KIPSEC_MODDIR", ""), "kipsec.ko")
ROUNDS = int(os.environ.get("KIPSEC_LIFE_ROUNDS",
                            "100" if os.environ.get("KIPSEC_SUITE") == "full" else "10"))


class Blaster:
    """UDP both ways all the time, errors ignored: what policy does is its business."""

    def __init__(self, lab):
        self.stop = False
        self.sent = 0
        self.sockets = []
        for name, dst in (("k", X), ("x", K)):
            s = lab[name].socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.bind(("0.0.0.0", 9999))
            self.sockets.append((s, dst))
        self.threads = [threading.Thread(target=self.blast, args=s, daemon=True)
                        for s in self.sockets]
        for t in self.threads:
            t.start()

    def blast(self, s, dst):
        data = [fill(n, OPEN) for n in (20, 700, 1400, 4000)]
        n = 0
        while not self.stop:
            n += 1
            try:
                s.sendto(data[n % 4], (dst, 9999))
                self.sent += 1
            except OSError:
                pass
            if n % 16 == 0:
                time.sleep(0.01)

    def end(self):
        self.stop = True
        for t in self.threads:
            t.join()
        for s, _ in self.sockets:
            s.close()


def insmod():
    return subprocess.run(["insmod", KO], stderr=subprocess.PIPE, text=True)


def rmmod():
    p = subprocess.run(["rmmod", "kipsec"], stderr=subprocess.PIPE, text=True)
    check(p.returncode == 0, "rmmod: " + p.stderr)


def configure(lab):
    for name, own, peer in (("k", K, X), ("x", X, K)):
        Kipsec(lab[name]).add(SA(K, X, 0x9001, ipsec.GCM), SA(X, K, 0x9002, ipsec.GCM),
                              Policy(own, peer, "out", requests=[transport()]),
                              Policy(peer, own, "in", requests=[transport()]))


def log_lines():
    return subprocess.run(["dmesg"], stdout=subprocess.PIPE, text=True).stdout.splitlines()


def life(tap):
    ipsec.loaded()
    if not os.path.exists(KO):
        raise Skip("KIPSEC_MODDIR does not say where kipsec.ko is")
    with pair() as lab:
        with tap.case("rmmod with policies, SAs and traffic"):
            configure(lab)
            blaster = Blaster(lab)
            time.sleep(0.5)
            rmmod()
            blaster.end()
            ping = Ping(lab["k"])
            check(ping(X, 100, pattern=OPEN) is not None, "no clear ping without the module")
        with tap.case("load and unload %d times under traffic" % ROUNDS):
            blaster = Blaster(lab)
            try:
                for n in range(ROUNDS):
                    p = insmod()
                    check(p.returncode == 0, "round %d: insmod: %s" % (n, p.stderr))
                    if n % 10 == 0:
                        configure(lab)
                    rmmod()
            finally:
                blaster.end()
            check(ping(X, 100, pattern=OPEN) is not None, "no clear ping afterwards")
        with tap.case("namespace deleted with SAs, policies and traffic"):
            equal(insmod().returncode, 0, "insmod")
            configure(lab)
            blaster = Blaster(lab)
            time.sleep(0.5)
            blaster.end()
            lab.drop("x")
            lab.drop("k")
            # A namespace goes in a work queue; only then is the module free.
            check(unloads("kipsec"), "the module does not unload")
    with tap.case("an open PF_KEY socket keeps the module"):
        equal(insmod().returncode, 0, "insmod")
        s = socket.socket(socket.AF_KEY if hasattr(socket, "AF_KEY") else 15, socket.SOCK_RAW, 2)
        check(subprocess.run(["rmmod", "kipsec"], stderr=-3).returncode != 0, "it was removed")
        s.close()
        rmmod()
    beside_af_key(tap)
    equal(insmod().returncode, 0, "insmod at the end")


def beside_af_key(tap):
    with tap.case("beside af_key it does not load, and says why in one line"):
        try:
            where = subprocess.run(["modinfo", "-n", "af_key"], stdout=subprocess.PIPE,
                                   text=True).stdout.strip()
            if not where or subprocess.run(["insmod", where], stderr=-3).returncode:
                raise Skip("this kernel has no af_key module")
            before = len(log_lines())
            p = insmod()
            said = [line for line in log_lines()[before:] if re.search(r"\bkipsec:", line)]
            check(p.returncode != 0, "it loaded")
            equal(len(said), 1, "lines of the log: %s" % said)
            check("af_key" in said[0], "the line does not name af_key: %s" % said[0])
        finally:
            subprocess.run(["rmmod", "af_key"], stderr=-3)


if __name__ == "__main__":
    run(life)
