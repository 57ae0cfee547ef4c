#!/bin/sh
# Create the root file system of a stand-in for debian:trixie-slim. Usage: debian.sh MIRROR FILE.tar
#
# Like the official image, it has no manual pages, package lists or cached packages. It trusts the same
# certificate authorities as this machine: a package mirror may use a private CA.
set -eu

# shellcheck disable=SC2016  # $1 is mmdebstrap's
mmdebstrap --quiet --mode=root --variant=minbase --include=ca-certificates \
    --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook='upload /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt' \
    --customize-hook='cat >"$1/etc/apt/apt.conf.d/docker-clean" <<END
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
Acquire::Languages "none";
END' \
    trixie "$2" "$1"
