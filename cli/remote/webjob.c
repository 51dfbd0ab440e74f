#include "cli/remote/webjob.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bert/input/jsonfile.h"
#include "bert/input/readfile.h"
#include "cli/cli.h"

enum { KILLED = -1, ARGS = 64, LINE_MOST = 4096, EVENTS_MOST = 1 << 18 };
#define LOG_MOST ((size_t)1 << 28)

struct webjob {
    struct webevents events;
    pthread_t worker;
    int begun; /* the worker was, and is to be joined */
    pid_t pid; /* 0: none runs */
    int stopped;
    char *argv[ARGS + 2], *input, *past;
};

/* ---- lines ---- */

static void put_line(struct webjob *j, const char *kind, const char *line, size_t n) {
    json_t *o = NULL;
    if (bert_json_parse(&o, line, n, BERT_JSON_SMALL, 0, THOR_INPUT) != THOR_OK ||
        !json_is_object(o)) {
        json_decref(o);
        return;
    }
    json_object_set_new(o, "kind", json_string(kind));
    webevents_put_often(&j->events, o);
}

static void put_past(struct webjob *j) {
    char *text = NULL;
    size_t n;
    if (!j->past || !bert_file_exists(j->past)) return;
    if (bert_read_file(&text, &n, j->past, LOG_MOST, THOR_IO) != THOR_OK) return;
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1)
        put_line(j, "past", line, (size_t)(end - line));
    free(text);
}

static const char *why(int code, const char *said) {
    const char *behind = strstr(said, ": "); // "thor tune train"
    if (code == KILLED) return "its process was killed";
    return behind ? behind + 2 : "its process ended without a word";
}

static void put_end(struct webjob *j, int code, const char *said) {
    json_t *o = json_pack("{s:s, s:i}", "kind", "end", "code", code);
    if (o && code) json_object_set_new(o, "error", json_string(why(code, said)));
    webevents_put(&j->events, o);
}

/* ---- the process ---- */

struct pipes { /* in: written here, read there; out, err: the other way */
    int in[2], out[2], err[2];
};

static void close_one(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static void close_pipes(struct pipes *p) {
    for (int i = 0; i < 2; i++) close_one(&p->in[i]), close_one(&p->out[i]), close_one(&p->err[i]);
}

/* The program's own file, whatever stands at its path by now.  It hears SIGINT even where the page
 * was started in the background: shells have it passed over there. */
static int start(pid_t *pid, const struct pipes *p, char *const *argv) {
    posix_spawn_file_actions_t to;
    posix_spawnattr_t how;
    sigset_t none, first;
    sigemptyset(&none);
    sigemptyset(&first);
    sigaddset(&first, SIGINT);
    if (posix_spawn_file_actions_init(&to)) return 0;
    if (posix_spawnattr_init(&how)) {
        posix_spawn_file_actions_destroy(&to);
        return 0;
    }
    const int good =
        !posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) &&
        !posix_spawnattr_setsigmask(&how, &none) && !posix_spawnattr_setsigdefault(&how, &first) &&
        !posix_spawn_file_actions_adddup2(&to, p->in[0], STDIN_FILENO) &&
        !posix_spawn_file_actions_adddup2(&to, p->out[1], STDOUT_FILENO) &&
        !posix_spawn_file_actions_adddup2(&to, p->err[1], STDERR_FILENO) &&
        !posix_spawn(pid, "/proc/self/exe", &to, &how, argv, environ);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&to);
    return good;
}

static void write_all(int fd, const char *text) {
    for (size_t at = 0, n = strlen(text); at < n;) {
        const ssize_t wrote = write(fd, text + at, n - at);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return; // it ends, and says why
        at += (size_t)wrote;
    }
}

struct words { /* the last line of standard error that is the program's */
    FILE *from;
    char last[LINE_MOST];
};

static void *listen_to(void *ctx) {
    struct words *w = ctx;
    char line[LINE_MOST];
    while (fgets(line, sizeof line, w->from))
        if (strncmp(line, "thor", 4) == 0) memcpy(w->last, line, sizeof line);
    w->last[strcspn(w->last, "\n")] = 0;
    return NULL;
}

static void read_lines(struct webjob *j, FILE *from) {
    char *line = NULL;
    size_t room = 0;
    for (ssize_t n; (n = getline(&line, &room, from)) > 0;) put_line(j, "line", line, (size_t)n);
    free(line);
}

/* Its process is told to end once it can be, also when that was asked before it began. */
static void set_pid(struct webjob *j, pid_t pid) {
    pthread_mutex_lock(&j->events.lock);
    j->pid = pid;
    if (pid && j->stopped) kill(pid, SIGINT);
    pthread_mutex_unlock(&j->events.lock);
}

static int wait_for(struct webjob *j, pid_t pid) {
    siginfo_t info;
    int status;
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
    }
    set_pid(j, 0); // before the number can be another's
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return KILLED;
    return WIFEXITED(status) ? WEXITSTATUS(status) : KILLED;
}

static void follow(struct webjob *j, struct pipes *p, pid_t pid) {
    struct words said = {.last = ""};
    pthread_t ear;
    FILE *out = fdopen(p->out[0], "r");
    said.from = fdopen(p->err[0], "r");
    const int hears = said.from && pthread_create(&ear, NULL, listen_to, &said) == 0;
    if (j->input) write_all(p->in[1], j->input);
    close_one(&p->in[1]);
    if (out && hears)
        read_lines(j, out);
    else
        kill(pid, SIGTERM);
    if (hears) pthread_join(ear, NULL);
    put_end(j, wait_for(j, pid), said.last);
    if (out) fclose(out), p->out[0] = -1;
    if (said.from) fclose(said.from), p->err[0] = -1;
}

static void *work(void *ctx) {
    struct webjob *j = ctx;
    struct pipes p = {{-1, -1}, {-1, -1}, {-1, -1}};
    pid_t pid;
    sigset_t pipe_end;
    sigemptyset(&pipe_end);
    sigaddset(&pipe_end, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_end, NULL); // of a process that reads no input
    put_past(j);
    if (pipe2(p.in, O_CLOEXEC) || pipe2(p.out, O_CLOEXEC) || pipe2(p.err, O_CLOEXEC) ||
        !start(&pid, &p, j->argv)) {
        put_end(j, THOR_IO, "thor: no process can be started");
    } else {
        close_one(&p.in[0]), close_one(&p.out[1]), close_one(&p.err[1]);
        set_pid(j, pid);
        follow(j, &p, pid);
    }
    close_pipes(&p);
    pthread_mutex_lock(&j->events.lock);
    webevents_over(&j->events);
    pthread_mutex_unlock(&j->events.lock);
    return NULL;
}

/* ---- from outside ---- */

static void drop(struct webjob *j) {
    for (int i = 0; i < ARGS + 2; i++) free(j->argv[i]), j->argv[i] = NULL;
    if (j->input) sodium_memzero(j->input, strlen(j->input));
    free(j->input);
    free(j->past);
    j->input = j->past = NULL;
}

static int copy(char **to, const char *from) {
    *to = from ? strdup(from) : NULL;
    return !from || *to;
}

static int take(struct webjob *j, const struct webjob_ask *ask) {
    drop(j);
    int good =
        copy(&j->argv[0], "thor") && copy(&j->input, ask->input) && copy(&j->past, ask->past);
    for (int i = 0; good && ask->argv[i]; i++)
        good = i < ARGS && copy(&j->argv[i + 1], ask->argv[i]);
    return good;
}

int webjob_new(struct webjob **out) {
    struct webjob *j = *out = calloc(1, sizeof *j);
    if (!j) return thor_fail(THOR_MEMORY, "no memory for the page");
    webevents_open(&j->events, EVENTS_MOST);
    return THOR_OK;
}

int webjob_begin(struct webjob *j, const struct webjob_ask *ask) {
    int number = 0;
    struct webevents *e = &j->events;
    pthread_mutex_lock(&e->lock);
    if (!e->busy && !e->quit) {
        if (j->begun) pthread_join(j->worker, NULL); // it is over, and asks for the lock no more
        j->begun = j->stopped = 0;
        if (take(j, ask)) number = webevents_begin(e);
        j->begun = number && pthread_create(&j->worker, NULL, work, j) == 0;
        if (number && !j->begun) webevents_over(e);
    }
    if (!j->begun) number = 0;
    pthread_mutex_unlock(&e->lock);
    return number;
}

void webjob_stop(struct webjob *j) {
    pthread_mutex_lock(&j->events.lock);
    j->stopped = j->events.busy;
    if (j->pid) kill(j->pid, SIGINT);
    pthread_mutex_unlock(&j->events.lock);
}

struct webevents *webjob_events(struct webjob *j) {
    return &j->events;
}

void webjob_end(struct webjob *j) {
    if (!j) return;
    webevents_quit(&j->events);
    webjob_stop(j);
    if (j->begun) pthread_join(j->worker, NULL);
    j->begun = 0;
}

void webjob_free(struct webjob *j) {
    if (!j) return;
    drop(j);
    webevents_close(&j->events);
    free(j);
}
