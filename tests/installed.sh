# What `make install-lib` gives others: every program of examples/, built by pkg-config's flags against the installed
# tree alone and run; the reference by doxygen, where it is there.  installed.sh BUILD.  Counts as the test programs do.
set -u
build=$1
cd "$(dirname "$0")/.." || exit 1
root=$(mktemp -d) || exit 6
trap 'rm -rf "$root"' EXIT
passed=0 failed=0 skipped=0
unset MAKEFLAGS MAKELEVEL MFLAGS
tally() { if [ "$1" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED: $2"; fi; }

make -s CUDA=0 BUILD="$build" DESTDIR="$root" PREFIX=/opt/t install-lib >"$root/log" 2>&1 || cat "$root/log"
# a library with the sanitizers in it wants them in its user too
sanitized=
nm -D "$root/opt/t/lib/libckks.so" | grep -q __asan_init && sanitized=-fsanitize=address,undefined
export PKG_CONFIG_SYSROOT_DIR="$root" PKG_CONFIG_LIBDIR="$root/opt/t/lib/pkgconfig"
for example in examples/*.c; do
    program=$root/$(basename "$example" .c)
    # shellcheck disable=SC2046
    ${CC:-cc} -std=c11 -O2 -Wall -Wextra -Werror $sanitized $(pkg-config --cflags ckks) -o "$program" "$example" \
        $(pkg-config --libs ckks) -lm && LD_LIBRARY_PATH="$root/opt/t/lib" "$program" >"$root/log" 2>&1
    st=$?
    [ $st = 0 ] || cat "$root/log"
    tally $st "$example"
done

if command -v doxygen >/dev/null; then
    make -s CUDA=0 BUILD="$root" docs >"$root/log" 2>&1 && grep -q ckks_bootstrap "$root/docs/html/bootstrap_8h.html"
    st=$?
    [ $st = 0 ] || cat "$root/log"
    tally $st "make docs without warnings"
else
    echo "[  SKIPPED ] docs: doxygen is not installed"
    skipped=1
fi
echo "[  PASSED  ] $passed test(s)."
[ $skipped = 0 ] || echo "[  SKIPPED ] $skipped test(s), listed above:"
[ $failed = 0 ] || { echo "[  FAILED  ] $failed test(s), listed above"; exit 1; }
