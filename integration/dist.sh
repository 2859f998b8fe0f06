#!/bin/sh
# Builds the release binaries into dist/ with the given linker flags.
set -e
mkdir -p dist
for target in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64; do
	os=${target%/*} arch=${target#*/} suffix=
	[ "$os" = windows ] && suffix=.exe
	CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -ldflags "$1" -o "dist/vmcp-audit-$os-$arch$suffix" ./cmd/vmcp-audit
done
cd dist && sha256sum vmcp-audit-* >SHA256SUMS
