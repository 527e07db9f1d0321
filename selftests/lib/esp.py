# SPDX-License-Identifier: GPL-2.0
"""ESP packets made by hand, for tests that forge them (RFC 4303).

The null cipher with an HMAC, which needs nothing but Python's own library: what is
tested with these are numbers, lengths and headers. And AES-GCM, for its memory.
"""
import hashlib
import hmac
import struct

HASHES = {"hmac-sha1": hashlib.sha1, "hmac-sha256": hashlib.sha256, "hmac-md5": hashlib.md5,
          "hmac-sha384": hashlib.sha384, "hmac-sha512": hashlib.sha512}


def trailer(payload_len, next_header, block=4, pad=None):
    if pad is None:
        pad = -(payload_len + 2) % block
    return bytes(range(1, pad + 1)) + bytes((pad, next_header))


def seal(sa, seq, text, high=None):
    """SPI, sequence number and ICV around what would be encrypted.

    high: the upper half of an extended sequence number, which is not sent
    (RFC 4303 section 2.2.1).
    """
    _, hash_ = sa.algs
    packet = struct.pack("!II", sa.spi, seq & 0xffffffff) + text
    signed = packet + (struct.pack("!I", high) if high is not None else b"")
    icv = hmac.new(bytes.fromhex(hash_.key), signed, HASHES[hash_.name]).digest()
    return packet + icv[:hash_.icv]


def seal_gcm(sa, seq, text):
    """The same with AES-GCM (RFC 4106): encrypted, behind an IV."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    key, iv = bytes.fromhex(sa.algs[0].key), struct.pack("!Q", seq)
    head = struct.pack("!II", sa.spi, seq)
    return head + iv + AESGCM(key[:-4]).encrypt(key[-4:] + iv, text, head)


def protect(sa, seq, payload, next_header, high=None):
    """The ESP part of a packet."""
    return seal(sa, seq, payload + trailer(len(payload), next_header), high)


def open_(sa, esp):
    """(seq, payload, next header, padding) of such a packet; ValueError if it is wrong."""
    _, hash_ = sa.algs
    text, icv = esp[:-hash_.icv], esp[-hash_.icv:]
    good = hmac.new(bytes.fromhex(hash_.key), text, HASHES[hash_.name]).digest()
    if icv != good[:hash_.icv]:
        raise ValueError("ICV")
    spi, seq = struct.unpack_from("!II", text)
    if spi != sa.spi:
        raise ValueError("SPI %#x" % spi)
    pad, next_header = text[-2:]
    return seq, text[8:-2 - pad], next_header, text[-2 - pad:-2]
