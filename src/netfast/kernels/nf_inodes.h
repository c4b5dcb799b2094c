/* nf_inodes.h - a set of sockets by their inode numbers, each with a slot: 0, 1, 2 ... in the order they were added. */
#ifndef NF_INODES_H
#define NF_INODES_H

#include "nf_base.h"

enum { NF_NO_SLOT = -1 };

typedef struct {
    uint64_t *inodes; /* by slot */
    uint32_t *table;  /* slots plus one, found by hash; at most half of it is full */
    size_t count, mask;
} nf_inodes;

/* Room for so many; false without memory. */
bool nf_inodes_begin(nf_inodes *set, size_t room);
void nf_inodes_end(nf_inodes *set);

/* False if it is there already. */
bool nf_inodes_add(nf_inodes *set, uint64_t inode);

/* NF_NO_SLOT if it is not there. */
int64_t nf_inodes_slot(const nf_inodes *set, uint64_t inode);

#endif
