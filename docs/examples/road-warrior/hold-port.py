#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""hold-port.py [PEER]: keep UDP port 4500 open for ESP in UDP, until killed.

The kernel takes ESP out of UDP for the socket that asked for it, which is the
key manager's. With keys by hand there is none, and this stands in for it. With
a peer it sends him one byte every 20 seconds, which he throws away, but which
makes the address translation between them remember the way back.
"""
import socket
import sys
import time

UDP_ENCAP, UDP_ENCAP_ESPINUDP = 100, 2          # linux/udp.h

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 4500))
s.setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP)
while True:
    if len(sys.argv) > 1:
        s.sendto(b"\xff", (sys.argv[1], 4500))
    time.sleep(20)
