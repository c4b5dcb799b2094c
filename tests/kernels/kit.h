/* kit.h - what C tests share: numbers drawn at random, always the same ones; a check; memory that ends at a page that
 * cannot be touched.  KIT_FORM, if defined, names the form of the kernels under test.
 */
#ifndef KIT_H
#define KIT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifndef KIT_FORM
#define KIT_FORM "failed"
#endif

enum { GUARDED_MAX = 1 << 23 };

static uint64_t kit_state = 1;

static inline uint32_t draw(void)
{
    kit_state ^= kit_state << 13;
    kit_state ^= kit_state >> 7;
    kit_state ^= kit_state << 17;
    return (uint32_t)(kit_state * 0x2545F4914F6CDD1Du >> 32);
}

static inline void check(bool fine, const char *what)
{
    if (fine)
        return;
    printf("%s: %s\n", KIT_FORM, what);
    exit(1);
}

/* `size` bytes, GUARDED_MAX at most, that end at a page that cannot be touched; every call gives the same. */
static inline uint8_t *guarded(size_t size)
{
    static uint8_t *end;
    const size_t room = GUARDED_MAX, page = 65536;
    if (!end) {
        uint8_t *block = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        check(block != MAP_FAILED && mprotect(block + room, page, PROT_NONE) == 0, "no guarded page");
        end = block + room;
    }
    check(size <= room, "a larger guarded buffer");
    return end - size;
}

#endif
