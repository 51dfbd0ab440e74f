/* Free memory under made-up roots: what the machine says, and the limits of control groups. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "kernels/freemem.h"
#include "tests/scratch.h"

static const char v2[] = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
static const char v1[] = "tmpfs /sys/fs/cgroup tmpfs ro 0 0\n"
                         "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"
                         "cgroup /sys/fs/cgroup/memory cgroup rw,nosuid,memory 0 0\n";

static int roots; // so far; the last is the one in use

static const char *root(void) {
    static char name[16];
    snprintf(name, sizeof name, "r%d", roots);
    return scratch_path(name);
}

/* A file below the root, with the folders that lead to it. */
static void put(const char *name, const char *text) {
    char path[300];
    snprintf(path, sizeof path, "r%d/%s", roots, name);
    for (char *slash = path; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        mkdir(scratch_path(path), 0777);
    }
    scratch_write(path, text, strlen(text), 0644);
}

static void machine(const char *mounts, const char *groups) {
    roots++;
    put("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    4000 kB\n");
    put("proc/self/mounts", mounts);
    put("proc/self/cgroup", groups);
}

static void assert_free(double bytes) {
    const double got = freemem_bytes(root());
    if (got != bytes) fail_msg("%.0f bytes, not %.0f", got, bytes);
}

static void without_groups(void **state) {
    (void)state;
    machine("", "");
    assert_free(4000 * 1024);
    machine(v2, "0::/a\n");
    assert_free(4000 * 1024);
    roots++;
    assert_free(0);
}

static void version_2(void **state) {
    (void)state;
    machine(v2, "0::/a/b\n");
    put("sys/fs/cgroup/a/b/memory.max", "max\n");
    put("sys/fs/cgroup/a/b/memory.current", "5000\n");
    assert_free(4000 * 1024);
    put("sys/fs/cgroup/a/b/memory.max", "1000000\n");
    assert_free(995000);
    put("sys/fs/cgroup/a/b/memory.stat", "anon 1\nactive_file 2000\ninactive_file 1000\n");
    assert_free(998000);
    put("sys/fs/cgroup/a/memory.max", "900000\n"); // above, and tighter
    put("sys/fs/cgroup/a/memory.current", "400000\n");
    assert_free(500000);
    put("sys/fs/cgroup/a/memory.current", "900001\n"); // nothing left is not "not known"
    assert_free(1);
}

/* The path is the host's; what is mounted is the container's own group. */
static void version_2_in_a_container(void **state) {
    (void)state;
    machine(v2, "0::/docker/0123\n");
    put("sys/fs/cgroup/memory.max", "300000\n");
    put("sys/fs/cgroup/memory.current", "100000\n");
    assert_free(200000);
    put("proc/self/cgroup", "0::/\n");
    assert_free(200000);
    put("proc/self/cgroup", "0::/../outside\n");
    assert_free(200000);
}

static void version_1(void **state) {
    (void)state;
    machine(v1, "9:cpu:/c\n8:memory:/a/b\n0::/unified\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("sys/fs/cgroup/memory/memory.usage_in_bytes", "9000\n");
    assert_free(4000 * 1024);
    put("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "500000\n");
    put("sys/fs/cgroup/memory/a/b/memory.usage_in_bytes", "300000\n");
    put("sys/fs/cgroup/memory/a/b/memory.stat", "inactive_file 7\ntotal_inactive_file 50000\n");
    assert_free(250000);
    put("sys/fs/cgroup/memory/c/memory.limit_in_bytes", "1\n"); // of another controller
    put("sys/fs/cgroup/memory/c/memory.usage_in_bytes", "1\n");
    assert_free(250000);
    put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "100000\n");
    put("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "40000\n");
    assert_free(60000);
}

static void this_machine(void **state) {
    (void)state;
    assert_true(freemem_bytes("") >= 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_groups),
        cmocka_unit_test(version_2),
        cmocka_unit_test(version_2_in_a_container),
        cmocka_unit_test(version_1),
        cmocka_unit_test(this_machine),
    };
    return cmocka_run_group_tests_name("freemem", tests, scratch_open, scratch_close);
}
