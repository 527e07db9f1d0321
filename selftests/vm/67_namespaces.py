#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: cores
#
# Namespaces share nothing, and go with all that is in them.
#
#	[k: kipsec] 10.0.0.1 ---- wire ---- 10.0.0.2 [x: kipsec]
#	                             +----- 10.0.0.3 [y: kipsec]
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import esp                                                      # noqa: E402
import ipsec                                                    # noqa: E402
import pfkey                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, transport          # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import Lab, pair, wait_for                           # noqa: E402
from traffic import Udp                                         # noqa: E402
from wire import ESP, FRAGMENT, UDP, Capture, Injector, fill, ip4, ip6, udp4    # noqa: E402

K, X = "10.0.0.1", "10.0.0.2"
KO = os.path.join(os.environ.get("KIPSEC_MODDIR", ""), "kipsec.ko")


def independent(tap):
    ipsec.loaded()
    with Lab("k", "x", "y") as lab:
        lab.wire("k:10.0.0.1/24", "x:10.0.0.2/24", "y:10.0.0.3/24")
        stacks = [Kipsec(lab[n]) for n in "kxy"]
        k, x, y = stacks
        wire = Capture(lab)
        tap.on_failure[:] = [k.state, x.state]
        with tap.case("namespaces: the same SPI and addresses with other keys"):
            good, bad = SA(K, X, 0x6801, ipsec.GCM), SA(K, X, 0x6801, ipsec.AES_SHA1)
            policy = Policy(K, X, "out", requests=[transport()])
            k.add(good, policy)
            x.add(good)
            y.add(bad, policy)
            udp = Udp(lab["k"], K)
            with Moves(y), Moves(x, InProtected=1), Moves(k, OutProtected=1):
                udp.send(fill(10), X, 9)
            equal([str(p) for p in wire.collect(1) if p.proto == ESP],
                  ["%s>%s esp 0x6801 #1 len %d" % (K, X, good.wire_len(18))], "packets")
            check("aes-cbc" in y.setkey(None, args=("-D",)), "y has lost its SA")
        with tap.case("namespaces: events of one do not reach sockets of another"):
            socks = {}
            for n in "xy":
                with lab[n]:
                    socks[n] = pfkey.Key()
            socks["x"].send(pfkey.REGISTER, pfkey.ESP)
            socks["y"].send(pfkey.REGISTER, pfkey.ESP)
            for s in socks.values():
                s.drain()
            x.setkey("spdadd 10.7.0.1 10.7.0.2 any -P out none;")
            equal([m.type for m in socks["x"].drain()], [pfkey.SPDADD], "seen in x")
            equal([m.type for m in socks["y"].drain()], [], "seen in y")
            for s in socks.values():
                s.close()
        with tap.case("namespaces: to flush one leaves the others, and knobs are each one's own"):
            x.flush()
            equal([("0x00006801" in s.setkey(None, args=("-D",), check=False)) for s in stacks],
                  [True, False, True], "namespaces with the SA")
            lab["x"].sysctl("net.kipsec.ecn", 0)
            equal([lab[n].sysctl("net.kipsec.ecn") for n in "kxy"], ["1", "0", "1"], "ecn")
            equal([len(s.setkey(None, args=("-DP",)).split("spid=")) - 1 for s in stacks],
                  [1, 0, 1], "policies")


def gone(lab, *ports):
    """A namespace is taken down later, in a work queue; its devices go with it."""
    return wait_for(lambda: not any(
        p + "@" in lab.wire_ns.run("ip", "-o", "link", "show") for p in ports), 20, 0.2)


def deletion(tap):
    with pair(ipv6=True) as lab:
        k = Kipsec(lab["k"])
        with tap.case("namespace deleted: packets wait for a neighbour and for fragments"):
            out, back = SA(K, "10.0.0.77", 0x6811, ipsec.GCM), SA(X, K, 0x6812, ipsec.NULL_SHA256)
            tun = SA(X, K, 0x6813, ipsec.NULL_SHA256, "tunnel")
            k.add(out, back, tun, Policy(K, "10.0.0.77", "out", requests=[transport()]),
                  Policy("0.0.0.0/0", K, "in", proto="udp", requests=[transport()]))
            udp, inject = Udp(lab["k"], K), Injector(lab["x"], lab["k"])
            for n in range(3):
                udp.send(fill(100), "10.0.0.77", 9)         # nobody answers for it
            whole = udp4("", "", 9, 9, fill(800))
            with Moves(k):
                # The first halves only: in clear, of ESP itself, and out of a tunnel.
                inject.send(
                    ip4(X, K, UDP, b"open" * 100, ident=7, flags=1),
                    ip4(X, K, ESP, esp.protect(back, 1, whole, UDP)[:400], ident=8, flags=1),
                    ip4(X, K, ESP, esp.protect(tun, 1, ip4("10.2.0.1", K, UDP, whole[:400],
                                                           ident=9, flags=1), 4)),
                    ip6("fd00::2", "fd00::1", FRAGMENT, bytes((UDP, 0, 0, 1, 0, 0, 0, 1)) +
                        bytes(400)))
                time.sleep(0.3)
            udp.close()
            inject.close()
            lab.drop("k")
            check(gone(lab, "w0-k"), "it is still there")
    with pair() as lab:
        k = Kipsec(lab["k"])
        with tap.case("namespace deleted: PF_KEY sockets keep it, with all that is in it"):
            k.add(SA(K, X, 0x6821), SA(X, K, 0x6822), Policy(K, X, "out", requests=[transport()]))
            with lab["k"]:
                idle, deaf = pfkey.Key(), pfkey.Key()
            for s in (idle, deaf):
                s.send(pfkey.REGISTER, pfkey.ESP)
            idle.drain()
            k.setkey("spdadd 10.7.0.1 10.7.0.2 any -P out none;")   # "deaf" never reads
            lab.drop("k")
            time.sleep(0.5)
            check(not gone_at_once(lab), "the namespace went, though sockets are in it")
            idle.drain()
            equal(sorted(m.ext[pfkey.SA].spi for m in idle.dump()), [0x6821, 0x6822], "SAs")
            idle.send(pfkey.DUMP)               # and go with an answer under way
            idle.close()
            deaf.close()
            check(gone(lab, "w0-k"), "it is still there")
    with tap.case("afterwards the module unloads at once, and loads"):
        for command in (("rmmod", "kipsec"), ("insmod", KO)):
            equal(subprocess.run(command).returncode, 0, " ".join(command))


def gone_at_once(lab):
    return "w0-k@" not in lab.wire_ns.run("ip", "-o", "link", "show")


if __name__ == "__main__":
    run(independent, deletion)
