# The base images: the real ones from Docker Hub or, if it does not answer, stand-ins. ../engine sources
# this file and defines `say`, `fail`, `step`, `apt_install`, `debian` and `mirror`.
# shellcheck shell=sh disable=SC2154  # `here` is this checkout's lab/

base=debian:trixie-slim
images="$base python:3.13-slim-trixie postgres:17-trixie redis:8-trixie caddy:2 registry:2"
bundle=/etc/ssl/certs/ca-certificates.crt

short() { echo "${1%%:*}"; }

# A checksum of a stand-in's sources; it is the value of the image's label `standin`.
fingerprint() {
    cat "$here/images/debian.sh" "$here/images/$(short "$1")"[.-]* "$bundle" | cksum | cut -d' ' -f1
}

# The label of a local image: a number for a stand-in, empty for a real image; fails if there is no image.
label() {
    docker image inspect --format '{{with .Config.Labels}}{{with .standin}}{{.}}{{end}}{{end}}' "$1" 2>/dev/null
}

# True for a real image, and for a stand-in built from the current definition.
present() {
    made_from=$(label "$1") || return 1
    [ -z "$made_from" ] || [ "$made_from" = "$(fingerprint "$1")" ]
}

absent() { for image in $images; do present "$image" || echo "$image"; done; }

# Pull missing images. After the first failure build stand-ins, so as to wait for the Hub only once.
images_up() {
    for image in $(absent); do
        if ! reason=$(timeout --foreground 300 docker pull --quiet "$image" 2>&1); then
            say "cannot pull $image: $(echo "$reason" | tail -n 1 | cut -c 1-160)"
            make_stand_ins
            return
        fi
        say "pulled $image"
    done
}

make_stand_ins() {
    [ "$(debian)" ] && [ "$(id -u)" = 0 ] ||
        fail 'stand-ins can only be built on Debian as root - run this there, or give this machine access to Docker Hub'
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    present "$base" || make_base
    absent | while read -r image; do bake_target "$image"; done >"$work/bake.hcl"
    targets=$(absent | cut -d: -f1 | paste -sd " ")
    # shellcheck disable=SC2086  # one word per target
    step 600 "stand-ins $targets" docker buildx bake --file "$work/bake.hcl" $targets
}

make_base() {
    command -v mmdebstrap >/dev/null || apt_install mmdebstrap
    address=$(mirror)
    step 300 'Debian 13 file system' "$here/images/debian.sh" "$address" "$work/base.tar"
    step 120 "stand-in $base" docker import \
        --change "LABEL standin=$(fingerprint "$base")" \
        --change "ENV PIP_CERT=$bundle SSL_CERT_FILE=$bundle REQUESTS_CA_BUNDLE=$bundle" \
        --change 'CMD ["bash"]' \
        "$work/base.tar" "$base"
}

bake_target() {
    cat <<TARGET
target "$(short "$1")" {
  context = "$here/images"
  dockerfile = "$(short "$1").Dockerfile"
  tags = ["$1"]
  labels = { standin = "$(fingerprint "$1")" }
}
TARGET
}

images_status() {
    for image in $images; do
        if ! made_from=$(label "$image"); then
            say "$image: missing"
        elif [ "$made_from" ]; then
            say "$image: a stand-in"
        else
            say "$image: the real image"
        fi
    done
}

# Remove the stand-ins by name: images built from them have the same label.
images_purge() {
    for image in $images; do
        if [ "$(label "$image")" ]; then docker image rm "$image" >/dev/null; fi
    done
}
