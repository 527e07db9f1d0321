#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# cost.sh PROGRAM: instructions per look-up in the classifier, by number of
# rules and of distinct masks. Needs valgrind.

out=$(mktemp) || exit 2
trap 'rm -f "$out"' EXIT

printf '%s\n' 'family rules masks  what  instructions'
cost() {
	valgrind --tool=callgrind --callgrind-out-file="$out" \
		--toggle-collect='kipsec_classifier_lookup' "$@" >/dev/null 2>&1 ||
		{ echo "valgrind failed: $*" >&2; exit 1; }
	total=$(sed -n 's/^\(summary\|totals\): *//p' "$out" | head -1)
	shift
	printf '%4s %8s %5s  %-5s %8s\n' "$@" $((total / 1000))
}

for family in 4 6; do
	cost "$1" $family 0 1 miss
	for rules in 1 10000 100000; do
		cost "$1" $family $rules 1 miss
		cost "$1" $family $rules 1 hit
	done
	cost "$1" $family 10000 8 miss
	cost "$1" $family 10000 8 hit
	cost "$1" $family 10000 64 miss
done
