# Manual pages and completion, as the program prints them: pages.sh THOR DIR
set -eu
thor=$1 dir=$2
rm -rf "$dir" && mkdir -p "$dir"
for shell in bash zsh fish; do "$thor" --help=$shell >"$dir/thor.$shell"; done
"$thor" --help=man >"$dir/thor.1"
"$thor" --help=pages >"$dir/names"
while read -r name; do
    # shellcheck disable=SC2086 # the words of a name
    "$thor" $name --help=man >"$dir/thor-$(echo "$name" | tr ' ' -).1"
done <"$dir/names"
rm "$dir/names"
