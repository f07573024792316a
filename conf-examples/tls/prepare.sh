#!/bin/sh
# Makes a certificate authority, certificates of a node and of the origin, and the mesh's secret:  prepare.sh RUN
set -eu
cd "$1"
exec 2>prepare.log
umask 077

openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=mesh" -keyout ca.key -out ca.crt

# certificate FILE NAMES: signed by the authority
certificate() {
    openssl req -newkey rsa:2048 -nodes -subj "/CN=$1" -keyout "$1.key" -out "$1.csr"
    echo "subjectAltName = $2" >"$1.ext"
    openssl x509 -req -days 30 -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -extfile "$1.ext" -out "$1.crt"
}

certificate node   "DNS:edges, DNS:shields"
certificate origin "DNS:origin.example"
openssl rand -hex 32 >mesh.secret
