/* nf_netlink.h - netlink: questions to the kernel, and its answers (RFC 3549; netlink(7), linux/netlink.h).  Linux.
 *
 *   a message     +---------------- nlmsghdr ----------------+---------+---------------------------
 *                 | length 4 | type 2 | flags 2 | seq 4 | pid 4 | header  | attributes, each:
 *                 +------------------------------------------+---------+---------------------------
 *   an attribute  | length 2 | type 2 | payload, padded to 4 bytes |      all in this machine's byte order
 *
 * Lengths include their header and not the padding.  Answers are read as foreign data: no length is believed.
 */
#ifndef NF_NETLINK_H
#define NF_NETLINK_H

#include "nf_base.h"

/* ---- attributes */

typedef struct {
    uint16_t type; /* without the two flag bits */
    const uint8_t *data;
    size_t size;
} nf_attribute;

typedef struct {
    const uint8_t *at;
    size_t left;
} nf_attributes;

/* The next attribute; false at the end, and before one whose length lies. */
bool nf_next_attribute(nf_attributes *attributes, nf_attribute *attribute);

/* A number of up to 8 bytes in this machine's order; 0 if the attribute has fewer. */
uint64_t nf_attribute_number(const nf_attribute *attribute, size_t size);

/* The size of a text that may end at a NUL. */
size_t nf_text_size(const uint8_t *text, size_t size);

/* ---- messages to send */

enum { NF_REQUEST_MAX = 1024 };

typedef struct {
    uint8_t bytes[NF_REQUEST_MAX];
    size_t size;
    bool full; /* something did not fit */
} nf_request;

/* A message of a type with flags beside NLM_F_REQUEST, and the header that its type has. */
void nf_request_begin(nf_request *r, uint16_t type, uint16_t flags, const void *header, size_t size);
void nf_request_add(nf_request *r, uint16_t type, const void *data, size_t size);

/* ---- the socket */

enum { NF_NETLINK_TEXT = 128 };

typedef struct {
    int fd; /* -1: closed */
    uint32_t sequence;
    uint8_t *inbox;
    size_t inbox_size;
    bool truncated;             /* a message was larger than the inbox */
    bool interrupted;           /* what is dumped changed meanwhile: some of it may be missing, or there twice */
    char text[NF_NETLINK_TEXT]; /* what the kernel says of the error, or "" */
} nf_netlink;

/* Both return 0 or an errno. */
int nf_netlink_open(nf_netlink *s, int protocol);
int nf_netlink_send(nf_netlink *s, nf_request *request);
void nf_netlink_close(nf_netlink *s);

/* Is given each message of an answer, without its nlmsghdr; 0, or the errno that ends it. */
typedef int nf_netlink_take(void *into, uint16_t type, const uint8_t *payload, size_t size);

enum { NF_NETLINK_MORE = -1 };

/* Reads what came for the last request, so many receives of up to 32 KiB at most; NF_NETLINK_MORE if it goes on, 0 at
 * the end of a dump, after an acknowledgement, or after a single message where `one` is expected, else an errno.
 * EMSGSIZE: a message was larger than the inbox, which has been made larger: ask again. */
int nf_netlink_receive(nf_netlink *s, bool one, int receives, nf_netlink_take *take, void *into);

/* Reads the messages of one receive; tested and fuzzed without a socket. */
int nf_netlink_read(nf_netlink *s, const uint8_t *bytes, size_t size, bool one, nf_netlink_take *take, void *into);

/* ---- bytes that grow: what a dump is kept in */

typedef struct {
    uint8_t *bytes;
    size_t size, room;
} nf_heap_bytes;

/* Room for so many more, at the end; NULL without memory. */
uint8_t *nf_heap_more(nf_heap_bytes *heap, size_t size);
void nf_heap_free(nf_heap_bytes *heap);

/* An `nf_netlink_take` into nf_heap_bytes, and the way to read the messages again: begin with `at` 0. */
int nf_keep_message(void *heap, uint16_t type, const uint8_t *payload, size_t size);
bool nf_next_message(const nf_heap_bytes *heap, size_t *at, uint16_t *type, const uint8_t **payload, size_t *size);

#endif
