#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# run.sh PROGRAM...: run test programs and report them as subtests in KTAP. The
# last line sums up their last lines; a program that does not get as far as its
# last line counts as one failure more.

pass=0 fail=0 skip=0 n=0
log=$(mktemp) || exit 2
trap 'rm -f "$log"' EXIT

echo "KTAP version 1"
echo "1..$#"
for program; do
	n=$((n + 1)) name=$(basename "$program")
	"$program" >"$log" 2>&1
	status=$?
	sed 's/^/    /' "$log"
	sums=$(sed -n '$s/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$log")
	# shellcheck disable=SC2086 # three words
	set_sums() { p=$1 f=$2 s=$3; }
	# shellcheck disable=SC2086
	set_sums ${sums:-0 1 0}
	if [ "$status" != 0 ] && [ "$f" = 0 ]; then
		f=1
	fi
	pass=$((pass + p)) fail=$((fail + f)) skip=$((skip + s))
	if [ "$f" = 0 ]; then
		echo "ok $n $name"
	else
		echo "not ok $n $name"
	fi
done
echo "$pass passed, $fail failed, $skip skipped"
[ "$fail" = 0 ]
