#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: debug
#
# ESP as drivers of network cards bring it: many packets in one poll, each in a piece
# of a page with room before it. veth copies into memory of another kind, and brings
# one by one. What was decapsulated is joined in place, in pages, and forwarded.
#
#	[the test: 10.0.0.2, 10.2.0.2] -- tap [k: kipsec] 10.1.0.1 -- 10.1.0.2 [b]
#
# The tap's poll is a thread of its own; the test has a real-time priority while it
# writes packets, so the thread comes when all of them are there. Where the host is
# too busy even for that, the test tries again.
import fcntl
import os
import socket
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import esp                                                      # noqa: E402
import ipsec                                                    # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, tunnel             # noqa: E402
from ktap import Skip, check, equal, run                        # noqa: E402
from netns import Lab, wait_for                                 # noqa: E402
from traffic import in_front                                    # noqa: E402
from wire import ETH_P_IP, ESP, TCP, Packet, fill, ip4, tcp       # noqa: E402

OWN, PEER, A, B = "10.0.0.1", "10.0.0.2", "10.2.0.2", "10.1.0.2"
TUNSETIFF, TUNSETSNDBUF = 0x400454ca, 0x400454d4
IFF_TAP, IFF_NAPI, IFF_NO_PI = 0x2, 0x10, 0x1000
MSS, MANY, TRIES = 1000, 20, 5
KINDS = {"aes-gcm-16": (ipsec.GCM, esp.seal_gcm), "null": (ipsec.NULL_SHA256, esp.seal)}


def tap_device(ns):
    """A tap whose packets are in pages, polled by a thread; and its file."""
    if subprocess.run(["modprobe", "-q", "tun"]).returncode:
        raise Skip("there is no tun here")
    # Only what does not wait, and of a socket without a limit, is read into a page.
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"tap0", IFF_TAP | IFF_NAPI | IFF_NO_PI))
    fcntl.ioctl(fd, TUNSETSNDBUF, struct.pack("i", 0x7fffffff))
    with open("/sys/class/net/tap0/threaded", "w") as f:
        f.write("1")
    with open("/sys/class/net/tap0/address") as f:
        mac = bytes.fromhex(f.read().strip().replace(":", ""))
    subprocess.run(["ip", "link", "set", "tap0", "netns", ns.name], check=True)
    ns.ip("addr add %s/24 dev tap0" % OWN, "link set tap0 up", "route add 10.2.0.0/24 via " + PEER,
          "neigh add %s lladdr 02:00:00:00:00:02 dev tap0" % PEER)
    return fd, mac


class Card:
    """k and its card, b behind it, and who sees what b gets."""

    def __init__(self, lab):
        self.k = Kipsec(lab["k"])
        self.fd, mac = tap_device(lab["k"])
        self.head = mac + b"\x02\0\0\0\0\x02" + struct.pack("!H", ETH_P_IP)
        lab.link("k:10.1.0.1/24", "b:%s/24" % B)
        lab["k"].sysctl("net.ipv4.ip_forward", 1)
        lab["b"].ip("route add default via 10.1.0.1")
        self.eye = lab["b"].socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        self.eye.setblocking(False)
        self.spi, self.at = 0x6200, 0

    def start(self, kind):
        algs, self.seal = KINDS[kind]
        self.spi, self.seq = self.spi + 1, 0
        self.sa = SA(PEER, OWN, self.spi, algs, "tunnel")
        self.k.flush()
        self.k.add(self.sa, Policy(A, B, "in", requests=[tunnel(PEER, OWN)]))

    def segment(self, data):
        """The next packet of one stream, in ESP, as a frame."""
        segment = tcp(A, B, 5001, 5001, self.at, 0x10, data, ack=1)
        self.seq, self.at = self.seq + 1, self.at + len(data)
        inner = ip4(A, B, TCP, segment, ident=self.seq, flags=2)
        text = inner + esp.trailer(len(inner), 4)
        return self.head + ip4(PEER, OWN, ESP, self.seal(self.sa, self.seq, text))

    def burst(self):
        """So many segments at once; their data."""
        data = [struct.pack("!I", n) + fill(MSS - 4) for n in range(MANY)]
        frames = [self.segment(d) for d in data]
        with in_front():
            written = [os.write(self.fd, frame) for frame in frames]
        equal(written, [len(frame) for frame in frames], "written")
        return data

    def seen(self, size):
        """Packets for B, until they have so many bytes of data."""
        got = []

        def enough():
            try:
                got.append(Packet(self.eye.recv(70000)))
            except BlockingIOError:
                pass
            return sum(len(p.payload) - 20 for p in got if p.dst == B) >= size
        wait_for(enough)
        return [p for p in got if p.dst == B]

    def joined(self):
        """A burst leaves as one packet."""
        for _ in range(TRIES):
            with Moves(self.k, InProtected=MANY):
                data = self.burst()
                got = self.seen(MANY * MSS)
            if len(got) == 1:
                break
        equal([len(p.payload) - 20 for p in got], [MANY * MSS], "lengths of data")
        equal(got[0].payload[20:] == b"".join(data), True, "each byte as it was sent")


def objects(cache):
    """In use, more or less: those of the processors' slabs count all. KASAN keeps what was
    freed, until it is told."""
    shrink = "/sys/kernel/slab/%s/shrink" % cache
    if os.path.exists(shrink):
        with open(shrink, "w") as f:
            f.write("1")
    with open("/proc/slabinfo") as f:
        return next((int(line.split()[1]) for line in f if line.startswith(cache + " ")), None)


def taps(tap):
    ipsec.loaded()
    with Lab("k", "b") as lab:
        card = Card(lab)
        tap.on_failure.append(card.k.state)
        for kind in KINDS:
            card.start(kind)
            with tap.case("%s: %d segments in one poll leave as one packet" % (kind, MANY)):
                card.joined()
        with tap.case("SAs whose packets were joined take their memory with them"):
            rounds = 100
            before = objects("skbuff_ext_cache")
            if before is None:
                raise Skip("the kernel keeps no list of its memory")
            for _ in range(rounds):
                card.start("null")
                card.joined()
            card.k.flush()
            check(wait_for(lambda: objects("skbuff_ext_cache") - before < rounds / 2, step=0.5),
                  "%d, %d before" % (objects("skbuff_ext_cache"), before))
        os.close(card.fd)


if __name__ == "__main__":
    run(taps)
