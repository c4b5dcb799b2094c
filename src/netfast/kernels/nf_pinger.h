/* nf_pinger.h - the loop of a ping: sends what is due, reads what came, gives up what is late, sleeps in between. */
#ifndef NF_PINGER_H
#define NF_PINGER_H

#include "nf_ping_socket.h"

typedef struct {
    nf_ping ping;
    nf_ping_socket sockets[2];  /* of IPv4, of IPv6; closed (fd -1) where no target needs one, or the kernel has none */
} nf_pinger;

typedef enum { NF_PINGER_DONE, NF_PINGER_EVENTS, NF_PINGER_TIME, NF_PINGER_SIGNAL } nf_pinger_pause;

/* Sends some probes that are due, reads everything that came, and expires; never waits. */
void nf_pinger_step(nf_pinger *pinger);
/* When there will be something to do but reading: NF_NEVER if nothing is due or under way. */
int64_t nf_pinger_wake(const nf_pinger *pinger);
/* Whether a socket took no more: there will be something to do when it does. */
bool nf_pinger_is_full(const nf_pinger *pinger);
/* Steps until there are events, everything is done, a signal came, or it is `until` (mono). */
nf_pinger_pause nf_pinger_run(nf_pinger *pinger, int64_t until);

#endif
