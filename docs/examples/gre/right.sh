#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The GRE tunnel of the right gateway: the mirror image of left.sh.
set -e

ip link add office type gre local 192.0.2.2 remote 192.0.2.1 ttl 64
ip link set office mtu 1400 up
ip addr add 10.9.0.2/30 dev office
ip route add 10.1.0.0/24 dev office
