# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The network that the bench measures in, and SAs and policies in the words of either
# stack; sourced by guest.
#
#	A 10.1.0.2 -- 10.1.0.1 G1 10.2.0.1 -- 10.2.0.2 G2 10.3.0.1 -- 10.3.0.2 B
#
# and for IPv6 fd00:1::2 instead of 10.1.0.2, and so on.

GCM_KEY=0x00112233445566778899aabbccddeeff01020304
CBC_KEY=0x00112233445566778899aabbccddeeff
SHA1_KEY=0x000102030405060708090a0b0c0d0e0f10111213
DES_KEY=0x0123456789abcdef1123456789abcdef2123456789abcdef
SHA512_KEY=0x$(printf '%0128d' 1)

# --- the network ---

# net FAMILY: the addresses that all below works with
net() {
	case $1 in
	4)	a=10.1.0.2 ga=10.1.0.1 g1=10.2.0.1 g2=10.2.0.2 gb=10.3.0.1 b=10.3.0.2
		lan_a=10.1.0.0/24 lan_b=10.3.0.0/24 ;;
	6)	a=fd00:1::2 ga=fd00:1::1 g1=fd00:2::1 g2=fd00:2::2 gb=fd00:3::1 b=fd00:3::2
		lan_a=fd00:1::/64 lan_b=fd00:3::/64 ;;
	esac
	bits=${lan_a#*/}
}

# end NS DEVICE ADDRESS PEER HARDWARE: an end that knows the hardware address of
# its peer, so that neither ARP nor neighbour discovery disturbs
end() {
	local nodad=''
	[ "$bits" = 24 ] || nodad=nodad
	ip -n "$1" -batch - <<-END
		addr add $3/$bits dev $2 $nodad
		neigh add $4 dev $2 nud permanent lladdr $5
	END
}

# link NS DEVICE NS DEVICE NUMBER
link() {
	ip link add "$2" address "02:00:00:00:$5:01" netns "$1" type veth \
		peer name "$4" address "02:00:00:00:$5:02" netns "$3"
	ip -n "$1" link set "$2" up
	ip -n "$3" link set "$4" up
}

# addresses: of the net that was chosen, and the routes
addresses() {
	end A a0 "$a" "$ga" 02:00:00:00:01:02
	end G1 a1 "$ga" "$a" 02:00:00:00:01:01
	end G1 g0 "$g1" "$g2" 02:00:00:00:02:02
	end G2 g1 "$g2" "$g1" 02:00:00:00:02:01
	end G2 b1 "$gb" "$b" 02:00:00:00:03:02
	end B b0 "$b" "$gb" 02:00:00:00:03:01
	ip -n A route add default via "$ga"
	ip -n G1 route add default via "$g2"
	ip -n G2 route add default via "$g1"
	ip -n B route add default via "$gb"
}

# topology: a fresh one, for scenarios leave traces (learned path MTUs).
topology() {
	local ns
	modprobe veth
	for ns in A G1 G2 B; do
		[ ! -e /run/netns/$ns ] || ip netns del $ns
	done
	for ns in A G1 G2 B; do
		ip netns add $ns
		# shellcheck disable=SC2016 # the inner shell's
		ip netns exec $ns sh -c '
			echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
			for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done
			echo 1 >/proc/sys/net/ipv4/ip_forward'
		ip -n $ns link set lo up
	done
	link A a0 G1 a1 01
	link G1 g0 G2 g1 02
	link G2 b1 B b0 03
	net 4
	addresses
	features tx off sg off tso off gso off gro off
}

# ip6 on|off: only while it is measured, so that IPv4 is undisturbed. No
# link-local addresses, no router solicitations, no tests for duplicates.
ip6() {
	local ns off=1
	[ "$1" != on ] || off=0
	for ns in A G1 G2 B; do
		# shellcheck disable=SC2016 # the inner shell's
		ip netns exec $ns sh -c '
			cd /proc/sys/net/ipv6/conf
			for f in */addr_gen_mode; do echo 1 >$f; done
			for f in */accept_ra */accept_dad; do echo 0 >$f; done
			echo 1 >all/forwarding
			echo $1 >all/disable_ipv6' sh $off
	done
	if [ "$1" = off ]; then
		net 4
		return
	fi
	net 6
	addresses
	sleep 3		# reports of multicast groups, in no time
}

# features NAME on|off...: of all devices
features() {
	ip netns exec A ethtool -K a0 "$@"
	ip netns exec G1 sh -c 'ethtool -K a1 "$@"; ethtool -K g0 "$@"' sh "$@"
	ip netns exec G2 sh -c 'ethtool -K g1 "$@"; ethtool -K b1 "$@"' sh "$@"
	ip netns exec B ethtool -K b0 "$@"
} >/dev/null 2>&1

# --- one interface to both stacks ---

xfrm_cipher() {
	case $1 in
	gcm)	echo "aead rfc4106(gcm(aes)) $GCM_KEY 128" ;;
	cbc)	echo "auth-trunc hmac(sha1) $SHA1_KEY 96 enc cbc(aes) $CBC_KEY" ;;
	null)	echo "auth digest_null '' enc ecb(cipher_null) ''" ;;
	esac
}

kipsec_cipher() {
	case $1 in
	gcm)	echo "-E aes-gcm-16 $GCM_KEY" ;;
	cbc)	echo "-E aes-cbc $CBC_KEY -A hmac-sha1 $SHA1_KEY" ;;
	null)	echo "-E null" ;;
	3des)	echo "-E 3des-cbc $DES_KEY -A hmac-md5 $CBC_KEY" ;;
	sha512)	echo "-E aes-cbc $CBC_KEY -A hmac-sha512 $SHA512_KEY" ;;
	esac
}

# sas STACK MODE CIPHER: the lines for one SA each way, the same in G1 and G2
sas() {
	local dir
	for dir in "$g1 $g2 0x1001" "$g2 $g1 0x1002"; do
		# shellcheck disable=SC2086
		set -- "$1" "$2" "$3" $dir
		case $1 in
		xfrm)	echo "xfrm state add src $4 dst $5 proto esp spi $6 reqid 1" \
			     "mode $2 replay-window 32 $(xfrm_cipher "$3")" ;;
		kipsec)	echo "add $4 $5 esp $6 -m $2 -r 64 ${driver:+-driver $driver}" \
			     "$(kipsec_cipher "$3");" ;;
		esac
	done
}

# policy STACK DIR FROM TO MODE SRC DST
policy() {
	case $1,$5 in
	xfrm,*)		echo "xfrm policy add src $3 dst $4 dir $2" \
			     "tmpl src $6 dst $7 proto esp reqid 1 mode $5" ;;
	kipsec,tunnel)	echo "spdadd $3 $4 any -P $2 ipsec esp/tunnel/$6-$7/require;" ;;
	kipsec,*)	echo "spdadd $3 $4 any -P $2 ipsec esp/transport//require;" ;;
	esac
}

# applying STACK NS FILE: the command for it, in $command
applying() {
	case $1 in
	xfrm)	command=(ip -n "$2" -batch "$3") ;;
	kipsec)	command=(ip netns exec "$2" "$BENCH_BUILD/setkey" -f "$3") ;;
	esac
}

apply() {
	local command
	applying "$@"
	"${command[@]}"
}

up_tunnel() { # STACK CIPHER
	local in=in
	# xfrm wants the policy of forwarded packets; setkey makes it itself.
	[ "$1" != xfrm ] || in=fwd
	{
		sas "$1" tunnel "$2"
		policy "$1" out "$lan_a" "$lan_b" tunnel "$g1" "$g2"
		policy "$1" "$in" "$lan_b" "$lan_a" tunnel "$g2" "$g1"
	} >/tmp/G1
	{
		sas "$1" tunnel "$2"
		policy "$1" "$in" "$lan_a" "$lan_b" tunnel "$g1" "$g2"
		policy "$1" out "$lan_b" "$lan_a" tunnel "$g2" "$g1"
	} >/tmp/G2
	apply "$1" G1 /tmp/G1
	apply "$1" G2 /tmp/G2
}

up_transport() { # STACK CIPHER
	{
		sas "$1" transport "$2"
		policy "$1" out "$g1" "$g2" transport "$g1" "$g2"
		policy "$1" in "$g2" "$g1" transport "$g2" "$g1"
	} >/tmp/G1
	{
		sas "$1" transport "$2"
		policy "$1" in "$g1" "$g2" transport "$g1" "$g2"
		policy "$1" out "$g2" "$g1" transport "$g2" "$g1"
	} >/tmp/G2
	apply "$1" G1 /tmp/G1
	apply "$1" G2 /tmp/G2
}

down() { # STACK
	local ns
	case $1 in
	xfrm)	printf 'xfrm policy flush\nxfrm state flush\n' ;;
	kipsec)	printf 'spdflush;\nflush;\n' ;;
	esac >/tmp/flush
	for ns in G1 G2; do
		apply "$1" $ns /tmp/flush
	done
}
