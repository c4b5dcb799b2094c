// DPDK's longest-prefix match over files: rte_lpm VERSION [EAL arguments]
//
// In the current directory: `addresses` (host-order uint32 each, or 16 bytes) and `lengths` (a byte each) of the
// prefixes, sorted and distinct; `queries` (as the addresses); `answers`, an int32 for each query, which is shared
// memory.  Says "ready" once the table is full; then looks all queries up for each line on the standard input, and
// writes a line when it is done.  The answer is the prefix's place, in IPv4 with RTE_LPM_LOOKUP_SUCCESS set (and
// anything without it where there is none), in IPv6 -1 where there is none.

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lpm.h>
#include <rte_lpm6.h>

#ifndef BURST
#define BURST 64  // queries a call: of 16 to 4,096 none was faster
#endif

enum { FAILED = 1, NO_EAL = 2 };

struct column {
    void *bytes;
    size_t size;
};

static _Noreturn void fail(const char *what, int status) {
    fprintf(stderr, "%s: %s\n", what, rte_errno ? rte_strerror(rte_errno) : "failed");
    exit(status);
}

static struct column map(const char *name, bool writable) {
    struct stat status;
    const int file = open(name, writable ? O_RDWR : O_RDONLY);
    if (file < 0 || fstat(file, &status) != 0) {
        perror(name);
        exit(FAILED);
    }
    const int may = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void *bytes = mmap(NULL, (size_t)status.st_size, may, MAP_SHARED | MAP_POPULATE, file, 0);
    if (bytes == MAP_FAILED) {
        perror(name);
        exit(FAILED);
    }
    close(file);
    return (struct column){bytes, (size_t)status.st_size};
}

// Adding takes minutes: a rule is looked for from the first on.  So the two tables are filled here as adding would,
// the shortest prefixes first.
//
//   tbl24[address >> 8]   the prefix's place, or, for what goes deeper, which 256 entries of tbl8
//   tbl8[256 * group + (address & 255)]
static void fill(struct rte_lpm *lpm, const uint32_t *address, const uint8_t *length, size_t n, uint32_t groups) {
    uint32_t used = 0;
    for (unsigned depth = 0; depth <= 24; depth++) {
        for (size_t k = 0; k < n; k++) {
            if (length[k] == depth) {
                const struct rte_lpm_tbl_entry entry = {.next_hop = (uint32_t)k, .valid = 1, .depth = depth};
                struct rte_lpm_tbl_entry *first = &lpm->tbl24[address[k] >> 8];
                for (size_t i = 0; i < (size_t)1 << (24 - depth); i++) {
                    first[i] = entry;
                }
            }
        }
    }
    for (unsigned depth = 25; depth <= 32; depth++) {
        for (size_t k = 0; k < n; k++) {
            if (length[k] != depth) {
                continue;
            }
            struct rte_lpm_tbl_entry *top = &lpm->tbl24[address[k] >> 8];
            if (!top->valid_group) {
                if (used == groups) {
                    fail("too few groups", FAILED);
                }
                for (size_t i = 0; i < 256; i++) {
                    lpm->tbl8[256 * (size_t)used + i] = *top;
                    lpm->tbl8[256 * (size_t)used + i].valid_group = top->valid;
                }
                *top = (struct rte_lpm_tbl_entry){.next_hop = used++, .valid = 1, .valid_group = 1};
            }
            const struct rte_lpm_tbl_entry entry = {
                .next_hop = (uint32_t)k, .valid = 1, .valid_group = 1, .depth = depth};
            struct rte_lpm_tbl_entry *first = &lpm->tbl8[256 * (size_t)top->next_hop + (address[k] & 255)];
            for (size_t i = 0; i < (size_t)1 << (32 - depth); i++) {
                first[i] = entry;
            }
        }
    }
}

static uint32_t groups_of(const uint32_t *address, const uint8_t *length, size_t n) {
    uint32_t groups = 1, last = UINT32_MAX;
    for (size_t k = 0; k < n; k++) {
        if (length[k] > 24 && address[k] >> 8 != last) {
            last = address[k] >> 8;
            groups++;
        }
    }
    return groups;
}

static struct rte_lpm *ip4_table(struct column addresses, struct column lengths) {
    const uint32_t groups = groups_of(addresses.bytes, lengths.bytes, lengths.size);
    const struct rte_lpm_config config = {.max_rules = 1, .number_tbl8s = groups};
    struct rte_lpm *lpm = rte_lpm_create("ip4", SOCKET_ID_ANY, &config);
    if (lpm == NULL) {
        fail("rte_lpm_create", FAILED);
    }
    fill(lpm, addresses.bytes, lengths.bytes, lengths.size, groups);
    return lpm;
}

static struct rte_lpm6 *ip6_table(struct column addresses, struct column lengths) {
    uint8_t(*address)[16] = addresses.bytes;
    const uint8_t *length = lengths.bytes;
    const struct rte_lpm6_config config = {.max_rules = (uint32_t)lengths.size + 1, .number_tbl8s = 1 << 17};
    struct rte_lpm6 *lpm = rte_lpm6_create("ip6", SOCKET_ID_ANY, &config);
    if (lpm == NULL) {
        fail("rte_lpm6_create", FAILED);
    }
    for (size_t k = 0; k < lengths.size; k++) {
        if (rte_lpm6_add(lpm, address[k], length[k], (uint32_t)k) != 0) {
            fail("rte_lpm6_add", FAILED);
        }
    }
    return lpm;
}

static void look_up4(const struct rte_lpm *lpm, const uint32_t *query, uint32_t *answer, size_t n) {
    size_t i = 0;
    for (; i + BURST <= n; i += BURST) {
        rte_lpm_lookup_bulk(lpm, query + i, answer + i, BURST);
    }
    if (i < n) {
        rte_lpm_lookup_bulk(lpm, query + i, answer + i, (unsigned)(n - i));
    }
}

static void look_up6(const struct rte_lpm6 *lpm, uint8_t (*query)[16], int32_t *answer, size_t n) {
    for (size_t i = 0; i < n; i += BURST) {
        const size_t count = n - i < BURST ? n - i : BURST;
        rte_lpm6_lookup_bulk_func(lpm, query + i, answer + i, (unsigned)count);
    }
}

int main(int argc, char **argv) {
    const bool ip6 = argc > 1 && strcmp(argv[1], "6") == 0;
    argv[1] = argv[0];
    if (rte_eal_init(argc - 1, argv + 1) < 0) {
        fail("rte_eal_init", NO_EAL);
    }
    const struct column addresses = map("addresses", false), lengths = map("lengths", false);
    const struct column queries = map("queries", false), answers = map("answers", true);
    const size_t n = answers.size / sizeof(int32_t);
    const struct rte_lpm *lpm4 = ip6 ? NULL : ip4_table(addresses, lengths);
    const struct rte_lpm6 *lpm6 = ip6 ? ip6_table(addresses, lengths) : NULL;
    char asked;
    if (write(STDOUT_FILENO, "ready\n", 6) != 6) {
        return FAILED;
    }
    while (read(STDIN_FILENO, &asked, 1) == 1) {
        if (ip6) {
            look_up6(lpm6, queries.bytes, answers.bytes, n);
        } else {
            look_up4(lpm4, queries.bytes, answers.bytes, n);
        }
        if (write(STDOUT_FILENO, "\n", 1) != 1) {
            return FAILED;
        }
    }
    return 0;
}
