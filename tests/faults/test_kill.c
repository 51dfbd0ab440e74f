/* kill -9 at random moments.  A child makes and saves the files of a client and of a server, one
 * after the other, and says through a pipe which save returned; it is killed somewhere on the way.
 * Afterwards every file that it had announced is there, and every file that is there is whole (all
 * its checksums hold) or still the older one.  What else lies in the folder has a temporary name.
 * KILLS moments (40) each. */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "bert/container.h"
#include "tests/dose.h"
#include "tests/harness.h"
#include "tests/keyfiles.h"
#include "tests/scratch.h"
#include "tests/tinyfiles.h"

#define OK(x) assert_int_equal((x), THOR_OK)
enum { FILES = 3 };

struct job {
    const char *file[FILES];
    void (*run)(int pipe); /* saves file[0], [1], [2] and writes one byte after each */
    int (*load)(int i);
};

static char path[6][1024];

static void say(int pipe, int st) {
    if (st != THOR_OK || write(pipe, "x", 1) != 1) _exit(1);
}

/* A key set as thor keygen makes it: the secret last, so that a folder with a secret key has all
 * three. */
static void keygen(int pipe) {
    static const struct ckks_need need[] = {{CKKS_KEY_RELIN, 16}, {5, 16}, {25, 16}};
    struct ckks_secret *s;
    struct ckks_public *p;
    struct ckks_keys *k;
    if (ckks_secret_new(&s, kf.p, NULL) || ckks_public_new(&p, kf.cx, s, NULL) ||
        ckks_keys_new(&k, kf.cx, s, need, 3, NULL, NULL, NULL))
        _exit(1);
    say(pipe, ckks_public_save(p, path[0]));
    say(pipe, ckks_keys_save(k, path[1]));
    say(pipe, ckks_secret_save(s, path[2]));
}

static int load_key(int i) {
    static const char *const names[] = {"public.key", "eval.key", "secret.key"};
    static const enum ckks_file_kind kinds[] = {CKKS_FILE_PUBLIC, CKKS_FILE_KEYS, CKKS_FILE_SECRET};
    return keyfiles_load(kinds[i], names[i]);
}

/* Over older files: ranges, container, ciphertexts. */
static void encode(int pipe) {
    struct bert_model *m = tinyfiles_model();
    struct bert_ranges *r = tinyfiles_some_ranges();
    r->rows = 8; // the older files have 7
    say(pipe, bert_ranges_save(r, path[3]));
    say(pipe, bert_container_save(path[4], m, r));
    say(pipe, ckks_ct_save(kf.ct, KF_CTS, kf.sk->id, NULL, path[5]));
}

static int load_encoded(int i) {
    struct bert_model *m = tinyfiles_model(), *loaded = NULL;
    struct bert_ranges *r = NULL;
    int st = i == 0   ? bert_ranges_load(&r, path[3], m)
             : i == 1 ? bert_container_load(&loaded, &r, path[4])
                      : keyfiles_load(CKKS_FILE_CIPHER, "cts");
    assert_true(!r || r->rows == 7 || r->rows == 8);
    bert_ranges_free(r);
    bert_model_free(loaded);
    bert_model_free(m);
    return st;
}

static const struct job jobs[] = {
    {{"public.key", "eval.key", "secret.key"}, keygen, load_key},
    {{"ranges", "weights", "cts"}, encode, load_encoded},
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Run the job in a child, killed after `seconds`; how many saves had returned, and whether it was
 * killed. */
static int run_killed(const struct job *job, double seconds, int *killed) {
    int ends[2], status, said = 0;
    char c;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        job->run(ends[1]);
        _exit(0);
    }
    close(ends[1]);
    usleep((useconds_t)(1e6 * seconds));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    *killed = WIFSIGNALED(status);
    if (!*killed) assert_int_equal(WEXITSTATUS(status), 0);
    while (read(ends[0], &c, 1) == 1) said++;
    close(ends[0]);
    return said;
}

static void older_files(const struct job *job) {
    scratch_empty();
    if (job->run != encode) return;
    tinyfiles_ranges(path[3]);
    tinyfiles_container(path[4]);
    OK(ckks_ct_save(kf.ct, 1, kf.sk->id, NULL, path[5]));
}

static void check(const struct job *job, int said) {
    for (int i = 0; i < FILES; i++) {
        int there = access(scratch_path(job->file[i]), F_OK) == 0;
        assert_true(there || (said <= i && job->run != encode));
        if (there && job->load(i) != THOR_OK) fail_msg("%s: %s", job->file[i], thor_error());
    }
    if (job->run == keygen && access(scratch_path("secret.key"), F_OK) == 0)
        assert_true(access(path[0], F_OK) == 0 && access(path[1], F_OK) == 0);
}

/* The time of a whole run, for the span of the moments. */
static double duration(const struct job *job) {
    int status;
    double began = now();
    older_files(job);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        job->run(open("/dev/null", O_WRONLY));
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    check(job, FILES);
    return now() - began;
}

static void killed_anywhere(void **state) {
    (void)state;
    const int rounds = dose("KILLS", 40);
    uint64_t stream = (uint64_t)getpid();
    for (int j = 0; j < 2; j++) {
        int killed = 0, finished = 0, k;
        double span = 30;
        for (int i = 0; i < 3; i++) span = fmin(span, duration(&jobs[j]));
        for (int i = 0; i < rounds; i++) {
            older_files(&jobs[j]);
            int said = run_killed(&jobs[j],
                                  1.1 * span * (double)(harness_next(&stream) >> 11) / 0x1p53, &k);
            check(&jobs[j], said);
            killed += k, finished += said;
        }
        print_message("%s ..: %d of %d runs killed, %d saves finished before\n", jobs[j].file[0],
                      killed, rounds, finished);
        assert_true(killed > 0);
    }
}

static int setup(void **state) {
    if (keyfiles_open(state)) return -1;
    for (int i = 0; i < 2 * FILES; i++)
        snprintf(path[i], sizeof path[i], "%s", scratch_path(jobs[i / FILES].file[i % FILES]));
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed_anywhere)};
    return cmocka_run_group_tests_name("kill", tests, setup, keyfiles_close);
}
