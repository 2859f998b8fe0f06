#!/bin/sh
# Unpacks rsyslogd, syslog-ng and lognormalizer of Debian, with the libraries
# that this machine lacks, into integration/.peers/root, and installs nothing:
# the packages of rsyslog and syslog-ng exclude each other. Needs apt-get and
# dpkg; without root only where the package lists are there already.
set -eu
cd "$(dirname "$0")/.."
root=.peers/root
[ -x $root/usr/sbin/rsyslogd ] && [ -x $root/usr/sbin/syslog-ng ] && [ -x $root/usr/bin/lognormalizer ] && exit 0
command -v apt-get >/dev/null && command -v dpkg >/dev/null || exit 1
mkdir -p .peers
new=$(mktemp -d .peers/new.XXXXXX)
trap 'rm -rf "$new"' EXIT
mkdir -p "$new/debs/partial" "$new/root"
export DEBIAN_FRONTEND=noninteractive
# Only fetches; --reinstall, for what is installed would not be fetched.
get() {
	apt-get install -y --download-only --reinstall --no-install-recommends -o Dir::Cache::archives="$PWD/$new/debs" \
		-o Debug::NoLocking=1 -o APT::Sandbox::User=root "$@"
}
all() { get rsyslog rsyslog-gnutls liblognorm-utils && get syslog-ng-core; }
{ all || { apt-get update && all; }; } >"$new/log" 2>&1 || { tail -n 1 "$new/log" >&2; exit 1; }
for deb in "$new"/debs/*.deb; do dpkg -x "$deb" "$new/root"; done
rm -rf $root
mv "$new/root" $root
