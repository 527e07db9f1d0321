#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# selftests/run_vm.sh [-l] [full|core|debug|cores] [PATTERN]: run the tests of
# selftests/vm whose names contain PATTERN; -l only lists them. Outside of a virtual
# machine it starts one (see scripts/vm), with the debug kernel for the sets debug and
# cores.
#
# A test says in a line "# Suite: WORDS" of its head comment to which of the sets core,
# debug and cores (who wants several processors) it belongs; full is all. Each begins
# with a module just loaded and no name space of a test; afterwards the module must go
# within 20 seconds, the kernel must not have complained, and no clear text may have
# been on any wire. Prints the KTAP of all tests and one line with the sum.
#
# Exit status: 0 all well, 1 something failed, 4 everything was skipped.
set -u

here=$(cd "$(dirname "$0")" && pwd)
list=
[ "${1-}" != -l ] || { list=1; shift; }
set=${1:-full}
pattern=${2:-}
passed=0 failed=0 skipped=0
leaks=/run/kipsec-leaks
modules=${KIPSEC_MODDIR-}
watcher=
limit=${KIPSEC_TEST_LIMIT:-600}

case $set in
full|core|debug|cores) ;;
*) sed -n '4,/^set -u/{/^#/!d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;;
esac

wanted() {
	[ -x "$1" ] && [ -f "$1" ] || return 1
	case $(basename "$1") in
	*"$pattern"*) ;;
	*) return 1 ;;
	esac
	[ "$set" = full ] || sed -n '1,30p' "$1" | grep -qE "^# Suite:.*\\<$set\\>"
}

tests=()
for t in "$here"/vm/*; do
	! wanted "$t" || tests+=("$t")
done
if [ -n "$list" ]; then
	printf '%s\n' ${tests[@]+"${tests[@]}"}
	exit
fi
# Never on the machine itself: the tests load modules and want to be alone.
if ! [ -f /run/vm/cmd ]; then
	kernel=6.1
	case $set in debug|cores) kernel=debug ;; esac
	exec "$here/../scripts/vm" -k "$kernel" -t 1800 -- "$here/run_vm.sh" "$@"
fi

# --- the machine around a test ---

# Programs that tests start thousands of times. To open a file of the host's takes
# some milliseconds each time; touched, it is copied to the RAM file system that
# lies over them.
nearer() {
	local p
	for p in bash ip ethtool python3 "$here/../tools/setkey/setkey"; do
		p=$(command -v "$p") || continue
		readlink -f "$p"
		ldd "$p" | grep -o '/[^ ]*' | xargs readlink -f
	done | sort -u | xargs touch -c /etc/ld.so.cache
}

prepare() {
	nearer
	mkdir -p /etc/modprobe.d /run/netns
	# Not even by its alias may af_key get the socket family.
	printf 'blacklist af_key\ninstall af_key /bin/false\n' \
		>/etc/modprobe.d/kipsec-test.conf
	ciphers
	: >"$leaks"
	"$here/lib/leakwatch.py" "$leaks" >/run/leakwatch.log 2>&1 &
	watcher=$!
	for _ in {1..200}; do
		! grep -q watching /run/leakwatch.log || return 0
		sleep 0.1
	done
	echo "# the leak watcher does not start:"
	sed 's/^/# /' /run/leakwatch.log
	failed=$((failed + 1))
}

load() {
	[ -f "$modules/kipsec.ko" ] || return 0
	[ ! -d /sys/module/kipsec ] || return 0
	local needs
	needs=$(modinfo -F depends "$modules/kipsec.ko" | tr ',' ' ')
	# shellcheck disable=SC2086 # a list
	[ -z "$needs" ] || modprobe -a $needs
	insmod "$modules/kipsec.ko"
}

# For each cipher that it has not yet put together the kernel starts modprobe
# several times, some seconds each under emulation. Load what the tests want in
# one go; and no module is named after a combination such as "authenc(...)", so
# answer those questions at once.
ciphers() {
	modprobe -qa authenc ecb aesni_intel ghash_clmulni_intel gcm ccm ctr cbc hmac \
		xcbc cmac md5 sha1_ssse3 sha256_ssse3 sha512_ssse3 rmd160 \
		des_generic des3_ede-x86_64 blowfish-x86_64 cast5_avx_x86_64 \
		camellia-aesni-avx2 serpent-avx2 twofish-avx-x86_64 \
		chacha20poly1305 chacha-x86_64 poly1305-x86_64 crypto_null \
		sha1_generic sha256_generic sha512_generic blowfish_generic \
		cast5_generic camellia_generic serpent_generic twofish_generic \
		seqiv echainiv esp4 xfrm_user 2>/dev/null
	cat >/run/modprobe-quick <<-'END'
		#!/bin/busybox sh
		case "$*" in *crypto-*\(*) exit 1 ;; esac
		exec /sbin/modprobe "$@"
	END
	chmod +x /run/modprobe-quick
	echo /run/modprobe-quick >/proc/sys/kernel/modprobe
}

# Whatever a test left behind, and then the module.
clean_up() {
	local n p
	for n in /run/netns/kt-*; do
		if [ ! -e "$n" ] || [ "$n" = /run/netns/kt-wire ]; then
			continue
		fi
		p=$(ip netns pids "${n##*/}" 2>/dev/null)
		# shellcheck disable=SC2086 # process numbers
		[ -z "$p" ] || kill -9 $p
		umount -l "$n" && rm -f "$n"
	done
	for n in $(ip -n kt-wire -o link show type bridge 2>/dev/null | sed 's/^[0-9]*: \([^:@]*\).*/\1/'); do
		ip -n kt-wire link del "$n"
	done
}

unload() {
	[ -d /sys/module/kipsec ] || return 0
	for _ in {1..20}; do
		timeout 20 rmmod kipsec 2>/dev/null && return 0
		[ -d /sys/module/kipsec ] || return 0
		sleep 1
	done
	return 1
}

# --- the verdict on a test ---

# New lines of the kernel's log that mean a broken kernel, as in scripts/vm.
complaints() {
	dmesg | tail -n "+$(($1 + 1))" | awk '
	/kipsec-ignore-next-complaint/ { skip = 1; next }
	/Kernel panic|Oops[: ]|BUG[: ]|WARNING: |KASAN: |UBSAN: |KCSAN: |ODEBUG: / ||
	/detected stalls|soft lockup|hung_task|blocked for more than [0-9]+ seconds/ ||
	/suspicious RCU usage|possible .*locking|inconsistent lock state/ ||
	/trying to register non-static key|sleeping function called/ ||
	/scheduling while atomic|refcount_t: |general protection fault/ ||
	/[Uu]nable to handle|(list_add|list_del) corruption/ ||
	/unregister_netdevice: waiting|DEBUG_LOCKS_WARN_ON/ {
		if (skip) { skip = 0; next }
		print
	}'
}

fail() {
	failed=$((failed + 1))
	echo "not ok - $1"
	[ $# -lt 2 ] || printf '%s\n' "$2" | head -n 30 | sed 's/^/# /'
}

run_test() {
	local test=$1 name log lines bad status start=$SECONDS
	name=$(basename "$test")
	log=/run/kipsec-test.log
	lines=$(dmesg | wc -l)
	: >"$leaks"
	echo "# --- $name"
	if ! load; then
		fail "$name: the module does not load" "$(dmesg | tail -n 5)"
		return
	fi
	timeout -k 10 "$limit" "$test" 2>&1 </dev/null | tee "$log"
	status=${PIPESTATUS[0]}
	passed=$((passed + $(grep -cE '^ok ' "$log") - $(grep -cE '^ok .*# SKIP' "$log")))
	skipped=$((skipped + $(grep -cE '^ok .*# SKIP' "$log")))
	failed=$((failed + $(grep -cE '^not ok ' "$log")))
	case $status in
	0|4)	;;
	1)	grep -qE '^not ok ' "$log" || fail "$name: status 1 without a failed case" ;;
	124|137) fail "$name: no end after $limit seconds" ;;
	*)	fail "$name: status $status" ;;
	esac
	clean_up
	unload || fail "$name: the module does not unload" "$(lsmod | grep kipsec)"
	bad=$(complaints "$lines")
	[ -z "$bad" ] || fail "$name: the kernel complained" "$bad"
	[ ! -s "$leaks" ] || fail "$name: clear text on the wire" "$(cat "$leaks")"
	echo "# --- $name took $((SECONDS - start)) s"
}

export KIPSEC_SUITE=$set
echo "KTAP version 1"
prepare
clean_up
for t in ${tests[@]+"${tests[@]}"}; do
	run_test "$t"
done
[ -z "$watcher" ] || kill "$watcher"
echo "sum: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] || exit 1
[ "$passed" != 0 ] || exit 4
exit 0
