#!/bin/bash
# Has OpenZFS's kernel module send the example pool with the damage that BLOCKS lists. Runs as root where the module is:
#
#   make.sh IMAGE > MANIFEST      IMAGE: the example pool, unpacked
#
# Streams of OpenZFS that are not here: with -c it sends the pattern as if it were compressed, and without -L it fails on
# a block above 128 KiB although it was told to go on.
set -euo pipefail
image=/tmp/harbour.img
cp --sparse=always "$1" "$image"
grep -v '^#' "$(dirname "$0")/BLOCKS" | tr ' ' '\n' | while read -r offset; do
  for _ in 1 2 3 4; do printf 'overwritten, and so not what it was any more. '; done |
    dd of="$image" bs=1 seek=$((16#$offset)) conv=notrunc status=none
done
echo 1 > /sys/module/zfs/parameters/zfs_send_corrupt_data
zpool import -d "${image%/*}" -o readonly=on -N harbour
send() {
  local name=$1; shift
  zfs send "$@" > /tmp/stream
  echo "$name|zfs send $*|$(stat -c %s /tmp/stream)|$(sha256sum < /tmp/stream | cut -d' ' -f1)"
}
send photos-tuesday-L -L harbour/photos@tuesday
send log-friday harbour/log@friday
send log-tuesday-friday -i @tuesday harbour/log@friday
send log-R -R harbour/log@friday
send archive-monday harbour/archive@monday
send archive-monday-e -e harbour/archive@monday
send chart-tuesday harbour/chart@tuesday
send chart-monday-tuesday -i @monday harbour/chart@tuesday
send safe-tuesday-w -w harbour/safe@tuesday
send safe-monday-tuesday-w -w -i @monday harbour/safe@tuesday
zpool export harbour
