#!/bin/bash
# OpenZFS's kernel makes the rests of streams that were cut; run in the virtual machine by `cargo xtask cuts`.
#
# /share has the pools that the streams come from, `pools` with their names, and `tokens`: a line for each stream, its number
# and its token. The rest becomes NUMBER.kernel. What goes wrong is said in a line that begins with BAD.
cd /share
while read -r pool; do
  zpool import -d "/share/sources/$pool.img" -N "$pool" > /dev/null 2>&1 || echo "BAD $pool: import"
done < pools
while read -r number token; do
  zfs send -t "$token" > "$number.kernel" || echo "BAD $number: the token is not taken"
done < tokens
while read -r pool; do zpool export "$pool" || echo "BAD $pool: export"; done < pools
echo "kernel done"
