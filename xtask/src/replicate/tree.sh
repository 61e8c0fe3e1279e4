# tree ZFS DATASET: what lies below a dataset. Names with the guids of snapshots and with origins, and the properties that
# were set or received; sorted. What was put aside has a number in its name that is left out.
tree() {
  local zfs=$1 top=$2
  {
    $zfs list -H -o name,guid,origin -r -t all "$top" | awk -F '\t' '{ print $1 "\t" ($1 ~ /@/ ? $2 : "-") "\t" $3 }'
    $zfs get -H -p -r -t filesystem,volume -s local,received -o name,property,value \
      compression,org.example:a,org.example:b,quota,refquota,copies,exec,volsize "$top"
  } | sed "s#^$top#TOP#; s#	$top/#	TOP/#; s#	$top@#	TOP@#; s#recv-[0-9]*-[0-9]*#recv#g" | LC_ALL=C sort
}
