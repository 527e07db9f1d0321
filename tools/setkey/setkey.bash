# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Completion of setkey's command line for bash.  Options are single letters that may stand
# together, as in -DPp; offered are those that go with what is there.

# _setkey_letters GIVEN: the letters that may follow, each once but for x.
_setkey_letters() {
	local given=$1 fit='' letter

	case $given in
	*[hV]*)	[[ $given == *x* ]] && fit=Hhx ;;
	*D*P*|*P*D*) fit=gHNptv ;;
	*D*)	fit=aHlpPv ;;
	*F*)	fit=Pv ;;
	*x*)	fit=Hhx ;;
	*[cef]*) fit=Hknrv ;;
	*)	fit=acDeFfgHhklnNpPrtvVx ;;
	esac
	while read -r -n 1 letter; do
		[[ -z $letter || ( $letter != x && $given == *"$letter"* ) ]] || echo "$letter"
	done <<<"$fit"
}

_setkey() {
	local cur=${COMP_WORDS[COMP_CWORD]} given='' i letter

	COMPREPLY=()
	for ((i = 1; i <= COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} != -?* ]] || given+=${COMP_WORDS[i]#-}
	done
	# what an option takes follows it at once
	case ${COMP_WORDS[COMP_CWORD - 1]} in
	-*e)	return ;;
	-*f)	mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
	esac
	case $cur in
	-*[ef])	COMPREPLY=("$cur") ;;
	-*)	[[ $cur == - ]] || COMPREPLY=("$cur")
		while read -r letter; do
			COMPREPLY+=("$cur$letter")
		done < <(_setkey_letters "$given") ;;
	*)	# only saved messages are named without an option
		[[ $given == *[cDefFhVx]* ]] || mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
	esac
}

complete -o filenames -F _setkey setkey
