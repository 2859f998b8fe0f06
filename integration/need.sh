#!/bin/sh
# Checks that the named programs are there, one line for each that is not. Root
# gets strace and mkfs.ext4 from apt-get, where that is; they are for Linux only,
# as the syslog receivers are, which receivers/fetch.sh unpacks into .peers.
PATH=$PATH:/usr/sbin:/sbin
fetch() {
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
	export DEBIAN_FRONTEND=noninteractive
	apt-get install -y "$1" >/dev/null 2>&1 || { apt-get update && apt-get install -y "$1"; } >/dev/null 2>&1
}
missing=0
for p in "$@"; do
	case $p in
	rsyslogd | syslog-ng | lognormalizer)
		[ "$(uname)" = Linux ] || continue
		why=$(sh "$(dirname "$0")/receivers/fetch.sh" 2>&1) && continue ;;
	esac
	command -v "$p" >/dev/null 2>&1 && continue
	case $p in
	go) how='Go 1.26 or newer, https://go.dev/dl' ;;
	gcc) how='a C compiler, for the race detector (Debian: apt-get install gcc libc6-dev)' ;;
	node | npm) how='Node 20 or newer with npm, https://nodejs.org' ;;
	strace | mkfs.ext4)
		[ "$(uname)" = Linux ] || continue
		package=$([ "$p" = strace ] && echo strace || echo e2fsprogs)
		fetch "$package" && continue
		how="the package $package"
		;;
	rsyslogd | syslog-ng | lognormalizer)
		how="it, or on Debian and Ubuntu run this as root${why:+ ($why)}"
		;;
	*) how="the program $p" ;;
	esac
	echo "missing: $p: install $how" >&2
	missing=1
done
[ "$missing" = 0 ] || exit 1
case " $* " in *' node '*)
	major=$(node -p 'process.versions.node.split(".")[0]')
	[ "$major" -ge 20 ] || { echo "too old: node $(node --version): install Node 20 or newer, https://nodejs.org" >&2; exit 1; }
	;;
esac
