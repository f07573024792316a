#!/bin/sh
# Makes the certificate of peers.conf:  prepare.sh RUN
set -eu
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=peer.example \
    -keyout "$1/peer.key" -out "$1/peer.crt" 2>"$1/prepare.log"
