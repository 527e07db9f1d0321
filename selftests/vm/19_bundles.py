#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: core
#
# Several requests in one policy, against xfrm: IPComp in ESP in AH, tunnels in
# transport, both families. What does not shrink has an exact length on the wire,
# what does is short. With one family in the other, against packets made by hand.
#
#	10.1.0.1, fd01::1 [k: kipsec] 10.0.0.1, fd00::1 ---- wire ----
#	---- wire ---- 10.0.0.2, fd00::2 [x: xfrm] 10.2.0.1, fd02::1
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import esp                                                      # noqa: E402
import ipsec                                                    # noqa: E402
from ipsec import (SA, Kipsec, Moves, Policy, Xfrm, alg, auth, transport,    # noqa: E402
                   tunnel)
from ktap import check, equal, run                              # noqa: E402
from netns import pair, still_neighbours                        # noqa: E402
from traffic import Ping, tcp_copy                              # noqa: E402
from wire import AH, ESP, SECRET, Capture, Injector, fill, ip4, ip6     # noqa: E402

HOSTS = {4: ("10.0.0.1", "10.0.0.2"), 6: ("fd00::1", "fd00::2")}
INSIDE = {4: ("10.1.0.1", "10.2.0.1"), 6: ("fd01::1", "fd02::1")}
NETS = {4: ("10.1.0.0/24", "10.2.0.0/24"), 6: ("fd01::/64", "fd02::/64")}
HEADER = {4: 20, 6: 40}
NEXT = {4: 4, 6: 41}    # protocols: IPv4 and IPv6 inside
RAW = 253               # for experiments, RFC 3692
SIZES = (20, 30, 1000, 1250)        # IPComp tries from 90 on, headers of a tunnel included
COMPRESSED = 300        # bytes: no packet that shrank is longer
COMP, COMP_TUNNEL = ("comp", "transport"), ("comp", "tunnel")
ESP_, ESP_TUNNEL, AH_ = ("esp", "transport"), ("esp", "tunnel"), ("ah", "transport")
AH_TUNNEL = ("ah", "tunnel")
# name: (protocol, mode), innermost first; the cipher of ESP; the hash of AH
BUNDLES = {
    "ESP in AH": ([ESP_, AH_], ipsec.AES_SHA1, "hmac-sha1"),
    "IPComp in ESP": ([COMP, ESP_], ipsec.GCM, ""),
    "IPComp in AH": ([COMP, AH_], None, "hmac-sha512"),
    "IPComp in ESP in AH": ([COMP, ESP_, AH_], (alg("chacha20-poly1305"), None), "hmac-sha256"),
    "IPComp tunnel in ESP": ([COMP_TUNNEL, ESP_], (alg("aes-ctr"), auth("hmac-sha384")), ""),
    "IPComp tunnel in AH": ([COMP_TUNNEL, AH_], None, "aes-xcbc-mac"),
    "IPComp tunnel in ESP in AH": ([COMP_TUNNEL, ESP_, AH_], ipsec.NULL_SHA256, "hmac-md5"),
    "ESP tunnel in AH": ([ESP_TUNNEL, AH_], (alg("aes-ccm-16"), None), "hmac-sha256"),
    "AH tunnel in AH": ([AH_TUNNEL, AH_], None, "hmac-sha256"),
    "ESP tunnel in ESP": ([ESP_TUNNEL, ESP_], (alg("aes-cbc", 256), auth("hmac-sha512")), ""),
}


class Bench:
    def __init__(self, lab):
        self.lab, self.k, self.x, self.wire = lab, Kipsec(lab["k"]), Xfrm(lab["x"]), Capture(lab)

    def sa(self, kind, mode, algs, src, dst, spi):
        """On both sides."""
        if kind == "comp":
            self.k.setkey("add %s %s ipcomp %#x -m %s -C deflate;" % (src, dst, spi, mode))
            flag = " flag af-unspec" if mode == "tunnel" else ""
            self.lab["x"].ip("xfrm state add src %s dst %s proto comp spi %#x mode %s%s "
                             "comp deflate" % (src, dst, spi, mode, flag))
            return None
        sa = SA(src, dst, spi, algs, mode, proto=kind, window=1024)
        self.k.add(sa)
        self.lab["x"].ip(Xfrm.sa_line(sa))
        return sa

    def configure(self, bundle, family):
        """Gives the SAs out and in, innermost first, None for IPComp."""
        parts, cipher, hash_ = bundle
        host, peer = HOSTS[family]
        self.k.flush()
        self.x.flush()
        sas = ([], [])
        for n, (kind, mode) in enumerate(parts):
            algs = (None, auth(hash_)) if kind == "ah" else cipher
            for way, src, dst in ((0, host, peer), (1, peer, host)):
                sas[way].append(self.sa(kind, mode, algs, src, dst, 0x1901 + 2 * n + way))
        src, dst = NETS[family] if has_tunnel(parts) else HOSTS[family]
        self.policies(self.k, parts, host, peer, src, dst)
        self.policies(self.x, parts, peer, host, dst, src)
        self.wire.flush()
        return sas

    def policies(self, stack, parts, host, peer, src, dst):
        for direction, a, z, f, t in (("out", host, peer, src, dst), ("in", peer, host, dst, src)):
            requests = []
            for kind, mode in parts:
                level = "use" if kind == "comp" else "require"
                if (stack, mode, direction) == (self.x, "tunnel", "out"):
                    level = "require"       # xfrm refuses the other here
                name = "ipcomp" if kind == "comp" and stack is self.k else kind
                requests.append(tunnel(a, z, level, name) if mode == "tunnel" else
                                transport(level, name))
            stack.add(Policy(f, t, direction, requests=requests))

    def carry(self, ends, sas, parts, header):
        """Echoes both ways, of data that shrinks and of data that does not."""
        lines, seq = [], 0
        for ns, a, z, both in (("k", *ends, sas), ("x", *ends[::-1], sas[::-1])):
            ping = Ping(self.lab[ns], a)
            for size in SIZES:
                for pattern in (SECRET, os.urandom(size)):
                    check(ping(z, size, pattern=pattern) is not None,
                          "%s: no answer of %d bytes" % (ns, size))
                    seq += 1
                    length = wire_len(sas[0], parts, header, 8 + size)
                    shrinks = parts[0][0] == "comp" and pattern is SECRET and size >= 1000
                    lines += ["%s>%s %s %#x #%d len %s" % (
                        way[-1].src, way[-1].dst, way[-1].proto, way[-1].spi, seq,
                        "short" if shrinks else length) for way in both]
            ping.close()
        got = [str(p) for p in self.wire.collect(len(lines))]
        # An echo of one pattern over and over shrinks to next to nothing.
        for n, (is_, wanted) in enumerate(zip(got, lines)):
            if wanted.endswith("short") and int(is_.split()[-1]) <= COMPRESSED:
                got[n] = is_.rsplit(" ", 1)[0] + " short"
        equal(got, lines, "packets on the wire")


def has_tunnel(parts):
    return any(mode == "tunnel" for _, mode in parts)


def wire_len(sas, parts, header, payload):
    """Of a packet whose payload IPComp leaves as it is."""
    for sa, (_, mode) in zip(sas, parts):
        if mode == "tunnel":
            payload += header
        if sa:
            payload = sa.wire_len(payload) - header
    return payload + header


def bundle_cases(tap, b, name, bundle, family):
    parts = bundle[0]
    ends = INSIDE[family] if has_tunnel(parts) else HOSTS[family]
    title = "IPv%d: %s" % (family, name)
    with tap.case(title):
        sas = b.configure(bundle, family)
        n = 4 * len(SIZES)
        with Moves(b.x), Moves(b.k, OutProtected=n, InProtected=n):
            b.carry(ends, sas, parts, HEADER[family])
    for side, other, own, peer in (("k", "x", *ends), ("x", "k", *ends[::-1])):
        with tap.case("%s: TCP from %s" % (title, side)):
            if side == "k" and parts[0][0] == "comp":
                ipsec.xfrm_expands_tcp()
            tcp_copy(b.lab[side], b.lab[other], peer, 1 << 18, src=own)
            equal({p.proto for p in b.wire.take()}, {AH if parts[-1] == AH_ else ESP},
                  "outermost protocols")


def by_hand(tap, b):
    """A tunnel of the other family in transport: xfrm looks for both SAs in one family."""
    for inner, outer in ((4, 6), (6, 4)):
        with tap.case("IPv%d in IPv%d: ESP tunnel in ESP, as made by hand" % (inner, outer)):
            (own, peer), (a, z), make = HOSTS[outer], INSIDE[inner], {4: ip4, 6: ip6}
            b.k.flush()
            sas = [[SA(src, dst, 0x1901 + 2 * n + way, ipsec.NULL_SHA256, mode)
                    for n, mode in enumerate(("tunnel", "transport"))]
                   for way, (src, dst) in enumerate(((own, peer), (peer, own)))]
            b.k.add(*sas[0], *sas[1])
            b.policies(b.k, [ESP_TUNNEL, ESP_], own, peer, *NETS[inner])
            family = socket.AF_INET if inner == 4 else socket.AF_INET6
            sock = b.lab["k"].socket(family, socket.SOCK_RAW, RAW)
            sock.bind((a, 0))
            sock.settimeout(1)
            b.wire.flush()
            with Moves(b.k, OutProtected=1, InProtected=1):
                sock.sendto(fill(77), (z, 0))
                payload = b.wire.collect(1)[0].payload
                for sa, inside in zip(sas[0][::-1], (ESP, NEXT[inner])):
                    seq, payload, proto, _ = esp.open_(sa, payload)
                    equal((seq, proto), (1, inside), "number and content of %#x" % sa.spi)
                header = make[inner](a, z, RAW, fill(77))
                equal(ends_of(inner, payload), ends_of(inner, header), "ends inside")
                equal(payload[HEADER[inner]:], fill(77), "what is inside")
                back = esp.protect(sas[1][0], 1, make[inner](z, a, RAW, fill(88)), NEXT[inner])
                inject = Injector(b.lab["x"], b.lab["k"])
                inject.send(make[outer](peer, own, ESP, esp.protect(sas[1][1], 1, back, ESP)))
                equal(sock.recv(1000)[20 if inner == 4 else 0:], fill(88), "what arrived")
            inject.close()
            sock.close()


def ends_of(family, packet):
    """Addresses of an IP packet."""
    return packet[12:20] if family == 4 else packet[8:40]


def bundles(tap):
    ipsec.loaded()
    with pair(ipv6=True) as lab:
        still_neighbours(lab)
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state, b.x.state]
        for name, bundle in BUNDLES.items():
            for family in HOSTS:
                bundle_cases(tap, b, name, bundle, family)
        by_hand(tap, b)


if __name__ == "__main__":
    run(bundles)
