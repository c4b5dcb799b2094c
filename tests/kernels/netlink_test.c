/* netlink_test.c - netlink's messages, made and read back: every field, lengths that lie, bytes at random, all in buffers
 * that end at a page that cannot be touched.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sys/socket.h>

#include "kit.h"
#include "nf_inodes.h"
#include "nf_link.h"
#include "nf_owners.h"
#include "nf_proc_net.h"
#include "nf_sock_diag.h"

enum { HEAD = NLMSG_HDRLEN };

/* The payload of a request, in a guarded buffer. */
static const uint8_t *payload_of(const nf_request *r)
{
    uint8_t *copy = guarded(r->size - HEAD);
    memcpy(copy, r->bytes + HEAD, r->size - HEAD);
    return copy;
}

static void add_number(nf_request *r, uint16_t type, uint32_t value, size_t size)
{
    uint8_t one = (uint8_t)value;
    nf_request_add(r, type, size == 1 ? (const void *)&one : &value, size);
}

/* An attribute that holds those added until it is ended. */
static size_t begin_nest(nf_request *r, uint16_t type)
{
    size_t nest = r->size;
    nf_request_add(r, type | NLA_F_NESTED, NULL, 0);
    return nest;
}

static void end_nest(nf_request *r, size_t nest)
{
    const uint16_t size = (uint16_t)(r->size - nest);
    memcpy(r->bytes + nest, &size, sizeof size);
}

/* ---- attributes */

static void test_attributes(void)
{
    /* 5 bytes and 3 of padding, an empty one, and one whose padding is missing at the end */
    const uint8_t bytes[] = {9, 0, 1, 0x80, 1, 2, 3, 4, 5, 0, 0, 0, 4, 0, 2, 0, 5, 0, 3, 0, 7};
    uint8_t *data = guarded(sizeof bytes);
    memcpy(data, bytes, sizeof bytes);
    nf_attributes rest = {data, sizeof bytes};
    nf_attribute a;
    check(nf_next_attribute(&rest, &a) && a.type == 1 && a.size == 5 && a.data == data + 4, "the first attribute");
    check(nf_attribute_number(&a, 4) == 0x04030201 && nf_attribute_number(&a, 8) == 0, "numbers of an attribute");
    check(nf_next_attribute(&rest, &a) && a.type == 2 && a.size == 0, "an attribute of nothing");
    check(nf_next_attribute(&rest, &a) && a.type == 3 && a.size == 1 && *a.data == 7, "the last attribute");
    check(!nf_next_attribute(&rest, &a), "no attribute behind the last");
    for (uint16_t lie = 0; lie < 40; lie++) {
        memcpy(data, &lie, sizeof lie);
        rest = (nf_attributes){data, sizeof bytes};
        for (int left = 8; left && nf_next_attribute(&rest, &a); left--)
            check(a.data >= data && a.data + a.size <= data + sizeof bytes, "an attribute outside its message");
    }
    check(nf_text_size((const uint8_t *)"ab\0c", 4) == 2 && nf_text_size(NULL, 0) == 0, "the size of a text");
}

static void test_full_request(void)
{
    nf_request r;
    uint8_t much[NF_REQUEST_MAX] = {0};
    nf_request_begin(&r, 1, 0, much, 16);
    nf_request_add(&r, 1, much, 900);
    check(!r.full, "a request with room");
    nf_request_add(&r, 1, much, 100);
    check(r.full && r.size <= NF_REQUEST_MAX, "a request without room");
}

/* ---- messages */

static int counted(void *into, uint16_t type, const uint8_t *payload, size_t size)
{
    (void)payload, (void)size;
    *(int *)into += type;
    return type == 99 ? E2BIG : 0;
}

static size_t put_message(uint8_t *at, uint16_t type, uint16_t flags, uint32_t sequence, int32_t number, size_t size)
{
    struct nlmsghdr head = {.nlmsg_len = (uint32_t)(HEAD + size), .nlmsg_type = type, .nlmsg_flags = flags,
                            .nlmsg_seq = sequence};
    memset(at, 0, HEAD + size);
    memcpy(at, &head, sizeof head);
    memcpy(at + HEAD, &number, size < sizeof number ? size : sizeof number);
    return HEAD + size;
}

static void test_messages(void)
{
    nf_netlink s = {.fd = -1, .sequence = 7};
    uint8_t *data = guarded(256);
    int sum = 0;
    size_t size = put_message(data, 20, 0, 7, 0, 8);
    size += put_message(data + size, 30, 0, 6, 0, 8); /* of a request before */
    size += put_message(data + size, 22, NLM_F_DUMP_INTR, 7, 0, 8);
    check(nf_netlink_read(&s, data, size, false, counted, &sum) == NF_NETLINK_MORE && sum == 42, "messages of a dump");
    check(s.interrupted, "a dump that something changed");
    sum = 0;
    check(nf_netlink_read(&s, data, size, true, counted, &sum) == 0 && sum == 20, "one message");
    size = put_message(data, NLMSG_DONE, 0, 7, -ENOENT, 4);
    check(nf_netlink_read(&s, data, size, false, counted, &sum) == ENOENT, "the end of a dump with an error");
    size = put_message(data, NLMSG_DONE, 0, 7, 0, 4);
    check(nf_netlink_read(&s, data, size, false, counted, &sum) == 0, "the end of a dump");
    size = put_message(data, NLMSG_ERROR, 0, 7, -EPERM, sizeof(struct nlmsgerr));
    check(nf_netlink_read(&s, data, size, false, counted, &sum) == EPERM, "an error");
    size = put_message(data, NLMSG_ERROR, 0, 7, 0, sizeof(struct nlmsgerr));
    check(nf_netlink_read(&s, data, size, false, counted, &sum) == 0, "an acknowledgement");
    size = put_message(data, 99, 0, 7, 0, 4);
    check(nf_netlink_read(&s, data, size, false, counted, &sum) == E2BIG, "an error of whoever takes");
    for (uint32_t lie = 0; lie < 64; lie++) {
        data = guarded(HEAD + 8);
        put_message(data, 20, 0, 7, 0, 8);
        memcpy(data, &lie, sizeof lie);
        int status = nf_netlink_read(&s, data, HEAD + 8, false, counted, &sum);
        check(status == (lie >= HEAD && lie <= HEAD + 8 ? NF_NETLINK_MORE : EBADMSG), "a message whose length lies");
    }
}

static void test_error_text(void)
{
    nf_netlink s = {.fd = -1, .sequence = 1};
    nf_request r;
    char text[200];
    memset(text, 'x', sizeof text);
    struct nlmsgerr error = {.error = -EINVAL};
    nf_request_begin(&r, NLMSG_ERROR, NLM_F_ACK_TLVS, &error, sizeof error);
    nf_request_add(&r, NLMSGERR_ATTR_MSG, text, sizeof text); /* without a NUL, longer than there is room for */
    struct nlmsghdr head;
    memcpy(&head, r.bytes, sizeof head);
    head.nlmsg_len = (uint32_t)r.size;
    head.nlmsg_seq = 1;
    memcpy(r.bytes, &head, sizeof head);
    uint8_t *data = guarded(r.size);
    memcpy(data, r.bytes, r.size);
    check(nf_netlink_read(&s, data, r.size, false, counted, NULL) == EINVAL, "an error with a text");
    check(strlen(s.text) == NF_NETLINK_TEXT - 1, "the text of an error");
}

static void test_kept_messages(void)
{
    nf_heap_bytes heap = {0};
    for (uint32_t i = 0; i < 3000; i++) {
        uint8_t *data = guarded(i % 50);
        memset(data, (int)i, i % 50);
        check(nf_keep_message(&heap, (uint16_t)i, data, i % 50) == 0, "a message to keep");
    }
    size_t at = 0, size;
    uint16_t type;
    const uint8_t *payload;
    for (uint32_t i = 0; i < 3000; i++) {
        check(nf_next_message(&heap, &at, &type, &payload, &size) && type == i && size == i % 50, "a message kept");
        for (size_t k = 0; k < size; k++)
            check(payload[k] == (uint8_t)i, "what a kept message says");
    }
    check(!nf_next_message(&heap, &at, &type, &payload, &size), "no message behind the last");
    nf_heap_free(&heap);
}

/* ---- cards */

static bool is_text(nf_span span, const char *text)
{
    return span.data && span.size == strlen(text) && memcmp(span.data, text, span.size) == 0;
}

static nf_request made_link(void)
{
    const struct ifinfomsg head = {.ifi_index = 5, .ifi_type = 1, .ifi_flags = 0x11043};
    nf_request r;
    nf_request_begin(&r, RTM_NEWLINK, 0, &head, sizeof head);
    nf_request_add(&r, IFLA_IFNAME, "bad\xff", 5);
    add_number(&r, IFLA_MTU, 1400, 4);
    add_number(&r, IFLA_OPERSTATE, 6, 1);
    add_number(&r, IFLA_LINK_NETNSID, 0, 4);
    add_number(&r, 64, 65536, 4);   /* IFLA_GRO_IPV4_MAX_SIZE */
    add_number(&r, 1000, 1, 4);     /* of a kernel to come */
    nf_request_add(&r, IFLA_ADDRESS, "\2\0\0\0\0\1", 6);
    uint64_t stats[NF_LINK_STATS + 1];
    for (int i = 0; i <= NF_LINK_STATS; i++)
        stats[i] = (uint64_t)i << 40;
    nf_request_add(&r, IFLA_STATS64, stats, sizeof stats);
    size_t info = begin_nest(&r, IFLA_LINKINFO);
    nf_request_add(&r, IFLA_INFO_KIND, "vxlan", 5);
    nf_request_add(&r, IFLA_INFO_DATA, "1234", 4);
    end_nest(&r, info);
    size_t families = begin_nest(&r, IFLA_AF_SPEC), ip6 = begin_nest(&r, AF_INET6);
    add_number(&r, IFLA_INET6_ADDR_GEN_MODE, 3, 1);
    end_nest(&r, ip6);
    end_nest(&r, families);
    size_t names = begin_nest(&r, 52);
    nf_request_add(&r, 53, "one", 4);
    nf_request_add(&r, 53, "another", 8);
    end_nest(&r, names);
    return r;
}

static void test_link(void)
{
    nf_request r = made_link();
    nf_link link;
    check(nf_link_read(RTM_NEWLINK, payload_of(&r), r.size - HEAD, &link), "a card");
    check(link.index == 5 && link.type == 1 && link.flags == 0x11043 && link.netnsid == 0, "numbers of a card");
    check(link.numbers[NF_LINK_MTU] == 1400 && link.numbers[NF_LINK_OPERSTATE] == 6, "its MTU and state");
    check(link.numbers[NF_LINK_GRO_IPV4_MAX_SIZE] == 65536 && link.addrgenmode == 3, "what is newer, and nested");
    check(is_text(link.spans[NF_LINK_NAME], "bad\xff") && is_text(link.spans[NF_LINK_KIND], "vxlan"), "its texts");
    check(link.spans[NF_LINK_HWADDR].size == 6 && !link.spans[NF_LINK_ALIAS].data, "its hardware address");
    check(link.stats[NF_LINK_STATS - 1] == (uint64_t)(NF_LINK_STATS - 1) << 40, "its counters");
    nf_attributes names = {link.spans[NF_LINK_PROPERTIES].data, link.spans[NF_LINK_PROPERTIES].size};
    nf_span name;
    check(nf_link_altname(&names, &name) && is_text(name, "one"), "a further name");
    check(nf_link_altname(&names, &name) && is_text(name, "another") && !nf_link_altname(&names, &name), "and the last");
    check(!nf_link_read(RTM_NEWADDR, payload_of(&r), r.size - HEAD, &link), "no card");
    for (size_t cut = 0; cut < r.size - HEAD; cut++) {
        uint8_t *data = guarded(cut);
        memcpy(data, r.bytes + HEAD, cut);
        check(nf_link_read(RTM_NEWLINK, data, cut, &link) == (cut >= sizeof(struct ifinfomsg)), "a card cut short");
    }
}

static void test_address(void)
{
    const nf_span local = {(const uint8_t *)"\12\0\0\1", 4}, peer = {(const uint8_t *)"\12\0\0\2", 4};
    const nf_span broadcast = {(const uint8_t *)"\12\0\0\377", 4}, label = {(const uint8_t *)"eth0:1", 6};
    const nf_link_address wanted = {
        .family = AF_INET, .prefixlen = 24, .scope = 253, .index = 3, .flags = 0x200, .valid = 100, .preferred = 50,
        .local = local, .peer = peer, .broadcast = broadcast, .label = label,
    };
    nf_request r;
    nf_link_address a;
    nf_change_address(&r, true, &wanted);
    check(nf_link_address_read(RTM_NEWADDR, payload_of(&r), r.size - HEAD, &a), "an address");
    check(a.family == AF_INET && a.prefixlen == 24 && a.scope == 253 && a.index == 3 && a.flags == 0x200, "its numbers");
    check(a.valid == 100 && a.preferred == 50 && a.protocol == NF_NO_NUMBER, "its lifetimes");
    check(memcmp(a.local.data, local.data, 4) == 0 && memcmp(a.peer.data, peer.data, 4) == 0, "address and peer");
    check(memcmp(a.broadcast.data, broadcast.data, 4) == 0 && is_text(a.label, "eth0:1"), "broadcast and label");
    for (size_t cut = 0; cut < r.size - HEAD; cut++) {
        uint8_t *data = guarded(cut);
        memcpy(data, r.bytes + HEAD, cut);
        nf_link_address_read(RTM_NEWADDR, data, cut, &a);
    }
    /* Without a peer, both attributes are the same: none is told. */
    nf_link_address alone = wanted;
    alone.peer = (nf_span){0};
    nf_change_address(&r, true, &alone);
    check(nf_link_address_read(RTM_NEWADDR, payload_of(&r), r.size - HEAD, &a) && !a.peer.data, "no peer");
}

/* ---- sockets */

static void test_inet_socket(void)
{
    struct inet_diag_msg m = {
        .idiag_family = AF_INET, .idiag_state = NF_STATE_NEW_SYN_RECV, .idiag_rqueue = 1, .idiag_wqueue = 2,
        .idiag_uid = 3, .idiag_inode = 4000000000,
        .id = {.idiag_sport = htons(80), .idiag_dport = htons(5000), .idiag_src = {htonl(0x7f000001)}, .idiag_if = 9},
    };
    nf_request r;
    nf_sockets sockets = {0};
    nf_socket_sink sink = {&sockets, NF_TCP};
    nf_request_begin(&r, SOCK_DIAG_BY_FAMILY, 0, &m, sizeof m);
    add_number(&r, 11, 1, 1); /* INET_DIAG_SKV6ONLY */
    check(nf_take_socket(&sink, SOCK_DIAG_BY_FAMILY, payload_of(&r), r.size - HEAD) == 0, "a socket");
    const nf_socket *s = nf_sockets_at(&sockets, 0);
    check(s->inode == 4000000000 && s->recv_q == 1 && s->send_q == 2 && s->uid == 3 && s->interface == 9, "its numbers");
    check(s->local_port == 80 && s->remote_port == 5000 && memcmp(s->local + 12, "\x7f\0\0\1", 4) == 0, "its ends");
    check(s->state == NF_STATE_SYN_RECV && s->type == SOCK_STREAM && s->v6only == 1, "its state");
    uint8_t *ports = guarded(2);
    nf_socket_column_copy(&sockets, NF_SOCKET_LOCAL_PORT, ports);
    check(nf_socket_column_size(NF_SOCKET_LOCAL_PORT) == 2 && memcmp(ports, &s->local_port, 2) == 0, "a column");
    check(nf_take_socket(&sink, SOCK_DIAG_BY_FAMILY, payload_of(&r), sizeof m - 1) == EBADMSG, "a socket cut short");
    check(nf_sockets_count(&sockets) == 1, "no row of a socket cut short");
    nf_sockets_free(&sockets);
}

static void test_unix_socket(void)
{
    struct unix_diag_msg m = {.udiag_family = AF_UNIX, .udiag_type = SOCK_DGRAM, .udiag_state = 7, .udiag_ino = 12};
    const struct unix_diag_rqlen queues = {.udiag_rqueue = 3, .udiag_wqueue = 4};
    nf_request r;
    nf_sockets sockets = {0};
    nf_socket_sink sink = {&sockets, NF_UNIX};
    for (int abstract = 0; abstract < 2; abstract++) {
        nf_request_begin(&r, SOCK_DIAG_BY_FAMILY, 0, &m, sizeof m);
        nf_request_add(&r, UNIX_DIAG_NAME, abstract ? "\0a\0b" : "path\0old", abstract ? 4 : 8);
        add_number(&r, UNIX_DIAG_PEER, 77, 4);
        add_number(&r, 7, 1000, 4); /* UNIX_DIAG_UID */
        nf_request_add(&r, UNIX_DIAG_RQLEN, &queues, sizeof queues);
        check(nf_take_socket(&sink, SOCK_DIAG_BY_FAMILY, payload_of(&r), r.size - HEAD) == 0, "a Unix socket");
        const nf_socket *s = nf_sockets_at(&sockets, (size_t)abstract);
        check(s->inode == 12 && s->peer == 77 && s->uid == 1000 && s->recv_q == 3 && s->send_q == 4, "its numbers");
        check(s->name_size == 4 && memcmp(sockets.names.bytes + s->name, abstract ? "\0a\0b" : "path", 4) == 0,
              "its name");
    }
    nf_sockets_free(&sockets);
}

static void test_proc_net(void)
{
    static const char tcp6[] =
        "  sl  local_address                         remote_address                        st tx_queue ...\n"
        "   0: 000080FE00000000FF00FC020100FE00:1F90 00000000000000000000000000000000:0000 0A 00000002:00000001 "
        "00:00000000 00000000  1000        0 12345 1 000000007471354f 100 0 0 10 0\n"
        "   1: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 01 00000000:00000000 "
        "00:00000000 00000000     0        0 999 1 0000000058ff774f 100 0 0 10 0\n"
        "   2: 0000:00 nonsense\n";
    static const char names[] =
        "Num       RefCount Protocol Flags    Type St Inode Path\n"
        "000000005f749f61: 00000003 00000000 00010000 0001 01  1148 /run/two\nlines\n"
        "000000007696803c: 00000003 00000000 00000000 0002 01     7\n";
    const uint32_t listening = 1u << NF_STATE_LISTEN, all = ~0u;
    nf_sockets sockets = {0};
    uint8_t *text = guarded(sizeof tcp6 - 1);
    memcpy(text, tcp6, sizeof tcp6 - 1);
    check(nf_read_proc_net(&sockets, NF_TCP, AF_INET6, listening, NF_ANY_PORT, text, sizeof tcp6 - 1) == 0, "tcp6");
    const nf_socket *s = nf_sockets_at(&sockets, 0);
    check(nf_sockets_count(&sockets) == 1 && s->local_port == 8080 && s->inode == 12345 && s->uid == 1000, "a listener");
    check(s->recv_q == 1 && s->send_q == 2 && s->state == NF_STATE_LISTEN, "its queues");
    check(memcmp(s->local, "\xfe\x80\0\0\0\0\0\0\2\xfc\0\xff\0\xfe\0\1", 16) == 0, "its address");
    check(nf_read_proc_net(&sockets, NF_TCP, AF_INET6, all, 22, text, sizeof tcp6 - 1) == 0, "tcp6, by port");
    check(nf_sockets_count(&sockets) == 2 && nf_sockets_at(&sockets, 1)->inode == 999, "the one on a port");
    nf_sockets_free(&sockets);
    text = guarded(sizeof names - 1);
    memcpy(text, names, sizeof names - 1);
    check(nf_read_proc_net(&sockets, NF_UNIX, AF_UNIX, all, NF_ANY_PORT, text, sizeof names - 1) == 0, "unix");
    s = nf_sockets_at(&sockets, 0);
    check(nf_sockets_count(&sockets) == 2 && s->state == NF_STATE_LISTEN && s->inode == 1148, "a Unix listener");
    check(s->name_size == 14 && memcmp(sockets.names.bytes + s->name, "/run/two\nlines", 14) == 0, "a path of two lines");
    check(nf_sockets_at(&sockets, 1)->name_size == 0 && nf_sockets_at(&sockets, 1)->type == SOCK_DGRAM, "no path");
    nf_sockets_free(&sockets);
}

static void test_inode(void)
{
    check(nf_socket_inode((const uint8_t *)"socket:[4000000000]", 19) == 4000000000, "an inode");
    static const char *const others[] = {"", "socket:[", "socket:[]", "socket:[1", "socket:[1x]", "pipe:[12345]", "/]"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        uint8_t *text = guarded(strlen(others[i]));
        memcpy(text, others[i], strlen(others[i]));
        check(nf_socket_inode(text, strlen(others[i])) == 0, "no inode");
    }
}

static void test_unique(void)
{
    nf_sockets sockets = {0};
    const uint64_t cookies[] = {7, 0, 7, 9, 0, 9, 8, 7}, left[] = {7, 0, 9, 0, 8};
    for (size_t i = 0; i < sizeof cookies / sizeof *cookies; i++) {
        const nf_socket row = {.cookie = cookies[i], .inode = 1};
        memcpy(nf_heap_more(&sockets.rows, sizeof row), &row, sizeof row);
    }
    check(nf_sockets_unique(&sockets, 1) && nf_sockets_count(&sockets) == 6, "what is unique from a row on");
    check(nf_sockets_unique(&sockets, 0) && nf_sockets_count(&sockets) == 5, "what is unique");
    for (size_t i = 0; i < 5; i++)
        check(nf_sockets_at(&sockets, i)->cookie == left[i], "the order of what is unique");
    nf_sockets_free(&sockets);
}

static void test_inodes(void)
{
    nf_inodes set;
    check(nf_inodes_begin(&set, 5000), "memory of a set");
    for (uint64_t i = 0; i < 5000; i++)
        check(nf_inodes_add(&set, i * i + 1) && !nf_inodes_add(&set, i * i + 1), "inodes added");
    for (uint64_t i = 0; i < 5000; i++)
        check(nf_inodes_slot(&set, i * i + 1) == (int64_t)i && nf_inodes_slot(&set, i * i + 3) != (int64_t)i, "slots");
    check(set.count == 5000 && nf_inodes_slot(&set, 3) == NF_NO_SLOT, "what is not there");
    nf_inodes_end(&set);
}

/* Bytes changed at random, in messages that were right. */
static void test_noise(void)
{
    const nf_request r = made_link();
    nf_sockets sockets = {0};
    nf_link link;
    nf_link_address address;
    for (int round = 0; round < 200000; round++) {
        const size_t size = r.size - HEAD - draw() % 32;
        uint8_t *data = guarded(size);
        memcpy(data, r.bytes + HEAD, size);
        for (uint32_t left = draw() % 8; left; left--)
            data[draw() % size] = (uint8_t)draw();
        nf_attributes names = {NULL, 0};
        nf_span name;
        if (nf_link_read(RTM_NEWLINK, data, size, &link))
            names = (nf_attributes){link.spans[NF_LINK_PROPERTIES].data, link.spans[NF_LINK_PROPERTIES].size};
        while (nf_link_altname(&names, &name))
            check(name.data >= data && name.data + name.size <= data + size, "a name outside its message");
        nf_link_address_read(RTM_NEWADDR, data, size, &address);
        nf_socket_sink sink = {&sockets, round % 2 ? NF_UNIX : NF_TCP};
        nf_take_socket(&sink, SOCK_DIAG_BY_FAMILY, data, size);
        sockets.rows.size = sockets.names.size = 0;
    }
    nf_sockets_free(&sockets);
}

int main(void)
{
    test_attributes();
    test_full_request();
    test_messages();
    test_error_text();
    test_kept_messages();
    test_link();
    test_address();
    test_inet_socket();
    test_unix_socket();
    test_proc_net();
    test_inode();
    test_unique();
    test_inodes();
    test_noise();
    return 0;
}
