# Makes the files of tests/data/seal, with Microsoft SEAL: fixtures.sh FOLDER, which has both programs.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
to=tests/data/seal
mkdir -p $to
"$1/ours" start t10q28x2b25p1 seal "$dir"
for level in 0 1 2; do "$1/driver" make "$dir" $level 2 >/dev/null; done
"$1/driver" seeded "$dir/seeded" "$dir"
for f in parms secret public s0_0 s1_1 s2_0 t2_0 p1_0 seeded; do cp "$dir/$f" $to/ && chmod 644 $to/$f; done
ls -l $to
