#!/bin/bash
# Makes the pools whose disks lie in this folder, one file a pool: as root, with OpenZFS 2.3's kernel module. All disks of
# a pool are of one size and follow one another in its file, in the order of their names.
#
#   make.sh FOLDER     writes NAME.img (sparse) and MANIFEST there; compress with 'zstd -19 --long=27 --rm *.img'
set -euo pipefail
out=$(realpath "$1")
work=$(mktemp -d)
cd "$work"
size=64
parameters=/sys/module/zfs/parameters
: > "$out/MANIFEST"

disks() { truncate -s "${size}M" "$@"; }
# data DIR FIRST LAST: files whose content is known and packs well, in blocks that differ
data() {
  local file
  for file in $(seq "$2" "$3"); do
    seq -f "file $file line %g" 1 $((file * 700 % 9000)) > "$1/$file"
  done
}
# options for pools whose stored bytes pack well
create() { zpool create -f -o ashift="${ashift:-12}" -o feature@log_spacemap=disabled -O compression=off -O atime=off -O mountpoint="$work/mnt" "$@"; }
# finish POOL DISK...: a snapshot, its stream's sum, the disks in one file
finish() {
  local pool=$1 disk; shift
  zpool sync "$pool"
  zfs snapshot "$pool@s"
  zfs send "$pool@s" > stream
  echo "$pool|zfs send $pool@s|$(stat -c %s stream)|$(sha256sum < stream | cut -d' ' -f1)" >> "$out/MANIFEST"
  rm stream
  zpool status "$pool" | sed -n '/config/,$p'
  zpool export "$pool"
  pack "$pool" "$@"
}
pack() {
  local pool=$1 disk n=0; shift
  for disk in "$@"; do
    dd if="$disk" of="$out/$pool.img" bs=1M seek=$((n * size)) conv=sparse,notrunc status=none
    n=$((n + 1))
  done
  truncate -s $((n * size))M "$out/$pool.img"
  rm -f "$@"
}

# Two vdevs removed, one after another, onto a mirror: mappings that follow mappings, and blocks in many pieces.
disks a b
size=256
disks c d
echo 16384 > $parameters/zfs_remove_max_segment
create removed "$PWD/a" "$PWD/b" mirror "$PWD/c" "$PWD/d"
data mnt 1 12
zpool sync removed
rm mnt/3 mnt/5
data mnt 13 16
zpool remove removed "$PWD/a"
zpool wait -t remove removed
data mnt 17 18
zpool remove removed "$PWD/b"
zpool wait -t remove removed
data mnt 19 20
rm a b
finish removed c d
echo 16777216 > $parameters/zfs_remove_max_segment

size=64
# Every kind of top-level vdev beside another, a hole where a log was, and sectors of several sizes.
disks a b c d e f g h i j
ashift=9 create kinds "$PWD/a" special mirror "$PWD/b" "$PWD/c" log "$PWD/d"
zfs set special_small_blocks=8K kinds
zpool add -f -o ashift=12 kinds raidz1 "$PWD/e" "$PWD/f" "$PWD/g"
zpool add -f -o ashift=12 kinds dedup "$PWD/h"
zpool add -f kinds cache "$PWD/i" spare "$PWD/j"
zpool remove kinds "$PWD/d"
zfs set recordsize=32K compression=lz4 kinds
data mnt 1 20
zfs set dedup=on kinds
data mnt 21 24
disks k
zpool add -f kinds log "$PWD/k"
rm d
finish kinds a b c e f g h i j k

# A raidz that grew twice, written at each width.
disks a b c d e
create expanded raidz1 "$PWD/a" "$PWD/b" "$PWD/c"
data mnt 1 9
zfs set recordsize=1M expanded
data mnt 10 14
zpool attach -w expanded raidz1-0 "$PWD/d"
data mnt 15 20
zpool attach -w expanded raidz1-0 "$PWD/e"
data mnt 21 24
finish expanded a b c d e

# A raidz2 that is still growing.
disks a b c d e
create expanding raidz2 "$PWD/a" "$PWD/b" "$PWD/c" "$PWD/d"
zfs set recordsize=64K expanding
data mnt 1 30
zpool sync expanding
echo 1000000 > $parameters/raidz_expand_max_reflow_bytes
zpool attach expanding raidz2-0 "$PWD/e"
sleep 10
data mnt 31 36
finish expanding a b c d e
echo 0 > $parameters/raidz_expand_max_reflow_bytes

# Double and triple parity dRAID with distributed spares, of which one is in use, and large blocks.
disks a b c d e f g h i
create taken draid2:4d:9c:2s "$PWD/a" "$PWD/b" "$PWD/c" "$PWD/d" "$PWD/e" "$PWD/f" "$PWD/g" "$PWD/h" "$PWD/i"
data mnt 1 10
zfs set recordsize=1M taken
data mnt 11 14
zpool offline -f taken "$PWD/c"
zpool replace taken "$PWD/c" draid2-0-1
zpool wait -t resilver taken
data mnt 15 16
zpool scrub -w taken
finish taken a b c d e f g h i

disks a b c d e f g h
create triple draid3:3d:8c:1s "$PWD/a" "$PWD/b" "$PWD/c" "$PWD/d" "$PWD/e" "$PWD/f" "$PWD/g" "$PWD/h"
zfs set recordsize=16K triple
data mnt 1 10
finish triple a b c d e f g h

# A raidz with one child being replaced, hardly begun; and a mirror of which one side was away for a while.
disks a b c d
create replacing raidz1 "$PWD/a" "$PWD/b" "$PWD/c"
data mnt 1 10
zpool sync replacing
echo 1 > $parameters/zfs_scan_suspend_progress
zpool replace replacing "$PWD/b" "$PWD/d"
sleep 2
finish replacing a b c d
echo 0 > $parameters/zfs_scan_suspend_progress

disks a b c
create stale mirror "$PWD/a" "$PWD/b" spare "$PWD/c"
data mnt 1 5
zpool sync stale
zpool offline stale "$PWD/a"
data mnt 6 10
rm mnt/1 mnt/2
zpool sync stale
data mnt 11 12
finish stale a b c
ls -ls "$out"
