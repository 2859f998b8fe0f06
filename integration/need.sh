#!/bin/sh
# Checks that the named programs are there, one line for each that is not.
missing=0
for p in "$@"; do
	command -v "$p" >/dev/null 2>&1 && continue
	case $p in
	go) how='Go 1.26 or newer, https://go.dev/dl' ;;
	gcc) how='a C compiler, for the race detector (Debian: apt-get install gcc libc6-dev)' ;;
	node | npm) how='Node 20 or newer with npm, https://nodejs.org' ;;
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
