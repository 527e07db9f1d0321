# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the scripts of this folder share; sourced, never run.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${KIPSEC_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/kipsec}

# Machines put wrappers and language managers in front of PATH; kernel builds
# and packaged Python modules want the distribution's own programs.
PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH TOP CACHE

# A make further up must not lend its flags and job slots to the builds here.
unset MAKEFLAGS MFLAGS MAKELEVEL

me=$(basename "$0")

say() {
	echo "$me: $*" >&2
}

die() {
	say "$@"
	exit 125
}

# usage: the head comment of the script is its manual.
usage() {
	sed -n '4,/^[^#]/{/^#/!d;s/^# \{0,1\}//;p}' "$0"
}

# as_root COMMAND...: packages and chroots need root; all else does not.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}
