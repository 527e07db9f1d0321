# SPDX-License-Identifier: GPL-2.0
"""A PF_KEY client for tests: builds requests of any kind, reads answers strictly.

	key = Key()
	key.send(ADD, ESP, sa(0x1000, auth=5, enc=12), *ends("10.0.0.1", "10.0.0.2"), ...)
	m = key.recv()			# at once, or NoMessage
	m.errno, m.seq, m.ext[SA].spi

What is received is checked to the last byte: lengths, each extension once, no
extension that programs do not know, zeros wherever nothing belongs.
"""
import errno
import os
import select
import socket
import struct
import time

PF_KEY = 15
PF_KEY_V2 = 2

(GETSPI, UPDATE, ADD, DELETE, GET, ACQUIRE, REGISTER, EXPIRE, FLUSH, DUMP, PROMISC, PCHANGE,
 SPDUPDATE, SPDADD, SPDDELETE, SPDGET, SPDACQUIRE, SPDDUMP, SPDFLUSH, SPDSETIDX, SPDEXPIRE,
 SPDDELETE2, NEW_MAPPING, MIGRATE) = range(1, 25)

UNSPEC, AH, ESP, IPCOMP = 0, 2, 3, 9

SA, CURRENT, HARD, SOFT, SRC, DST, PROXY, KEY_AUTH, KEY_ENC = range(1, 10)
SUPPORTED_AUTH, SUPPORTED_ENC, SPIRANGE = 14, 15, 16
POLICY, SA2, NATT_TYPE, NATT_SPORT, NATT_DPORT, NATT_OA, SEC_CTX, KMADDRESS, FILTER = range(18, 27)
KIPSEC_REPLAY, KIPSEC_SA, KIPSEC_ENGINE, KIPSEC_CPU = range(64, 68)
KNOWN = set(range(1, 26)) - {17} | set(range(64, 68))

IN, OUT, FWD = 1, 2, 3
DISCARD, NONE, IPSEC = 0, 1, 2
USE, REQUIRE, UNIQUE = 1, 2, 3
TRANSPORT, TUNNEL = 1, 2
LARVAL, MATURE, DYING, DEAD = range(4)

SHA1, SHA256, NULL_AUTH = 3, 5, 251
NULL, AES, GCM16 = 11, 12, 20


def error_name(number):
    """Two names have one number on Linux; this is the one of the socket calls."""
    return errno.errorcode.get(number, str(number)).replace("ENOTSUP", "EOPNOTSUPP")


class NoMessage(AssertionError):
    pass


class Bad(AssertionError):
    """The kernel sent something that it must not send."""


# --- what goes into a request ---

def ext(kind, body):
    body += bytes(-(len(body) + 4) % 8)
    return struct.pack("HH", (len(body) + 4) // 8, kind) + body


def sa(spi, replay=0, auth=0, enc=0, flags=0, state=0):
    return ext(SA, struct.pack(">I", spi) + struct.pack("BBBBI", replay, state, auth, enc, flags))


def lifetime(kind, packets=0, octets=0, add=0, use=0):
    return ext(kind, struct.pack("=IQQQ", packets, octets, add, use))


def sockaddr(addr, port=0):
    if ":" in addr:
        return struct.pack("=H", socket.AF_INET6) + struct.pack(">HI", port, 0) + \
            socket.inet_pton(socket.AF_INET6, addr) + bytes(4)
    return struct.pack("=H", socket.AF_INET) + struct.pack(">H", port) + \
        socket.inet_pton(socket.AF_INET, addr) + bytes(8)


def address(kind, addr, prefix=None, proto=0, port=0):
    if prefix is None:
        prefix = 128 if ":" in addr else 32
    return ext(kind, struct.pack("=BBH", proto, prefix, 0) + sockaddr(addr, port))


def ends(src, dst):
    return address(SRC, src), address(DST, dst)


def key(kind, data, bits=None):
    return ext(kind, struct.pack("=HH", len(data) * 8 if bits is None else bits, 0) + data)


def sa2(mode=0, reqid=0):
    return ext(SA2, struct.pack("=BBHII", mode, 0, 0, 0, reqid))


def spirange(low, high):
    return ext(SPIRANGE, struct.pack("=III", low, high, 0))


def natt(sport, dport, kind=2):
    return (ext(NATT_TYPE, struct.pack("=BBH", kind, 0, 0)) +
            ext(NATT_SPORT, struct.pack(">HH", sport, 0)) +
            ext(NATT_DPORT, struct.pack(">HH", dport, 0)))


def request(proto=50, mode=TRANSPORT, level=REQUIRE, reqid=0, pair=None, reserved=0):
    tail = b"".join(sockaddr(a) for a in pair) if pair else b""
    return struct.pack("=HHBBHII", 16 + len(tail), proto, mode, level, reserved & 0xffff, reqid,
                       reserved) + tail


def policy(direction, kind=IPSEC, requests=(), priority=0, number=0):
    return ext(POLICY, struct.pack("=HBBII", kind, direction, 0, number, priority) +
               b"".join(requests))


def selector(src, dst, proto=255, sport=0, dport=0):
    (a, p), (b, q) = src.split("/"), dst.split("/")
    return address(SRC, a, int(p), proto, sport) + address(DST, b, int(q), proto, dport)


def xfilter(family, src=None, splen=0, dst=None, dplen=0):
    def raw(a):
        return socket.inet_pton(family, a).ljust(16, b"\0") if a else bytes(16)
    return ext(FILTER, raw(src) + raw(dst) + struct.pack("=HBB", family, splen, dplen))


# --- what comes out of an answer ---

class Fields:
    def __init__(self, **fields):
        self.__dict__.update(fields)

    def __repr__(self):
        return repr(self.__dict__)

    def __eq__(self, other):
        return self.__dict__ == other.__dict__


def zero(data, what):
    if data.strip(b"\0"):
        raise Bad("%s is not zero: %s" % (what, data.hex()))


def read_sockaddr(data):
    family, = struct.unpack_from("=H", data)
    port, = struct.unpack_from(">H", data, 2)
    if family == socket.AF_INET:
        zero(data[8:16], "sin_zero")
        return socket.inet_ntop(family, data[4:8]), port, 16
    if family != socket.AF_INET6:
        raise Bad("address family %d" % family)
    zero(data[4:8], "flow label")
    zero(data[24:28], "scope")
    return socket.inet_ntop(family, data[8:24]), port, 28


def read_address(body):
    proto, prefix, reserved = struct.unpack_from("=BBH", body)
    if reserved:
        raise Bad("address reserved")
    addr, port, size = read_sockaddr(body[4:])
    if len(body) + 4 != (24 if size == 16 else 40):
        raise Bad("address extension of %d bytes" % (len(body) + 4))
    zero(body[4 + size:], "padding of an address")
    return Fields(addr=addr, prefix=prefix, proto=proto, port=port)


def read_policy(body):
    kind, direction, reserved, number, priority = struct.unpack_from("=HBBII", body)
    if reserved:
        raise Bad("policy reserved")
    at, requests = 12, []
    while at < len(body):
        size, proto, mode, level, r1, reqid, r2 = struct.unpack_from("=HHBBHII", body, at)
        if r1 or r2:
            raise Bad("request reserved")
        pair = None
        if mode == TUNNEL:
            src, _, one = read_sockaddr(body[at + 16:])
            dst, _, two = read_sockaddr(body[at + 16 + one:])
            pair = (src, dst)
            if size != 16 + one + two:
                raise Bad("tunnel request of %d bytes" % size)
        elif size != 16:
            raise Bad("transport request of %d bytes" % size)
        requests.append(Fields(proto=proto, mode=mode, level=level, reqid=reqid, pair=pair))
        at += size
    if at != len(body):
        raise Bad("requests do not fill their extension")
    return Fields(kind=kind, dir=direction, id=number, priority=priority, requests=requests)


def read_key(body):
    bits, reserved = struct.unpack_from("=HH", body)
    size = (bits + 7) // 8
    if reserved or len(body) != 4 + (size + 7) // 8 * 8:
        raise Bad("key extension")
    zero(body[4 + size:], "padding of a key")
    return body[4:4 + size]


def read_supported(body):
    zero(body[:4], "reserved")
    algs = {}
    for at in range(4, len(body), 8):
        number, ivlen, low, high, reserved = struct.unpack_from("=BBHHH", body, at)
        if number in algs or reserved:
            raise Bad("algorithm %d" % number)
        algs[number] = (ivlen, low, high)
    return algs


def kipsec_replay(window, flags=0, last=0):
    return ext(KIPSEC_REPLAY, struct.pack("=IIIQ", window, flags, 0, last))


def kipsec_sa(icv=0, direction=0):
    return ext(KIPSEC_SA, struct.pack("=HBB", icv, direction, 0))


def kipsec_engine(name=None):
    """A wish for a driver; without a name it asks which one serves."""
    return ext(KIPSEC_ENGINE, bytes(36) + (b"" if name is None else name.encode() + b"\0"))


def kipsec_cpu(number):
    return ext(KIPSEC_CPU, struct.pack("=I", number))


def read_engine(body):
    inflight, requests, octets, errors, fallbacks = struct.unpack_from("=IQQQQ", body)
    name, padding = body[36:].split(b"\0", 1)
    zero(padding, "padding")
    return Fields(inflight=inflight, requests=requests, octets=octets, errors=errors,
                  fallbacks=fallbacks, driver=name.decode())


def read_ext(kind, body):
    if kind == KIPSEC_ENGINE:
        return read_engine(body)
    if kind == KIPSEC_CPU:
        return struct.unpack("=I", body)[0]
    if kind == KIPSEC_SA:
        zero(body[3:], "reserved")
        return struct.unpack_from("=HB", body)
    if kind == KIPSEC_REPLAY:
        window, flags, reserved, last = struct.unpack("=IIIQ", body)
        if reserved:
            raise Bad("replay reserved")
        return Fields(window=window, flags=flags, last=last)
    if kind == SA:
        spi, = struct.unpack_from(">I", body)
        replay, state, auth, enc, flags = struct.unpack_from("=BBBBI", body, 4)
        return Fields(spi=spi, replay=replay, state=state, auth=auth, enc=enc, flags=flags)
    if kind in (HARD, SOFT, CURRENT):
        return Fields(**dict(zip(("packets", "octets", "add", "use"),
                                 struct.unpack("=IQQQ", body))))
    if kind in (SRC, DST):
        return read_address(body)
    if kind in (KEY_AUTH, KEY_ENC):
        return read_key(body)
    if kind in (SUPPORTED_AUTH, SUPPORTED_ENC):
        return read_supported(body)
    if kind == POLICY:
        return read_policy(body)
    if kind == SA2:
        mode, r1, r2, seq, reqid = struct.unpack("=BBHII", body)
        if r1 or r2:
            raise Bad("SA2 reserved")
        return Fields(mode=mode, seq=seq, reqid=reqid)
    if kind == NATT_TYPE:
        zero(body[1:], "padding")
        return body[0]
    if kind in (NATT_SPORT, NATT_DPORT):
        zero(body[2:], "padding")
        return struct.unpack_from(">H", body)[0]
    return body


class Message:
    def __init__(self, data):
        self.data = data
        (version, self.type, self.errno, self.satype, length, self.reserved, self.seq,
         self.pid) = struct.unpack_from("=BBBBHHII", data)
        self.ext, self.order = {}, []
        if version != PF_KEY_V2 or length * 8 != len(data) or len(data) > 4096:
            raise Bad("base header: %s, %d bytes" % (data[:16].hex(), len(data)))
        at = 16
        while at < len(data):
            size, kind = struct.unpack_from("=HH", data, at)
            if not size or at + 8 * size > len(data) or kind not in KNOWN or kind in self.ext:
                raise Bad("extension %d of %d units" % (kind, size))
            self.ext[kind] = read_ext(kind, data[at + 4:at + 8 * size])
            self.order.append(kind)
            at += 8 * size

    def __repr__(self):
        return "type %d errno %s satype %d seq %d pid %d %s" % (
            self.type, error_name(self.errno), self.satype, self.seq,
            self.pid, self.ext)


class Key:
    """One PF_KEY socket."""
    pid = 4711

    def __init__(self, fd=None):
        if fd is None:
            self.sock = socket.socket(PF_KEY, socket.SOCK_RAW, PF_KEY_V2)
        else:
            self.sock = socket.socket(PF_KEY, socket.SOCK_RAW, PF_KEY_V2, fileno=fd)
        self.seq = 1000

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def pack(self, kind, satype, *exts, err=0, seq=None, pid=None):
        if seq is None:
            self.seq += 1
            seq = self.seq
        body = b"".join(exts)
        return struct.pack("=BBBBHHII", PF_KEY_V2, kind, err, satype, 2 + len(body) // 8, 0, seq,
                           self.pid if pid is None else pid) + body

    def send(self, kind, satype=UNSPEC, *exts, **header):
        data = self.pack(kind, satype, *exts, **header)
        if self.sock.send(data) != len(data):
            raise Bad("send returned something else than the length")
        return data

    def recv(self, wait=0):
        if wait and not select.select([self.sock], [], [], wait)[0]:
            raise NoMessage("no message within %s s" % wait)
        try:
            return Message(self.sock.recv(65536, socket.MSG_DONTWAIT))
        except BlockingIOError:
            raise NoMessage("no message") from None

    def quiet(self):
        """Nothing is waiting."""
        try:
            m = self.recv()
        except NoMessage:
            return
        raise Bad("unexpected: %s" % m)

    def ask(self, kind, satype=UNSPEC, *exts, **header):
        """Send, and take the one answer; it must be there at once."""
        data = self.send(kind, satype, *exts, **header)
        m = self.recv()
        if (m.seq, m.pid) != struct.unpack_from("=II", data, 8):
            raise Bad("answer to somebody else: %s" % m)
        return m

    def ok(self, kind, satype=UNSPEC, *exts, **header):
        m = self.ask(kind, satype, *exts, **header)
        if m.errno:
            raise Bad("%s" % m)
        return m

    def fails(self, kind, satype=UNSPEC, *exts, **header):
        """The name of the error; it comes as the request's own header."""
        data = self.send(kind, satype, *exts, **header)
        m = self.recv()
        wanted = data[:2] + bytes([m.errno]) + data[3:4] + struct.pack("=H", 2) + data[6:16]
        if not m.errno:
            raise Bad("no error: %s" % m)
        if m.data != wanted:
            raise Bad("not an echo: %s" % m.data.hex())
        return error_name(m.errno)

    def dump(self, kind=DUMP, satype=UNSPEC, *exts):
        """All messages of a dump; an empty list if there is nothing."""
        self.send(kind, satype, *exts)
        found = []
        while True:
            m = self.recv()
            if m.errno == errno.ENOENT and not found:
                return []
            if m.errno:
                raise Bad("%s" % m)
            found.append(m)
            if not m.seq:
                return found

    def drain(self):
        found = []
        while True:
            try:
                found.append(self.recv())
            except NoMessage:
                return found


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def in_child(function):
    """Run in a child; what it returns must be a small number."""
    pid = os.fork()
    if not pid:
        status = 99
        try:
            status = function()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
