/* nf_ping_socket.h - an ICMP socket of one family: echo requests out, echo replies and errors in.  Linux.
 *
 * Two kinds serve (icmp(7), raw(7)).  A datagram socket needs no privilege, but a group within
 * net.ipv4.ping_group_range; the kernel puts the id and the checksum in and hands over what answers that id.  A raw
 * socket needs CAP_NET_RAW and hears every reply that reaches the machine, so filters pass only replies with its id.
 *
 * Errors come by the error queue (IP_RECVERR) of either kind: ICMP messages with who sent them and what they quote, and
 * what this machine refused to send with the MTU.  It also makes the kernel tell of ENOBUFS, which it hides otherwise.
 * An ICMP error that came fails the next send through a datagram socket, once.
 */
#ifndef NF_PING_SOCKET_H
#define NF_PING_SOCKET_H

#include <netinet/in.h>

#include "nf_icmp.h"
#include "nf_ping.h"

typedef enum { NF_SOCKET_ANY, NF_SOCKET_RAW, NF_SOCKET_DATAGRAM } nf_socket_kind;

typedef struct {
    nf_socket_kind kind;        /* any: datagram, or raw where that is refused */
    uint32_t payload;           /* bytes behind the ICMP header */
    int ttl, tos;               /* -1: the system's */
    bool dont_fragment;
    bool has_source;
    uint8_t source[16];         /* IPv4 as ::ffff:a.b.c.d */
    uint32_t source_scope;
    const char *interface;      /* NULL: any */
} nf_ping_options;

/* What could not be done, if anything. */
typedef enum { NF_OPENED, NF_NO_SOCKET, NF_NO_OPTION, NF_NO_INTERFACE, NF_NO_SOURCE, NF_NO_MEMORY } nf_open_step;

typedef struct {
    int fd;                     /* -1: closed */
    bool ip6, raw;
    bool fragments;             /* what is too large for a link may be cut: DF is set only because it is cheaper */
    bool stamps;                /* the kernel was seen to stamp what comes when it comes */
    uint16_t id;
    uint32_t payload;
    uint32_t dropped_before;    /* by the kernel, before the socket was ready */
    uint64_t sum;               /* of the template */
    uint8_t *message;           /* the request, stamped again for each probe */
    struct nf_ping_inbox *inbox;
} nf_ping_socket;

/* Opens a socket of a family; errno where a step failed. */
nf_open_step nf_ping_open(nf_ping_socket *s, bool ip6, const nf_ping_options *options);
void nf_ping_close(nf_ping_socket *s);

/* Asks for room for so many replies that nobody has read yet, and for so many requests that the kernel still holds: it
 * does for three seconds where a neighbour does not answer. */
void nf_ping_make_room(const nf_ping_socket *s, uint64_t replies, uint64_t requests);
/* Replies that the kernel dropped, for there was no room. */
uint32_t nf_ping_dropped(const nf_ping_socket *s);

/* Sends the probe that is due and tells the ping what became of it.  False if the socket is full (EAGAIN). */
bool nf_ping_send(nf_ping_socket *s, nf_ping *ping);
/* Reads what came, errors too.  False if there may be more: a limit was reached, or, with `all`, the kernel did not say
 * that nothing is left. */
bool nf_ping_receive(nf_ping_socket *s, nf_ping *ping, bool all);

nf_clocks nf_clocks_now(void);

#endif
