#!/bin/bash
# Makes the example pool and everything that the tests compare with. OpenZFS does all of it, so this runs as root on a
# machine with the kernel module (any 2.3; the results that are kept here are of 2.3.2):
#
#   make.sh FOLDER      leaves in FOLDER: harbour.img (the pool, exported, 64 MiB and sparse), MANIFEST (what `zfs send`
#                       wrote: a line each, name|command|bytes|sha256), harbour.list, harbour.props and pool.* (what zfs
#                       and zpool print), *.tree (what lies in a snapshot, through the kernel)
#
# Afterwards `zstd -19 harbour.img` and put the files beside this script. Guids and times differ from run to run, so all
# of it belongs together: one file is never renewed alone.
set -euo pipefail
export LC_ALL=C TZ=UTC
out=${1:-/share}
mount=/tmp/harbour
image=$mount/harbour.img
mkdir "$mount"

# paint FILE WIDTH HEIGHT SEED: a picture (portable pixmap) of waves; no two seeds look alike.
paint() {
  awk -v w="$2" -v h="$3" -v seed="$4" 'BEGIN {
    printf "P3\n# harbour %d\n%d %d\n255\n", seed, w, h
    for (y = 0; y < h; y++) { row = ""
      for (x = 0; x < w; x++) { wave = sin(x / (7 + seed) + 3 * sin(y / 11)) + cos(y / (5 + seed))
        row = row sprintf("%d %d %d ", 40 + y * 90 / h, 90 + 30 * wave, 150 + 50 * wave) }
      print row } }' > "$1"
}

# tide FILE DAYS FROM: a table of high and low water, one line each.
tide() {
  awk -v days="$2" -v from="$3" 'BEGIN {
    for (i = 0; i < days * 4; i++) { m = i * 372.6 + from * 1440
      printf "day %3d  %02d:%02d  %s  %4.2f m\n", m / 1440, m / 60 % 24, m % 60, i % 2 ? "low " : "high", \
        (i % 2 ? 0.7 : 4.9) + 0.6 * sin(i / 28) } }' > "$1"
}

# snapshot NAME DATASET...: the same name for several datasets.
snapshot() {
  local name=$1 dataset; shift
  sync
  for dataset; do zfs snapshot "harbour/$dataset@$name"; done
}

truncate -s 64M "$image"
zpool create -R "$mount" -o ashift=12 -O mountpoint=/harbour -O atime=off -O xattr=sa \
  -O org.example:owner=harbourmaster harbour "$image"
zfs create -o compression=zstd -o recordsize=1M harbour/photos
zfs create -o compression=lz4 -o recordsize=16K -o org.example:keep=7y harbour/log
zfs create -o compression=gzip-6 -o dnodesize=auto -o checksum=sha256 -o quota=32M harbour/archive
zfs create -V 8M -o volblocksize=16K -o compression=lz4 harbour/chart
echo 'lighthouse keeper' | zfs create -o encryption=aes-256-gcm -o keyformat=passphrase -o keylocation=prompt harbour/safe
chart=$mount/chart
# /dev/zvol needs udev; the plain node does not.
[ -e /dev/zvol/harbour/chart ] && ln -s /dev/zvol/harbour/chart "$chart" || ln -s /dev/zd0 "$chart"

# Monday.
cd "$mount/harbour/photos"
mkdir -p 2024/june
paint 2024/june/pier.ppm 400 160 1
paint 2024/june/lighthouse.ppm 120 80 2
setfattr -n user.caption -v 'The pier at low water' 2024/june/pier.ppm
printf 'taken with the old camera\n' > 2024/june/README
ln -s 2024/june/lighthouse.ppm cover.ppm
cd "$mount/harbour/log"
tide tides.txt 90 0
for day in 01 02 03 04 05; do
  printf 'June %s. Wind SW %s, sea moderate.\nIn: Marie, Concord. Out: Petrel.\n' "$day" "$day" > "june-$day.txt"
done
ln june-05.txt latest.txt
truncate -s 3M soundings.dat
tide soundings.part 40 100
dd if=soundings.part of=soundings.dat bs=16K seek=100 conv=notrunc status=none
rm soundings.part
mkfifo horn
cd "$mount/harbour/archive"
for year in 1987 1988 1989; do tide "tides-$year.txt" 120 "$year"; done
for i in 1 2 3 4 5 6; do setfattr -n "user.note$i" -v "$(printf 'box %d, shelf %d. %.0s' {1..60})" tides-1987.txt; done
cd "$mount/harbour/safe"
printf 'The spare key hangs behind the barometer.\n' > where.txt
tide tides.txt 10 0
tide "$mount/sheet" 200 0
dd if="$mount/sheet" of="$chart" bs=16K seek=3 conv=notrunc status=none
cd /
snapshot monday photos log archive chart safe
zfs bookmark harbour/photos@monday harbour/photos#monday

# Tuesday: files come, change, shrink, get holes, change their names, and go.
cd "$mount/harbour/photos"
mkdir 2024/july
paint 2024/july/regatta.ppm 200 150 3
printf 'P3 retouched' | dd of=2024/june/pier.ppm bs=1 seek=1048570 conv=notrunc status=none
setfattr -n user.caption -v 'The pier, retouched' 2024/june/pier.ppm
rm 2024/june/README
mv 2024/june/lighthouse.ppm 2024/july/lamp.ppm
cd "$mount/harbour/log"
printf 'June 06. Fog. Horn sounded all day.\n' > june-06.txt
rm june-01.txt june-02.txt
truncate -s 2000 tides.txt
truncate -s 1700000 soundings.dat
printf 'corrected\n' >> june-05.txt
cd "$mount/harbour/safe"
printf 'It has been moved.\n' >> where.txt
dd if="$mount/sheet" of="$chart" bs=16K seek=200 count=1 conv=notrunc status=none
cd /
snapshot tuesday photos log chart safe
zfs set org.example:keep=10y harbour/log
zfs hold inspection harbour/log@monday

# A clone of Monday's log, written on by another hand.
zfs clone -o compression=zstd-19 harbour/log@monday harbour/draft
printf 'June 05, second version.\n' > "$mount/harbour/draft/june-05.txt"
snapshot proof draft

# Friday: nothing but a few names.
for i in $(seq 1 60); do printf 'berth %d\n' "$i" > "$mount/harbour/log/berth-$i.txt"; done
snapshot friday photos log

# What the kernel says of it.
cd "$out"
rm -f MANIFEST
send() {
  local name=$1; shift
  zfs send "$@" > "$mount/stream"
  echo "$name|zfs send $*|$(stat -c %s "$mount/stream")|$(sha256sum < "$mount/stream" | cut -d' ' -f1)" >> MANIFEST
}
send photos-monday harbour/photos@monday
send photos-monday-L -L harbour/photos@monday
send photos-monday-Lec -L -e -c harbour/photos@monday
send photos-monday-tuesday -i @monday harbour/photos@tuesday
send photos-bookmark-tuesday -i '#monday' harbour/photos@tuesday
send photos-bookmark-friday-Lec -L -e -c -i '#monday' harbour/photos@friday
send photos-tuesday-friday -i @tuesday harbour/photos@friday
send photos-I -I @monday harbour/photos@friday
send log-monday harbour/log@monday
send log-monday-c -c harbour/log@monday
send log-monday-e -e harbour/log@monday
send log-monday-tuesday -i @monday harbour/log@tuesday
send log-monday-tuesday-Lec -L -e -c -i @monday harbour/log@tuesday
send log-tuesday-friday -i @tuesday harbour/log@friday
send log-p -p harbour/log@friday
send archive-monday harbour/archive@monday
send archive-monday-Lec -L -e -c harbour/archive@monday
send chart-monday harbour/chart@monday
send chart-monday-tuesday -i @monday harbour/chart@tuesday
send chart-monday-tuesday-Lec -L -e -c -i @monday harbour/chart@tuesday
send draft-proof harbour/draft@proof
send draft-origin -i harbour/log@monday harbour/draft@proof
send safe-monday-w -w harbour/safe@monday
send safe-monday-tuesday-w -w -i @monday harbour/safe@tuesday
send log-R -R harbour/log@friday
mkdir "$mount/snapshot"
for snapshot in $(zfs list -Ho name -t snapshot | grep -vE '/(chart|safe)@'); do
  mount -t zfs "$snapshot" "$mount/snapshot"
  treelist "$mount/snapshot" > "${snapshot#harbour/}.tree"
  umount "$mount/snapshot"
done
zfs umount -a
# Holes punched where nothing lies any more keep the compressed image small.
for tunable in zfs_trim_extent_bytes_min zfs_trim_metaslab_skip; do
  echo 0 > "/sys/module/zfs/parameters/$tunable"
done
zpool sync harbour
zpool trim -w harbour
zpool export harbour
# Exported and imported without writing, so that what is printed is what the image holds.
zpool import -d "$mount" -o readonly=on -N harbour
zfs list -Hp -r -t all -o name,type,used,available,referenced,mountpoint harbour > harbour.list
zfs list -r -t all harbour > harbour.list-r
zfs get -Hp -r -t all all harbour > harbour.props
zpool list -Hp harbour > pool.list
zpool get -Hp all harbour > pool.props
zpool status harbour > pool.status
zdb -e -p "$mount" -bcc harbour > harbour.zdb 2>&1 || true
zpool export harbour
grep -i leak harbour.zdb
cp --sparse=always "$image" .
rm -rf "$mount"
