#!/bin/bash
# What OpenZFS's kernel makes of damaged pools; run in the virtual machine by `cargo xtask kernel`.
#
# /share has `cases`, a line for each: its number, the pool, the snapshot that is damaged, and the stream that heals it;
# kernel/NUMBER has the pool to be healed here, and ours/NUMBER the same, healed by zferry.
cd /share
say_bad() { echo "BAD $*"; }
while read -r number pool snapshot stream; do
  zpool import -d "/share/kernel/$number" -N "$pool" > /dev/null 2>&1 || say_bad "$number: import"
  zfs receive -c "$snapshot" < "$stream.zsend" || say_bad "$snapshot from $stream: not healed"
  zpool export "$pool" || say_bad "$number: export"
  zpool import -d "/share/ours/$number" -N "$pool" > /dev/null 2>&1 || say_bad "$number: import of ours"
  zpool scrub -w "$pool"
  zpool status -v "$pool" | grep -q 'scrub repaired 0B in .* with 0 errors' || say_bad "$snapshot from $stream: $(zpool status -v "$pool")"
  zpool export "$pool" || say_bad "$number: export of ours"
done < cases
echo "heal done"
