#!/bin/sh
# have.sh LOG COMMAND=PACKAGE... sees to it that commands are there: what lacks
# is installed from Debian's packages, where there are any and root asks. On
# failure it prints one line that says why, and ends with 1.
set -u
log=$1
shift
PATH=$PATH:/usr/sbin:/sbin # not in everyone's

need=''
for pair in "$@"; do
	command -v "${pair%%=*}" >/dev/null || need="$need ${pair#*=}"
done
need=${need# }
[ -n "$need" ] || exit 0

command -v apt-get >/dev/null || { echo "install $need; there is no apt-get to do it with" && exit 1; }
[ "$(id -u)" = 0 ] || { echo "install $need first; only root may" && exit 1; }
apt-get -qq update >>"$log" 2>&1
# shellcheck disable=SC2086 # two packages are two words
DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $need >>"$log" 2>&1 ||
	{ echo "apt-get cannot install $need; $log says more" && exit 1; }
