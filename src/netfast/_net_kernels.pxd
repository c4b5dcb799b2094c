# C names of the kernels that talk to the operating system, as the headers in kernels/ declare them.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "<stdbool.h>":
    ctypedef bint c_bool "bool"

cdef extern from "nf_icmp.h" nogil:
    enum: NF_ICMP_COOKIE

cdef extern from "nf_ping.h" nogil:
    enum: NF_NEVER, NF_SECOND, NF_NO_TARGET
    enum: NF_ORIGIN_NONE, NF_ORIGIN_LOCAL, NF_ORIGIN_ICMP, NF_ORIGIN_ICMP6
    enum: NF_EVENT_REPLY, NF_EVENT_DUPLICATE, NF_EVENT_LATE, NF_EVENT_TIMEOUT
    enum: NF_EVENT_ERROR, NF_EVENT_DONE, NF_EVENT_SENT

    ctypedef struct nf_clocks:
        int64_t mono
        int64_t real

    ctypedef struct nf_ping_error:
        uint8_t origin
        uint8_t type
        uint8_t code
        uint8_t has_source
        uint32_t index
        int32_t number
        uint32_t info
        uint8_t source[16]

    ctypedef struct nf_ping_event:
        uint8_t kind
        uint8_t ttl
        uint8_t has_ttl
        uint32_t target
        uint32_t index
        uint32_t size
        int64_t rtt
        int64_t real
        uint8_t source[16]
        nf_ping_error error

    ctypedef struct nf_ping_target:
        uint8_t address[16]
        c_bool adaptive
        c_bool open
        uint8_t watched
        uint32_t sent
        uint32_t received
        uint32_t duplicates
        uint32_t reordered
        uint32_t late
        uint32_t failed
        int64_t first_sent
        int64_t last_sent
        int64_t rtt_min
        int64_t rtt_max
        double rtt_mean
        nf_ping_error error
        double* rtts
        uint8_t* ttls

    ctypedef struct nf_ping:
        nf_ping_target* targets
        uint32_t target_count
        uint32_t open_count
        nf_ping_event* events
        size_t event_count
        c_bool lost_events
        uint64_t corrupted
        uint64_t foreign

    c_bool nf_ping_is_ip6(const uint8_t* address)
    c_bool nf_ping_init(nf_ping* ping, const uint64_t* key, int64_t timeout, int64_t gap, c_bool has_cookie)
    void nf_ping_free(nf_ping* ping)
    c_bool nf_ping_reserve(nf_ping* ping, uint32_t more)
    uint32_t nf_ping_add(nf_ping* ping, const uint8_t* address, uint32_t scope, uint32_t count, int64_t interval,
                         int64_t due)
    void nf_ping_remove(nf_ping* ping, uint32_t target)
    double nf_ping_mdev(const nf_ping_target* target)
    double nf_ping_jitter(const nf_ping_target* target)

cdef extern from "nf_ping_socket.h" nogil:
    ctypedef enum nf_socket_kind:
        NF_SOCKET_ANY
        NF_SOCKET_RAW
        NF_SOCKET_DATAGRAM

    ctypedef struct nf_ping_options:
        nf_socket_kind kind
        uint32_t payload
        int ttl
        int tos
        c_bool dont_fragment
        c_bool has_source
        uint8_t source[16]
        uint32_t source_scope
        const char* interface

    ctypedef enum nf_open_step:
        NF_OPENED
        NF_NO_SOCKET
        NF_NO_OPTION
        NF_NO_INTERFACE
        NF_NO_SOURCE
        NF_NO_MEMORY

    ctypedef struct nf_ping_socket:
        int fd
        c_bool raw
        uint16_t id

    nf_open_step nf_ping_open(nf_ping_socket* s, c_bool ip6, const nf_ping_options* options)
    void nf_ping_close(nf_ping_socket* s)
    void nf_ping_make_room(const nf_ping_socket* s, uint64_t replies, uint64_t requests)
    uint32_t nf_ping_dropped(const nf_ping_socket* s)
    nf_clocks nf_clocks_now()

cdef extern from "nf_pinger.h" nogil:
    ctypedef struct nf_pinger:
        nf_ping ping
        nf_ping_socket sockets[2]

    ctypedef enum nf_pinger_pause:
        NF_PINGER_DONE
        NF_PINGER_EVENTS
        NF_PINGER_TIME
        NF_PINGER_SIGNAL

    void nf_pinger_step(nf_pinger* pinger)
    int64_t nf_pinger_wake(const nf_pinger* pinger)
    c_bool nf_pinger_is_full(const nf_pinger* pinger)
    nf_pinger_pause nf_pinger_run(nf_pinger* pinger, int64_t until)
