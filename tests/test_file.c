/* Whole files: under every failure the name holds the old content or nothing, and no other file is
 * left. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ckks/file.h"
#include "tests/scratch.h"

#define OK(x) assert_int_equal((x), THOR_OK)

static int write_file(const char *path, const void *data, size_t bytes,
                      enum ckks_file_access access) {
    int st = THOR_OK;
    struct ckks_file_out *f = NULL;
    TRY(ckks_file_create(&f, path, access));
    TRY(ckks_file_write(f, data, bytes / 3));
    TRY(ckks_file_write(f, (const uint8_t *)data + bytes / 3, bytes - bytes / 3));
    TRY(ckks_file_commit(&f));
out:
    ckks_file_abandon(&f);
    return st;
}

static unsigned mode_of(const char *name) {
    struct stat s;
    assert_int_equal(stat(scratch_path(name), &s), 0);
    return (unsigned)s.st_mode & 07777;
}

static void assert_content(const char *name, const void *data, size_t bytes) {
    size_t n;
    uint8_t *have = scratch_read(name, &n);
    assert_int_equal(n, bytes);
    if (bytes) assert_memory_equal(have, data, bytes);
    free(have);
}

static void written_and_read(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 4096, 3000003};
    uint8_t *data = malloc(3000003), *back = malloc(3000003);
    for (size_t i = 0; i < 3000003; i++) data[i] = (uint8_t)(i * i >> 8);
    for (size_t i = 0; i < 4; i++) {
        struct ckks_file_in *f;
        OK(write_file(scratch_path("a"), data, sizes[i], CKKS_FILE_SHARED));
        assert_int_equal(scratch_files(), 1);
        OK(ckks_file_open(&f, scratch_path("a"), CKKS_FILE_SHARED));
        assert_int_equal(ckks_file_bytes(f), sizes[i]);
        OK(ckks_file_read(f, back, sizes[i]));
        if (sizes[i]) assert_memory_equal(back, data, sizes[i]);
        assert_int_equal(ckks_file_read(f, back, 1), THOR_KEY); /* nothing behind */
        ckks_file_close(&f);
        assert_null(f);
    }
    free(data);
    free(back);
}

static void modes(void **state) {
    (void)state;
    static const unsigned masks[] = {0, 022, 077, 0777};
    for (size_t i = 0; i < 4; i++) {
        mode_t old = umask((mode_t)masks[i]);
        OK(write_file(scratch_path("secret"), "s", 1, CKKS_FILE_PRIVATE));
        OK(write_file(scratch_path("shared"), "s", 1, CKKS_FILE_SHARED));
        umask(old);
        assert_int_equal(mode_of("secret"), 0600);
        assert_int_equal(mode_of("shared"), 0666 & ~masks[i]);
    }
}

static void private_from_the_first_moment(void **state) {
    (void)state;
    struct ckks_file_out *f;
    mode_t old = umask(0);
    scratch_empty();
    OK(ckks_file_create(&f, scratch_path("secret"), CKKS_FILE_PRIVATE));
    umask(old);
    assert_int_equal(scratch_files(), 1);
    /* it still has its temporary name */
    assert_int_equal(access(scratch_path("secret"), F_OK), -1);
    ckks_file_abandon(&f);
    assert_int_equal(scratch_files(), 0);
}

static void private_reading(void **state) {
    (void)state;
    static const unsigned bad[] = {0640, 0604, 0620, 0602, 0610, 0601, 0660, 0644, 0777};
    struct ckks_file_in *f = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        scratch_write("secret", "s", 1, bad[i]);
        assert_int_equal(ckks_file_open(&f, scratch_path("secret"), CKKS_FILE_PRIVATE), THOR_KEY);
        assert_non_null(strstr(thor_error(), "chmod 600"));
        assert_null(f);
        OK(ckks_file_open(&f, scratch_path("secret"), CKKS_FILE_SHARED));
        ckks_file_close(&f);
    }
    scratch_write("secret", "s", 1, 0400);
    OK(ckks_file_open(&f, scratch_path("secret"), CKKS_FILE_PRIVATE));
    ckks_file_close(&f);
}

static void abandoned(void **state) {
    (void)state;
    struct ckks_file_out *f = NULL;
    scratch_empty();
    ckks_file_abandon(&f); /* nothing to do */
    scratch_write("a", "old", 3, 0644);
    OK(ckks_file_create(&f, scratch_path("a"), CKKS_FILE_SHARED));
    OK(ckks_file_write(f, "newer", 5));
    assert_content("a", "old", 3);
    ckks_file_abandon(&f);
    assert_null(f);
    assert_content("a", "old", 3);
    assert_int_equal(scratch_files(), 1);
}

static void replaced(void **state) {
    (void)state;
    scratch_empty();
    scratch_write("a", "old content", 11, 0644);
    OK(write_file(scratch_path("a"), "new", 3, CKKS_FILE_SHARED));
    assert_content("a", "new", 3);
    assert_int_equal(scratch_files(), 1);
}

/* The limit on file sizes refuses a write as a full disk does. */
static void disk_full(void **state) {
    (void)state;
    static uint8_t data[100000];
    struct rlimit old, low;
    scratch_empty();
    scratch_write("a", "old", 3, 0644);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    for (rlim_t limit = 0; limit < 100000; limit += 9973) {
        low = old;
        low.rlim_cur = limit;
        setrlimit(RLIMIT_FSIZE, &low);
        int fresh = write_file(scratch_path("b"), data, sizeof data, CKKS_FILE_PRIVATE);
        int over = write_file(scratch_path("a"), data, sizeof data, CKKS_FILE_SHARED);
        setrlimit(RLIMIT_FSIZE, &old);
        assert_int_equal(fresh, THOR_IO);
        assert_int_equal(over, THOR_IO);
        assert_non_null(strstr(thor_error(), "cannot write"));
        assert_content("a", "old", 3);
        assert_int_equal(scratch_files(), 1);
    }
    OK(write_file(scratch_path("b"), data, sizeof data, CKKS_FILE_PRIVATE));
}

static void killed_while_writing(void **state) {
    (void)state;
    scratch_empty();
    struct ckks_file_out *alive = NULL, *next = NULL;
    scratch_write("a", "old", 3, 0644);
    pid_t child = fork();
    if (child == 0) {
        struct ckks_file_out *f = NULL;
        if (ckks_file_create(&f, scratch_path("a"), CKKS_FILE_SHARED) == THOR_OK)
            ckks_file_write(f, "new", 3);
        raise(SIGKILL);
    }
    int status;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_content("a", "old", 3);
    assert_int_equal(scratch_files(), 2); // and the temporary file of the dead
    OK(ckks_file_create(&alive, scratch_path("b"), CKKS_FILE_SHARED));
    // other names are nobody's business
    scratch_write(".thor-0123456789abcdef.tmpx", "mine", 4, 0644);
    OK(ckks_file_create(&next, scratch_path("c"), CKKS_FILE_SHARED));
    assert_int_equal(scratch_files(), 4); // a, the odd name, and two at work
    OK(ckks_file_write(alive, "live", 4));
    OK(ckks_file_commit(&alive));
    assert_content("b", "live", 4);
    ckks_file_abandon(&next);
    assert_int_equal(scratch_files(), 3);
}

static void refused_places(void **state) {
    (void)state;
    struct ckks_file_out *f = NULL;
    struct stat before, after;
    scratch_empty();
    assert_int_equal(ckks_file_create(&f, scratch_path("no/such/folder"), CKKS_FILE_SHARED),
                     THOR_IO);
    assert_non_null(strstr(thor_error(), "no/such/folder"));
    assert_int_equal(mkdir(scratch_path("d"), 0700), 0);
    assert_int_equal(ckks_file_create(&f, scratch_path("d"), CKKS_FILE_SHARED), THOR_IO);
    assert_int_equal(stat("/dev/null", &before), 0);
    assert_int_equal(ckks_file_create(&f, "/dev/null", CKKS_FILE_SHARED), THOR_IO);
    assert_int_equal(stat("/dev/null", &after), 0);
    assert_true(before.st_ino == after.st_ino && S_ISCHR(after.st_mode));
    assert_null(f);
    assert_int_equal(scratch_files(), 1);
}

static void name_taken_meanwhile(void **state) {
    (void)state;
    struct ckks_file_out *f;
    scratch_empty();
    OK(ckks_file_create(&f, scratch_path("a"), CKKS_FILE_SHARED));
    OK(ckks_file_write(f, "new", 3));
    assert_int_equal(mkdir(scratch_path("a"), 0700), 0);
    assert_int_equal(ckks_file_commit(&f), THOR_IO);
    assert_null(f);
    assert_int_equal(scratch_files(), 1);
}

static void unreadable_things(void **state) {
    (void)state;
    struct ckks_file_in *f = NULL;
    scratch_empty();
    assert_int_equal(ckks_file_open(&f, scratch_path("absent"), CKKS_FILE_SHARED), THOR_IO);
    assert_non_null(strstr(thor_error(), "absent: cannot read: No such file"));
    assert_int_equal(ckks_file_open(&f, scratch_path(""), CKKS_FILE_SHARED), THOR_IO);
    assert_int_equal(mkfifo(scratch_path("pipe"), 0600), 0);
    /* and does not wait */
    assert_int_equal(ckks_file_open(&f, scratch_path("pipe"), CKKS_FILE_SHARED), THOR_IO);
    assert_null(f);
}

static void shrinks_while_read(void **state) {
    (void)state;
    char to[8];
    struct ckks_file_in *f;
    scratch_write("a", "12345678", 8, 0644);
    OK(ckks_file_open(&f, scratch_path("a"), CKKS_FILE_SHARED));
    assert_int_equal(truncate(scratch_path("a"), 5), 0);
    assert_int_equal(ckks_file_read(f, to, 8), THOR_KEY);
    ckks_file_close(&f);
}

static void names_without_and_with_much(void **state) {
    (void)state;
    char longest[256], here[1024], deep[600];
    memset(longest, 'n', 255);
    longest[255] = 0;
    scratch_empty();
    /* NAME_MAX: the temporary name is shorter */
    OK(write_file(scratch_path(longest), "x", 1, CKKS_FILE_SHARED));
    assert_content(longest, "x", 1);
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(scratch_path("")), 0);
    int st = write_file("bare", "y", 1, CKKS_FILE_SHARED);
    assert_int_equal(chdir(here), 0);
    OK(st);
    assert_content("bare", "y", 1);
    memset(deep, 'd', sizeof deep);
    memcpy(deep + sizeof deep - 5, "/end", 5);
    struct ckks_file_in *f;
    assert_int_equal(ckks_file_open(&f, deep, CKKS_FILE_SHARED), THOR_IO);
    /* the line keeps name, trouble and mend */
    assert_non_null(strstr(thor_error(), "/end: cannot read: "));
}

/* By content, whatever the name: a secret key is never replaced, other keys only by keys. */
static void keys_are_not_replaced(void **state) {
    (void)state;
    static const struct {
        char begin[9];
        enum ckks_file_access by;
        int st;
    } want[] = {
        {"THORSECR", CKKS_FILE_SHARED, THOR_IO},  {"THORSECR", CKKS_FILE_PRIVATE, THOR_IO},
        {"THORSECR", CKKS_FILE_OF_KEYS, THOR_IO}, {"THORPUBL", CKKS_FILE_SHARED, THOR_IO},
        {"THOREVAL", CKKS_FILE_SHARED, THOR_IO},  {"THOREVAL", CKKS_FILE_OF_KEYS, THOR_OK},
        {"THORCTXT", CKKS_FILE_SHARED, THOR_OK},  {"THOR", CKKS_FILE_SHARED, THOR_OK},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct ckks_file_out *f = NULL;
        size_t bytes;
        scratch_write("any name.txt", want[i].begin, strlen(want[i].begin), 0600);
        assert_int_equal(ckks_file_create(&f, scratch_path("any name.txt"), want[i].by),
                         want[i].st);
        ckks_file_abandon(&f);
        uint8_t *still = scratch_read("any name.txt", &bytes);
        assert_int_equal(bytes, strlen(want[i].begin));
        assert_memory_equal(still, want[i].begin, bytes);
        free(still);
    }
}

/* A key file that appears while the new file is written is not replaced either. */
static void keys_that_appear(void **state) {
    (void)state;
    struct ckks_file_out *f = NULL;
    unlink(scratch_path("late"));
    assert_int_equal(ckks_file_create(&f, scratch_path("late"), CKKS_FILE_PRIVATE), THOR_OK);
    scratch_write("late", "THORSECR", 8, 0600);
    assert_int_equal(ckks_file_commit(&f), THOR_IO);
    assert_null(f);
    scratch_empty();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_and_read),
        cmocka_unit_test(modes),
        cmocka_unit_test(private_from_the_first_moment),
        cmocka_unit_test(private_reading),
        cmocka_unit_test(abandoned),
        cmocka_unit_test(replaced),
        cmocka_unit_test(disk_full),
        cmocka_unit_test(killed_while_writing),
        cmocka_unit_test(refused_places),
        cmocka_unit_test(name_taken_meanwhile),
        cmocka_unit_test(unreadable_things),
        cmocka_unit_test(shrinks_while_read),
        cmocka_unit_test(names_without_and_with_much),
        cmocka_unit_test(keys_are_not_replaced),
        cmocka_unit_test(keys_that_appear),
    };
    return cmocka_run_group_tests_name("file", tests, scratch_open, scratch_close);
}
