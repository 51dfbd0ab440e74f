# Debian packages of the working tree (what git tracks, as it is now): deb.sh DIR.  They lie in DIR, checked by lintian
# where that is.  Two runs give the same bytes: dates are those of the version (CHANGELOG.md), paths are left out.
set -eu
cd "$(dirname "$0")/.."
for tool in dpkg-buildpackage dh git; do
    command -v $tool >/dev/null || { echo "make deb: $tool is missing: apt-get install debhelper dpkg-dev fakeroot git" >&2; exit 1; }
done
version=$(cat VERSION)
day=$(sed -n "s/^## $version, \([0-9-]*\)\$/\1/p" CHANGELOG.md)
[ -n "$day" ] || { echo "make deb: CHANGELOG.md has no '## $version, YYYY-MM-DD'" >&2; exit 1; }
rm -rf "$1" && mkdir -p "$1/thor-$version"
dir=$(realpath "$1")
src=$dir/thor-$version
git ls-files -z | xargs -0 sh -c 'for f; do [ ! -f "$f" ] || printf "%s\0" "$f"; done' - | tar -c --null -T - | tar -x -C "$src"
cp -r packaging/debian "$src/debian"
{
    echo "thor ($version) unstable; urgency=medium"
    printf '\n  * CHANGELOG.md says what is new.\n\n'
    echo " -- $(sed -n 's/^Maintainer: //p' packaging/debian/control)  $(LC_ALL=C date -u -R -d "$day")"
} >"$src/debian/changelog"
chmod +x "$src/debian/rules"
(cd "$src" && env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS dpkg-buildpackage -b -us -uc -rfakeroot) >"$dir/log" 2>&1 ||
    { tail -n 30 "$dir/log" >&2; echo "make deb: it failed; $dir/log has all" >&2; exit 1; }
rm -rf "$src"
ls "$dir"/*.deb
! command -v lintian >/dev/null || lintian --allow-root --fail-on error,warning "$dir"/*.changes
