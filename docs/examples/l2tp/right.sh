#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The L2TP tunnel of the right host: the mirror image of left.sh.
set -e

ip l2tp add tunnel tunnel_id 1 peer_tunnel_id 1 encap udp \
	local 192.0.2.2 remote 192.0.2.1 udp_sport 1701 udp_dport 1701
ip l2tp add session tunnel_id 1 session_id 1 peer_session_id 1 name office
ip link set office mtu 1400 up
ip addr add 10.9.0.2/24 dev office
