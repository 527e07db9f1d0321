# SPDX-License-Identifier: GPL-2.0
"""AH made and verified by hand (RFC 4302), for HMACs."""
import hmac
import struct

from esp import HASHES
from wire import AH, DSTOPTS, HOPOPTS, ROUTING, checksum

FIXED = {0x82, 0x85, 0x86, 0x94, 0x95}          # options of appendix A1 that nobody changes
ROUTES = {0x83, 0x89}


def _mask4(p):
    ihl = (p[0] & 15) * 4
    p[1:2] = bytes(1)           # type of service
    p[6:9] = bytes(3)           # flags, fragment offset, time to live
    p[10:12] = bytes(2)         # checksum
    n = 20
    while n < ihl and p[n] != 0:
        size = 1 if p[n] == 1 else p[n + 1]
        if p[n] in ROUTES and p[n + 2] <= size - 3:
            p[16:20] = p[n + size - 4:n + size]
        if p[n] != 1 and p[n] not in FIXED:
            p[n:n + size] = bytes(size)
        n += size


def _mask6(p):
    p[0:4] = b"\x60\0\0\0"     # traffic class, flow label
    p[7] = 0                    # hop limit
    for kind, at, end in _extensions(p):
        if kind == ROUTING and p[at + 3]:
            # as it ends: each stop has left the address that the packet had before
            stops = [bytes(p[n:n + 16]) for n in range(at + 8, end, 16)]
            left, dst = p[at + 3], bytes(p[24:40])
            passed = stops[:len(stops) - left] + [dst] + stops[len(stops) - left:]
            p[at + 3] = 0
            p[at + 8:end] = b"".join(passed[:-1])
            p[24:40] = passed[-1]
        n = at + 2
        while kind != ROUTING and n < end:
            size = 1 if p[n] == 0 else 2 + p[n + 1]
            if p[n] & 0x20:
                p[n + 2:n + size] = bytes(size - 2)
            n += size


def _extensions(p):
    """(kind, offset, end) of the headers that stand in front of AH."""
    found, kind, at = [], p[6], 40
    while kind in (HOPOPTS, ROUTING, DSTOPTS):
        end = at + 8 * (p[at + 1] + 1)
        found.append((kind, at, end))
        kind, at = p[at], end
    return found


def place(packet):
    """Where the AH header is, or goes, and where the byte that says so."""
    if packet[0] >> 4 == 4:
        return (packet[0] & 15) * 4, 9
    found = _extensions(packet)
    return (found[-1][2], found[-1][1]) if found else (40, 6)


def icv(sa, packet, high=None):
    """What the ICV of this packet must be; high as in esp.seal()."""
    hash_ = sa.algs[1]
    n = place(packet)[0] + 12
    p = bytearray(packet)
    if p[0] >> 4 == 4:
        _mask4(p)
    else:
        _mask6(p)
    p[n:n + hash_.icv] = bytes(hash_.icv)
    if high is not None:
        p += struct.pack("!I", high)
    return hmac.new(bytes.fromhex(hash_.key), p, HASHES[hash_.name]).digest()[:hash_.icv]


def with_length(packet):
    """The same with a right length in the IP header."""
    if packet[0] >> 4 == 6:
        return packet[:4] + struct.pack("!H", len(packet) - 40) + packet[6:]
    return packet[:2] + struct.pack("!H", len(packet)) + packet[4:]


def flipped(packet, at, bits=1):
    """The same with some bits of a byte turned round."""
    at %= len(packet)
    return packet[:at] + bytes((packet[at] ^ bits,)) + packet[at + 1:]


def fix(packet):
    """The same with a right IP checksum."""
    if packet[0] >> 4 == 6:
        return packet
    ihl = (packet[0] & 15) * 4
    head = packet[:10] + bytes(2) + packet[12:ihl]
    return head[:10] + struct.pack("!H", checksum(head)) + packet[12:]


def protect(sa, seq, packet, padding=b"", high=None):
    """AH behind the IP header of a packet; padding goes behind the ICV."""
    n, next_header = place(packet)
    size = 12 + sa.algs[1].icv + len(padding)
    p = bytearray(packet)
    head = struct.pack("!BBHII", p[next_header], size // 4 - 2, 0, sa.spi, seq & 0xffffffff)
    p[next_header] = AH
    p[n:n] = head + bytes(sa.algs[1].icv) + padding
    p = with_length(bytes(p))
    n += 12
    return fix(p[:n] + icv(sa, p, high) + p[n + sa.algs[1].icv:])


def good(sa, packet, high=None):
    """Is the ICV of a captured packet right?"""
    n = place(packet)[0] + 12
    return packet[n:n + sa.algs[1].icv] == icv(sa, packet, high)
