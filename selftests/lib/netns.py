# SPDX-License-Identifier: GPL-2.0
"""Network namespaces, and wires between them.

A wire is a bridge in a namespace of its own, "kt-wire". Nothing happens there
but forwarding of frames, so that a capture sees each frame once, as it was
sent, and never what a receiver makes of it:

	[kt-k  eth0]----[w0-k  w0 (bridge)  w0-x]----[eth0  kt-x]
	                      kt-wire

The program itself moves between namespaces (the main thread only); a socket
and a child process stay where they were made.
"""
import contextlib
import ctypes
import os
import subprocess
import time

from ktap import Skip

CLONE_NEWNET = 0x40000000
MS_BIND, MNT_DETACH = 4096, 2
RUN = "/run/netns"
WIRE = "kt-wire"

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name, *args):
    if getattr(_libc, name)(*args) < 0:
        err = ctypes.get_errno()
        raise OSError(err, "%s: %s" % (name, os.strerror(err)))


class Namespace:
    """A named namespace; "with ns:" runs the block inside it."""

    def __init__(self, name, ipv6=False):
        self.name = name
        self.path = os.path.join(RUN, name)
        self._stack = []
        if not os.path.exists(self.path):
            self._make()
        self.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        # IPv6: addresses that can be used at once. Else none, and no solicitations
        # of routers and the like among the packets.
        knob, value = ("accept_dad", 0) if ipv6 else ("disable_ipv6", 1)
        for where in ("all", "default"):
            with contextlib.suppress(FileNotFoundError):
                self.sysctl("net.ipv6.conf.%s.%s" % (where, knob), value)
        # Memberships are told once, not again within a second of their end.
        self.sysctl("net.ipv4.igmp_qrv", 1)

    def _make(self):
        os.makedirs(RUN, exist_ok=True)
        old = os.open("/proc/self/ns/net", os.O_RDONLY)
        open(self.path, "w").close()
        try:
            _call("unshare", CLONE_NEWNET)
            _call("mount", b"/proc/self/ns/net", self.path.encode(), None, MS_BIND, None)
        finally:
            _call("setns", old, CLONE_NEWNET)
            os.close(old)

    def __enter__(self):
        self._stack.append(os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        _call("setns", self.fd, CLONE_NEWNET)
        return self

    def __exit__(self, *exc):
        old = self._stack.pop()
        _call("setns", old, CLONE_NEWNET)
        os.close(old)

    def run(self, *command, stdin=None, check=True, timeout=240):
        """Run a program inside; gives what it wrote, standard error included."""
        with self:
            p = subprocess.run(command, input=stdin, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, timeout=timeout)
        if check and p.returncode:
            raise RuntimeError("%s: %s: status %d\n%s" %
                               (self.name, " ".join(command), p.returncode, p.stdout))
        return p.stdout

    def popen(self, *command, **kw):
        with self:
            return subprocess.Popen(command, **kw)

    def ip(self, *lines, check=True):
        """Commands of ip(8), all in one process."""
        return self.run("ip", *([] if check else ["-force"]), "-batch", "-",
                        stdin="\n".join(lines) + "\n", check=check)

    def nft(self, text):
        """Load a ruleset; Skip where nft or its kernel side is missing."""
        try:
            return self.run("nft", "-f", "-", stdin=text)
        except FileNotFoundError:
            raise Skip("there is no nft here") from None
        except RuntimeError as e:
            if "No such file or directory" not in str(e) and "not supported" not in str(e):
                raise
            raise Skip("the kernel lacks it: " + " ".join(str(e).split())[:150]) from None

    def sysctl(self, name, value=None):
        path = "/proc/sys/" + name.replace(".", "/")
        with self:
            if value is None:
                with open(path) as f:
                    return f.read().strip()
            with open(path, "w") as f:
                f.write(str(value))

    def read(self, path):
        with self, open(path) as f:
            return f.read()

    def socket(self, *args):
        import socket
        with self:
            return socket.socket(*args)

    def delete(self):
        if self.fd < 0:
            return
        os.close(self.fd)
        self.fd = -1
        _call("umount2", self.path.encode(), MNT_DETACH)
        os.unlink(self.path)


def _end(text):
    """Namespace, address and device."""
    return (text.split(":") + ["eth0"])[:3]


class Lab:
    """Namespaces and wires of one test; close() removes them."""

    def __init__(self, *names, ipv6=False):
        self.wires = []
        self.ports = []
        self.ns = {}
        self.wire_ns = Namespace(WIRE)
        self._sweep()
        for name in names:
            self.add(name, ipv6)

    def _sweep(self):
        """What a test that was killed has left."""
        left = [n for n in os.listdir(RUN) if n.startswith("kt-") and n != WIRE]
        for name in left:
            Namespace(name).delete()
        if left:
            links = self.wire_ns.run("ip", "-br", "link", "show", "type", "bridge")
            self.wire_ns.ip(*["link del " + line.split()[0] for line in links.splitlines()],
                            check=False)

    def add(self, name, ipv6=False):
        ns = Namespace("kt-" + name, ipv6)
        ns.ip("link set lo up")
        self.ns[name] = ns
        return ns

    def __getitem__(self, name):
        return self.ns[name]

    def wire(self, *ends, name=None, mtu=1500):
        """Join "namespace:address/length[:device]" ends by a bridge."""
        name = name or "w%d" % len(self.wires)
        ends = [_end(e) for e in ends]
        lines = ["link add %s type bridge forward_delay 0 mcast_snooping 0" % name,
                 "link set %s mtu %d up" % (name, mtu)]
        for ns, _, dev in ends:
            port = "%s-%s" % (name, ns)
            lines += ["link add %s mtu %d type veth peer name %s mtu %d netns kt-%s" %
                      (port, mtu, dev, mtu, ns),
                      "link set %s master %s up" % (port, name)]
        self.wire_ns.ip(*lines)
        self.wires.append(name)
        self.ports += ["%s-%s" % (name, ns) for ns, _, _ in ends]
        for end in ends:
            self._up(*end)
        return name

    def link(self, a, b):
        """Join two ends of the same form directly: a link nobody watches."""
        ends = [_end(e) for e in (a, b)]
        (na, _, da), (nb, _, db) = ends
        self.ns[na].ip("link add %s type veth peer name %s netns kt-%s" % (da, db, nb))
        for end in ends:
            self._up(*end)

    def _up(self, ns, address, dev):
        self.ns[ns].ip("addr add %s dev %s" % (address, dev), "link set %s up" % dev)
        # Of what waits for a slow neighbour's answer none is dropped.
        for family in "ipv4", "ipv6":
            with contextlib.suppress(FileNotFoundError):
                self.ns[ns].sysctl("net.%s.neigh.%s.unres_qlen_bytes" % (family, dev), 4 << 20)

    def drop(self, name):
        self.ns.pop(name).delete()

    def close(self):
        for name in list(self.ns):
            self.drop(name)
        # The ports would go with their namespaces, but only some time later.
        self.wire_ns.ip(*["link del %s" % w for w in self.ports + self.wires], check=False)
        self.wires, self.ports = [], []

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def pair(a="k", b="x", **kw):
    """Two hosts on one wire, each with a network behind it on a dummy device:

    10.1.0.1/24 [A] 10.0.0.1 ---- wire ---- 10.0.0.2 [B] 10.2.0.1/24

    With ipv6 also fd01::1/64 [A] fd00::1 and fd00::2 [B] fd02::1/64.
    """
    lab = Lab(a, b, **kw)
    lab.wire(a + ":10.0.0.1/24", b + ":10.0.0.2/24")
    for name, own, other, gate in ((a, "10.1.0.1", "10.2.0.0", "10.0.0.2"),
                                   (b, "10.2.0.1", "10.1.0.0", "10.0.0.1")):
        lab[name].ip("link add net0 type dummy", "addr add %s/24 dev net0" % own,
                     "link set net0 up",
                     "route add %s/24 via %s src %s" % (other, gate, own))
    if kw.get("ipv6"):
        for name, own, net, other, gate in ((a, "fd00::1", "fd01::1", "fd02::", "fd00::2"),
                                            (b, "fd00::2", "fd02::1", "fd01::", "fd00::1")):
            lab[name].ip("addr add %s/64 dev eth0 nodad" % own, "addr add %s/64 dev net0 nodad" % net,
                         "route add %s/64 via %s src %s" % (other, gate, net))
    return lab


def still_neighbours(lab):
    """Of pair(): whoever has SAs for all to the other need not ask where he is."""
    for ns, other, addr in (("k", "x", "fd00::2"), ("x", "k", "fd00::1")):
        mac = lab[other].run("ip", "-br", "link", "show", "eth0").split()[2]
        lab[ns].ip("neigh replace %s lladdr %s dev eth0 nud permanent" % (addr, mac))


def gateways(**kw):
    """Two networks behind two gateways:

    [a] 10.1.0.2 -- 10.1.0.1 [g1] 10.0.0.1 -- wire -- 10.0.0.2 [g2] 10.2.0.1 -- 10.2.0.2 [b]
    """
    lab = Lab("a", "g1", "g2", "b", **kw)
    lab.wire("g1:10.0.0.1/24", "g2:10.0.0.2/24")
    lab.link("a:10.1.0.2/24", "g1:10.1.0.1/24:eth1")
    lab.link("b:10.2.0.2/24", "g2:10.2.0.1/24:eth1")
    for gate in ("g1", "g2"):
        lab[gate].sysctl("net.ipv4.ip_forward", 1)
    lab["a"].ip("route add default via 10.1.0.1")
    lab["b"].ip("route add default via 10.2.0.1")
    lab["g1"].ip("route add 10.2.0.0/24 via 10.0.0.2")
    lab["g2"].ip("route add 10.1.0.0/24 via 10.0.0.1")
    return lab


def wait_for(condition, timeout=30.0, step=0.02):
    """Poll until condition() holds; gives its last answer. A busy host makes all slow."""
    end = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer or time.monotonic() > end:
            return answer
        time.sleep(step)


def unloads(module):
    """Remove a module: who used it may let go of it a little later."""
    return wait_for(lambda: subprocess.run(["rmmod", module],
                                           stderr=subprocess.DEVNULL).returncode == 0, step=0.1)
