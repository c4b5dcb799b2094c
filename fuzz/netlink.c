/* netlink.c - what the kernel may say of cards and sockets, as messages and as lines of /proc/net: read within its bytes. */
#include "fuzz.h"

#ifdef __linux__

#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include "nf_link.h"
#include "nf_owners.h"
#include "nf_proc_net.h"

static bool is_within(nf_span span, const uint8_t *data, size_t size)
{
    return !span.data || (span.data >= data && span.data + span.size <= data + size);
}

static void check_link(const uint8_t *data, size_t size)
{
    nf_link link;
    if (!nf_link_read(RTM_NEWLINK, data, size, &link))
        return;
    for (int i = 0; i < NF_LINK_SPANS; i++)
        CHECK(is_within(link.spans[i], data, size));
    nf_attributes names = {link.spans[NF_LINK_PROPERTIES].data, link.spans[NF_LINK_PROPERTIES].size};
    nf_span name;
    while (nf_link_altname(&names, &name))
        CHECK(is_within(name, data, size));
}

static void check_address(const uint8_t *data, size_t size)
{
    nf_link_address a;
    if (!nf_link_address_read(RTM_NEWADDR, data, size, &a))
        return;
    CHECK(is_within(a.local, data, size) && is_within(a.peer, data, size) && is_within(a.broadcast, data, size));
    CHECK(is_within(a.label, data, size) && a.local.size == (a.family == AF_INET ? 4 : 16));
}

static void check_sockets(const nf_sockets *sockets)
{
    for (size_t i = 0; i < nf_sockets_count(sockets); i++) {
        const nf_socket *s = nf_sockets_at(sockets, i);
        CHECK(s->state <= NF_STATE_CLOSING);
        CHECK((size_t)s->name + s->name_size <= sockets->names.size);
    }
}

static void check_diag(const uint8_t *data, size_t size, nf_transport transport)
{
    nf_sockets sockets = {0};
    nf_socket_sink sink = {&sockets, transport};
    nf_take_socket(&sink, SOCK_DIAG_BY_FAMILY, data, size);
    nf_take_socket(&sink, SOCK_DIAG_BY_FAMILY, data, size);
    CHECK(nf_sockets_unique(&sockets, 0));
    check_sockets(&sockets);
    nf_sockets_free(&sockets);
}

static void check_proc_net(const uint8_t *data, size_t size, nf_transport transport, uint8_t family)
{
    nf_sockets sockets = {0};
    CHECK(nf_read_proc_net(&sockets, transport, family, NF_ALL_STATES, NF_ANY_PORT, data, size) == 0);
    check_sockets(&sockets);
    nf_sockets_free(&sockets);
}

static int keep(void *heap, uint16_t type, const uint8_t *payload, size_t size)
{
    return nf_keep_message(heap, type, payload, size);
}

static void check_messages(const uint8_t *data, size_t size)
{
    nf_netlink s = {.fd = -1};
    nf_heap_bytes heap = {0};
    size_t at = 0, left, total = 0;
    uint16_t type;
    const uint8_t *payload;
    nf_netlink_read(&s, data, size, false, keep, &heap);
    while (nf_next_message(&heap, &at, &type, &payload, &left))
        total += left;
    CHECK(total <= size && strlen(s.text) < NF_NETLINK_TEXT);
    nf_heap_free(&heap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = copy_of(data, size);
    check_link(copy, size);
    check_address(copy, size);
    check_diag(copy, size, NF_TCP);
    check_diag(copy, size, NF_UNIX);
    check_proc_net(copy, size, NF_TCP, AF_INET);
    check_proc_net(copy, size, NF_UDP, AF_INET6);
    check_proc_net(copy, size, NF_UNIX, AF_UNIX);
    check_messages(copy, size);
    nf_socket_inode(copy, size);
    free(copy);
    return 0;
}

#else

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)data, (void)size;
    return 0;
}

#endif
