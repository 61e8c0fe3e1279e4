#!/bin/bash
# OpenZFS's kernel receives what zferry sends of the tree that it received; run in the virtual machine by `cargo xtask
# replicate`.
#
# /share has for each step N.back, the package, and N.ours, what the tree looks like in zferry's pool. What differs is said
# in a line that begins with BAD.
cd /share
read -r _ steps < plan
truncate -s 400M /tmp/disk
zpool create -O mountpoint=none back /tmp/disk || echo "BAD the pool cannot be made"
. ./tree.sh
for ((step = 1; step <= steps; step++)); do
  [ -e $step.back ] || continue
  zfs receive -u -F back/tree < $step.back || echo "BAD step $step cannot be received"
  tree zfs back/tree > $step.theirs
  cmp -s $step.theirs $step.ours || echo "BAD step $step: $(diff $step.theirs $step.ours | head -4 | tr '\n' ' ')"
done
echo "kernel done"
