#!/usr/bin/env bash
#
# Brings up a container engine for ContainerTest, in a network and mount namespace of its own, with an image that is made
# here: nothing is pulled. Run again, it finds what is there. down.sh ends it.

set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[ "$(id -u)" = 0 ] || die "a container engine in namespaces of its own takes root."
for tool in dockerd docker debootstrap ip nsenter; do
    command -v "$tool" >/dev/null || die "$tool is missing; ./atoll test containers installs what is needed."
done

# Debian's own release, from the archive that this machine's apt uses.
archive() {
    apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Identifier: Packages' |
        awk -v release="$1" '$1 == release { print $2; exit }'
}

make_image() {
    local release uri rootfs=$DATA/rootfs
    release=$(. /etc/os-release && echo "$VERSION_CODENAME")
    uri=$(archive "$release")
    [ -n "$uri" ] || die "apt on this machine knows no archive of Debian $release to make an image from."
    say "making an image of Debian $release with nginx"
    rm -rf "$rootfs"
    debootstrap --variant=minbase --include=nginx "$release" "$rootfs" "$uri" >"$DATA/debootstrap.log" 2>&1 ||
        { tail -n 5 "$DATA/debootstrap.log" >&2; die "debootstrap failed (all of its output: $DATA/debootstrap.log)."; }
    rm -rf "$rootfs"/var/cache/apt/archives/*.deb "$rootfs"/var/lib/apt/lists/*
    tar -C "$rootfs" -cf "$DATA/image.tar.new" .
    mv "$DATA/image.tar.new" "$DATA/image.tar"
    rm -rf "$rootfs"
}

start_engine() {
    ip netns list | grep -q "^$NETNS\b" || ip netns add "$NETNS"
    ip -n "$NETNS" link set lo up
    # nsenter, since `ip netns exec` hides the cgroups.
    setsid nsenter --net="/run/netns/$NETNS" unshare -m --propagation private \
        dockerd --host "$SOCKET" --pidfile "$STATE/docker.pid" --exec-root "$STATE/exec" --data-root "$DATA/engine" \
        --storage-driver overlay2 --exec-opt native.cgroupdriver=cgroupfs >"$DATA/dockerd.log" 2>&1 </dev/null &
    wait_for 60 "the container engine" engine_answers || { tail -n 20 "$DATA/dockerd.log" >&2; exit 1; }
}

mkdir -p "$STATE" "$DATA"
[ -s "$DATA/image.tar" ] || make_image
if [ -n "$(engine_pid)" ]; then
    wait_for 60 "the container engine" engine_answers || exit 1
else
    rm -f "$STATE/docker.pid"
    start_engine
fi
docker --host "$SOCKET" image inspect "$IMAGE" >/dev/null 2>&1 ||
    docker --host "$SOCKET" import --change 'CMD ["nginx", "-g", "daemon off;"]' --change 'EXPOSE 80' \
        "$DATA/image.tar" "$IMAGE" >/dev/null
say "engine $SOCKET in namespace $NETNS, image $IMAGE"
