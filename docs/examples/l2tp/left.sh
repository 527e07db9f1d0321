#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The L2TP tunnel of the left host, without a daemon, and in it one session: a
# device "office" that looks like Ethernet and may as well join a bridge. 1400
# bytes leave room for L2TP and ESP in packets of 1500.
set -e

ip l2tp add tunnel tunnel_id 1 peer_tunnel_id 1 encap udp \
	local 192.0.2.1 remote 192.0.2.2 udp_sport 1701 udp_dport 1701
ip l2tp add session tunnel_id 1 session_id 1 peer_session_id 1 name office
ip link set office mtu 1400 up
ip addr add 10.9.0.1/24 dev office
