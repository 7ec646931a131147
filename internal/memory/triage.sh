# shellcheck shell=sh disable=SC2154 # proc is capture.sh's
# triage.sh is what is taken of a host whose memory cannot be read: text about
# its processes, sockets, modules, mounts and sessions. The document puts it
# before capture.sh, which calls triage and sends what it prints.
#
# It reads /proc. A rootkit that hides from /proc is not in it, and an intruder
# can say what he likes: all of it is a claim. Environments are left out, since
# keys and passwords stand in them; and ss, which makes the kernel load modules.
#
# Sections begin in the first column; whatever the host's own words are, they
# begin further right.

tab=$(printf '\t')

# part TITLE COMMAND... prints a section.
part() {
	printf '\n== %s\n' "$1"
	shift
	"$@" | sed "s/^/$tab/"
}

# process DIRECTORY says what one process is. A thread of the kernel runs no file,
# and there are hundreds: for those nothing is started.
process() {
	while IFS= read -r line; do
		case $line in
		Name:* | State:* | PPid:* | TracerPid:* | Uid:* | Gid:* | NSpid:*) printf '%s\n' "$tab$tab$line" ;;
		esac
	done <"$1/status"
	[ -e "$1/exe" ] || return 0
	for file in loginuid sessionid cgroup; do
		while IFS= read -r line || [ -n "$line" ]; do
			printf '%s\n' "$tab$tab$file: $line"
		done <"$1/$file"
	done
	{
		printf 'cmdline: %s\n' "$(tr '\0\n' '  ' <"$1/cmdline")"
		ls -l "$1/exe" "$1/cwd" "$1/root" "$1/fd"
		sed -n 's/^/map: /; / (deleted)$/p' "$1/maps" # what runs and is on no disk any more
	} | sed "s/^/$tab$tab/"
}

processes() {
	for at in "$proc"/[0-9]*; do
		printf '%s\n' "${tab}process ${at##*/}" || return # nobody reads on
		process "$at"
	done
}

# triage prints all of it.
triage() {
	printf 'cordon-triage 1\n'
	part time date -u +%Y-%m-%dT%H:%M:%SZ
	part system uname -a
	# An agent in a container (Bottlerocket's is) sees that container. The first
	# PID namespace has this number on every kernel.
	seen=$(readlink "$proc/self/ns/pid")
	case $seen in
	'' | 'pid:[4026531836]') ;;
	*) part namespace echo "a container's view, not the host's: $seen" ;;
	esac
	for file in cmdline uptime loadavg meminfo sys/kernel/tainted modules self/mountinfo; do
		[ ! -r "$proc/$file" ] || part "$proc/$file" cat "$proc/$file"
	done
	for file in tcp tcp6 udp udp6 raw raw6 packet unix arp route dev; do
		[ ! -r "$proc/net/$file" ] || part "$proc/net/$file" cat "$proc/net/$file"
	done
	! command -v who >/dev/null || part 'who -a' who -a
	for file in "${CORDON_SESSIONS:-/run/systemd/sessions}"/*; do
		[ ! -f "$file" ] || part "$file" cat "$file"
	done
	printf '\n== processes\n'
	processes
	printf '\n== end\n'
}
