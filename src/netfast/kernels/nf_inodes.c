/* nf_inodes.c - open addressing: the kernel hands inode numbers out in order, so a product spreads them well. */
#include "nf_inodes.h"

#include <stdlib.h>

bool nf_inodes_begin(nf_inodes *set, size_t room)
{
    size_t places = 16;
    while (places < 2 * room)
        places *= 2;
    *set = (nf_inodes){.mask = places - 1};
    set->table = calloc(places, sizeof *set->table);
    set->inodes = malloc((room ? room : 1) * sizeof *set->inodes);
    return set->table && set->inodes;
}

void nf_inodes_end(nf_inodes *set)
{
    free(set->table);
    free(set->inodes);
    *set = (nf_inodes){0};
}

static size_t place_of(const nf_inodes *set, uint64_t inode)
{
    size_t place = (inode * 0x9E3779B97F4A7C15u >> 20) & set->mask;
    while (set->table[place] && set->inodes[set->table[place] - 1] != inode)
        place = (place + 1) & set->mask;
    return place;
}

bool nf_inodes_add(nf_inodes *set, uint64_t inode)
{
    const size_t place = place_of(set, inode);
    if (set->table[place])
        return false;
    set->inodes[set->count] = inode;
    set->table[place] = (uint32_t)++set->count;
    return true;
}

int64_t nf_inodes_slot(const nf_inodes *set, uint64_t inode) { return (int64_t)set->table[place_of(set, inode)] - 1; }
