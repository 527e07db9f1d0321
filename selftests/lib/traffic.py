# SPDX-License-Identifier: GPL-2.0
"""Traffic made in the program itself: a process costs more than a hundred packets."""
import contextlib
import errno
import hashlib
import os
import select
import socket
import struct
import threading
import time

from ktap import Failed
from wire import SECRET, checksum, fill


@contextlib.contextmanager
def one_processor():
    """The sender's; whoever moves overtakes himself in the processor's queue."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {0})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def in_front():
    """Before all that has no real-time priority, until the kernel takes us for stuck: a second."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def numbers(datagrams, end):
    """Those at their beginning. xfrm's receiver, the end x, gives what came in transport mode
    to a work item of each processor and may reorder it; what was on the wire shows the sender's."""
    got = [struct.unpack_from("!I", d)[0] for d in datagrams]
    return sorted(got) if end == "x" else got


class Ping:
    """ICMP echoes from one namespace."""

    sequence = 0

    def __init__(self, ns, src=None, df=False, ipv6=False):
        self.ipv6 = ipv6 or bool(src and ":" in src)
        if self.ipv6:
            self.sock = ns.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        else:
            self.sock = ns.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            # IP_MTU_DISCOVER: 2 sets DF and fails, 1 is the system's habit
            self.sock.setsockopt(socket.IPPROTO_IP, 10, 2 if df else 1)
        if src:
            self.sock.bind((src, 0))
        self.ident = id(self) >> 4 & 0xffff

    def __call__(self, dst, size=56, timeout=2.0, pattern=SECRET):
        """Seconds until the right answer, or None."""
        Ping.sequence = Ping.sequence % 65535 + 1
        seq, data = Ping.sequence, fill(size, pattern)
        packet = struct.pack("!BBHHH", 128 if self.ipv6 else 8, 0, 0, self.ident, seq) + data
        # Of ICMPv6 the kernel makes the checksum, for it knows the addresses.
        packet = packet[:2] + struct.pack("!H", checksum(packet)) + packet[4:]
        start = time.monotonic()
        try:
            self.sock.sendto(packet, (dst, 0))
        except OSError as e:
            if e.errno in (errno.EHOSTUNREACH, errno.EPERM, errno.ENOBUFS, errno.EMSGSIZE,
                           errno.ENETUNREACH, errno.EINVAL, errno.ESRCH):
                self.error = e.errno
                return None
            raise
        self.error = 0
        while True:
            left = start + timeout - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                return None
            try:
                got = self.sock.recv(70000)
            except OSError:
                continue
            ihl = 0 if self.ipv6 else (got[0] & 15) * 4
            kind, _, _, ident, number = struct.unpack_from("!BBHHH", got, ihl)
            if kind == (129 if self.ipv6 else 0) and ident == self.ident and number == seq:
                if got[ihl + 8:] != data:
                    raise Failed("the echo of %d bytes came back changed" % size)
                return time.monotonic() - start

    def close(self):
        self.sock.close()


class Udp:
    """A UDP socket in a namespace."""

    def __init__(self, ns, addr="0.0.0.0", port=0, df=None, rcvbuf=4 << 20):
        ipv6 = ":" in addr
        self.sock = ns.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, 33, rcvbuf)     # SO_RCVBUFFORCE
        if df is not None:                                      # IP(V6)_MTU_DISCOVER
            self.sock.setsockopt(*((41, 23) if ipv6 else (0, 10)), df)
        self.sock.bind((addr, port))
        self.port = self.sock.getsockname()[1]

    def send(self, data, dst, port):
        return self.sock.sendto(data, (dst, port))

    def recv(self, timeout=2.0):
        """Next datagram, or None."""
        if not select.select([self.sock], [], [], timeout)[0]:
            return None
        return self.sock.recv(70000)

    def all(self, count=None, timeout=None):
        """Datagrams until there are count of them, or none for a while."""
        got = []
        if timeout is None:
            timeout = 0.3 if count is None else 2.0
        while count is None or len(got) < count:
            data = self.recv(timeout)
            if data is None:
                break
            got.append(data)
        return got

    def close(self):
        self.sock.close()


def tcp_copy(src_ns, dst_ns, dst, size, port=5001, src=None, timeout=60, pattern=SECRET):
    """Send size bytes and compare hashes; gives seconds. Fails on loss or change."""
    ipv6 = ":" in dst
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    server = dst_ns.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("::" if ipv6 else "0.0.0.0", port))
    server.listen(1)
    server.settimeout(timeout)
    client = src_ns.socket(family, socket.SOCK_STREAM)
    client.settimeout(timeout)
    if src:
        client.bind((src, 0))
    block = fill(1 << 16, pattern)
    sent, got, error = hashlib.sha256(), hashlib.sha256(), []

    def receive():
        try:
            conn, _ = server.accept()
            conn.settimeout(timeout)
            while True:
                data = conn.recv(1 << 18)
                if not data:
                    break
                got.update(data)
            conn.sendall(b"end")
            conn.close()
        except OSError as e:
            error.append(e)

    thread = threading.Thread(target=receive, daemon=True)
    thread.start()
    start = time.monotonic()
    try:
        client.connect((dst, port))
        left = size
        n = 0
        while left:
            # Each block is different, so that order counts.
            data = (struct.pack("!I", n) + block)[:min(left, len(block))]
            client.sendall(data)
            sent.update(data)
            left -= len(data)
            n += 1
        client.shutdown(socket.SHUT_WR)
        if client.recv(3) != b"end":
            raise Failed("TCP to %s: closed early" % dst)
    except OSError as e:
        raise Failed("TCP to %s: %s" % (dst, e)) from None
    finally:
        client.close()
        server.close()
    thread.join(timeout)
    if error:
        raise Failed("TCP receiver: %s" % error[0])
    if sent.digest() != got.digest():
        raise Failed("TCP to %s: %d bytes arrived changed" % (dst, size))
    return time.monotonic() - start
