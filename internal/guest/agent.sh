#!/bin/sh
# The guest's agent: runs scripts that come over the second serial line, one
# word of a command a line.
#
#	put ID BASE64   more of a script
#	run ID          run it; answered by "done ID STATUS out:BASE64 err:BASE64"
#	kill ID         as SSM's agent ends a command: SIGKILL to its process group
#	off             power off
#
# It hears something every few seconds. If not, whoever booted the guest is gone,
# and so is what would end qemu.
busybox=/bin/busybox
exec 3<>/dev/ttyS1
$busybox stty raw -echo <&3
$busybox mkdir /run/commands
cd /run/commands || exit 1
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
# A child that ends while a line is being read makes busybox's read lose what it
# has of the line. So nothing that runs by itself is a child of this shell: it is
# one of a shell that is gone, and the first process has it.
(
	while $busybox sleep 120; do
		[ -e beat ] || $busybox poweroff -f
		$busybox rm beat
	done &
)
echo ready >&3
while read -r verb id text <&3; do
	case $verb in
	put) printf %s "$text" >>"$id.b64" ;;
	run)
		$busybox base64 -d "$id.b64" >"$id.sh"
		( (
			$busybox setsid /bin/sh "$id.sh" >"$id.out" 2>"$id.err" </dev/null 3>&- &
			echo $! >"$id.pid"
			wait $!
			echo "done $id $? out:$($busybox base64 "$id.out" | $busybox tr -d '\n') err:$($busybox base64 "$id.err" | $busybox tr -d '\n')" >&3
			$busybox rm -f "$id".*
		) & )
		;;
	beat) : >beat ;;
	kill) [ ! -s "$id.pid" ] || kill -9 "-$($busybox cat "$id.pid")" ;;
	off)
		$busybox sync
		$busybox mount -o remount,ro /
		break
		;;
	esac
done
