#!/bin/bash
# What OpenZFS's kernel does with a pool that zferry received into; run in the virtual machine by `cargo xtask kernel`.
#
# /share has judge.img, the pool; the pools that the streams were sent from; and `cases`, a line for each stream: its
# name, which is that of the dataset in the pool; its source, as dataset@snapshot; and `tree` or `sha256` where the
# corpus has that of it, else `-`. Everything that is not as it should be is said in a line that begins with BAD.
cd /share
say_bad() { echo "BAD $*"; }
# Runs a command that has to succeed and to say nothing.
quietly() {
  local said
  said=$("$@" 2>&1) || say_bad "$*: failed: $said"
  [ -z "$said" ] || say_bad "$*: $said"
}
# same WHAT FILE FILE
same() { cmp -s "$2" "$3" || say_bad "$1 differs: $(diff "$2" "$3" | head -4 | tr '\n' ' ')"; }
attributes() { (cd "$1" && getfattr -Rhd -m - . 2>/dev/null | awk 'BEGIN { RS = "" } { gsub("\n", "\t"); print }' | LC_ALL=C sort); }
access() { (cd "$1" && getfacl -Rnp . 2>/dev/null | awk 'BEGIN { RS = "" } { gsub("\n", "\t"); print }' | LC_ALL=C sort); }
# The sum of a volume's snapshot, by way of a clone, whose device is the one that appears.
volume_sum() {
  local before device after
  before=$(ls /dev | grep -E '^zd[0-9]+$')
  zfs clone -o volmode=dev "$1" "${1%%/*}/looked-at" || return
  for _ in $(seq 100); do
    after=$(ls /dev | grep -E '^zd[0-9]+$')
    device=$(printf '%s\n' "$before" "$after" | sort | uniq -u | head -1)
    [ -n "$device" ] && break
    sleep 0.1
  done
  [ -n "$device" ] && sha256sum < "/dev/$device" | cut -d' ' -f1
  for _ in $(seq 50); do zfs destroy "${1%%/*}/looked-at" 2> /dev/null && break; sleep 0.2; done
}

mkdir -p /mnt/ours /mnt/theirs /tmp/o /tmp/t
for pool in basic feat gang v28; do zpool import -d /share -N "$pool" > /dev/null 2>&1 || say_bad "import $pool"; done
quietly zpool import -d /share -N judge
zpool status judge | grep -q 'errors: No known data errors' || say_bad "status after import: $(zpool status judge)"
zfs list -Hp -r -t all -o name,used,referenced,logicalused,logicalreferenced,written,compressratio,type judge | grep -v '^judge	' > first.list

# A plain stream has no properties; without this one, the kernel does not show the access lists that are there. Nor does
# it in a clone of the senders', which does not inherit it from where its files came from.
for pool in judge basic feat gang v28; do quietly zfs set acltype=posix "$pool"; done

files=0 volumes=0
while read -r name source known; do
  snapshot=${source#*@}
  if [ "$(zfs get -Ho value type "judge/$name")" = volume ]; then
    ours=$(volume_sum "judge/$name@$snapshot") theirs=$(volume_sum "$source")
    [ -n "$ours" ] && [ "$ours" = "$theirs" ] || say_bad "$name: its bytes sum to '$ours', not to '$theirs'"
    [ "$known" != sha256 ] || [ "$ours" = "$(cut -d' ' -f1 "$name.sha256")" ] || say_bad "$name: not the bytes known"
    volumes=$((volumes + 1))
    continue
  fi
  quietly mount -t zfs "judge/$name@$snapshot" /mnt/ours
  quietly mount -t zfs "$source" /mnt/theirs
  treelist /mnt/ours > /tmp/o/tree; treelist /mnt/theirs > /tmp/t/tree
  same "$name: the tree" /tmp/o/tree /tmp/t/tree
  [ "$known" != tree ] || same "$name: the known tree" /tmp/o/tree "$name.tree"
  attributes /mnt/ours > /tmp/o/xattr; attributes /mnt/theirs > /tmp/t/xattr
  same "$name: extended attributes" /tmp/o/xattr /tmp/t/xattr
  access /mnt/ours > /tmp/o/acl; access /mnt/theirs > /tmp/t/acl
  same "$name: access lists" /tmp/o/acl /tmp/t/acl
  [ -s /tmp/o/tree ] || say_bad "$name: an empty tree"
  umount /mnt/ours /mnt/theirs
  files=$((files + 1))
done < cases
echo "trees $files volumes $volumes"

quietly zpool scrub -w judge
zpool status judge | grep -q 'scrub repaired 0B in .* with 0 errors' || say_bad "scrub: $(zpool status judge)"
zpool status judge | grep -q 'errors: No known data errors' || say_bad "scrub: $(zpool status judge)"

# What is encrypted: the kernel takes the keys, reads what was sent, and writes.
keyed() { quietly zfs load-key -L "file:///share/$1" "judge/$2"; }
keyed passphrase raw-gcm; keyed hex raw-ccm; keyed second safe; keyed hex safe/own
keyed hex promoted
for name in first first/below promoted; do
  [ "$(zfs get -Ho value encryptionroot judge/$name)" = judge/promoted ] || say_bad "$name: $(zfs get encryptionroot judge/$name)"
done
# seen DATASET KNOWN: the tree of a snapshot, without the folder in which another dataset was mounted.
seen() {
  quietly mount -t zfs "judge/$1" /mnt/ours
  treelist /mnt/ours | grep -v '|[.]/child' > /tmp/o/tree
  grep -v '|[.]/child' "$2" > /tmp/t/tree
  same "$1: the tree" /tmp/o/tree /tmp/t/tree
  quietly umount /mnt/ours
}
for suite in gcm ccm; do for snapshot in a b; do seen "raw-$suite@$snapshot" "crypt-$suite@$snapshot.tree"; done; done
seen safe/files@b basic-fs-b.tree
for name in raw-gcm raw-ccm safe safe/below safe/files safe/own promoted first first/below; do
  quietly mount -t zfs -o zfsutil "judge/$name" /mnt/ours
  head -c 500000 /dev/urandom > /mnt/ours/bytes; mkdir /mnt/ours/many
  for n in $(seq 50); do echo "$n" > "/mnt/ours/many/$n"; done
  [ "$(cat /mnt/ours/many/7)" = 7 ] || say_bad "$name: what was written"
  quietly umount /mnt/ours
  quietly zfs snapshot "judge/$name@kernel"
done
for name in raw-gcm raw-ccm safe/files; do
  zfs send -w -i @b "judge/$name@kernel" > "after-${name//\//-}.zsend" || say_bad "raw send of $name"
done
for name in raw-gcm raw-ccm safe/own safe promoted; do quietly zfs unload-key "judge/$name"; done

# It goes on: writes, snapshots, destroys, receives; what zferry received is the base of what the kernel receives.
quietly mount -t zfs -o zfsutil judge/basic-fs-a /mnt/ours
tar cf - -C /share cases kernel.sh | tar xf - -C /mnt/ours || say_bad "writing"
find /mnt/ours -type f | LC_ALL=C sort | awk 'NR % 3 == 0' | xargs -d '\n' rm -f
quietly umount /mnt/ours
quietly zfs snapshot judge/basic-fs-a@kernel
zfs send -i @a judge/basic-fs-a@kernel > kernel.zsend || say_bad "send of what was written"
zfs receive judge/again < basic-fs-b.zsend || say_bad "receiving anew"
zfs receive -F judge/basic-fs-a@b < basic-fs-a-b.zsend || say_bad "receiving on what zferry received"
quietly mount -t zfs judge/basic-fs-a@b /mnt/ours
treelist /mnt/ours > /tmp/o/tree; same "the tree on top" /tmp/o/tree basic-fs-b.tree
quietly umount /mnt/ours
zfs receive -F judge/basic-vol-a@b < basic-vol-a-b.zsend || say_bad "receiving on the volume"
[ "$(volume_sum judge/basic-vol-a@b)" = "$(cut -d' ' -f1 basic-vol-b.sha256)" ] || say_bad "the volume on top"
quietly zfs clone judge/basic-fs-c@c judge/clone
quietly zfs promote judge/clone
quietly zfs create -o mountpoint=none judge/child
for name in $(awk '$1 ~ /^feat/ && NR % 2 { print $1 }' cases); do quietly zfs destroy -r "judge/$name"; done
quietly mount -t zfs -o zfsutil judge/child /mnt/ours
head -c 3000000 /dev/urandom > /mnt/ours/bytes
quietly umount /mnt/ours
quietly zfs snapshot judge/child@one
for at in child@one clone@c again@b basic-vol-a@b; do zfs send "judge/$at" > "after-${at%@*}.zsend" || say_bad "send $at"; done
quietly zpool scrub -w judge
zpool status judge | grep -q 'scrub repaired 0B in .* with 0 errors' || say_bad "second scrub: $(zpool status judge)"
zpool history -il judge > history.txt
for pool in judge basic feat gang v28; do quietly zpool export "$pool"; done
quietly zpool import -d /share -N judge
zfs list -Hp -r -t all -o name,used,referenced,logicalused,logicalreferenced,written,compressratio,type judge | grep -v '^judge	' > after.list
quietly zpool export judge
echo "kernel done"
