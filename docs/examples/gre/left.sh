#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The GRE tunnel of the left gateway. 1400 bytes leave room for GRE and ESP in
# packets of 1500.
set -e

ip link add office type gre local 192.0.2.1 remote 192.0.2.2 ttl 64
ip link set office mtu 1400 up
ip addr add 10.9.0.1/30 dev office
ip route add 10.2.0.0/24 dev office
