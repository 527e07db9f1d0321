# SPDX-License-Identifier: GPL-2.0
"""Key managers in namespaces, the SAs that they made, and streams meanwhile.

Iked is OpenIKED, which speaks PF_KEY; Charon is strongSwan's daemon, which
Debian builds for netlink alone, so that it always drives xfrm.
"""
import contextlib
import os
import re
import shutil
import subprocess
import time
from typing import NamedTuple

import pfkey
from ktap import Failed, Skip, check, equal
from netns import Lab, wait_for
from traffic import Udp
from wire import UDP, fill

RUN = "/run"
MODES = {0: "any", 1: "transport", 2: "tunnel"}


class State(NamedTuple):
    """An SA in use; the two ports of ESP in UDP, or None."""
    src: str
    dst: str
    spi: int
    mode: str
    ports: tuple = None


def kipsec_sas(ns):
    """kipsec's SAs that can carry packets."""
    with ns, pfkey.Key() as key:
        found = list(_dumped(key, pfkey.DUMP))
    return {State(e[pfkey.SRC].addr, e[pfkey.DST].addr, e[pfkey.SA].spi, MODES[e[pfkey.SA2].mode],
                  (e[pfkey.NATT_SPORT], e[pfkey.NATT_DPORT]) if pfkey.NATT_TYPE in e else None)
            for e in (m.ext for m in found) if e[pfkey.SA].state == pfkey.MATURE}


def kipsec_policies(ns):
    """Of each the ends of its tunnel, or None."""
    with ns, pfkey.Key() as key:
        return [m.ext[pfkey.POLICY].requests[0].pair for m in _dumped(key, pfkey.SPDDUMP)]


def _dumped(key, kind):
    """As Key.dump(), but a daemon may do something meanwhile, which all hear."""
    key.send(kind)
    while True:
        m = key.recv()
        if (m.type, m.pid) != (kind, key.pid):
            continue
        if not m.errno:
            yield m
        if m.errno or not m.seq:
            return


def xfrm_sas(ns):
    """xfrm's; those that it has an SPI for and no keys yet do not count."""
    found = re.findall(r"^src (\S+) dst (\S+)\n\s+proto esp spi (\S+) reqid \S+ mode (\S+)\n"
                       r"((?:\s.*\n)*)", ns.run("ip", "xfrm", "state"), re.M)
    return {State(src, dst, int(spi, 16), mode, _encap(rest)) for src, dst, spi, mode, rest in found
            if "enc" in rest.split()}


def _encap(text):
    ports = re.search(r"espinudp sport (\d+) dport (\d+)", text)
    return ports and tuple(map(int, ports.groups()))


# --- daemons ---

class Daemon:
    """A process in a namespace, and what it said."""
    env, process, running = None, None, []

    def __init__(self, ns, *command):
        self.ns, self.command, self.base = ns, command, "%s/%s" % (RUN, ns.name)
        self.log = self.base + ".log"
        open(self.log, "w").close()
        self.running.append(self)
        self.start()

    def start(self):
        with open(self.log, "a") as f:
            self.process = self.ns.popen(*self.command, stdout=f, stderr=subprocess.STDOUT,
                                         env=self.env)

    def kill(self):
        if self.process:
            # its children too, which have the network
            subprocess.run(["pkill", "-KILL", "-s", "0", "-P", str(self.process.pid)], check=False)
            self.process.kill()
            self.process.wait()

    def said(self, text):
        """How often."""
        with open(self.log, errors="replace") as f:
            return f.read().count(text)

    def tail(self):
        with open(self.log, errors="replace") as f:
            return ["%s: %s" % (self.ns.name, line) for line in f.read().splitlines()[-25:]]


def write(path, text):
    with open(path, "w") as f:
        os.chmod(path, 0o600)
        f.write(text)


@contextlib.contextmanager
def ended():
    """Whatever was started in the block ends with it."""
    try:
        yield
    finally:
        while Daemon.running:
            Daemon.running.pop().kill()


class Iked(Daemon):
    """text: its iked.conf; home: what it shall find in place of /etc/iked."""

    READY = ("compilation done", "updated local CERTREQ", "nattport")

    def __init__(self, ns, text, home=None):
        if not shutil.which("iked"):
            raise Skip("there is no iked here (package openiked)")
        conf = "%s/%s.conf" % (RUN, ns.name)
        write(conf, text)
        command = ["iked", "-dvv", "-s", conf + ".sock", "-f", conf]
        if home:
            command = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/iked && exec "$@"',
                       home] + command
        super().__init__(ns, *command)

    def start(self):
        """Until it has all of its configuration: negotiations of before it drops."""
        told = [self.said(line) for line in self.READY]
        super().start()
        if not wait_for(lambda: all(self.said(line) > n for line, n in zip(self.READY, told)),
                        30, 0.1):
            raise Failed("no iked within 30 seconds")


CHARON = """
charon-systemd {
    load = random nonce aes sha1 sha2 hmac kdf gmp kernel-netlink socket-default vici
    plugins { vici { socket = unix://%(base)s.vici } }
    journal { default = -1 }
    filelog { out { path = %(base)s.log
                    default = 1
                    append = yes
                    flush_line = yes } }
    install_routes = no
    delete_rekeyed_delay = 1
    retransmit_tries = 2
    retransmit_timeout = 1
}
swanctl { load = random }
"""


class Charon(Daemon):
    """text: its swanctl.conf."""

    def __init__(self, ns, text):
        if not shutil.which("charon-systemd") or not shutil.which("swanctl"):
            raise Skip("there is no strongSwan here (packages charon-systemd, strongswan-swanctl)")
        base = "%s/%s" % (RUN, ns.name)
        write(base + ".strongswan", CHARON % {"base": base})
        write(base + ".swanctl", text)
        self.env = dict(os.environ, STRONGSWAN_CONF=base + ".strongswan")
        super().__init__(ns, "charon-systemd")

    def start(self):
        """Until it answers, and knows its file."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.base + ".vici")
        super().start()
        if not wait_for(lambda: os.path.exists(self.base + ".vici"), 30, 0.1):
            raise Failed("no strongSwan within 30 seconds")
        self.swanctl("--load-all", "--file", self.base + ".swanctl")

    def swanctl(self, *words):
        p = subprocess.run(["swanctl", *words, "--uri", "unix://%s.vici" % self.base],
                           env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, check=False, timeout=60)
        if p.returncode:
            raise Failed("swanctl %s: %s" % (" ".join(words), p.stdout))


# --- through a NAT ---

INSIDE, OUTSIDE, GATEWAY = "192.168.1.2", "10.0.0.9", "10.0.0.1"


def natted():
    """Namespaces inside and gate, and a NAT between them that changes every port.

    [inside] 192.168.1.2 -- w0 -- 192.168.1.1 [n] 10.0.0.9 -- w1 -- 10.0.0.1 [gate] 10.1.0.1
    """
    lab = Lab("inside", "n", "gate")
    lab.wire("inside:%s/24" % INSIDE, "n:192.168.1.1/24:eth1")
    lab.wire("n:%s/24" % OUTSIDE, "gate:%s/24" % GATEWAY)
    lab["n"].sysctl("net.ipv4.ip_forward", 1)
    lab["inside"].ip("route add default via 192.168.1.1")
    lab["gate"].ip("link add net0 type dummy", "link set net0 up", "addr add 10.1.0.1/24 dev net0",
                   # a gateway needs a way to whom it answers, if only to its tunnel
                   "route add 192.168.1.0/24 via %s src 10.1.0.1" % OUTSIDE)
    lab["n"].run("nft", "-f", "-", stdin="""
        table ip nat {
            chain post {
                type nat hook postrouting priority 100;
                oifname eth0 meta l4proto udp masquerade to :61000-61999;
            }
        }""")
    return lab


def through_nat(inner, outer):
    """SAs of both ends have the ports that the NAT made."""
    equal({s[:2] + s.ports for s in inner},
          {(INSIDE, GATEWAY, 4500, 4500), (GATEWAY, INSIDE, 4500, 4500)}, "behind the NAT")
    port = next(s.ports[0] for s in outer if s.dst == GATEWAY)
    check(61000 <= port <= 61999, "the port before the NAT: %d" % port)
    equal({s[:2] + s.ports for s in outer},
          {(OUTSIDE, GATEWAY, port, 4500), (GATEWAY, OUTSIDE, 4500, port)}, "before the NAT")
    equal({s.spi for s in inner}, {s.spi for s in outer}, "SPIs")


def in_udp(packets, sas):
    """All is ESP in UDP as the SAs say, or IKE, by its marker, or a keepalive of one byte."""
    seen = {(p.proto, p.src, p.dst) + tuple(
        int.from_bytes(p.payload[at:end], "big") for at, end in ((0, 2), (2, 4), (8, 12)))
        for p in packets if len(p.payload) > 9}
    equal({s for s in seen if s[5]},
          {(UDP, s.src, s.dst) + s.ports + (s.spi,) for s in sas}, "on the wire")


# --- what flows meanwhile ---

class Stream:
    """Numbered datagrams from one host to another."""

    def __init__(self, lab, src, dst, size=200):
        """src, dst: (namespace, address)"""
        self.to, self.size, self.sent = dst[1], size, 0
        self.sender, self.sink = Udp(lab[src[0]], src[1]), Udp(lab[dst[0]], dst[1])

    def one(self):
        self.sender.send(b"%06d" % self.sent + fill(self.size - 6), self.to, self.sink.port)
        self.sent += 1

    def missing(self):
        """Those lost; the others came once. Who waited for his SA may be overtaken."""
        got = [int(d[:6]) for d in self.sink.all(self.sent)]
        equal(sorted(got), sorted(set(got)), "datagrams, each once")
        return set(range(self.sent)).difference(got)

    def lost(self):
        """How many."""
        return len(self.missing())

    def close(self):
        self.sender.close()
        self.sink.close()


def stream_until(done, streams, least=20, most=60, step=0.05):
    """Until done() and a second more, and at least so many of each; most in seconds."""
    end, tail = time.monotonic() + most, None
    while tail is None or time.monotonic() < tail or streams[0].sent < least:
        for s in streams:
            s.one()
        time.sleep(step)
        if tail is None and done():
            tail = time.monotonic() + 1
        check(time.monotonic() < end, "nothing happened within %d seconds" % most)
