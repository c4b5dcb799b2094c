/* nf_owners.h - which processes hold which sockets: a walk of /proc/PID/fd (proc(5)).  Linux.
 *
 * A socket has as many owners as processes hold a descriptor of it, and nothing tells how many those are: so each
 * process is looked at, but none any further once it was seen to hold all that are looked for.  A process has one table
 * of descriptors, which its first thread shows; where that thread has ended, the others show it.
 */
#ifndef NF_OWNERS_H
#define NF_OWNERS_H

#include <stdatomic.h>

#include "nf_inodes.h"
#include "nf_netlink.h"

enum { NF_WALKERS = 8 };

/* One thread's part of the walk: the process it is in, and what it found. */
typedef struct {
    int directory;                  /* of that process's descriptors; -1: none */
    int32_t pid;
    bool is_empty;                  /* no descriptor was seen in it */
    size_t found;                   /* of the sockets that are looked for, in that process */
    nf_heap_bytes tasks;            /* int32_t each: its threads, where the first of them has ended */
    size_t task;                    /* the next of these */
    size_t at, filled;              /* in the listing that was read last */
    uint8_t *listing;
    int32_t *last_holder;           /* by slot: the last process seen to hold it */
    nf_heap_bytes pairs;            /* nf_owner each */
} nf_walker;

typedef struct {
    uint32_t slot;
    int32_t pid;
} nf_owner;

typedef struct {
    nf_inodes wanted;
    bool any;                       /* one of them will do: who holds it is looked at no further */
    nf_heap_bytes pids;             /* int32_t each: the processes there were at the beginning */
    int proc;                       /* /proc */
    int walkers;
    atomic_size_t next;             /* of the pids */
    atomic_int error;               /* errno of what ends the walk; 0 */
    nf_walker walker[NF_WALKERS];
} nf_owner_walk;

/* Begins a walk for sockets by their inodes, or for any of them; 0 or an errno.  Inodes that repeat have one slot. */
int nf_owners_begin(nf_owner_walk *walk, const uint64_t *inodes, size_t count, bool any, int walkers);
void nf_owners_end(nf_owner_walk *walk);

/* Goes on until it is done (true), or until that time of CLOCK_MONOTONIC, in nanoseconds. */
bool nf_owners_run(nf_owner_walk *walk, int64_t until);

/* The inode in the text of a link, "socket:[12345]"; 0 if it is none of a socket. */
uint64_t nf_socket_inode(const uint8_t *text, size_t size);

#endif
