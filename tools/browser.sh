#!/bin/sh
# browser.sh LOG prints the path of the Chromium that `make test-page` drives: the
# one that CORDON_BROWSER names, one on the PATH, or Debian's, installed where
# root may. Without a Japanese font the pictures of the Japanese page show boxes,
# so one is installed beside it.
#
# On failure it prints one line that says why, and ends with 1.
set -u
log=$1

give_up() {
	echo "$1"
	exit 1
}

look() {
	for name in chromium chromium-browser google-chrome google-chrome-stable; do
		command -v "$name" && exit 0
	done
}

if [ -n "${CORDON_BROWSER:-}" ]; then
	command -v "$CORDON_BROWSER" && exit 0
	give_up "CORDON_BROWSER names $CORDON_BROWSER, which cannot be run"
fi
look
command -v apt-get >/dev/null || give_up "Chromium is wanted, and there is no apt-get to install it with; install it, or name one in CORDON_BROWSER"
[ "$(id -u)" = 0 ] || give_up "install chromium first, or name one in CORDON_BROWSER; only root may"
apt-get -qq update >"$log" 2>&1
DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install chromium fonts-dejavu-core fonts-ipafont-gothic >>"$log" 2>&1 ||
	give_up "apt-get cannot install chromium; $log says more"
look
give_up "chromium was installed and is not on the PATH"
