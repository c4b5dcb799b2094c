/* nf_dispatch.c - the forms there are, and which of them this CPU runs. */
#include "nf_dispatch.h"

#include "nf_classify.h"
#include "nf_ip4_lookup.h"
#include "nf_ip4_rows.h"
#include "nf_ip6_lookup.h"
#include "nf_ip6_rows.h"
#include "nf_offsets.h"

static const nf_kernels scalar = {
    .name = "scalar",
    .ip4_parse_rows = nf_ip4_parse_rows_scalar,
    .ip4_parse_text32 = nf_ip4_parse_text32_scalar,
    .ip6_parse_rows = nf_ip6_parse_rows_scalar,
    .offset_rows = nf_offset_rows_scalar,
    .scan = nf_scan_scalar,
    .ip4_lookup = nf_ip4_lookup_scalar,
    .ip6_lookup = nf_ip6_lookup_scalar,
};

#ifdef NF_HAVE_AVX2
static const nf_kernels avx2 = {
    .name = "avx2",
    .ip4_parse_rows = nf_ip4_parse_rows_avx2,
    .ip4_parse_text32 = nf_ip4_parse_text32_avx2,
    .ip6_parse_rows = nf_ip6_parse_rows_avx2,
    .offset_rows = nf_offset_rows_avx2,
    .scan = nf_scan_avx2,
    .ip4_lookup = nf_ip4_lookup_avx2,
    .ip6_lookup = nf_ip6_lookup_avx2,
};
#endif

#ifdef NF_HAVE_NEON
/* Reading text is where vectors pay most; the row parsers and look-ups have no NEON form yet and use the reference. */
static const nf_kernels neon = {
    .name = "neon",
    .ip4_parse_rows = nf_ip4_parse_rows_scalar,
    .ip4_parse_text32 = nf_ip4_parse_text32_scalar,
    .ip6_parse_rows = nf_ip6_parse_rows_scalar,
    .offset_rows = nf_offset_rows_scalar,
    .scan = nf_scan_neon,
    .ip4_lookup = nf_ip4_lookup_scalar,
    .ip6_lookup = nf_ip6_lookup_scalar,
};
#endif

const nf_kernels *nf_active = &scalar;

#ifdef NF_HAVE_AVX2
#include <cpuid.h>

/* __builtin_cpu_supports("lzcnt") is an error in clang 14.  Asked once: in a virtual machine it takes 70 us. */
static bool has_lzcnt(void)
{
    static enum { UNKNOWN, NO, YES } lzcnt;
    unsigned a, b, c, d;
    if (lzcnt == UNKNOWN)
        lzcnt = __get_cpuid(0x80000001, &a, &b, &c, &d) && (c >> 5 & 1) ? YES : NO;
    return lzcnt == YES;
}
#endif

static const nf_kernels *form(size_t i)
{
    const nf_kernels *forms[3];
    size_t n = 0;
#ifdef NF_HAVE_AVX2
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
        __builtin_cpu_supports("popcnt") && has_lzcnt())
        forms[n++] = &avx2;
#endif
#ifdef NF_HAVE_NEON
    forms[n++] = &neon;
#endif
    forms[n++] = &scalar;
    return i < n ? forms[i] : NULL;
}

const char *nf_kernels_name(size_t i)
{
    const nf_kernels *kernels = form(i);
    return kernels ? kernels->name : NULL;
}

bool nf_kernels_use(const char *name)
{
    static bool ready = false;
    if (!ready) {
        nf_ip4_rows_init();
        nf_classify_init();
        ready = true;
    }
    for (size_t i = 0; form(i); i++) {
        if (!name || strcmp(name, form(i)->name) == 0) {
            nf_active = form(i);
            return true;
        }
    }
    return false;
}
