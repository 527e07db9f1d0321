#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: core
#
# OpenIKED with kipsec and strongSwan with xfrm negotiate: neither daemon and
# neither stack knows the other. Who begins, an address that changes, rekeying by
# strongSwan under traffic, each of the daemons killed, an end by agreement, a NAT
# between them.
#
#	10.1.0.1 [a: iked, kipsec] 10.0.0.1 ---- wire ---- 10.0.0.2 [b: charon, xfrm] 10.2.0.1
#	                                                   later 10.0.0.3
#	[inside: charon, xfrm] 192.168.1.2 -- [n: NAT] 10.0.0.9 -- wire -- 10.0.0.1 [gate: iked, kipsec]
#
# The ciphers are those that OpenIKED 7.2 offers over PF_KEY on Linux. SHA-256 it
# negotiates, and then refuses itself ("pfkey_sa: unsupported integrity algorithm
# HMAC_SHA2_256_128", before any message to the kernel); AES-GCM it leaves out of
# the policy that it prints when it reads its file, and chooses no such proposal.
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from daemons import (INSIDE, Charon, Daemon, Iked, Stream, ended, in_udp,  # noqa: E402
                     kipsec_policies, kipsec_sas, natted, stream_until, through_nat, xfrm_sas)
from ipsec import SA, Kipsec, Moves, Xfrm, alg, auth            # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import pair, wait_for                                # noqa: E402
from traffic import Ping                                        # noqa: E402
from wire import ESP, UDP, Capture                              # noqa: E402

A, B, MOVED = "10.0.0.1", "10.0.0.2", "10.0.0.3"
IKED = """ikev2 "t" %s %s esp from %s to %s local 10.0.0.1 peer %s \\
    ikesa enc aes-256 auth hmac-sha2-256 group modp2048 childsa %s \\
    srcid a.test dstid b.test ikelifetime 0 lifetime 3600 psk "sesame"
set enforcesingleikesa
"""
CHARON = """
connections { t {
    version = 2
    remote_addrs = 10.0.0.1
    proposals = aes256-sha256-modp2048
    dpd_delay = 2s
    mobike = %s
    local { auth = psk
            id = b.test }
    remote { auth = psk
             id = a.test }
    children { c { mode = %s
                   esp_proposals = %s
                   local_ts = %s
                   remote_ts = %s } } } }
secrets { ike { secret = sesame } }
"""
# As OpenIKED says it, as strongSwan does, and what it comes to.
SHA1 = ("enc aes-128 auth hmac-sha1", "aes128-sha1", (alg("aes-cbc", 128), auth("hmac-sha1")))
SHA512 = ("enc aes-256 auth hmac-sha2-512", "aes256-sha512",
          (alg("aes-cbc", 256), auth("hmac-sha512")))
NETS, HOSTS = ("10.1.0.0/24", "10.2.0.0/24"), (A, B)


class Both:
    def __init__(self, tap, mode, child, ends, begins):
        self.mode, self.algs, self.b = mode, child[2], B
        self.lab = pair("a", "b")
        self.k, self.x, self.wire = Kipsec(self.lab["a"]), Xfrm(self.lab["b"]), Capture(self.lab)
        self.ends = ("10.1.0.1", "10.2.0.1") if ends == NETS else ends
        tap.on_failure[:] = [self.k.state, self.x.state, self.said]
        self.iked = self.charon = None
        self.charon = Charon(self.lab["b"], CHARON % (
            "no" if begins == "iked" else "yes", mode, child[1], *ends[::-1]))
        self.iked = Iked(self.lab["a"], IKED % (
            "active" if begins == "iked" else "passive", mode, *ends, B, child[0]))
        if begins == "charon":
            self.initiate()

    def said(self):
        return [line for d in (self.iked, self.charon) if d for line in d.tail()]

    def initiate(self):
        self.charon.swanctl("--initiate", "--child", "c", "--timeout", "30")

    def agreed(self, but=(), wait=60):
        """Both stacks have the same two SAs, which are not those; the policies come last."""
        pairs = [(A, self.b), (self.b, A)]

        def both():
            k, x = kipsec_sas(self.lab["a"]), xfrm_sas(self.lab["b"])
            good = k == x and not k & set(but) and len(k) == 2 and \
                {(s.src, s.dst, s.mode) for s in k} == {(*pair, self.mode) for pair in pairs}
            return k if good and self.policies(pairs) else None
        sas = wait_for(both, wait, 0.3)
        check(sas, "after %d seconds kipsec has %s, xfrm %s" %
              (wait, kipsec_sas(self.lab["a"]), xfrm_sas(self.lab["b"])))
        return sas

    def policies(self, pairs):
        """Of both stacks they are there, a tunnel's with its ends."""
        k, x = kipsec_policies(self.lab["a"]), self.lab["b"].run("ip", "xfrm", "policy")
        if self.mode == "transport":
            return k == [None] * 3 and "dir out" in x
        return len(k) == 3 and set(k) == set(pairs) and "tmpl src %s dst %s" % pairs[1] in x

    def esp(self):
        """Of what came over the wire; the rest is IKE, never ESP in UDP."""
        packets = self.wire.take()
        equal({p.proto for p in packets} - {ESP, UDP}, set(), "other protocols")
        ike = (b"\1\xf4\1\xf4", b"\x11\x94\x11\x94")     # from port 500 to 500, 4500 to 4500
        equal([str(p) for p in packets if p.proto == UDP and
               (p.payload[:4] not in ike or p.payload[:4] == ike[1] and any(p.payload[8:12]))],
              [], "UDP other than IKE")
        return [p for p in packets if p.proto == ESP]

    def echoes(self, sas):
        """Each end pings the other, protected by just these SAs."""
        self.wire.flush()
        with Moves(self.k, InProtected=2, OutProtected=2), Moves(self.x):
            for ns, own, peer in (("a", *self.ends), ("b", *self.ends[::-1])):
                ping = Ping(self.lab[ns], own)
                check(ping(peer, 100, timeout=10) is not None, "%s: no answer" % ns)
                ping.close()
        size = SA(A, B, 0, self.algs).wire_len(108 + 20 * (self.mode == "tunnel"))
        a, b = ((s.src, s.dst, s.spi, size) for s in sorted(sas))
        equal([(p.src, p.dst, p.spi, p.len) for p in self.esp()], [a, b, b, a], "ESP")


def negotiated(tap, p, what):
    with tap.case("%s: the same SAs on both ends, and only ESP between them" % what):
        sas = p.agreed()
        p.echoes(sas)


def moved(tap, p):
    with tap.case("strongSwan's address changes (MOBIKE): the same SAs, their ends have moved"):
        old = p.agreed()
        p.lab["b"].sysctl("net.ipv4.conf.eth0.promote_secondaries", 1)
        p.lab["b"].ip("addr add %s/24 dev eth0" % MOVED, "addr del %s/24 dev eth0" % B)
        p.b = MOVED
        sas = p.agreed()
        equal({s.spi for s in sas}, {s.spi for s in old}, "SPIs")
        p.echoes(sas)


def rekeyed(tap, p):
    with tap.case("strongSwan rekeys under traffic: the new SAs take over, what is lost is counted"):
        old = p.agreed()
        p.wire.flush()
        streams = [Stream(p.lab, ("a", p.ends[0]), ("b", p.ends[1])),
                   Stream(p.lab, ("b", p.ends[1]), ("a", p.ends[0]))]
        k, x = p.k.counters(), p.x.counters()
        for s in streams:
            s.one()     # by the old SA, however quick the daemons are
        swanctl = subprocess.Popen(["swanctl", "--rekey", "--child", "c", "--uri",
                                    "unix://%s.vici" % p.charon.base], env=p.charon.env,
                                   stdout=subprocess.DEVNULL)
        stream_until(lambda: swanctl.poll() is not None and not kipsec_sas(p.lab["a"]) & old,
                     streams)
        lost = [s.lost() for s in streams]
        k, x = ({n: now[n] - then[n] for n in now} for now, then in
                ((p.k.counters(), k), (p.x.counters(), x)))
        new = p.agreed(old)
        # OpenIKED uses the new SA at once, and strongSwan has yet to read its answer.
        equal(lost, [x["XfrmInNoStates"] + x["XfrmAcquireError"] + x["XfrmInStateInvalid"],
                     k["InUnknownSpi"] + k["InSaState"]], "lost")
        check(max(lost) <= 10, "%s of %d datagrams were lost" % (lost, streams[0].sent))
        took_over(p, p.esp(), old, new)
        for s in streams:
            s.close()
        p.echoes(new)


def took_over(p, packets, old, new):
    """From the old SA to the new one, once, both ways."""
    for src in (A, p.b):
        order = [q.spi for q in packets if q.src == src]
        first, then = ([s.spi for s in sas if s.src == src] for sas in (old, new))
        equal(list(dict.fromkeys(order)), first + then, "SPIs from %s" % src)
        equal(order, sorted(order, key=(first + then).index), "their order")


def closed(tap, p):
    with tap.case("strongSwan ends it: no SA and no policy is left on either end"):
        p.agreed()
        p.charon.swanctl("--terminate", "--ike", "t", "--timeout", "30")
        check(wait_for(lambda: not kipsec_sas(p.lab["a"]) | xfrm_sas(p.lab["b"]), 30, 0.2) and
              wait_for(lambda: not kipsec_policies(p.lab["a"]), 30, 0.2), "SAs or policies are left")


def killed(tap, p):
    with tap.case("iked is killed: strongSwan finds that it is, and with the next there are new SAs"):
        old = p.agreed()
        p.iked.kill()
        check(wait_for(lambda: not xfrm_sas(p.lab["b"]), 60, 0.3), "strongSwan's SAs stay")
        p.iked.start()
        p.echoes(p.agreed(old))
    with tap.case("strongSwan is killed: its next one tells iked, which replaces the SAs"):
        old = p.agreed()
        p.charon.kill()
        # What was strongSwan's stays with xfrm; its next one neither knows nor flushes it.
        p.x.flush()
        p.charon.start()
        p.initiate()
        p.echoes(p.agreed(old))


def nat(tap):
    net = "10.1.0.0/24"
    with natted() as lab, ended():
        k, wire = Kipsec(lab["gate"]), Capture(lab, "w1")
        tap.on_failure[:] = [k.state, lambda: [line for d in Daemon.running for line in d.tail()]]
        with tap.case("strongSwan behind a NAT: ESP in UDP, addresses and ports as the SAs say"):
            Iked(lab["gate"], IKED % ("passive", "tunnel", net, INSIDE, "any", SHA1[0]))
            charon = Charon(lab["inside"], CHARON % ("no", "tunnel", SHA1[1], INSIDE, net))
            charon.swanctl("--initiate", "--child", "c", "--timeout", "30")
            check(wait_for(lambda: len(kipsec_policies(lab["gate"])) == 3, 30, 0.3), "no policies")
            sas = kipsec_sas(lab["gate"])
            through_nat(xfrm_sas(lab["inside"]), sas)
            wire.flush()
            with Moves(k, InProtected=2, OutProtected=2):
                for ns, own, peer in (("inside", INSIDE, "10.1.0.1"), ("gate", "10.1.0.1", INSIDE)):
                    ping = Ping(lab[ns], own)
                    check(ping(peer, 100, timeout=10) is not None, "%s: no answer" % ns)
                    ping.close()
            in_udp(wire.take(), sas)


def strongswan(tap):
    ipsec.loaded()
    with ended():
        p = Both(tap, "tunnel", SHA1, NETS, "charon")
        with p.lab:
            negotiated(tap, p, "tunnel between networks, AES-128 and SHA-1, strongSwan begins")
            moved(tap, p)
            rekeyed(tap, p)
            closed(tap, p)
    with ended():
        p = Both(tap, "transport", SHA512, HOSTS, "iked")
        with p.lab:
            negotiated(tap, p, "transport, AES-256 and SHA-512, OpenIKED begins")
            killed(tap, p)
    nat(tap)


if __name__ == "__main__":
    run(strongswan)
