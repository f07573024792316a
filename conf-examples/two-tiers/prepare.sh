#!/bin/sh
# Makes the secret of the mesh:  prepare.sh RUN
set -eu
umask 077
openssl rand -hex 32 >"$1/mesh.secret"
