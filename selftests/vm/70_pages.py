#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# Suite: debug
#
# Pages that a packet only borrows are never written to: files sent by sendfile
# and splice, memory sent by vmsplice and MSG_ZEROCOPY, encrypted on the way
# out; and ESP packets that arrive in the pages of a file. Each also while a
# packet socket listens, so that the packets have clones.
#
#	out: file -> UDP or TCP socket [k: kipsec] 10.0.0.1 ---- 10.0.0.2 [x: xfrm]
#	in:  file -> UDP socket [x] ---- wire ---- [k: vxlan0 10.3.0.1, kipsec]
#
# For the way in, the file holds VXLAN, Ethernet, IP and an ESP packet made with
# the right key: the receiver's VXLAN device hands the inner packet to kipsec
# with the file's pages still in it.
import ctypes
import mmap
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ipsec                                                    # noqa: E402
from esp import seal_gcm, trailer                               # noqa: E402
from ipsec import SA, Kipsec, Moves, Policy, Xfrm, transport    # noqa: E402
from ktap import check, equal, run                              # noqa: E402
from netns import pair                                          # noqa: E402
from traffic import Udp                                         # noqa: E402
from wire import ESP, ETH_P_ALL, UDP, fill, ip4, udp4           # noqa: E402

K, X, PORT = "10.0.0.1", "10.0.0.2", 4000
MSG_ZEROCOPY, SO_ZEROCOPY = 0x4000000, 60
_libc = ctypes.CDLL(None, use_errno=True)


class File:
    """A file in memory whose bytes must stay."""

    def __init__(self, data):
        self.data = data
        self.fd = os.memfd_create("kipsec-test")
        os.write(self.fd, data)

    def unharmed(self):
        got = os.pread(self.fd, len(self.data) + 1, 0)
        bad = [i for i in range(len(self.data)) if got[i:i + 1] != self.data[i:i + 1]]
        check(not bad and len(got) == len(self.data),
              "the file has changed in %d bytes from %s on" % (len(bad), bad[:1]))

    def close(self):
        os.close(self.fd)


def by_sendfile(sock, f, size):
    equal(os.sendfile(sock.fileno(), f.fd, 0, size), size, "sendfile")


def by_splice(sock, f, size):
    r, w = os.pipe()
    try:
        equal(os.splice(f.fd, w, size, offset_src=0), size, "splice to the pipe")
        equal(os.splice(r, sock.fileno(), size), size, "splice to the socket")
    finally:
        os.close(r)
        os.close(w)


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


def memory_of(f):
    m = mmap.mmap(f.fd, len(f.data))
    return m, ctypes.addressof(ctypes.c_char.from_buffer(m))


def by_vmsplice(sock, f, size):
    m, address = memory_of(f)
    r, w = os.pipe()
    try:
        iov = Iovec(address, size)
        equal(_libc.vmsplice(w, ctypes.byref(iov), 1, 0), size, "vmsplice")
        equal(os.splice(r, sock.fileno(), size), size, "splice to the socket")
    finally:
        os.close(r)
        os.close(w)


def by_zerocopy(sock, f, size):
    m, address = memory_of(f)
    sock.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    sent = _libc.send(sock.fileno(), ctypes.c_void_p(address), ctypes.c_size_t(size),
                      MSG_ZEROCOPY)
    equal(sent, size, "send with MSG_ZEROCOPY")


WAYS = [("sendfile", by_sendfile), ("splice", by_splice), ("vmsplice", by_vmsplice),
        ("MSG_ZEROCOPY", by_zerocopy)]


def listener(ns):
    return ns.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))


def udp_out(lab, way, size):
    f, receiver = File(fill(size)), Udp(lab["x"], X, PORT)
    sock = lab["k"].socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((X, PORT))
    try:
        way(sock, f, size)
        equal(receiver.recv(), f.data, "datagram")
        f.unharmed()
    finally:
        sock.close()
        receiver.close()
        f.close()


def tcp_out(lab, way, size):
    f = File(fill(size))
    server = lab["x"].socket(socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((X, PORT))
    server.listen(1)
    sock = lab["k"].socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.settimeout(20)
        server.settimeout(20)
        sock.connect((X, PORT))
        conn = server.accept()[0]
        conn.settimeout(20)
        sock.setblocking(True)
        way(sock, f, size)
        got = b""
        while len(got) < size:
            part = conn.recv(size)
            check(part, "closed early")
            got += part
        equal(got == f.data, True, "bytes received are those of the file")
        f.unharmed()
        conn.close()
    finally:
        sock.close()
        server.close()
        f.close()


def outward(tap):
    ipsec.loaded()
    with pair() as lab:
        k, x = Kipsec(lab["k"]), Xfrm(lab["x"])
        sas = [SA(K, X, 0xb001, ipsec.GCM), SA(X, K, 0xb002, ipsec.GCM)]
        for stack, own, peer in ((k, K, X), (x, X, K)):
            stack.add(*sas, Policy(own, peer, "out", requests=[transport()]),
                      Policy(peer, own, "in", requests=[transport()]))
        tap.on_failure += [k.state, x.state]
        for ears in (False, True):
            ear = [listener(lab[n]) for n in "kx"] if ears else []
            suffix = ", a packet socket listens" if ears else ""
            for name, way in WAYS:
                for size in (16, 1000, 4096, 9000):
                    with tap.case("out: %s of %d bytes to UDP%s" % (name, size, suffix)):
                        udp_out(lab, way, size)
                with tap.case("out: %s of 64 KiB to TCP%s" % (name, suffix)):
                    tcp_out(lab, way, 65536 if name != "MSG_ZEROCOPY" else 32768)
            for e in ear:
                e.close()


def seal_cbc(sa, seq, text):
    import hashlib
    import hmac
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    iv = bytes(range(16))
    c = Cipher(algorithms.AES(bytes.fromhex(sa.algs[0].key)), modes.CBC(iv)).encryptor()
    packet = struct.pack("!II", sa.spi, seq) + iv + c.update(text) + c.finalize()
    icv = hmac.new(bytes.fromhex(sa.algs[1].key), packet, hashlib.sha1).digest()
    return packet + icv[:12]


def inward(tap):
    with pair() as lab:
        k = Kipsec(lab["k"])
        lab["k"].ip("link add vxlan0 address 02:00:00:00:00:01 type vxlan id 7 dstport 4789 "
                    "local %s remote %s" % (K, X), "addr add 10.3.0.1/24 dev vxlan0",
                    "link set vxlan0 mtu 9000 up")
        src, dst = "10.3.0.2", "10.3.0.1"
        tap.on_failure.append(k.state)
        kinds = [("aes-gcm", SA(src, dst, 0xb011, ipsec.GCM), seal_gcm, 4),
                 ("aes-cbc", SA(src, dst, 0xb012, ipsec.AES_SHA1), seal_cbc, 16)]
        k.add(*[sa for _, sa, _, _ in kinds])
        receiver = Udp(lab["k"], dst, PORT)
        sock = lab["x"].socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect((K, 4789))
        seq = 0
        for ears in (False, True):
            ear = [listener(lab[n]) for n in "kx"] if ears else []
            for name, sa, seal, block in kinds:
                for size in (40, 1200, 5000):
                    for how, way in WAYS:
                        seq += 1
                        with tap.case("in: %s, %d bytes of a file by %s%s" % (
                                name, size, how, ", a packet socket listens" if ears else "")):
                            one_in(k, sock, receiver, sa, seal, block, seq, size, way)
            for e in ear:
                e.close()
        receiver.close()
        sock.close()


def one_in(k, sock, receiver, sa, seal, block, seq, size, way):
    data = fill(size)
    datagram = udp4("", "", 9, PORT, data)
    esp = seal(sa, seq, datagram + trailer(len(datagram), UDP, block))
    frame = struct.pack("!II", 0x08000000, 7 << 8) + bytes.fromhex("020000000001020000000002") + \
        b"\x08\0" + ip4(sa.src, sa.dst, ESP, esp)
    f = File(frame)
    try:
        with Moves(k, InProtected=1):
            way(sock, f, len(frame))
        equal(receiver.recv(), data, "datagram")
        f.unharmed()
    finally:
        f.close()


if __name__ == "__main__":
    run(outward, inward)
