# What the build needs is there: headers.sh CC STAMP.  One line when not; STAMP is made when all is found.
set -u
cc=$1 stamp=$2
missing=
command -v "${cc%% *}" >/dev/null 2>&1 || missing=" ${cc%% *}"
for h in jansson.h utf8proc.h sodium.h xxhash.h; do
    [ "$missing" = " ${cc%% *}" ] && break
    # shellcheck disable=SC2086
    echo "#include <$h>" | $cc -fsyntax-only -x c - >/dev/null 2>&1 || missing="$missing $h"
done
if [ -n "$missing" ]; then
    echo "thor cannot be built, these are missing:$missing; run \`make deps\`, which installs the packages" >&2
    exit 1
fi
mkdir -p "$(dirname "$stamp")" && : >"$stamp"
