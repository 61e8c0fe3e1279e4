#!/bin/bash
# A turn of OpenZFS's kernel in the life of a pool; run in the virtual machine by `cargo xtask life --kernel`.
#
# /share has life.img, the pool, and `acts`, a line for each: the file that is read, and what zfs(8) is told. It gets
# first.list and last.list, the numbers after the import and before the export; acts.list, what there is after the acts;
# and for each act N.exit and N.said. What is wrong is said in a line that begins with BAD.
cd /share
columns=$(cat columns) seed=$(cat seed)
RANDOM=$seed
listed() { zfs list -Hp -r -t filesystem,volume,snapshot -o "$columns" life | grep -v '^life	'; }
healthy() {
  zpool status life | grep -q 'errors: No known data errors' || echo "BAD $1: $(zpool status life | tr '\n' ' ')"
}

zpool import -d /share -N life || echo "BAD the pool cannot be imported"
healthy "after the import"
listed > first.list
# Nothing is mounted that this script does not mount.
zfs set mountpoint=none volmode=none life || echo "BAD the root cannot be set"

set -f
count=0
while read -r input words; do
  count=$((count + 1))
  # shellcheck disable=SC2086
  zfs $words < "$input" > /dev/null 2> $count.said
  echo $? > $count.exit
done < acts
set +f
zfs list -Hp -r -t all -o "$(cat kept)" life > acts.list

# What only a kernel does: files, in datasets that zferry made and in one of its own.
zfs create "life/kernel$seed" || echo "BAD nothing can be made"
mkdir -p /mnt/life
# shellcheck disable=SC2046
for name in "life/kernel$seed" $(zfs list -H -o name -r -t filesystem life | grep -v "^life$\|/kernel$seed$" | awk "(NR + $seed) % 4 == 0" | head -5); do
  mount -t zfs -o zfsutil "$name" /mnt/life || { echo "BAD $name cannot be mounted"; continue; }
  folder=/mnt/life/k$seed
  mkdir "$folder"
  for file in 1 2 3 4 5 6; do
    head -c $((RANDOM * 20)) /dev/urandom > "$folder/$file"
    head -c $((RANDOM * 10)) /dev/zero >> "$folder/$file"
  done
  for file in $(seq 60); do echo "$file" > "$folder/small$file"; done
  # A copy shares its blocks where the pool can do that.
  cp "$folder/1" "$folder/copy"
  ln "$folder/2" "$folder/link"
  setfattr -n user.note -v "$(head -c 600 /dev/urandom | od -An -tx1 | tr -d ' \n')" "$folder/3"
  truncate -s 5000 "$folder/4"
  dd if=/dev/urandom of="$folder/5" bs=1k seek=40 count=3 conv=notrunc status=none
  rm "$folder/6" "$folder"/small?
  sync
  rm -rf "$(find /mnt/life -maxdepth 1 -name 'k*' | LC_ALL=C sort | head -1)"
  umount /mnt/life
  zfs snapshot "$name@kernel$seed" || echo "BAD no snapshot of $name"
done
zpool scrub -w life
healthy "after a scrub"
# What was destroyed is freed in the background.
zpool wait -t free life
zpool sync life
listed > last.list
zpool export life || echo "BAD the pool cannot be exported"
echo "kernel done"
