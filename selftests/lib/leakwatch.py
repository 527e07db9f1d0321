#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""leakwatch.py FILE: watch every wire of every test, from the first to the last.

Sees what the bridges of namespace "kt-wire" carry and writes a line to FILE for
each packet in which protected payload is readable outside of ESP and AH. Says
"watching" once it does, and ends with SIGTERM.
"""
import ctypes
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from netns import WIRE, Namespace            # noqa: E402
from wire import ETH_P_ALL, PACKET_OUTGOING, SECRET, Packet  # noqa: E402

# Keep IPv4 and IPv6 but for ESP and AH; whole packets. As tcpdump -dd prints:
# ip and not proto 50 and not proto 51, or ip6 and next header likewise.
FILTER = [
    (0x28, 0, 0, 12),               # ethertype
    (0x15, 0, 2, 0x0800),
    (0x30, 0, 0, 23),               # IPv4 protocol
    (0x05, 0, 0, 2),
    (0x15, 0, 4, 0x86dd),
    (0x30, 0, 0, 20),               # IPv6 next header
    (0x15, 2, 0, 50),
    (0x15, 1, 0, 51),
    (0x06, 0, 0, 0xffffffff),
    (0x06, 0, 0, 0),
]


def attach(sock):
    code = b"".join(struct.pack("HBBI", *i) for i in FILTER)
    buf = ctypes.create_string_buffer(code)
    sock.setsockopt(socket.SOL_SOCKET, 26,      # SO_ATTACH_FILTER
                    struct.pack("HxxxxxxQ", len(FILTER), ctypes.addressof(buf)))


def main():
    with Namespace(WIRE):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)
    attach(sock)
    print("watching", flush=True)
    with open(sys.argv[1], "a", buffering=1) as out:
        while True:
            data, (dev, _, kind, _, _) = sock.recvfrom(1 << 17)
            # Behind extension headers there may still be ESP, with the null cipher.
            if kind != PACKET_OUTGOING and SECRET in data and Packet(data[14:]).leaks():
                out.write("%.3f %s: %s\n" % (time.monotonic(), dev, Packet(data[14:])))


if __name__ == "__main__":
    main()
