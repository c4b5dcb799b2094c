/* nf_proc_net.h - sockets from the text of /proc/net (proc(5)), where the kernel has no sock_diag for them.  Linux.
 *
 * It tells less: not whether an IPv6 socket is IPv6 only, how many connections a listener takes, which card a socket is
 * bound to; of Unix sockets no peer, queue or user.
 */
#ifndef NF_PROC_NET_H
#define NF_PROC_NET_H

#include "nf_sock_diag.h"

/* Reads a whole file (tcp, tcp6, udp, udp6, raw, raw6, unix) for the sockets in these states, on this local port.
 * Lines that are none of a socket are left out.  0 or ENOMEM. */
int nf_read_proc_net(nf_sockets *sockets, nf_transport transport, uint8_t family, uint32_t states, int32_t local_port,
                     const uint8_t *text, size_t size);

#endif
