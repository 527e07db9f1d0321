#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: full
#
# kipsec and xfrm in one namespace, each with its own policies and SAs between
# the same two hosts; xfrm interfaces and VTI beside kipsec; modules that load
# in another order, or come and go.
#
#	10.1.0.1 [k: kipsec and xfrm] 10.0.0.1 ---- wire ----
#	---- wire ---- 10.0.0.2 [x: xfrm] 10.2.0.1
import os
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from bench import need                                          # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, transport, tunnel    # noqa: E402
from ktap import Skip, check, equal, run                        # noqa: E402
from netns import pair, wait_for                                # noqa: E402
from traffic import Ping, Udp, tcp_copy                         # noqa: E402
from wire import ESP, Capture, fill                             # noqa: E402

ENDS = {4: ("10.0.0.1", "10.0.0.2"), 6: ("fd00::1", "fd00::2")}
K, X = ENDS[4]
KO = os.path.join(os.environ.get("KIPSEC_MODDIR", ""), "kipsec.ko")
MINE, THEIRS = "5001", "5002"           # ports
ROUNDS = 10


def modprobe(*words):
    return subprocess.run(["modprobe", "-q", *words], stderr=subprocess.DEVNULL).returncode == 0


def insmod():
    p = subprocess.run(["insmod", KO], stderr=subprocess.PIPE, text=True)
    check(p.returncode == 0, "insmod: " + p.stderr)


def rmmod(name="kipsec"):
    p = subprocess.run(["rmmod", name], stderr=subprocess.PIPE, text=True)
    check(p.returncode == 0, "rmmod %s: %s" % (name, p.stderr))


class Bench:
    def __init__(self, lab):
        self.lab, self.wire = lab, Capture(lab)
        self.k, self.kx, self.x = Kipsec(lab["k"]), Xfrm(lab["k"]), Xfrm(lab["x"])

    def flush(self):
        for stack in (self.kx, self.x):
            stack.flush()
        if os.path.exists(ipsec.STAT):
            self.k.flush()

    def pair(self, stack, spi, port=None, ends=ENDS[4], nets=None):
        """SAs for a port between the hosts, or for two networks; on both hosts."""
        a, b = ends
        mode = "tunnel" if nets else "transport"
        sas = [SA(src, dst, n, ipsec.GCM, mode, window=1024, reqid=spi & 0xfff)
               for src, dst, n in ((a, b, spi), (b, a, spi + 1))]
        # The peer has SAs for xfrm and for kipsec, and has to choose.
        level = "unique:%d" % (spi & 0xfff)
        for s, own, peer, (src, dst) in ((stack, a, b, nets or (a, b)),
                                         (self.x, b, a, (nets or (a, b))[::-1])):
            there, here = (tunnel(own, peer, level), tunnel(peer, own, level)) if nets else \
                (transport(level), transport(level))
            s.add(*sas)
            # Either host may be the server.
            for ports in ((port, ""), ("", port)) if port else (("", ""),):
                for proto in ("udp", "tcp") if port else ("any",):
                    s.add(Policy(src, dst, "out", requests=[there], proto=proto, sport=ports[0],
                                 dport=ports[1]),
                          Policy(dst, src, "in", requests=[here], proto=proto, sport=ports[1],
                                 dport=ports[0]))
        return sas


def datagrams(b, port, ends=ENDS[4]):
    """Three each way, from any port to this one."""
    port = int(port)
    for src, dst, own, peer in (("k", "x", *ends), ("x", "k", *ends[::-1])):
        sender, receiver = Udp(b.lab[src], own), Udp(b.lab[dst], peer, port)
        for n in range(50, 53):
            sender.send(fill(n), peer, port)
            equal(receiver.recv(), fill(n), "%s to %s: datagram" % (src, dst))
        sender.close()
        receiver.close()


def numbered(sas, lens, start=1):
    return ["%s>%s esp %#x #%d len %d" % (sa.src, sa.dst, sa.spi, n, sa.wire_len(length))
            for sa in sas for n, length in enumerate(lens, start)]


def one_namespace(tap):
    ipsec.loaded()
    with pair(ipv6=True) as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.k.state, b.kx.state, b.x.state]
        for family, ends in ENDS.items():
            with tap.case("IPv%d: a port is kipsec's, another xfrm's, both between two hosts" %
                          family):
                b.flush()
                mine = b.pair(b.k, 0x6701, MINE, ends)
                theirs = b.pair(b.kx, 0x6711, THEIRS, ends)
                b.wire.flush()
                with Moves(b.x), Moves(b.kx):
                    with Moves(b.k, OutProtected=3, InProtected=3):
                        datagrams(b, MINE, ends)
                    with Moves(b.k, InUnknownSpi=3):
                        datagrams(b, THEIRS, ends)
                b.wire.expect(numbered(mine, (58, 59, 60)) + numbered(theirs, (58, 59, 60)))
            with tap.case("IPv%d: TCP of both at the same time, both ways" % family):
                quiet = ("OutProtected", "InProtected", "InUnknownSpi", "OutTooBig")
                with Moves(b.x), Moves(b.kx), Moves(b.k, quiet):
                    for src, dst, peer in (("k", "x", ends[1]), ("x", "k", ends[0])):
                        at_once(b, src, dst, peer)
                packets = b.wire.take()
                equal({(p.proto, p.spi) for p in packets},
                      {(ESP, sa.spi) for sa in mine + theirs}, "SPIs on the wire")
        with tap.case("tunnels of both to the same host, for different networks"):
            b.flush()
            lab["k"].ip("addr add 10.11.0.1/24 dev net0", "route add 10.12.0.0/24 via %s "
                        "src 10.11.0.1" % X)
            lab["x"].ip("addr add 10.12.0.1/24 dev net0", "route add 10.11.0.0/24 via %s "
                        "src 10.12.0.1" % K)
            mine = b.pair(b.k, 0x6721, nets=("10.1.0.0/24", "10.2.0.0/24"))
            theirs = b.pair(b.kx, 0x6731, nets=("10.11.0.0/24", "10.12.0.0/24"))
            b.wire.flush()
            for sas, net, moves in ((mine, "10.%d.0.1", {"OutProtected": 2, "InProtected": 2}),
                                    (theirs, "10.1%d.0.1", {"InUnknownSpi": 2})):
                with Moves(b.x), Moves(b.kx), Moves(b.k, **moves):
                    check(Ping(lab["k"], net % 1)(net % 2, 80) is not None, "no answer")
                    check(Ping(lab["x"], net % 2)(net % 1, 80) is not None, "none to the peer")
                lines = numbered(sas, (108, 108))
                b.wire.expect([lines[0], lines[2], lines[3], lines[1]])
        with tap.case("what is one's is refused from the other: neither takes the other's SAs"):
            # The peer protects kipsec's networks with xfrm's SAs, and the reverse.
            lab["x"].ip("xfrm policy flush")
            b.x.add(*[Policy("10.2.0.0/24", "10.1.0.0/24", "out", requests=[
                tunnel(X, K, "unique:%d" % (0x6731 & 0xfff))])])
            lab["x"].ip("xfrm state delete src %s dst %s proto esp spi 0x6722" % (X, K))
            with Moves(b.kx), Moves(b.k, InUnknownSpi=1, InClear=1):
                check(Ping(lab["x"], "10.2.0.1")("10.1.0.1", 10, 0.2) is None,
                      "kipsec's network through xfrm's SA: it was answered")


def at_once(b, src, dst, peer):
    """Two copies side by side, one in a thread."""
    errors = []

    def other():
        try:
            tcp_copy(Here(b.lab[src]), Here(b.lab[dst]), peer, 150000, int(THEIRS), timeout=30)
        except Exception as e:
            errors.append(e)
    thread = threading.Thread(target=other)
    thread.start()
    try:
        tcp_copy(b.lab[src], b.lab[dst], peer, 150000, int(MINE), timeout=30)
    finally:
        thread.join()
    if errors:
        raise errors[0]


class Here:
    """A namespace's sockets, made by any thread: namespaces are the thread's own."""

    def __init__(self, ns):
        self.path = ns.path

    def socket(self, *args):
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        old, new = os.open("/proc/thread-self/ns/net", 0), os.open(self.path, 0)
        try:
            libc.setns(new, 0x40000000)
            return socket.socket(*args)
        finally:
            libc.setns(old, 0x40000000)
            os.close(old)
            os.close(new)


# --- interfaces of xfrm's ---

# In a VTI ends all that the kernel's own stack has between its two hosts.
NETS = "10.1.0.1", "10.2.0.1"
IFACES = {
    "xfrm interface": ("xfrm_interface", "link add xi0 type xfrm dev eth0 if_id 42", "if_id 42",
                       ENDS[4]),
    "VTI": ("ip_vti", "link add xi0 type vti local {own} remote {peer} key 42", "mark 42",
            NETS),
}


def rx_packets(ns, dev):
    with ns:
        text = subprocess.run(["ip", "-s", "-o", "link", "show", dev], stdout=subprocess.PIPE,
                              text=True, check=True).stdout
    words = text.replace("\\", " ").split("RX:")[1].split("TX:")
    rx = words[0].split()
    tx = words[1].split()
    return int(rx[len(rx) // 2 + 1]), int(tx[len(tx) // 2 + 1])


def interfaces(tap):
    for name, (module, link, which, ends) in IFACES.items():
        with pair() as lab, tap.case("%s: packets come and go by it, beside kipsec" % name):
            need(module)
            b = Bench(lab)
            tap.on_failure[:] = [b.k.state, b.kx.state, b.x.state]
            mine = b.pair(b.k, 0x6741, MINE, ends)
            there, back = [SA(a, z, spi, ipsec.GCM, "tunnel") for a, z, spi in
                           ((K, X, 0x6751), (X, K, 0x6752))]
            for ns, own, peer, addr, out, in_ in (("k", K, X, "10.9.0.1", there, back),
                                                  ("x", X, K, "10.9.0.2", back, there)):
                lab[ns].ip(link.format(own=own, peer=peer), "addr add %s/24 dev xi0" % addr,
                           "link set xi0 up", *[Xfrm.sa_line(sa).replace(
                               " flag af-unspec", " %s flag af-unspec" % which)
                               for sa in (there, back)])
                for way, sa in (("out", out), ("in", in_), ("fwd", in_)):
                    lab[ns].ip("xfrm policy add src 0.0.0.0/0 dst 0.0.0.0/0 dir %s %s tmpl src %s "
                               "dst %s proto esp mode tunnel" % (way, which, sa.src, sa.dst))
            b.wire.flush()
            rx, tx = rx_packets(lab["k"], "xi0")
            with Moves(b.kx), Moves(b.x), Moves(b.k, InUnknownSpi=6):
                for ns, own, peer in (("k", "10.9.0.1", "10.9.0.2"), ("x", "10.9.0.2", "10.9.0.1")):
                    ping = Ping(lab[ns], own)
                    for _ in range(3):
                        check(ping(peer, 60) is not None, "%s: no answer" % ns)
            after = rx_packets(lab["k"], "xi0")
            equal((after[0] - rx, after[1] - tx), (6, 6), "packets received and sent by xi0")
            equal({(p.proto, p.spi) for p in b.wire.collect(12)},
                  {(ESP, there.spi), (ESP, back.spi)}, "on the wire")
            with Moves(b.kx), Moves(b.x), Moves(b.k, OutProtected=3, InProtected=3):
                datagrams(b, MINE, ends)
            b.wire.expect(numbered(mine, (58, 59, 60)))
            tcp_copy(lab["x"], lab["k"], "10.9.0.1", 100000, src="10.9.0.2")
            tcp_copy(lab["k"], lab["x"], "10.9.0.2", 100000, src="10.9.0.1")
            equal({p.proto for p in b.wire.take()}, {ESP}, "protocols on the wire")


# --- modules ---

def order(tap):
    ipsec.loaded()
    if not os.path.exists(KO):
        raise Skip("KIPSEC_MODDIR does not say where kipsec.ko is")
    with pair() as lab:
        b = Bench(lab)
        tap.on_failure[:] = [b.kx.state, b.x.state]

        def both(xfrm_first):
            parts = [lambda: b.pair(b.k, 0x6761, MINE), lambda: b.pair(b.kx, 0x6771, THEIRS)]
            for part in parts[::-1] if xfrm_first else parts:
                part()
            with Moves(b.x), Moves(b.kx), Moves(b.k, OutProtected=3, InProtected=3, InUnknownSpi=3):
                datagrams(b, MINE)
                datagrams(b, THEIRS)
            equal({p.proto for p in b.wire.collect(12)}, {ESP}, "protocols on the wire")
            b.flush()

        with tap.case("esp4 is there before kipsec"):
            check(os.path.exists("/sys/module/esp4") or modprobe("esp4"), "there is no esp4")
            both(True)
        with tap.case("esp4 comes after kipsec"):
            rmmod()
            # States that were deleted go a little later.
            if not wait_for(lambda: not subprocess.run(["rmmod", "esp4"], stderr=-3).returncode, 5):
                insmod()
                raise Skip("esp4 is part of this kernel, or in use")
            insmod()
            modprobe("esp4")
            both(False)
        with tap.case("kipsec comes and goes %d times while xfrm's packets run" % ROUNDS):
            rmmod()
            b.pair(b.kx, 0x6781, THEIRS)
            try:
                with Moves(b.kx), Moves(b.x), Stream(b.lab) as s:
                    for _ in range(ROUNDS):
                        insmod()
                        b.k.add(SA(K, X, 0x6791),
                                Policy(K, X, "out", "none", proto="udp", dport="9"))
                        time.sleep(0.1)
                        rmmod()
                    s.end()
            finally:
                if not os.path.exists(ipsec.STAT):
                    insmod()
            check(s.sent > 20 * ROUNDS, "only %d datagrams were sent" % s.sent)
            equal(s.got, [s.sent, s.sent], "datagrams that arrived at the peer, and here")
            packets = b.wire.take()
            equal({(p.proto, p.spi) for p in packets}, {(ESP, 0x6781), (ESP, 0x6782)},
                  "on the wire")


class Stream:
    """xfrm's datagrams both ways, counted; sockets are made in the main thread."""

    def __init__(self, lab):
        self.socks = [Udp(lab[ns], addr, int(THEIRS)) for ns, addr in (("k", K), ("x", X))]
        self.sent, self.got, self.stop = 0, [0, 0], False

    def __enter__(self):
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()
        return self

    def loop(self):
        k, x = self.socks
        while not self.stop:
            self.sent += 1
            k.send(fill(200), X, int(THEIRS))
            x.send(fill(200), K, int(THEIRS))
            time.sleep(0.003)

    def end(self):
        self.stop = True
        self.thread.join()
        self.got = [len(s.all(self.sent)) for s in self.socks[::-1]]

    def __exit__(self, *exc):
        self.stop = True
        self.thread.join()
        for s in self.socks:
            s.close()


if __name__ == "__main__":
    run(one_namespace, interfaces, order)
