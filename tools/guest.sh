#!/bin/sh
# guest.sh DIR puts into DIR what a guest for `make test-memory` is made of, out
# of Debian's packages: its kernel for clouds, and a small userland with the
# commands that capture.sh wants. Nothing but qemu is installed on this machine,
# and that only where root may. What is there is not fetched again.
#
# On failure it prints one line that says why, and ends with 1.
set -u
dir=$1
log=$dir/log

give_up() {
	echo "$1"
	exit 1
}

mkdir -p "$dir" || give_up "$dir cannot be made"
{ dir=$(cd "$dir" && pwd) && log=$dir/log && true >"$log"; } || give_up "$dir cannot be written to"

[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || give_up "the guest's packages are those of Debian for x86-64, and this is $(uname -sm)"

sh "$(dirname "$0")/have.sh" "$log" qemu-system-x86_64=qemu-system-x86 mke2fs=e2fsprogs || exit 1
packages='busybox-static coreutils curl dash sed util-linux' # for setsid: everywhere on Debian
[ "$packages" != "$(cat "$dir/ready" 2>/dev/null)" ] || exit 0
{ command -v apt-get && command -v dpkg-deb; } >/dev/null ||
	give_up "Debian's packages are wanted for the guest, and there is no apt-get to fetch them with"

# An empty status makes apt resolve everything the userland depends on, whatever
# this machine has.
rm -rf "$dir/root" "$dir/modules" "$dir/kernel" "$dir/vmlinuz" "$dir/ready" "$dir/debs"
mkdir -p "$dir/debs/partial" "$dir/kernel" "$dir/root"
: >"$dir/status"
# shellcheck disable=SC2086 # several packages are several words
fetch() {
	apt-get -qq -y -o Debug::NoLocking=1 -o APT::Sandbox::User= -o Dir::State::status="$dir/status" \
		-o Dir::Cache::archives="$dir/debs" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
		--download-only --no-install-recommends install $packages >>"$log" 2>&1
}
fetch || {
	[ "$(id -u)" = 0 ] && apt-get -qq update >>"$log" 2>&1 && fetch
} || give_up "apt-get cannot download Debian's packages for the guest; $log says more"

# The meta package names the newest kernel; that alone is wanted, without what
# Debian needs to install it.
kernel=$(apt-cache depends linux-image-cloud-amd64 2>>"$log" | sed -n 's/.*Depends: \(linux-image-[^ ]*\)$/\1/p' | sed -n 1p)
[ -n "$kernel" ] || give_up "apt knows no linux-image-cloud-amd64; is this Debian?"
(cd "$dir/debs" && apt-get -qq -o APT::Sandbox::User= download "$kernel") >>"$log" 2>&1 || give_up "apt-get cannot download $kernel; $log says more"

for deb in "$dir"/debs/*.deb; do
	case $deb in
	*/linux-image-*) dpkg-deb -x "$deb" "$dir/kernel" ;;
	*) dpkg-deb -x "$deb" "$dir/root" ;;
	esac >>"$log" 2>&1 || give_up "$deb cannot be unpacked; $log says more"
done
{ mv "$dir"/kernel/boot/vmlinuz-* "$dir/vmlinuz" && mv "$dir"/kernel/lib/modules/* "$dir/modules"; } ||
	give_up "$kernel does not hold what a kernel package holds"

# Places for what is mounted, and nothing that is only to be read.
cd "$dir/root" || give_up "$dir/root is gone"
rm -rf usr/share/doc usr/share/man usr/share/locale usr/share/info
mkdir -p dev proc sys run tmp etc/ssl/certs
: >etc/hosts
: >etc/ssl/certs/ca-certificates.crt
[ -e bin/sh ] || ln -s dash bin/sh
(cd "$dir/debs" && printf '%s\n' ./*.deb) >"$dir/packages"
rm -rf "$dir/kernel" "$dir/debs" "$dir/status"
echo "$packages" >"$dir/ready"
