#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Tests of setkey that need neither a kernel nor privileges: what the grammar takes and refuses,
# where it says an error is, and the bytes of the messages it would send ("setkey -n").
#
# $SETKEY is the program, by default the one next to this folder.  Cases are in tests/*.cases:
#
#	good NAME		the configuration that follows parses
#	bad NAME | PLACE | TEXT	it fails, with TEXT in a message about PLACE, LINE:COLUMN
#	bytes NAME		it parses, and the messages are those of the lines after "--"
#	trace NAME		the same, as "-v" shows them
#
# A case ends at a line "==".  Options in front of the name, as in "bytes -k NAME", are setkey's.
set -u

here=$(cd "$(dirname "$0")" && pwd)
SETKEY=${SETKEY:-$here/../setkey}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# names of protocols and times must not depend on who runs this
export LC_ALL=C TZ=UTC

number=0 passed=0 failed=0 skipped=0

result() {	# STATUS NAME [DETAILS-FILE]
	number=$((number + 1))
	if [ "$1" = ok ]; then
		passed=$((passed + 1))
		echo "ok $number $2"
	else
		failed=$((failed + 1))
		echo "not ok $number $2"
		[ $# -lt 3 ] || sed 's/^/# /' "$3"
	fi
}

run() {	# OPTIONS...
	"$SETKEY" "$@" "${options[@]}" -f "$work/conf" >"$work/out" 2>"$work/err"
}

try_good() {
	if run -n && [ ! -s "$work/err" ]; then
		result ok "$1"
	else
		result fail "$1" "$work/err"
	fi
}

# Anything from a signal on is a crash, not an error message.
try_bad() {	# NAME PLACE TEXT
	local status

	run -n
	status=$?
	if [ $status -eq 1 ] && grep -F "$work/conf:$2: " "$work/err" | grep -qF -- "$3"; then
		result ok "$1"
	else
		echo "exit status $status, expected \"$3\" at $2" >>"$work/err"
		result fail "$1" "$work/err"
	fi
}

try_bytes() {
	run -n -H
	# one line of hexadecimal digits per message, without the offsets
	awk '/^00000000:/ && NR > 1 { print line; line = "" }
	     { $1 = ""; gsub(/ /, ""); line = line $0 }
	     END { print line }' "$work/out" >"$work/bytes"
	sed 's/#.*//' "$work/expected" | tr -d ' \t' |
		awk '/^$/ { if (line) print line; line = ""; next }
		     { line = line $0 } END { if (line) print line }' >"$work/want"
	if diff "$work/want" "$work/bytes" >"$work/diff" && [ ! -s "$work/err" ]; then
		result ok "$1"
	else
		cat "$work/err" >>"$work/diff"
		result fail "$1" "$work/diff"
	fi
}

try_trace() {
	run -n -v
	if diff "$work/expected" "$work/out" >"$work/diff" && [ ! -s "$work/err" ]; then
		result ok "$1"
	else
		cat "$work/err" >>"$work/diff"
		result fail "$1" "$work/diff"
	fi
}

trim() {
	sed 's/^[ 	]*//; s/[ 	]*$//' <<<"$1"
}

run_case() {
	case $kind in
	good)	try_good "$name" ;;
	bad)	IFS='|' read -r title place text <<<"$name"
		try_bad "$(trim "$title")" "$(trim "$place")" "$(trim "$text")" ;;
	bytes)	try_bytes "$name" ;;
	trace)	try_trace "$name" ;;
	*)	echo "unknown kind of case: $kind" >&2; exit 1 ;;
	esac
}

run_file() {
	local line target=

	while IFS= read -r line; do
		if [ -z "$target" ]; then
			case $line in
			''|'#'*) continue ;;
			esac
			kind=${line%% *} name=${line#* } options=()
			while [ "${name#-}" != "$name" ]; do
				options+=("${name%% *}")
				name=${name#* }
			done
			: >"$work/conf"
			: >"$work/expected"
			target=conf
		elif [ "$line" = == ]; then
			run_case
			target=
		elif [ "$line" = -- ]; then
			target=expected
		else
			printf '%s\n' "$line" >>"$work/$target"
		fi
	done <"$1"
}

# Commands on standard input go on after an error, and run as soon as they are complete.
try_interactive() {
	printf 'foo;\nflush;\n' | "$SETKEY" -nv -c >"$work/out" 2>"$work/err"
	if [ $? -eq 1 ] && grep -q 'type=9' "$work/out" && grep -q '^<stdin>:1:1: ' "$work/err"; then
		result ok 'standard input goes on after an error'
	else
		result fail 'standard input goes on after an error' "$work/err"
	fi
	# no end of input is needed for the first command to run
	mkfifo "$work/fifo"
	"$SETKEY" -nH -c <"$work/fifo" >"$work/out" 2>"$work/err" &
	exec 3>"$work/fifo"
	echo 'flush; dump' >&3
	for _ in $(seq 50); do
		[ ! -s "$work/out" ] || break
		sleep 0.1
	done
	if [ -s "$work/out" ]; then
		result ok 'standard input: a command runs at its semicolon'
	else
		result fail 'standard input: a command runs at its semicolon' "$work/err"
	fi
	exec 3>&-
	wait
}

# The answer to a call: its exit status, and a pattern, if any, for what it says.
try_call() {	# NAME STATUS STREAM PATTERN ARGUMENT...
	local name=$1 wanted=$2 stream=$3 pattern=$4 status

	shift 4
	"$SETKEY" "$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	if [ $status -eq "$wanted" ] &&
	   { [ -z "$pattern" ] || grep -q -- "$pattern" "$work/$stream"; }; then
		result ok "$name"
	else
		echo "exit status $status" >>"$work/err"
		result fail "$name" "$work/err"
	fi
}

try_calls() {
	try_call 'no option is no call' 1 err '^usage:'
	try_call 'an unknown option' 1 err '^usage:' -z
	try_call 'a mode and a file' 1 err '^usage:' -D file
	try_call '-h: help' 0 out '^usage:' -h
	try_call '-V: the version' 0 out '^setkey' -V
	try_call '-e: commands in the argument' 0 out 'type=9' -nv -e 'flush;'
	try_call '-e: the place of an error' 1 err '^<argument>:2:7: unexpected' -n -e 'flush;
flush $;'
	try_call '-e: nothing at all' 0 out '' -n -e ''
	try_call '-f: no such file' 1 err 'nosuch: No such file' -n -f "$work/nosuch"
	try_call 'a file of messages that is none' 1 err 'cut short' "$here/run.sh"
}

# try_completion WANTED WORD...: what bash offers behind these words, the last of them begun.
try_completion() {
	local wanted=$1 got

	shift
	got=$(
		source "$here/../setkey.bash"
		cd "$here" || exit
		# shellcheck disable=SC2030 # meant for this subshell
		COMP_WORDS=(setkey "$@") COMP_CWORD=$#
		_setkey
		echo "${COMPREPLY[*]}"
	)
	if [ "$got" = "$wanted" ]; then
		result ok "completion: $*"
	else
		echo "offered: $got" >"$work/err"
		result fail "completion: $*" "$work/err"
	fi
}

try_completions() {
	# all that the usage names, without regard to order
	local all

	all=$("$SETKEY" -h | grep -oE -- '-[A-Za-z]+' | tr -d '\n-' | fold -w 1 | sort -u | tr -d '\n')
	if [ "$(source "$here/../setkey.bash"; _setkey_letters '' | sort -u | tr -d '\n')" = "$all" ]; then
		result ok 'completion: every option'
	else
		result fail 'completion: every option'
	fi
	try_completion '-D -Da -DH -Dl -Dp -DP -Dv' -D
	try_completion '-DP -DPg -DPH -DPN -DPt -DPv' -p -DP
	try_completion '-P -v' -F -
	try_completion '-H -h -x' -x -
	try_completion '-H -k -r -v' -nf file -
	try_completion 'good.cases' -nf goo
	try_completion 'good.cases' goo
	try_completion '' -e ''
	try_completion '' -D ''
	try_completion '' -V -
}

# The examples of the manual: each literal block of its section, as a file of its own.
examples_to() {	# FOLDER
	awk -v to="$1" '
		/^\.Sh / { here = $2 == "EXAMPLES" }
		/^\.Ed/ { inside = 0 }
		inside { gsub(/\\\(dq/, "\""); gsub(/\\e/, "\\"); print > (to "/" n) }
		here && /^\.Bd -literal/ { inside = 1; n++ }' "$here/../setkey.8"
}

try_examples() {
	local file

	for file in "$work"/examples/*; do
		cp "$file" "$work/conf"
		options=()
		try_good "example ${file##*/} of the manual"
	done
}

# Names are looked up as the machine does it, and all that it has is this one.
try_names() {
	if ! getent ahostsv4 localhost | grep -q '^127\.0\.0\.1 '; then
		number=$((number + 1)) skipped=$((skipped + 1))
		echo "ok $number names of hosts # SKIP localhost has no address"
		return
	fi
	try_call 'names of hosts' 0 out 'port=4500' -nv -e \
		'add -4 localhost[4500] 127.0.0.1 esp 300 -E null;'
}

# A saved DUMP answer: the form of -D without a kernel.
try_saved() {	# NAME OPTION HEX-FILE
	# shellcheck disable=SC2059 # the format is all there is
	printf "$(sed 's/#.*//' "$here/$3.hex" | tr -d ' \t\n' | sed 's/../\\x&/g')" >"$work/saved"
	# shellcheck disable=SC2086 # several options
	"$SETKEY" $2 "$work/saved" 2>"$work/err" |
		sed 's/current: [A-Z].*/current: NOW/; s/diff: [0-9]*/diff: N/' >"$work/out"
	if diff "$here/$3.expected" "$work/out" >"$work/diff" && [ ! -s "$work/err" ]; then
		result ok "$1"
	else
		result fail "$1" "$work/diff"
	fi
}

[ -x "$SETKEY" ] || { echo "no setkey at $SETKEY: make -C tools" >&2; exit 1; }

cases=$(cat "$here"/*.cases | grep -cE '^(good|bad|bytes|trace) ')
saved=$(find "$here" -name '*.hex' | wc -l)
mkdir "$work/examples"
examples_to "$work/examples"
examples=$(find "$work/examples" -type f | wc -l)
[ "$examples" -gt 1 ] || { echo "no examples found in the manual" >&2; exit 1; }
echo "KTAP version 1"
echo "1..$((cases + saved + examples + 24))"
for file in "$here"/*.cases; do
	run_file "$file"
done
try_interactive
try_calls
try_names
try_examples
try_completions
for file in "$here"/*.hex; do
	name=$(basename "$file" .hex)
	try_saved "saved messages: $name" -a "$name"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
