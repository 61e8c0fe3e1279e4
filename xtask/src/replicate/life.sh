#!/bin/bash
# A random life of a tree of datasets in OpenZFS's kernel, replicated after each step by `zfs send -R -I`; run in
# the virtual machine by `cargo xtask replicate`.
#
# /share has `plan`: the seed and the number of steps. It gets for each step N.zsend, the package; N.tree, what the kernel
# makes of it when it receives it itself with -F; N.exit, with which exit code; and N.sent, what was sent. `made` says how
# many packages there are: a tree in which something was cloned from what lies below it, OpenZFS tries to send forever, so
# there the life ends early. `log` tells what happened.
cd /share
read -r seed steps < plan
RANDOM=$seed
mkdir -p /tmp/disks
for pool in life copy; do
  truncate -s 400M /tmp/disks/$pool
  zpool create -O atime=off -O mountpoint=none $pool /tmp/disks/$pool || echo "BAD $pool cannot be made"
done
zfs create -o mountpoint=/tree life/tree
zfs create life/tree/a
zfs create life/tree/b
zfs create life/tree/a/c

count=0
pick() { [ $# -gt 0 ] && eval "echo \${$((RANDOM % $# + 1))}"; }
# shellcheck disable=SC2046
of() { pick $(zfs list -H -o name -r -t "$1" life/tree | tail -n "+$2"); }
# Not the snapshot that the next package continues.
old() { pick $(zfs list -H -o name -r -t snapshot life/tree | grep -v "@step$1\$"); }
act() {
  count=$((count + 1))
  local home other some snapshot old
  home=$(of filesystem 1) other=$(of filesystem 1) some=$(of filesystem,volume 2) snapshot=$(of snapshot 1) old=$(old $1)
  case $((RANDOM % 18)) in
    0) set -- zfs create "$home/n$count" ;;
    1) set -- zfs create -s -V 1M -o volblocksize=16K "$home/v$count" ;;
    2 | 3 | 4) set -- dd if=/dev/urandom "of=/${home#life/}/f$((RANDOM % 3))" bs=1k count=$((RANDOM % 30 + 1)) status=none ;;
    5) [ $((RANDOM % 3)) = 0 ] || return; set -- zfs destroy -r "$some" ;;
    6 | 7) set -- zfs rename -f "$some" "$other/m$count" ;;
    8) set -- zfs rename -f "$some" "${some%/*}/m$count" ;;
    9 | 10) set -- zfs clone "$snapshot" "$home/k$count" ;;
    11 | 12) set -- zfs promote "$(pick $(zfs list -H -o name,origin -r -t filesystem,volume life/tree | awk '$2 != "-" && index($1, substr($2, 1, index($2, "@") - 1) "/") != 1 { print $1 }'))" ;;
    13) set -- zfs rename "$old" "${old%@*}@r$count" ;;
    14) set -- zfs destroy "$old" ;;
    15) set -- zfs set "$(pick compression=gzip compression=off org.example:a=1 org.example:b=two quota=300M quota=none refquota=250M copies=2 copies=1 exec=off)" "$some" ;;
    16) set -- zfs inherit "$(pick compression org.example:a org.example:b copies exec)" "$some" ;;
    17) set -- zfs snapshot "$home@x$count" ;;
  esac
  echo "$*"
  # What makes no sense is refused, and that is that.
  "$@" 2>&1 | sed 's/^/  /'
}
. ./tree.sh
for ((step = 1; step <= steps; step++)); do
  echo "# step $step"
  if [ $step -gt 1 ]; then for _ in 1 2 3 4 5 6; do act $((step - 1)); done; fi
  zfs snapshot -r "life/tree@step$step"
  from=()
  if [ $step -gt 1 ]; then from=(-I "@step$((step - 1))"); fi
  timeout 120 zfs send -R "${from[@]}" "life/tree@step$step" > $step.zsend || break
  zfs receive -u -F copy/tree < $step.zsend
  echo $? > $step.exit
  tree zfs copy/tree > $step.tree
  tree zfs life/tree > $step.sent
  echo $step > made
done > log 2>&1
grep '^BAD' log
zpool export life
zpool export copy
echo "kernel done"
