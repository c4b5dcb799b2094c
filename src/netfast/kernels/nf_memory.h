/* nf_memory.h - large results want large pages: a fault for every 4 KiB of a fresh column can cost as much as filling it
 * (3 us each on a virtual machine; a column of 10 M codes took 2,441 of them, and takes 5). */
#ifndef NF_MEMORY_H
#define NF_MEMORY_H

#include "nf_base.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

enum { NF_LARGE = 4 << 20, NF_PAGE = 4096 };

/* Asks for large pages under memory that has not been written yet.  Advice only: nothing depends on it. */
static inline void nf_advise_large(void *memory, size_t size)
{
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (size >= NF_LARGE) {
        uintptr_t begin = ((uintptr_t)memory + NF_PAGE - 1) & ~(uintptr_t)(NF_PAGE - 1);
        uintptr_t end = ((uintptr_t)memory + size) & ~(uintptr_t)(NF_PAGE - 1);
        madvise((void *)begin, end - begin, MADV_HUGEPAGE);
    }
#else
    (void)memory;
    (void)size;
#endif
}

#endif
