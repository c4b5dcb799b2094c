/* nf_netlink.c - netlink messages: written, sent, received, read. */
#define _GNU_SOURCE
#include "nf_netlink.h"

#include <errno.h>
#include <stdlib.h>

#ifdef __linux__

#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEADER = NLMSG_HDRLEN,
    ATTRIBUTE = NLA_HDRLEN,
    /* The kernel fills up to 32 KiB a receive, if there is room for as much; a message may be larger, of a card with
     * hundreds of names. */
    INBOX = 64 << 10,
    INBOX_MAX = 16 << 20
};

static size_t aligned(size_t size) { return (size + 3) & ~(size_t)3; }

/* ---- attributes */

bool nf_next_attribute(nf_attributes *attributes, nf_attribute *attribute)
{
    uint16_t size, type;
    if (attributes->left < ATTRIBUTE)
        return false;
    memcpy(&size, attributes->at, sizeof size);
    memcpy(&type, attributes->at + 2, sizeof type);
    if (size < ATTRIBUTE || size > attributes->left)
        return false;
    *attribute = (nf_attribute){type & NLA_TYPE_MASK, attributes->at + ATTRIBUTE, size - (size_t)ATTRIBUTE};
    size_t step = aligned(size);
    if (step > attributes->left)
        step = attributes->left;
    attributes->at += step;
    attributes->left -= step;
    return true;
}

uint64_t nf_attribute_number(const nf_attribute *attribute, size_t size)
{
    uint8_t one;
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    if (attribute->size < size)
        return 0;
    switch (size) {
    case 1: return memcpy(&one, attribute->data, 1), one;
    case 2: return memcpy(&two, attribute->data, 2), two;
    case 4: return memcpy(&four, attribute->data, 4), four;
    case 8: return memcpy(&eight, attribute->data, 8), eight;
    default: return 0;
    }
}

size_t nf_text_size(const uint8_t *text, size_t size)
{
    const uint8_t *end = size ? memchr(text, 0, size) : NULL;
    return end ? (size_t)(end - text) : size;
}

/* ---- messages to send */

static uint8_t *room_for(nf_request *r, size_t size)
{
    if (aligned(size) > NF_REQUEST_MAX - r->size) {
        r->full = true;
        return NULL;
    }
    uint8_t *at = r->bytes + r->size;
    memset(at, 0, aligned(size));
    r->size += aligned(size);
    return at;
}

void nf_request_begin(nf_request *r, uint16_t type, uint16_t flags, const void *header, size_t size)
{
    r->size = 0;
    r->full = false;
    struct nlmsghdr head = {.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags};
    memcpy(room_for(r, sizeof head), &head, sizeof head);
    memcpy(room_for(r, size), header, size);
}

void nf_request_add(nf_request *r, uint16_t type, const void *data, size_t size)
{
    uint8_t *at = room_for(r, ATTRIBUTE + size);
    if (!at)
        return;
    struct nlattr head = {.nla_len = (uint16_t)(ATTRIBUTE + size), .nla_type = type};
    memcpy(at, &head, sizeof head);
    if (size)
        memcpy(at + ATTRIBUTE, data, size);
}

/* ---- the socket */

int nf_netlink_open(nf_netlink *s, int protocol)
{
    static const int on = 1;
    *s = (nf_netlink){.fd = -1, .inbox_size = INBOX};
    s->inbox = malloc(INBOX);
    if (!s->inbox)
        return ENOMEM;
    s->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (s->fd < 0) {
        int number = errno;
        nf_netlink_close(s);
        return number;
    }
    /* Each can be done without, too: filters of a dump, texts of errors, errors without the request. */
    setsockopt(s->fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
    setsockopt(s->fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    setsockopt(s->fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    return 0;
}

void nf_netlink_close(nf_netlink *s)
{
    if (s->fd >= 0)
        close(s->fd);
    free(s->inbox);
    s->fd = -1;
    s->inbox = NULL;
}

int nf_netlink_send(nf_netlink *s, nf_request *request)
{
    if (request->full)
        return EMSGSIZE;
    struct nlmsghdr head;
    memcpy(&head, request->bytes, sizeof head);
    head.nlmsg_len = (uint32_t)request->size;
    head.nlmsg_seq = ++s->sequence;
    memcpy(request->bytes, &head, sizeof head);
    s->interrupted = s->truncated = false;
    s->text[0] = 0;
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    while (sendto(s->fd, request->bytes, request->size, 0, (const struct sockaddr *)&kernel, sizeof kernel) < 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

/* What the kernel says of an error, behind it: an attribute of text. */
static void keep_text(nf_netlink *s, const uint8_t *attributes, size_t size)
{
    nf_attributes rest = {attributes, size};
    nf_attribute a;
    while (nf_next_attribute(&rest, &a))
        if (a.type == NLMSGERR_ATTR_MSG) {
            size_t length = nf_text_size(a.data, a.size);
            length = length < NF_NETLINK_TEXT ? length : NF_NETLINK_TEXT - 1;
            memcpy(s->text, a.data, length);
            s->text[length] = 0;
        }
}

/* The errno that a message of type NLMSG_ERROR or NLMSG_DONE begins with, 0 for none. */
static int error_of(nf_netlink *s, const struct nlmsghdr *head, const uint8_t *payload, size_t size)
{
    const size_t skipped = head->nlmsg_type == NLMSG_ERROR ? sizeof(struct nlmsgerr) : sizeof(int32_t);
    int32_t error;
    if (size < sizeof error)
        return head->nlmsg_type == NLMSG_ERROR ? EBADMSG : 0;
    memcpy(&error, payload, sizeof error);
    if (head->nlmsg_flags & NLM_F_ACK_TLVS && size > skipped)
        keep_text(s, payload + skipped, size - skipped);
    return error < 0 && error > -4096 ? -error : 0;
}

int nf_netlink_read(nf_netlink *s, const uint8_t *bytes, size_t size, bool one, nf_netlink_take *take, void *into)
{
    struct nlmsghdr head;
    while (size >= HEADER) {
        memcpy(&head, bytes, sizeof head);
        if (head.nlmsg_len < HEADER || head.nlmsg_len > size)
            return EBADMSG;
        const uint8_t *payload = bytes + HEADER;
        const size_t left = head.nlmsg_len - HEADER, step = aligned(head.nlmsg_len);
        bytes += step < size ? step : size;
        size -= step < size ? step : size;
        if (head.nlmsg_seq != s->sequence || head.nlmsg_type == NLMSG_NOOP)
            continue; /* of a request before */
        s->interrupted |= (head.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        if (head.nlmsg_type == NLMSG_ERROR || head.nlmsg_type == NLMSG_DONE)
            return error_of(s, &head, payload, left);
        int error = take(into, head.nlmsg_type, payload, left);
        if (error || one)
            return error;
    }
    return NF_NETLINK_MORE;
}

/* False if it cannot be larger. */
static bool enlarge_inbox(nf_netlink *s)
{
    uint8_t *grown = s->inbox_size < INBOX_MAX ? realloc(s->inbox, 4 * s->inbox_size) : NULL;
    if (!grown)
        return false;
    s->inbox = grown;
    s->inbox_size *= 4;
    return true;
}

int nf_netlink_receive(nf_netlink *s, bool one, int receives, nf_netlink_take *take, void *into)
{
    for (; receives > 0; receives--) {
        struct sockaddr_nl from = {0};
        struct iovec whole = {s->inbox, s->inbox_size};
        struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &whole, .msg_iovlen = 1};
        ssize_t size = recvmsg(s->fd, &message, 0);
        if (size < 0 && errno == EINTR)
            return NF_NETLINK_MORE; /* whoever calls looks at signals */
        if (size < 0)
            return errno;
        if (from.nl_pid != 0)
            continue; /* any process may send here; only the kernel is 0 */
        if (message.msg_flags & MSG_TRUNC) {
            s->truncated = true;
            if (!enlarge_inbox(s) || one)
                return EMSGSIZE;
            continue; /* the kernel takes no other request before the end of this dump */
        }
        int status = nf_netlink_read(s, s->inbox, (size_t)size, one, take, into);
        if (status != NF_NETLINK_MORE)
            return status == 0 && s->truncated ? EMSGSIZE : status;
    }
    return NF_NETLINK_MORE;
}

#endif

/* ---- bytes that grow */

uint8_t *nf_heap_more(nf_heap_bytes *heap, size_t size)
{
    if (!heap->bytes || size > heap->room - heap->size) {
        size_t room = heap->room ? heap->room * 2 : 64 << 10;
        while (room - heap->size < size)
            room *= 2;
        uint8_t *grown = realloc(heap->bytes, room);
        if (!grown)
            return NULL;
        heap->bytes = grown;
        heap->room = room;
    }
    uint8_t *at = heap->bytes + heap->size;
    heap->size += size;
    return at;
}

void nf_heap_free(nf_heap_bytes *heap)
{
    free(heap->bytes);
    *heap = (nf_heap_bytes){0};
}

/* size 4, type 4, payload, padded to 8 bytes */
int nf_keep_message(void *into, uint16_t type, const uint8_t *payload, size_t size)
{
    const uint32_t head[2] = {(uint32_t)size, type};
    uint8_t *at = nf_heap_more(into, sizeof head + ((size + 7) & ~(size_t)7));
    if (!at)
        return ENOMEM;
    memcpy(at, head, sizeof head);
    memcpy(at + sizeof head, payload, size);
    return 0;
}

bool nf_next_message(const nf_heap_bytes *heap, size_t *at, uint16_t *type, const uint8_t **payload, size_t *size)
{
    uint32_t head[2];
    if (*at >= heap->size)
        return false;
    memcpy(head, heap->bytes + *at, sizeof head);
    *size = head[0];
    *type = (uint16_t)head[1];
    *payload = heap->bytes + *at + sizeof head;
    *at += sizeof head + ((*size + 7) & ~(size_t)7);
    return true;
}
