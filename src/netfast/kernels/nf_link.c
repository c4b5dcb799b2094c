/* nf_link.c - rtnetlink's messages of cards and addresses. */
#define _GNU_SOURCE
#include "nf_link.h"

#ifdef __linux__

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

/* What headers older than these do not name; the numbers never change (linux/if_link.h, linux/if_addr.h). */
enum {
    LINK_MIN_MTU = 50,
    LINK_MAX_MTU = 51,
    LINK_PROP_LIST = 52,
    LINK_ALT_IFNAME = 53,
    LINK_PERM_ADDRESS = 54,
    LINK_GRO_MAX_SIZE = 58,
    LINK_TSO_MAX_SIZE = 59,
    LINK_TSO_MAX_SEGS = 60,
    LINK_ALLMULTI = 61,
    LINK_GSO_IPV4_MAX_SIZE = 63,
    LINK_GRO_IPV4_MAX_SIZE = 64,
    ADDRESS_RT_PRIORITY = 9,
    ADDRESS_PROTO = 11,
    SKIP_STATS = 1 << 3 /* RTEXT_FILTER_SKIP_STATS: without IPv6's counters, which are half of a message */
};

/* ---- cards */

enum { ATTRIBUTES = 65 };

/* Which number an attribute is, plus one, and of how many bytes. */
static const struct {
    uint8_t number, size;
} numbers[ATTRIBUTES] = {
    [IFLA_MTU] = {1 + NF_LINK_MTU, 4},
    [LINK_MIN_MTU] = {1 + NF_LINK_MIN_MTU, 4},
    [LINK_MAX_MTU] = {1 + NF_LINK_MAX_MTU, 4},
    [IFLA_TXQLEN] = {1 + NF_LINK_TXQUEUELEN, 4},
    [IFLA_GROUP] = {1 + NF_LINK_GROUP, 4},
    [IFLA_MASTER] = {1 + NF_LINK_MASTER, 4},
    [IFLA_LINK] = {1 + NF_LINK_LINK, 4},
    [IFLA_OPERSTATE] = {1 + NF_LINK_OPERSTATE, 1},
    [IFLA_LINKMODE] = {1 + NF_LINK_LINKMODE, 1},
    [IFLA_CARRIER] = {1 + NF_LINK_CARRIER, 1},
    [IFLA_CARRIER_CHANGES] = {1 + NF_LINK_CARRIER_CHANGES, 4},
    [IFLA_PROMISCUITY] = {1 + NF_LINK_PROMISCUITY, 4},
    [LINK_ALLMULTI] = {1 + NF_LINK_ALLMULTI, 4},
    [IFLA_NUM_TX_QUEUES] = {1 + NF_LINK_TX_QUEUES, 4},
    [IFLA_NUM_RX_QUEUES] = {1 + NF_LINK_RX_QUEUES, 4},
    [IFLA_GSO_MAX_SIZE] = {1 + NF_LINK_GSO_MAX_SIZE, 4},
    [IFLA_GSO_MAX_SEGS] = {1 + NF_LINK_GSO_MAX_SEGS, 4},
    [LINK_TSO_MAX_SIZE] = {1 + NF_LINK_TSO_MAX_SIZE, 4},
    [LINK_TSO_MAX_SEGS] = {1 + NF_LINK_TSO_MAX_SEGS, 4},
    [LINK_GRO_MAX_SIZE] = {1 + NF_LINK_GRO_MAX_SIZE, 4},
    [LINK_GSO_IPV4_MAX_SIZE] = {1 + NF_LINK_GSO_IPV4_MAX_SIZE, 4},
    [LINK_GRO_IPV4_MAX_SIZE] = {1 + NF_LINK_GRO_IPV4_MAX_SIZE, 4},
};

/* The same for texts and bytes. */
static const struct {
    uint8_t span;
    bool is_text;
} spans[ATTRIBUTES] = {
    [IFLA_IFNAME] = {1 + NF_LINK_NAME, true},
    [IFLA_IFALIAS] = {1 + NF_LINK_ALIAS, true},
    [IFLA_QDISC] = {1 + NF_LINK_QDISC, true},
    [IFLA_ADDRESS] = {1 + NF_LINK_HWADDR, false},
    [IFLA_BROADCAST] = {1 + NF_LINK_BROADCAST, false},
    [LINK_PERM_ADDRESS] = {1 + NF_LINK_PERMANENT, false},
    [LINK_PROP_LIST] = {1 + NF_LINK_PROPERTIES, false},
};

static nf_span as_text(const nf_attribute *a) { return (nf_span){a->data, nf_text_size(a->data, a->size)}; }

static void read_kind(nf_link *link, const nf_attribute *info)
{
    nf_attributes rest = {info->data, info->size};
    nf_attribute a;
    while (nf_next_attribute(&rest, &a))
        if (a.type == IFLA_INFO_KIND)
            link->spans[NF_LINK_KIND] = as_text(&a);
        else if (a.type == IFLA_INFO_SLAVE_KIND)
            link->spans[NF_LINK_PORT_KIND] = as_text(&a);
        else if (a.type == IFLA_INFO_DATA)
            link->spans[NF_LINK_DETAILS] = (nf_span){a.data, a.size};
}

static void read_families(nf_link *link, const nf_attribute *families)
{
    nf_attributes rest = {families->data, families->size}, inner;
    nf_attribute family, a;
    while (nf_next_attribute(&rest, &family)) {
        inner = (nf_attributes){family.data, family.size};
        while (family.type == AF_INET6 && nf_next_attribute(&inner, &a))
            if (a.type == IFLA_INET6_ADDR_GEN_MODE)
                link->addrgenmode = (int32_t)nf_attribute_number(&a, 1);
    }
}

static void read_link_attribute(nf_link *link, const nf_attribute *a)
{
    const uint16_t type = a->type < ATTRIBUTES ? a->type : 0;
    if (numbers[type].number)
        link->numbers[numbers[type].number - 1] = (uint32_t)nf_attribute_number(a, numbers[type].size);
    else if (spans[type].span)
        link->spans[spans[type].span - 1] = spans[type].is_text ? as_text(a) : (nf_span){a->data, a->size};
    else if (a->type == IFLA_STATS64) /* longer in newer kernels, shorter in older ones */
        memcpy(link->stats, a->data, a->size < sizeof link->stats ? a->size : sizeof link->stats);
    else if (a->type == IFLA_LINK_NETNSID)
        link->netnsid = (int32_t)nf_attribute_number(a, 4);
    else if (a->type == IFLA_LINKINFO)
        read_kind(link, a);
    else if (a->type == IFLA_AF_SPEC)
        read_families(link, a);
}

bool nf_link_read(uint16_t type, const uint8_t *payload, size_t size, nf_link *link)
{
    struct ifinfomsg head;
    if (type != RTM_NEWLINK || size < sizeof head)
        return false;
    memcpy(&head, payload, sizeof head);
    memset(link, 0, sizeof *link);
    link->index = head.ifi_index;
    link->type = head.ifi_type;
    link->flags = head.ifi_flags;
    link->netnsid = link->addrgenmode = NF_NO_NUMBER;
    nf_attributes rest = {payload + sizeof head, size - sizeof head};
    nf_attribute a;
    while (nf_next_attribute(&rest, &a))
        read_link_attribute(link, &a);
    return head.ifi_family == AF_UNSPEC && head.ifi_index > 0;
}

bool nf_link_altname(nf_attributes *properties, nf_span *name)
{
    nf_attribute a;
    while (nf_next_attribute(properties, &a))
        if (a.type == LINK_ALT_IFNAME) {
            *name = as_text(&a);
            return true;
        }
    return false;
}

/* ---- addresses */

static size_t address_size(uint8_t family) { return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0; }

bool nf_link_address_read(uint16_t type, const uint8_t *payload, size_t size, nf_link_address *address)
{
    struct ifaddrmsg head;
    if (type != RTM_NEWADDR || size < sizeof head)
        return false;
    memcpy(&head, payload, sizeof head);
    *address = (nf_link_address){
        .family = head.ifa_family, .prefixlen = head.ifa_prefixlen, .scope = head.ifa_scope, .flags = head.ifa_flags,
        .index = (int32_t)head.ifa_index, .protocol = NF_NO_NUMBER, .valid = NF_FOREVER, .preferred = NF_FOREVER,
    };
    const size_t wanted = address_size(head.ifa_family);
    nf_attributes rest = {payload + sizeof head, size - sizeof head};
    nf_attribute a;
    struct ifa_cacheinfo times;
    nf_span network = {0};
    while (nf_next_attribute(&rest, &a)) {
        const nf_span whole = {a.size >= wanted ? a.data : NULL, wanted};
        switch (a.type) {
        case IFA_ADDRESS: network = whole; break;
        case IFA_LOCAL: address->local = whole; break;
        case IFA_BROADCAST: address->broadcast = whole; break;
        case IFA_LABEL: address->label = as_text(&a); break;
        case IFA_FLAGS: address->flags = (uint32_t)nf_attribute_number(&a, 4); break;
        case ADDRESS_RT_PRIORITY: address->metric = (uint32_t)nf_attribute_number(&a, 4); break;
        case ADDRESS_PROTO: address->protocol = (int32_t)nf_attribute_number(&a, 1); break;
        case IFA_CACHEINFO:
            if (a.size < sizeof times)
                break;
            memcpy(&times, a.data, sizeof times);
            address->valid = times.ifa_valid;
            address->preferred = times.ifa_prefered;
        }
    }
    /* IFA_LOCAL is the card's own address; IFA_ADDRESS the same, or the peer's.  IPv6 without a peer has the latter. */
    if (!address->local.data)
        address->local = network;
    else if (network.data && memcmp(network.data, address->local.data, wanted) != 0)
        address->peer = network;
    return wanted && address->local.data && head.ifa_index > 0;
}

/* ---- requests */

static void ask(nf_request *r, uint16_t flags, int32_t index)
{
    const struct ifinfomsg head = {.ifi_family = AF_UNSPEC, .ifi_index = index};
    const uint32_t mask = SKIP_STATS;
    nf_request_begin(r, RTM_GETLINK, flags, &head, sizeof head);
    nf_request_add(r, IFLA_EXT_MASK, &mask, sizeof mask);
}

void nf_ask_links(nf_request *r) { ask(r, NLM_F_DUMP, 0); }

static void add_text(nf_request *r, uint16_t type, const uint8_t *text, size_t size)
{
    uint8_t ended[NF_LINK_NAME_MAX + 1] = {0};
    size = size < NF_LINK_NAME_MAX ? size : NF_LINK_NAME_MAX;
    memcpy(ended, text, size);
    nf_request_add(r, type, ended, size + 1);
}

void nf_ask_link(nf_request *r, int32_t index, const uint8_t *name, size_t size)
{
    ask(r, 0, index);
    if (index == 0) /* IFLA_ALT_IFNAME finds a card by its usual name, too, but older kernels do not know it */
        add_text(r, size < 16 ? IFLA_IFNAME : LINK_ALT_IFNAME, name, size);
}

void nf_ask_addresses(nf_request *r, int32_t index)
{
    const struct ifaddrmsg head = {.ifa_family = AF_UNSPEC, .ifa_index = (uint32_t)index};
    nf_request_begin(r, RTM_GETADDR, NLM_F_DUMP, &head, sizeof head);
}

static void change_link(nf_request *r, int32_t index, uint32_t flags, uint32_t mask)
{
    const struct ifinfomsg head = {.ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_flags = flags, .ifi_change = mask};
    nf_request_begin(r, RTM_NEWLINK, NLM_F_ACK, &head, sizeof head);
}

void nf_set_link_flags(nf_request *r, int32_t index, uint32_t flags, uint32_t mask)
{
    change_link(r, index, flags, mask);
}

void nf_set_link_mtu(nf_request *r, int32_t index, uint32_t mtu)
{
    change_link(r, index, 0, 0);
    nf_request_add(r, IFLA_MTU, &mtu, sizeof mtu);
}

void nf_set_link_hwaddr(nf_request *r, int32_t index, const uint8_t *hwaddr, size_t size)
{
    change_link(r, index, 0, 0);
    nf_request_add(r, IFLA_ADDRESS, hwaddr, size);
}

void nf_set_link_name(nf_request *r, int32_t index, const uint8_t *name, size_t size)
{
    change_link(r, index, 0, 0);
    add_text(r, IFLA_IFNAME, name, size);
}

void nf_change_address(nf_request *r, bool add, const nf_link_address *a)
{
    const struct ifaddrmsg head = {
        .ifa_family = a->family, .ifa_prefixlen = a->prefixlen, .ifa_scope = a->scope, .ifa_index = (uint32_t)a->index,
    };
    const nf_span *network = a->peer.data ? &a->peer : &a->local;
    nf_request_begin(r, add ? RTM_NEWADDR : RTM_DELADDR, add ? NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL : NLM_F_ACK, &head,
                     sizeof head);
    nf_request_add(r, IFA_LOCAL, a->local.data, a->local.size);
    nf_request_add(r, IFA_ADDRESS, network->data, network->size); /* without it any prefix length would be taken off */
    if (a->label.data)
        add_text(r, IFA_LABEL, a->label.data, a->label.size);
    if (!add)
        return;
    if (a->broadcast.data)
        nf_request_add(r, IFA_BROADCAST, a->broadcast.data, a->broadcast.size);
    if (a->flags)
        nf_request_add(r, IFA_FLAGS, &a->flags, sizeof a->flags);
    if (a->valid != NF_FOREVER || a->preferred != NF_FOREVER) {
        const struct ifa_cacheinfo times = {.ifa_valid = a->valid, .ifa_prefered = a->preferred};
        nf_request_add(r, IFA_CACHEINFO, &times, sizeof times);
    }
}

#endif
