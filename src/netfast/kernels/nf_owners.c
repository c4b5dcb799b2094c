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
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    LISTING = 32 << 10,
    LINK = 32,       /* "socket:[18446744073709551615]" has 29 bytes */
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

/* A process is known by its directory's name. */
static int32_t pid_of(const char *name)
{
    int64_t pid = 0;
    for (; *name >= '0' && *name <= '9' && pid <= INT32_MAX; name++)
        pid = pid * 10 + (*name - '0');
    return *name || pid > INT32_MAX ? 0 : (int32_t)pid;
}

static int list_processes(nf_owner_walk *walk, uint8_t *listing)
{
    ssize_t filled;
    while ((filled = list_more(walk->proc, listing)) > 0) {
        const char *name;
        for (size_t at = 0; (name = next_name(listing, (size_t)filled, &at));) {
            const int32_t pid = pid_of(name);
            uint8_t *kept = pid ? nf_heap_more(&walk->pids, sizeof pid) : NULL;
            if (pid && !kept)
                return ENOMEM;
            if (pid)
                memcpy(kept, &pid, sizeof pid);
        }
    }
    return filled < 0 ? errno : 0;
}

/* ---- a walker */

/* Opens the next process there is; false if there is none left, or the walk has failed. */
static bool enter_next(nf_owner_walk *walk, nf_walker *w)
{
    const size_t count = walk->pids.size / sizeof(int32_t);
    for (;;) {
        const size_t i = atomic_fetch_add(&walk->next, 1);
        if (i >= count || atomic_load(&walk->error))
            return false;
        memcpy(&w->pid, walk->pids.bytes + i * sizeof w->pid, sizeof w->pid);
        char path[24], *end = path + sizeof path - 4;
        memcpy(end, "/fd", 4);
        for (uint32_t pid = (uint32_t)w->pid; pid; pid /= 10)
            *--end = (char)('0' + pid % 10);
        w->directory = openat(walk->proc, end, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        w->at = w->filled = w->found = 0;
        if (w->directory >= 0)
            return true;
        /* It is gone, or nobody who may look: its sockets stay without it.  Anything else is trouble of our own. */
        if (errno != ENOENT && errno != ESRCH && errno != EACCES && errno != EPERM && errno != ENOTDIR)
            atomic_store(&walk->error, errno);
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
        uint8_t link[LINK];
        const ssize_t size = name && *name != '.' ? readlinkat(w->directory, name, (char *)link, sizeof link) : 0;
        const uint64_t inode = size > 0 ? nf_socket_inode(link, (size_t)size) : 0;
        if (inode)
            note_owner(walk, w, inode);
        if (!name || w->found == walk->wanted.count)
            leave(w);
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

int nf_owners_begin(nf_owner_walk *walk, const uint64_t *inodes, size_t count, int walkers)
{
    memset(walk, 0, sizeof *walk);
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
    return error ? error : list_processes(walk, walk->walker[0].listing);
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
    }
    nf_inodes_end(&walk->wanted);
    nf_heap_free(&walk->pids);
    if (walk->proc >= 0)
        close(walk->proc);
    walk->proc = -1;
}

#endif
