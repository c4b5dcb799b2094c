/* nf_policy.h - what counts as an address in running text.
 *
 * IPv4: the byte before is not a letter, digit, "_" or "."; the byte behind is not a letter, digit or "_", nor a "."
 * followed by one of those.  A quad directly behind "Name/" is a product version (nf_is_version).
 * IPv6: the same, and neither side continues a chain of colons; a zone belongs to the address; bare "::" counts only
 * as "[::]" or in front of a prefix length.  Every byte from 0x80 up is a boundary.
 */
#ifndef NF_POLICY_H
#define NF_POLICY_H

#include "nf_base.h"

/* How far the rules look: in front of an address's first byte, and behind it (the address itself included). */
enum { NF_LOOK_BEHIND = 68, NF_LOOK_AHEAD = 68 };

typedef struct {
    size_t size;         /* of its text, zone included */
    size_t plain;        /* of its text without the zone */
    uint8_t version;     /* 4 or 6 */
    uint32_t v4;         /* host order, of an IPv4 address; an IPv6 address has still to be parsed, and will be one */
} nf_match;

/* The address that starts at text[start], if one may start there.  The bytes from 0 to size are all there is, or reach
 * at least as far as the two constants above. */
bool nf_match_ip4(const uint8_t *text, size_t size, size_t start, bool loose, nf_match *match);
bool nf_match_ip6(const uint8_t *text, size_t size, size_t start, nf_match *match);

/* Whether the quad at text[start, end) is the version of a product: right behind "Name/", and no port behind it. */
bool nf_is_version(const uint8_t *text, size_t size, size_t start, size_t end);

#endif
