#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# OpenIKED on both ends over PF_KEY, the less plain set-ups: certificates, tunnels
# for networks, rekeying by bytes, IPv6, a NAT between them, and negotiation that
# begins with the first packet.
#
#	10.1.0.1, fd01::1 [a: iked, kipsec] 10.0.0.1, fd00::1 ---- wire ----
#		10.0.0.2, fd00::2 [b: the same] 10.2.0.1, fd02::1
#	[inside: the same] 192.168.1.2 -- [n: NAT] 10.0.0.9 -- wire -- 10.0.0.1 [gate: the same]
#
# Not here, for OpenIKED 7.2 has it not on Linux: that a peer fell silent. It learns
# that from an SA's last use, which PF_KEY of Linux does not have, or by 300 seconds
# without IKE: with dpd_check_interval 3 and a peer that was killed it sent not one
# message in 150 seconds.
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from daemons import (GATEWAY, INSIDE, Daemon, Iked, Stream, ended, in_udp,  # noqa: E402
                     kipsec_policies, kipsec_sas, natted, stream_until, through_nat)
from ipsec import Kipsec, Moves, Policy, transport              # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import pair, wait_for                                # noqa: E402
from traffic import Ping, tcp_copy                              # noqa: E402
from wire import ESP, Capture                                   # noqa: E402

CONF = """ikev2 "t" %(how)s esp from %(net)s to %(far)s local %(own)s peer %(peer)s \\
    ikesa enc aes-256 auth hmac-sha2-256 group curve25519 childsa enc aes-128 auth hmac-sha1 \\
    srcid %(name)s.test dstid %(other)s.test ikelifetime 0 lifetime %(life)s %(auth)s
"""
PSK = 'psk "sesame"'
PKI = "/run/pki"


class Pair:
    """Two hosts and their daemons; ends: those of each, networks: of each."""

    def __init__(self, tap, lab, ends, networks, how, life="3600", auth=PSK, peer=None, wire="w0",
                 names=("a", "b")):
        self.ns, self.wire = [lab[n] for n in names], Capture(lab, wire)
        self.k = [Kipsec(ns) for ns in self.ns]
        tap.on_failure[:] = [k.state for k in self.k] + [
            lambda: [line for d in Daemon.running for line in d.tail()]]
        self.start(1, ends[1], peer or ends[0], networks[::-1], how[1], life, auth)
        self.start(0, *ends, networks, how[0], life, auth)

    def start(self, which, own, peer, networks, how, life, auth):
        name, other = "ab"[which], "ba"[which]
        text = CONF % dict(how=how, net=networks[0], far=networks[1], own=own, peer=peer,
                           name=name, other=other, life=life, auth=auth)
        Iked(self.ns[which], text, PKI + "/" + name if not auth else None)

    def sas(self):
        return [kipsec_sas(ns) for ns in self.ns]

    def agreed(self, mode="tunnel", wait=60):
        """The same two SAs on both ends, in that mode; the policies come last."""
        def both():
            a, b = self.sas()
            good = {s.spi for s in a} == {s.spi for s in b} and len(a) == len(b) == 2
            return a if good and [len(kipsec_policies(ns)) for ns in self.ns] == [3, 3] else None
        sas = wait_for(both, wait, 0.3)
        check(sas, "no SAs on which both agree within %d seconds: %s" % (wait, self.sas()))
        equal({s.mode for s in sas}, {mode}, "mode")
        return sas

    def echoes(self, src, dst, n=1):
        """Each end pings the other; both stacks protect every packet."""
        self.wire.flush()
        moves = dict(InProtected=2 * n, OutProtected=2 * n)
        with Moves(self.k[0], **moves), Moves(self.k[1], **moves):
            for ns, own, peer in zip(self.ns, (src, dst), (dst, src)):
                ping = Ping(ns, own)
                for _ in range(n):
                    check(ping(peer, 100, timeout=10) is not None, "%s: no answer" % ns.name)
                ping.close()

    def only_esp(self, sas):
        seen = {(p.proto, p.src, p.dst, p.spi) for p in self.wire.take()}
        equal(seen, {(ESP, s.src, s.dst, s.spi) for s in sas}, "on the wire")


def authority():
    """A CA, and each daemon's own /etc/iked with a certificate of it."""
    subprocess.run(["sh", "-ec", r"""
        new="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        mkdir -p $0
        cd $0
        openssl req -x509 $new -keyout ca.key -out ca.crt -subj /CN=ca -days 9
        for n in a b; do
            mkdir -p $n/ca $n/certs $n/private $n/crls
            for id in ipv4 ipv6 fqdn ufqdn; do mkdir -p $n/pubkeys/$id; done
            openssl req $new -keyout $n/private/local.key -out $n.csr -subj /CN=$n.test
            echo "subjectAltName=DNS:$n.test" >ext
            openssl x509 -req -in $n.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 9 \
                -extfile ext -out $n/certs/$n.test.crt
            openssl pkey -in $n/private/local.key -pubout -out $n/local.pub
            cp ca.crt $n/ca/
        done""", PKI], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def certificates(tap):
    authority()
    ends, nets = ("10.0.0.1", "10.0.0.2"), ("10.1.0.0/24", "10.2.0.0/24")
    with pair("a", "b") as lab, ended():
        p = Pair(tap, lab, ends, nets, ("active tunnel", "passive tunnel"),
                 "3600 bytes 60K", auth="")
        with tap.case("X.509 certificates, a tunnel for networks"):
            sas = p.agreed()
            p.echoes("10.1.0.1", "10.2.0.1")
            p.only_esp(sas)
        with tap.case("an address of the same host that is in no network goes in clear"):
            # said with what may be seen
            ping = Ping(lab["a"], ends[0])
            check(ping(ends[1], 100, pattern=b"kipsec-open") is not None, "no answer")
            ping.close()
        with tap.case("rekey by bytes under traffic: the new SAs take over before the limit"):
            p.wire.flush()
            before = [k.counters() for k in p.k]
            stream = Stream(lab, ("a", "10.1.0.1"), ("b", "10.2.0.1"), 1000)
            # Slow: iked sets the soft limit a few datagrams before the hard one.
            stream_until(lambda: not {s.spi for s in p.sas()[0]} & {s.spi for s in sas}, [stream],
                         step=0.2)
            lost = stream.lost()
            a, b = ({n: now[n] - then[n] for n in now}
                    for now, then in zip([k.counters() for k in p.k], before))
            equal(lost, b["InUnknownSpi"] + b["InSaState"], "lost")
            check(lost <= 4, "%d of %d datagrams were lost" % (lost, stream.sent))
            equal([a["OutProtected"], a["OutNoSa"], a["OutSaExpired"], b["InSaExpired"]],
                  [stream.sent, 0, 0, 0], "protected, without SA, expired")
            new = p.agreed()
            used = [q.spi for q in p.wire.take() if q.proto == ESP and q.src == ends[0]]
            equal(list(dict.fromkeys(used)),
                  [s.spi for t in (sas, new) for s in t if s.src == ends[0]], "SPIs of the stream")
            stream.close()


def ipv6(tap):
    for what, ends in (("IPv6", ("fd00::1", "fd00::2")), ("IPv4", ("10.0.0.1", "10.0.0.2"))):
        with tap.case("a tunnel for IPv6 networks between %s hosts" % what), \
                pair("a", "b", ipv6=True) as lab, ended():
            p = Pair(tap, lab, ends, ("fd01::/64", "fd02::/64"),
                     ("active tunnel", "passive tunnel"))
            sas = p.agreed()
            p.echoes("fd01::1", "fd02::1")
            p.only_esp(sas)


def first_packet(tap):
    with pair("a", "b") as lab, ended():
        ends = ("10.0.0.1", "10.0.0.2")
        p = Pair(tap, lab, ends, ends, ("passive transport", "passive transport"))
        with tap.case("nobody is active: the first packet makes iked negotiate, transport mode"):
            p.k[0].add(Policy(*ends, "out", requests=[transport()]))
            equal(p.sas(), [set(), set()], "SAs")
            # Nothing that b would answer: its iked makes the policies after the SAs.
            before, stream = p.k[1].counters(), Stream(lab, ("a", ends[0]), ("b", ends[1]))
            stream.one()
            sas = p.agreed("transport")
            sent = [q for q in p.wire.take() if q.proto == ESP]
            equal([(q.spi, q.seq) for q in sent], [(s.spi, 1) for s in sas if s.src == ends[0]],
                  "the packet that waited")
            # It goes as soon as a has its SAs; b may yet be about to make its own.
            now = p.k[1].counters()
            equal(stream.lost(), sum(now[n] - before[n] for n in ("InSaState", "InUnknownSpi")),
                  "lost")
            stream.close()
            p.echoes(*ends)
            p.only_esp(sas)


def nat(tap):
    with natted() as lab, ended():
        ends = (INSIDE, GATEWAY)
        p = Pair(tap, lab, ends, ends, ("active tunnel", "passive tunnel"), peer="any", wire="w1",
                 names=("inside", "gate"))
        with tap.case("a NAT between them: ESP in UDP, addresses and ports as the SAs say"):
            p.agreed()
            inner, outer = p.sas()
            through_nat(inner, outer)
            p.echoes(*ends, 3)
            in_udp(p.wire.take(), outer)
        with tap.case("TCP through it, both ways"):
            tcp_copy(lab["inside"], lab["gate"], GATEWAY, 50000, src=INSIDE)
            tcp_copy(lab["gate"], lab["inside"], INSIDE, 50000, port=5002, src=GATEWAY)
            in_udp(p.wire.take(), outer)


def more(tap):
    ipsec.loaded()
    for part in (certificates, ipv6, first_packet, nat):
        part(tap)


if __name__ == "__main__":
    run(more)
