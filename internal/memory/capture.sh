#!/bin/sh
# capture.sh streams this machine's memory into S3, part by part, and prints one
# line of JSON at the end. With triage.sh before it, it is the body of the SSM
# document; nothing else runs on the host. It wants a POSIX shell and the commands
# named below, as root. Where there can be no image, triage's text is sent instead.
#
# It holds no AWS key. CORDON_BATCH is a pre-signed address of a batch: a text
# file with the addresses that come next, one a line, and "end" last:
#
#	cordon-batch 1
#	tool URL      GET the program that reads memory; none where no program is known
#	triage URL    PUT text, where there can be no image
#	report URL    PUT the list of parts and their hashes
#	put N URL     PUT part N
#	next URL      GET the following batch, once it is there
#	end
#
# Addresses live an hour at most. Whoever reads them here could write parts of
# this one image, and nothing else; this machine's word is a claim anyway.
#
# Set by the document: CORDON_BATCH, CORDON_INCIDENT, CORDON_PART_MIB (size of a
# part), CORDON_SHA256 (of the program). The rest has defaults that only a test
# changes.
set -u
umask 077
LC_ALL=C
export LC_ALL

incident=$CORDON_INCIDENT
mib=$CORDON_PART_MIB
proc=${CORDON_PROC:-/proc}
lockdown_file=${CORDON_LOCKDOWN:-/sys/kernel/security/lockdown}
roots=${CORDON_ROOTS:-/dev/shm /run /tmp}
locks=${CORDON_LOCKS:-/run}
pause=${CORDON_PAUSE:-5}         # seconds between two tries
patience=${CORDON_PATIENCE:-180} # tries for a batch that is not there yet: a quarter of an hour
refresh=${CORDON_REFRESH:-600}   # seconds after which newer addresses are looked for
tries=${CORDON_TRIES:-20}        # for everything else
floor=98304                      # KiB that stay free besides one part: 96 MiB
longest=128                      # blocks of 64 KiB that triage's text has at most: 8 MiB

dir='' lock='' runner='' hasher='' watched=no
triage='' parts=0 bytes=0 sha256='' status=-1 footprint=0 sent=no said=''
kernel='' machine='' lockdown=unknown
polled=0

# shellcheck disable=SC2317 # trap calls it
cleanup() {
	trap '' EXIT
	exec 3<&- 4>&-
	if [ -n "$dir" ]; then
		for pid in $runner $hasher $(cat "$dir/pid" 2>/dev/null); do
			kill "$pid" 2>/dev/null
		done
		rm -rf "$dir"
	fi
	[ -z "$lock" ] || rmdir "$lock" 2>/dev/null
	[ "$watched" = no ] || echo over >&5
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM
trap '' PIPE # a program that went away is noticed by its exit status

# watch leaves a shell behind that tidies up where this one cannot: SSM's agent
# ends a command with SIGKILL to its process group, so it is in another one. It
# waits for a word from a pipe whose other end only this shell holds. A host
# without setsid keeps what a killed capture held.
watch() {
	command -v setsid >/dev/null 2>&1 && mkfifo "$dir/life" || return 0
	# shellcheck disable=SC2094 # it is a pipe; in this order neither end waits
	exec 5<>"$dir/life" 6<"$dir/life"
	# shellcheck disable=SC2016 # its own shell expands it
	setsid sh -c 'read -r word
		[ "$word" = over ] && exit
		kill $(cat "$1/pid" "$1/pids")
		for _ in 1 2 3 4 5; do # others of its group may be dying still
			rm -rf "$1" && break
			sleep 1
		done
		rmdir "$2"' watch "$dir" "${lock:-none}" <&6 >/dev/null 2>&1 5>&- 6<&- &
	exec 6<&-
	watched=yes
}

# instead STATUS REASON ends a capture that can have no image with text.
instead() {
	triage 2>/dev/null | tr -cd '\11\12\40-\176\200-\377' 2>/dev/null |
		dd bs=65536 count="$longest" iflag=fullblock of="$dir/triage" 2>/dev/null
	try=0
	while [ $try -lt "$tries" ] && [ -z "$triage" ] && [ -n "$(address triage)" ]; do
		try=$((try + 1))
		if [ "$(request "$(address triage)" /dev/null -T "$dir/triage")" = 200 ]; then
			triage=$(sha256sum <"$dir/triage")
		else
			sleep "$pause"
			follow
		fi
	done
	triage=${triage%% *}
	finish "$1" "$2"
}

# finish STATUS REASON ends the capture with its one line. REASON is a word of
# the table in reasons.go.
finish() {
	[ ! -f "$dir/said" ] || said=$(tr -cd 'A-Za-z0-9 .,:_/()-' <"$dir/said" | tail -c 300)
	line=$(printf '{"status":"%s","reason":"%s","parts":%s,"bytes":%s,"sha256":"%s","kernel":"%s","machine":"%s","lockdown":"%s","footprintKiB":%s,"tool":%s,"triage":"%s","said":"%s"' \
		"$1" "$2" "$parts" "$bytes" "$sha256" "$kernel" "$machine" "$lockdown" "$footprint" "$status" "$triage" "$said")
	if [ -f "$dir/report" ]; then
		printf 'end %s}\n' "$line" >>"$dir/report"
		follow
		try=0
		while [ $try -lt "$tries" ] && [ $sent = no ]; do
			try=$((try + 1))
			if [ "$(request "$(address report)" /dev/null -T "$dir/report")" = 200 ]; then sent=yes; else sleep "$pause"; fi
		done
	fi
	printf '%s,"report":"%s"}\n' "$line" "$sent"
	[ "$1" = ok ] || exit 1
	exit 0
}

# request URL FILE [OPTION...] prints the HTTP status, 000 if there was none.
# The address goes in by stdin, so that it is not in the list of processes, and
# nothing curl says comes out, so that it is not in the command's history.
# S3 refuses headers that were not signed; -T adds none of them.
request() {
	case $1 in
	'' | *[!A-Za-z0-9:/.?=\&%_~+-]*) printf 000 && return ;;
	esac
	target=$1 into=$2
	shift 2
	printf 'url = "%s"\n' "$target" | curl -q -K - -g -s -o "$into" -w '%{http_code}' --noproxy '*' \
		-H 'Expect:' --connect-timeout 10 --speed-limit 1000 --speed-time 60 "$@" 2>/dev/null
}

# address WORD prints the address of that name in the current batch.
address() { sed -n "s/^$1 //p" "$dir/batch" | sed -n 1p; }

# fetch URL makes that batch the current one, if it is there and whole.
fetch() {
	[ "$(request "$1" "$dir/batch.new")" = 200 ] || return 1
	[ "$(sed -n 1p "$dir/batch.new")" = 'cordon-batch 1' ] && [ "$(sed -n '$p' "$dir/batch.new")" = end ] || return 1
	mv -f "$dir/batch.new" "$dir/batch"
}

# follow goes on to the newest batch. False if there is none newer.
follow() {
	moved=1
	while fetch "$(address next)"; do
		moved=0
	done
	polled=$(date +%s)
	return $moved
}

# send NUMBER FILE puts a part, again and again if need be.
send() {
	try=0 waited=0
	[ $(($(date +%s) - polled)) -lt "$refresh" ] || follow
	while [ $try -lt "$tries" ]; do
		to=$(address "put $1")
		if [ -z "$to" ]; then
			follow && continue
			waited=$((waited + 1))
			[ $waited -lt "$patience" ] || finish partial no-addresses
			sleep "$pause"
			continue
		fi
		try=$((try + 1))
		case $(request "$to" /dev/null -T "$2") in
		200) return 0 ;;
		404) finish partial upload-gone ;;
		400 | 403) follow ;; # addresses end, newer ones may be there
		esac
		sleep "$pause"
	done
	finish partial part-refused
}

# What the host lacks is found before anything is fetched.
for command in curl sha256sum md5sum dd mkfifo sed tr cat df date wc tail mktemp uname; do
	command -v "$command" >/dev/null 2>&1 || finish skipped "no-$command"
done
kernel=$(uname -sr | tr -cd 'A-Za-z0-9._+~ -')
machine=$(uname -m | tr -cd 'A-Za-z0-9_')
[ "$(printf abcdef | dd bs=3 count=1 iflag=fullblock 2>/dev/null)" = abc ] || finish skipped no-dd

lacks='' # what keeps it from an image, though not from text
if [ -r "$lockdown_file" ]; then
	lockdown=$(sed -n 's/.*\[\([a-z]*\)\].*/\1/p' "$lockdown_file")
	case $lockdown in
	confidentiality) lacks=lockdown ;; # not even root may read memory
	esac
fi

# A part is held in memory until S3 has it; the disk is evidence and stays as it is.
[ -r "$proc/mounts" ] || finish skipped no-proc
root=''
for candidate in $roots; do
	while read -r _ at type options _; do
		[ "$at $type" = "$candidate tmpfs" ] || continue
		case ,$options, in
		*,noexec,* | *,ro,*) ;;
		*) root=$candidate ;;
		esac
	done <"$proc/mounts"
	[ -z "$root" ] || break
done
[ -n "$root" ] || finish skipped no-tmpfs

free=0
while read -r name amount _; do
	[ "$name" = MemAvailable: ] && free=$amount
done <"$proc/meminfo"
room=$(df -Pk "$root" | sed -n '2s/^[^ ]* *[0-9]* *[0-9]* *\([0-9]*\).*/\1/p')
if [ "$free" -lt $((mib * 1024 + floor)) ] || [ "${room:-0}" -lt $((mib * 1024 + 16384)) ]; then
	lacks=${lacks:-low-memory}
fi

# Only root may write there. A command sent twice must not write the image twice.
if [ -d "$locks" ]; then
	mkdir "$locks/cordon-$incident" 2>/dev/null || finish skipped busy
	lock=$locks/cordon-$incident
fi
dir=$(mktemp -d "$root/cordon.XXXXXX") || finish failed no-directory
watch

try=0
until fetch "$CORDON_BATCH"; do
	try=$((try + 1))
	[ $try -lt "$tries" ] || finish failed no-batch
	sleep "$pause"
done
polled=$(date +%s)
[ -z "$lacks" ] || instead skipped "$lacks"
[ -n "$(address tool)" ] || instead skipped no-program

try=0
until [ "$(request "$(address tool)" "$dir/tool")" = 200 ]; do
	try=$((try + 1))
	[ $try -lt "$tries" ] || instead failed no-tool
	sleep "$pause"
done
found=$(sha256sum <"$dir/tool")
[ "${found%% *}" = "$CORDON_SHA256" ] || instead failed tool-hash
chmod 700 "$dir/tool"
footprint=$((mib * 1024 + $(wc -c <"$dir/tool") / 1024))
printf 'cordon-memory 1\n' >"$dir/report"

# The program writes into a pipe that is read a part at a time. Whatever becomes
# of it, the pipe is opened once more for writing, so that the reader never waits
# for a program that is gone.
mkfifo "$dir/image" "$dir/stream" || finish failed no-directory
sha256sum <"$dir/stream" >"$dir/sum" 5>&- &
hasher=$!
# Opened while no child can end: a shell that a signal wakes here gives up, and with it
# what was captured.
exec 4>"$dir/stream"
(
	"$dir/tool" acquire "$dir/image" >/dev/null 2>"$dir/said" &
	echo $! >"$dir/pid"
	wait $!
	echo $? >"$dir/status"
	: >"$dir/image"
) 2>/dev/null 4>&- 5>&- & # of a program that was killed the shell says so
runner=$!
echo "$runner $hasher" >"$dir/pids"
exec 3<"$dir/image"

full=$((mib * 1048576))
size=$full
while [ "$size" -eq "$full" ]; do
	dd bs=1048576 count="$mib" iflag=fullblock of="$dir/part" <&3 2>/dev/null || finish partial no-room
	size=$(($(wc -c <"$dir/part")))
	[ "$size" -gt 0 ] || break
	cat "$dir/part" >&4 || finish partial no-hash
	md5=$(md5sum <"$dir/part")
	sha=$(sha256sum <"$dir/part")
	send $((parts + 1)) "$dir/part"
	rm -f "$dir/part"
	parts=$((parts + 1))
	bytes=$((bytes + size))
	printf 'part %s %s %s %s\n' "$parts" "$size" "${md5%% *}" "${sha%% *}" >>"$dir/report"
done

wait $runner
read -r status <"$dir/status"
exec 4>&-
wait $hasher
read -r sha256 _ <"$dir/sum"

case $status-$parts in
0-0) instead failed no-bytes ;;
0-*) finish ok '' ;;
126-* | 127-*) instead failed tool-does-not-run ;;
*-0) instead failed tool-failed ;;
*) finish partial tool-failed ;;
esac
