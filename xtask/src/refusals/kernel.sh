#!/bin/bash
# What zfs(8) and OpenZFS's kernel say of streams that cannot be received; run in the virtual machine by `cargo xtask
# refusals`.
#
# /share has the pools in folders of their own, and `cases`: a line for each with its number and what `zfs receive` is told,
# which reads NUMBER.zsend. It gets NUMBER.exit and NUMBER.said.
cd /share
for pool in judge bare; do zpool import -d /share/$pool -N $pool || echo "BAD $pool cannot be imported"; done
set -f
while read -r number words; do
  # shellcheck disable=SC2086
  zfs receive -u $words < "$number.zsend" > /dev/null 2> "$number.said"
  echo $? > "$number.exit"
done < cases
for pool in judge bare; do zpool export $pool || echo "BAD $pool cannot be exported"; done
echo "kernel done"
