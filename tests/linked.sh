# The library as others get it, for layers.sh, which reads this file and counts: installed into a temporary DESTDIR,
# its names, a C and a C++ user linked with the shared and with the static one, then removed again.
root=$(mktemp -d) || exit 6
trap 'rm -rf "$root"' EXIT
declared=$(sed -n 's/^CKKS_[A-Z]* .*[ *]\(ckks_[a-z_0-9]*\)(.*/\1/p' include/ckks/*.h | sort)
put() { ${MAKE:-make} --no-print-directory -s -j"$(nproc)" CC="$cc" BUILD="${BUILD:-build}" DESTDIR="$root" PREFIX=/opt/t "$1" >"$root.log" 2>&1; }

put install-lib || cat "$root.log"
[ -e "$root/opt/t/lib/libckks.so" ]
tally $? "make install-lib"
rm -f "$root.log"
export PKG_CONFIG_SYSROOT_DIR="$root" PKG_CONFIG_LIBDIR="$root/opt/t/lib/pkgconfig"

# exported are the functions of include/, all of them and nothing else, and all begin with ckks_
names() { awk 'NF == 3 && $2 != "U" { print $3 }' | sort -u; }
[ -n "$declared" ] && [ "$(nm -D --defined-only "$root/opt/t/lib/libckks.so" | names)" = "$declared" ]
tally $? "names of libckks.so are those declared in include/"
[ "$(nm -g --defined-only "$root/opt/t/lib/libckks.a" | names)" = "$declared" ]
tally $? "names of libckks.a are those declared in include/"
! echo "$declared" | grep -qv '^ckks_'
tally $? "every name begins with ckks_"
readelf -d "$root/opt/t/lib/libckks.so" | grep -q "SONAME.*\[libckks\.so\.$(sed 's/\..*//' VERSION)\]"
tally $? "soname"
[ "$(pkg-config --modversion ckks)" = "$(cat VERSION)" ]
tally $? "version of ckks.pc"

user() { # compiler what libraries..: built against what was installed alone, run, says the version
    with=$1 what=$2
    shift 2
    # shellcheck disable=SC2046,SC2086
    $with -Wall -Wextra -Wpedantic -Werror $(pkg-config --cflags ckks) -o "$root/user" tests/installed/user.c "$@" &&
        LD_LIBRARY_PATH="$root/opt/t/lib" "$root/user" | grep -q "^$(cat VERSION): off by"
    tally $? "a user in $what"
}
shared=$(pkg-config --libs ckks) static=$(pkg-config --static --libs ckks)
# shellcheck disable=SC2086
{
    user "$cc -std=c11" 'C, shared' $shared -lm
    user "$cxx -std=c++17 -x c++" 'C++, shared' -x none $shared -lm
    user "$cc -std=c11" 'C, static' -Wl,-Bstatic ${static%%-lsodium*} -Wl,-Bdynamic -lsodium ${static##*-lsodium}
    user "$cxx -std=c++17 -x c++" 'C++, static' -x none -Wl,-Bstatic ${static%%-lsodium*} -Wl,-Bdynamic -lsodium ${static##*-lsodium}
}
printf '#include <ckks.h>\nvoid f(struct ckks_ct *a) { ckks_add(a, a, a); }\n' |
    $cc -std=c11 -Werror -S -o /dev/null -Iinclude -x c - 2>&1 | grep -q 'unused-result'
tally $? "a status that is dropped is a warning"

put uninstall
[ -z "$(find "$root/opt" ! -type d)" ]
tally $? "make uninstall leaves no file"
