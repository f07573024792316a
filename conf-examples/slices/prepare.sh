#!/bin/sh
# Makes a large object for the origin of peers.conf:  prepare.sh RUN
set -eu
mkdir -p "$1/files"
head -c 5000000 /dev/urandom >"$1/files/film.bin"
chmod -R a+rX "$1/files"
