#!/bin/sh
# A stand-in of Docker's own packages: Debian's, under the names and in the layout of download.docker.com,
# signed. Usage, in a container of Debian: repository.sh FOLDER
set -eu
export DEBIAN_FRONTEND=noninteractive GNUPGHOME=/tmp/keys
apt-get update >/dev/null
apt-get install --yes --no-install-recommends gnupg >/dev/null 2>&1
# shellcheck source=/dev/null
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
packages=dists/$release/stable/binary-$(dpkg --print-architecture)
mkdir -p "$GNUPGHOME" && chmod 700 "$GNUPGHOME" && mkdir -p "$1/debian/pool" "$1/debian/$packages"
cd /tmp
apt-get download docker.io docker-cli containerd >/dev/null 2>&1
cd "$1/debian"
for pair in docker.io:docker-ce docker-cli:docker-ce-cli containerd:containerd.io; do
    name=${pair#*:}
    rm -rf /tmp/one && dpkg-deb --raw-extract /tmp/"${pair%%:*}"_*.deb /tmp/one
    sed -i "s/^Package: .*/Package: $name/; s/containerd (>= [^)]*)/containerd.io/
        /^\(Conflicts\|Breaks\|Replaces\|Provides\):/d" /tmp/one/DEBIAN/control
    dpkg-deb --build --root-owner-group -Znone /tmp/one "pool/$name.deb" >/dev/null
    dpkg-deb --field "pool/$name.deb"
    echo "Filename: pool/$name.deb"
    echo "Size: $(stat -c %s "pool/$name.deb")"
    echo "SHA256: $(sha256sum "pool/$name.deb" | cut -d' ' -f1)"
    echo
done >"$packages/Packages"
file=$packages/Packages
{
    echo "Suite: $release"
    echo "Components: stable"
    echo "Date: $(date -Ru)"
    echo "SHA256:"
    echo " $(sha256sum "$file" | cut -d' ' -f1) $(stat -c %s "$file") ${file#dists/"$release"/}"
} >"dists/$release/Release"
gpg --batch --quiet --passphrase '' --quick-gen-key docker@example.com rsa3072 sign 2>/dev/null
gpg --batch --quiet --armor --export --output gpg
gpg --batch --quiet --clearsign --output "dists/$release/InRelease" "dists/$release/Release"
chmod -R a+rX "$1"
