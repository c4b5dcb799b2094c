/* nf_link.h - network cards and their addresses: asked for, read, changed by rtnetlink (rtnetlink(7),
 * linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h).  Linux.
 */
#ifndef NF_LINK_H
#define NF_LINK_H

#include "nf_netlink.h"

typedef struct {
    const uint8_t *data; /* NULL: not told */
    size_t size;
} nf_span;

/* The numbers of a card, 0 where the kernel does not tell. */
enum {
    NF_LINK_MTU, NF_LINK_MIN_MTU, NF_LINK_MAX_MTU, NF_LINK_TXQUEUELEN, NF_LINK_GROUP, NF_LINK_MASTER, NF_LINK_LINK,
    NF_LINK_OPERSTATE, NF_LINK_LINKMODE, NF_LINK_CARRIER, NF_LINK_CARRIER_CHANGES, NF_LINK_PROMISCUITY,
    NF_LINK_ALLMULTI, NF_LINK_TX_QUEUES, NF_LINK_RX_QUEUES, NF_LINK_GSO_MAX_SIZE, NF_LINK_GSO_MAX_SEGS,
    NF_LINK_TSO_MAX_SIZE, NF_LINK_TSO_MAX_SEGS, NF_LINK_GRO_MAX_SIZE, NF_LINK_GSO_IPV4_MAX_SIZE,
    NF_LINK_GRO_IPV4_MAX_SIZE, NF_LINK_NUMBERS
};

/* Its texts and bytes, in the message they were read from. */
enum {
    NF_LINK_NAME, NF_LINK_ALIAS, NF_LINK_QDISC, NF_LINK_KIND, NF_LINK_PORT_KIND, NF_LINK_DETAILS, NF_LINK_HWADDR,
    NF_LINK_BROADCAST, NF_LINK_PERMANENT, NF_LINK_PROPERTIES, NF_LINK_SPANS
};

enum { NF_LINK_STATS = 24, NF_NO_NUMBER = -1 };

typedef struct {
    int32_t index, netnsid, addrgenmode; /* the latter two NF_NO_NUMBER without any */
    uint16_t type;                       /* ARPHRD_* */
    uint32_t flags;                      /* IFF_* */
    uint32_t numbers[NF_LINK_NUMBERS];
    nf_span spans[NF_LINK_SPANS];
    uint64_t stats[NF_LINK_STATS];       /* in the order of struct rtnl_link_stats64 */
} nf_link;

typedef struct {
    uint8_t family, prefixlen, scope;
    int32_t index, protocol; /* protocol: NF_NO_NUMBER without one */
    uint32_t flags, metric, valid, preferred;
    nf_span local, peer, broadcast, label; /* peer: of a point-to-point link */
} nf_link_address;

/* Both read the payload of a message; false if it is none of a card, or of an IP address. */
bool nf_link_read(uint16_t type, const uint8_t *payload, size_t size, nf_link *link);
bool nf_link_address_read(uint16_t type, const uint8_t *payload, size_t size, nf_link_address *address);

/* The next of the further names in NF_LINK_PROPERTIES; begin with its bytes. */
bool nf_link_altname(nf_attributes *properties, nf_span *name);

/* ---- requests */

enum { NF_LINK_NAME_MAX = 127 }; /* bytes of an alternative name; of a name 15 */

void nf_ask_links(nf_request *r);
/* By index, or by a name of either kind with index 0. */
void nf_ask_link(nf_request *r, int32_t index, const uint8_t *name, size_t size);
/* Of all cards with index 0. */
void nf_ask_addresses(nf_request *r, int32_t index);

/* One change a request, so that it is known what was done. */
void nf_set_link_flags(nf_request *r, int32_t index, uint32_t flags, uint32_t mask);
void nf_set_link_mtu(nf_request *r, int32_t index, uint32_t mtu);
void nf_set_link_hwaddr(nf_request *r, int32_t index, const uint8_t *hwaddr, size_t size);
void nf_set_link_name(nf_request *r, int32_t index, const uint8_t *name, size_t size);

enum { NF_FOREVER = 0xffffffff };

/* Adds an address, or takes it off; nothing that is there is replaced. */
void nf_change_address(nf_request *r, bool add, const nf_link_address *address);

#endif
