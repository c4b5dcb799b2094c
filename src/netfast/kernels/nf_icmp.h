/* nf_icmp.h - ICMP echo messages: requests written, replies and quoted requests read (RFC 792, RFC 4443).
 *
 *      0      1      2      3      4      5      6      7      8             16
 *   +------+------+------+------+------+------+------+------+-------------+---- - - -
 *   | type | code |  checksum   |     id      |  sequence   |   cookie    |  8, 9, 10 ...
 *   +------+------+------+------+------+------+------+------+-------------+---- - - -
 *
 * Everything is in network order.  The cookie and what follows are the payload; a payload of fewer than 8 bytes has no
 * room for a cookie, and then begins with 0, 1, 2 ...
 */
#ifndef NF_ICMP_H
#define NF_ICMP_H

#include "nf_base.h"

enum {
    NF_ICMP_HEADER = 8,
    NF_ICMP_COOKIE = 8,
    NF_ICMP_PAYLOAD_MAX = 65507, /* 65,535 less the headers of IPv4 and ICMP */
    NF_ECHO_REPLY = 0,
    NF_ECHO_REQUEST = 8,
    NF_ECHO_REQUEST6 = 128,
    NF_ECHO_REPLY6 = 129
};

/* What an echo message says. */
typedef struct {
    uint16_t id, sequence;
    uint64_t cookie;
    uint32_t size; /* of the whole ICMP message */
    bool has_cookie;
} nf_echo;

/* The sum of RFC 1071, not yet folded; a message of odd size is summed as if a zero followed.  A message with its
 * checksum in place is intact if nf_checksum_fold of its sum is 0. */
uint64_t nf_checksum_sum(const uint8_t *data, size_t size);
uint16_t nf_checksum_fold(uint64_t sum);

/* A request without sequence and cookie, to be stamped: NF_ICMP_HEADER + payload bytes.  Returns its sum. */
uint64_t nf_echo_template(uint8_t *message, size_t payload, uint8_t type, uint16_t id);

/* Makes the template one probe.  The sum is brought up to date with what changed (RFC 1624), the rest is not read. */
void nf_echo_stamp(uint8_t *message, size_t payload, uint64_t sum, uint16_t sequence, uint64_t cookie);

/* Reads a message of a type; false if it is another, or too short for a header. */
bool nf_echo_read(const uint8_t *message, size_t size, uint8_t type, nf_echo *echo);

/* Whether what follows the cookie (or the header, if there is none) is as it was sent.  It may end early: some hosts
 * answer with less. */
bool nf_echo_intact(const uint8_t *message, size_t size);

/* The ICMP message in an IPv4 packet, and its size and the packet's TTL; NULL if there is none. */
const uint8_t *nf_icmp_in_ip4(const uint8_t *packet, size_t size, size_t *message_size, uint8_t *ttl);

#endif
