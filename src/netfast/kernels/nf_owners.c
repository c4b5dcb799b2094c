/* nf_owners.c - the walk of /proc/PID/fd.
 *
 * Bound: a readlinkat for each descriptor of each process, some 2 us of kernel time, and the listing, 0.6 us a
 * descriptor.  Of that our part is 2 %, so threads share the processes: with two the walk takes half the time.
 */
#define _GNU_SOURCE
#include "nf_owners.h"

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    LISTING = 32 << 10,
    LINK = 32,       /* "socket:[18446744073709551615]" has 29 bytes */
    PATH = 48,       /* "2147483647/task/2147483647/fd" has 29 */
    STRIDE = 256     /* descriptors between two looks at the clock: less than a millisecond */
};

/* What getdents64(2) writes, which has no header. */
typedef struct {
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
} entry;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

uint64_t nf_socket_inode(const uint8_t *text, size_t size)
{
    static const char head[] = "socket:[";
    const size_t skipped = sizeof head - 1;
    uint64_t inode = 0;
    if (size < skipped + 2 || memcmp(text, head, skipped) != 0 || text[size - 1] != ']')
        return 0;
    for (size_t i = skipped; i < size - 1; i++) {
        if (text[i] < '0' || text[i] > '9')
            return 0;
        inode = inode * 10 + (uint64_t)(text[i] - '0');
    }
    return inode;
}

/* ---- one listing after the other */

static ssize_t list_more(int directory, uint8_t *listing)
{
    return syscall(SYS_getdents64, directory, listing, (size_t)LISTING);
}

/* The next name of a listing, NULL at its end. */
static const char *next_name(const uint8_t *listing, size_t filled, size_t *at)
{
    if (*at >= filled)
        return NULL;
    const entry *e = (const entry *)(const void *)(listing + *at);
    *at += e->size;
    return e->name;
}

/* A process or a thread is known by its directory's name; 0 if it is none. */
static int32_t number_of(const char *name)
{
    int64_t number = 0;
    for (; *name >= '0' && *name <= '9' && number <= INT32_MAX; name++)
        number = number * 10 + (*name - '0');
    return *name || number > INT32_MAX ? 0 : (int32_t)number;
}

/* The numbers that are names in a directory: processes of /proc, or threads of a process.  0 or an errno. */
static int list_numbers(int directory, uint8_t *listing, nf_heap_bytes *numbers)
{
    ssize_t filled;
    while ((filled = list_more(directory, listing)) > 0) {
        const char *name;
        for (size_t at = 0; (name = next_name(listing, (size_t)filled, &at));) {
            const int32_t number = number_of(name);
            uint8_t *kept = number ? nf_heap_more(numbers, sizeof number) : NULL;
            if (number && !kept)
                return ENOMEM;
            if (number)
                memcpy(kept, &number, sizeof number);
        }
    }
    return filled < 0 ? errno : 0;
}

/* ---- a walker */

/* Below /proc; what has gone, or is not for this process to see, is no error: its sockets stay without it. */
static int open_directory(nf_owner_walk *walk, const char *path)
{
    int directory = openat(walk->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0 && errno != ENOENT && errno != ESRCH && errno != EACCES && errno != EPERM && errno != ENOTDIR)
        atomic_store(&walk->error, errno);
    return directory;
}

/* The first thread of a process has ended, or it has no descriptors, as threads of the kernel: looks for others. */
static void list_tasks(nf_owner_walk *walk, nf_walker *w)
{
    struct stat tasks;
    char path[PATH];
    snprintf(path, sizeof path, "%d/task", w->pid);
    if (fstatat(walk->proc, path, &tasks, 0) < 0 || tasks.st_nlink <= 3) /* itself, its parent, one thread */
        return;
    const int directory = open_directory(walk, path);
    if (directory < 0)
        return;
    const int error = list_numbers(directory, w->listing, &w->tasks);
    if (error == ENOMEM)
        atomic_store(&walk->error, error);
    close(directory);
}

/* Whether the process that a walker is in need not be looked at any further. */
static bool has_enough(const nf_owner_walk *walk, const nf_walker *w)
{
    return w->found == walk->wanted.count || (walk->any && w->found > 0);
}

/* Opens the descriptors of the next thread to look at, if any. */
static bool enter_task(nf_owner_walk *walk, nf_walker *w)
{
    int32_t task;
    while (w->task < w->tasks.size / sizeof task) {
        memcpy(&task, w->tasks.bytes + w->task++ * sizeof task, sizeof task);
        char path[PATH];
        snprintf(path, sizeof path, "%d/task/%d/fd", w->pid, task);
        if (task != w->pid && !has_enough(walk, w) && (w->directory = open_directory(walk, path)) >= 0)
            return true;
    }
    return false;
}

/* Opens the descriptors of the next process there is; false if there is none left, or the walk has failed. */
static bool enter_next(nf_owner_walk *walk, nf_walker *w)
{
    const size_t count = walk->pids.size / sizeof(int32_t);
    for (;;) {
        w->at = w->filled = 0;
        if (enter_task(walk, w))
            return true;
        const size_t i = atomic_fetch_add(&walk->next, 1);
        if (i >= count || atomic_load(&walk->error))
            return false;
        memcpy(&w->pid, walk->pids.bytes + i * sizeof w->pid, sizeof w->pid);
        w->found = w->tasks.size = w->task = 0;
        w->is_empty = true;
        char path[PATH];
        snprintf(path, sizeof path, "%d/fd", w->pid);
        if ((w->directory = open_directory(walk, path)) >= 0)
            return true;
    }
}

static void leave(nf_walker *w)
{
    close(w->directory);
    w->directory = -1;
}

static void note_owner(nf_owner_walk *walk, nf_walker *w, uint64_t inode)
{
    const int64_t slot = nf_inodes_slot(&walk->wanted, inode);
    if (slot == NF_NO_SLOT || w->last_holder[slot] == w->pid)
        return;
    const nf_owner pair = {(uint32_t)slot, w->pid};
    uint8_t *at = nf_heap_more(&w->pairs, sizeof pair);
    if (!at) {
        atomic_store(&walk->error, ENOMEM);
        return;
    }
    memcpy(at, &pair, sizeof pair);
    w->last_holder[slot] = w->pid;
    w->found++;
}

/* The next descriptor of the process; NULL at the end. */
static const char *next_descriptor(nf_walker *w)
{
    if (w->at >= w->filled) {
        const ssize_t filled = list_more(w->directory, w->listing);
        if (filled <= 0) /* the process may have ended: no trouble */
            return NULL;
        w->filled = (size_t)filled;
        w->at = 0;
    }
    return next_name(w->listing, w->filled, &w->at);
}

/* True when the walk is done. */
static bool walk_on(nf_owner_walk *walk, nf_walker *w, int64_t until)
{
    for (int left = STRIDE; w->directory >= 0 || enter_next(walk, w);) {
        const char *name = next_descriptor(w);
        if (name && *name != '.') {
            uint8_t link[LINK];
            const ssize_t size = readlinkat(w->directory, name, (char *)link, sizeof link);
            const uint64_t inode = size > 0 ? nf_socket_inode(link, (size_t)size) : 0;
            if (inode)
                note_owner(walk, w, inode);
            w->is_empty = false;
        }
        if (!name || has_enough(walk, w))
            leave(w);
        if (!name && w->is_empty && w->tasks.size == 0)
            list_tasks(walk, w);
        if (--left == 0) {
            if (now() >= until || atomic_load(&walk->error))
                return false;
            left = STRIDE;
        }
    }
    return true;
}

typedef struct {
    nf_owner_walk *walk;
    nf_walker *walker;
    int64_t until;
    bool done, started;
    pthread_t thread;
} part;

static void *run_part(void *of)
{
    part *p = of;
    p->done = walk_on(p->walk, p->walker, p->until);
    return NULL;
}

bool nf_owners_run(nf_owner_walk *walk, int64_t until)
{
    part parts[NF_WALKERS];
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the thread that called */
    for (int i = 0; i < walk->walkers; i++) {
        parts[i] = (part){.walk = walk, .walker = &walk->walker[i], .until = until};
        parts[i].started = i > 0 && pthread_create(&parts[i].thread, NULL, run_part, &parts[i]) == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    bool done = true;
    for (int i = 0; i < walk->walkers; i++)
        if (!parts[i].started) /* the first is the caller's own, and so is one that got no thread */
            run_part(&parts[i]);
    for (int i = 0; i < walk->walkers; i++) {
        if (parts[i].started)
            pthread_join(parts[i].thread, NULL);
        done = done && parts[i].done;
    }
    return done || atomic_load(&walk->error);
}

int nf_owners_begin(nf_owner_walk *walk, const uint64_t *inodes, size_t count, bool any, int walkers)
{
    memset(walk, 0, sizeof *walk);
    walk->any = any;
    walk->walkers = walkers < 1 ? 1 : walkers > NF_WALKERS ? NF_WALKERS : walkers;
    for (int i = 0; i < NF_WALKERS; i++)
        walk->walker[i].directory = -1;
    walk->proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (walk->proc < 0)
        return errno;
    int error = nf_inodes_begin(&walk->wanted, count) ? 0 : ENOMEM;
    for (size_t i = 0; i < count && !error; i++)
        nf_inodes_add(&walk->wanted, inodes[i]);
    for (int i = 0; i < walk->walkers && !error; i++) {
        nf_walker *w = &walk->walker[i];
        w->listing = malloc(LISTING);
        w->last_holder = calloc(count ? count : 1, sizeof *w->last_holder);
        error = w->listing && w->last_holder ? 0 : ENOMEM;
    }
    if (!error)
        error = list_numbers(walk->proc, walk->walker[0].listing, &walk->pids);
    return !error && walk->pids.size == 0 ? ENOENT : error; /* something else than /proc is there */
}

void nf_owners_end(nf_owner_walk *walk)
{
    for (int i = 0; i < NF_WALKERS; i++) {
        nf_walker *w = &walk->walker[i];
        if (w->directory >= 0)
            leave(w);
        free(w->listing);
        free(w->last_holder);
        nf_heap_free(&w->pairs);
        nf_heap_free(&w->tasks);
    }
    nf_inodes_end(&walk->wanted);
    nf_heap_free(&walk->pids);
    if (walk->proc >= 0)
        close(walk->proc);
    walk->proc = -1;
}

#endif
