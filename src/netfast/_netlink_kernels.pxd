# C names of the kernels of this machine's cards and sockets, as the headers in kernels/ declare them.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "<stdbool.h>":
    ctypedef bint c_bool "bool"

cdef extern from "nf_netlink.h" nogil:
    enum: NF_NETLINK_MORE

    ctypedef struct nf_attributes:
        const uint8_t* at
        size_t left

    ctypedef struct nf_request:
        size_t size
        c_bool full

    ctypedef struct nf_netlink:
        int fd
        uint8_t* inbox
        c_bool interrupted
        char* text

    ctypedef struct nf_heap_bytes:
        uint8_t* bytes
        size_t size
        size_t room

    ctypedef int nf_netlink_take(void* into, uint16_t type, const uint8_t* payload, size_t size) noexcept

    int nf_netlink_open(nf_netlink* s, int protocol)
    int nf_netlink_send(nf_netlink* s, nf_request* request)
    void nf_netlink_close(nf_netlink* s)
    int nf_netlink_receive(nf_netlink* s, c_bool one, int receives, nf_netlink_take* take, void* into)
    void nf_heap_free(nf_heap_bytes* heap)
    int nf_keep_message(void* heap, uint16_t type, const uint8_t* payload, size_t size)
    c_bool nf_next_message(const nf_heap_bytes* heap, size_t* at, uint16_t* type, const uint8_t** payload, size_t* size)

cdef extern from "nf_link.h" nogil:
    enum: NF_LINK_MTU, NF_LINK_MIN_MTU, NF_LINK_MAX_MTU, NF_LINK_TXQUEUELEN, NF_LINK_GROUP, NF_LINK_MASTER
    enum: NF_LINK_LINK, NF_LINK_OPERSTATE, NF_LINK_LINKMODE, NF_LINK_CARRIER, NF_LINK_CARRIER_CHANGES
    enum: NF_LINK_PROMISCUITY, NF_LINK_ALLMULTI, NF_LINK_TX_QUEUES, NF_LINK_RX_QUEUES, NF_LINK_GSO_MAX_SIZE
    enum: NF_LINK_GSO_MAX_SEGS, NF_LINK_TSO_MAX_SIZE, NF_LINK_TSO_MAX_SEGS, NF_LINK_GRO_MAX_SIZE
    enum: NF_LINK_GSO_IPV4_MAX_SIZE, NF_LINK_GRO_IPV4_MAX_SIZE
    enum: NF_LINK_NAME, NF_LINK_ALIAS, NF_LINK_QDISC, NF_LINK_KIND, NF_LINK_PORT_KIND, NF_LINK_DETAILS
    enum: NF_LINK_HWADDR, NF_LINK_BROADCAST, NF_LINK_PERMANENT, NF_LINK_PROPERTIES
    enum: NF_LINK_STATS, NF_NO_NUMBER
    uint32_t NF_FOREVER

    ctypedef struct nf_span:
        const uint8_t* data
        size_t size

    ctypedef struct nf_link:
        int32_t index
        int32_t netnsid
        int32_t addrgenmode
        uint16_t type
        uint32_t flags
        uint32_t* numbers
        nf_span* spans
        uint64_t* stats

    ctypedef struct nf_link_address:
        uint8_t family
        uint8_t prefixlen
        uint8_t scope
        int32_t index
        int32_t protocol
        uint32_t flags
        uint32_t metric
        uint32_t valid
        uint32_t preferred
        nf_span local
        nf_span peer
        nf_span broadcast
        nf_span label

    c_bool nf_link_read(uint16_t type, const uint8_t* payload, size_t size, nf_link* link)
    c_bool nf_link_address_read(uint16_t type, const uint8_t* payload, size_t size, nf_link_address* address)
    c_bool nf_link_altname(nf_attributes* properties, nf_span* name)
    void nf_ask_links(nf_request* r)
    void nf_ask_link(nf_request* r, int32_t index, const uint8_t* name, size_t size)
    void nf_ask_addresses(nf_request* r, int32_t index)
    void nf_set_link_flags(nf_request* r, int32_t index, uint32_t flags, uint32_t mask)
    void nf_set_link_mtu(nf_request* r, int32_t index, uint32_t mtu)
    void nf_set_link_hwaddr(nf_request* r, int32_t index, const uint8_t* hwaddr, size_t size)
    void nf_set_link_name(nf_request* r, int32_t index, const uint8_t* name, size_t size)
    void nf_change_address(nf_request* r, c_bool add, const nf_link_address* address)

cdef extern from "nf_sock_diag.h" nogil:
    ctypedef enum nf_transport: NF_TCP, NF_UDP, NF_RAW, NF_UNIX
    enum: NF_ANY_PORT, NF_ALL_STATES

    ctypedef struct nf_socket:
        uint64_t inode
        uint32_t recv_q
        uint32_t send_q
        uint32_t uid
        uint32_t interface
        uint16_t local_port
        uint16_t remote_port
        uint8_t family
        uint8_t type
        uint8_t transport
        uint8_t state
        uint8_t v6only
        uint8_t* local
        uint8_t* remote
        uint32_t name
        uint32_t name_size
        uint32_t peer

    ctypedef struct nf_sockets:
        nf_heap_bytes rows
        nf_heap_bytes names

    ctypedef enum nf_socket_column:
        NF_SOCKET_FAMILY, NF_SOCKET_TYPE, NF_SOCKET_TRANSPORT, NF_SOCKET_STATE, NF_SOCKET_V6ONLY, NF_SOCKET_LOCAL_PORT
        NF_SOCKET_REMOTE_PORT, NF_SOCKET_RECV_Q, NF_SOCKET_SEND_Q, NF_SOCKET_UID, NF_SOCKET_INTERFACE, NF_SOCKET_INODE

    size_t nf_socket_column_size(nf_socket_column column)
    void nf_socket_column_copy(const nf_sockets* s, nf_socket_column column, uint8_t* into)

    ctypedef struct nf_socket_sink:
        nf_sockets* sockets
        nf_transport transport

    size_t nf_sockets_count(const nf_sockets* s)
    nf_socket* nf_sockets_at(const nf_sockets* s, size_t i)
    void nf_sockets_free(nf_sockets* s)
    c_bool nf_sockets_unique(nf_sockets* s, size_t first)
    void nf_ask_sockets(nf_request* r, nf_transport transport, uint8_t family, uint32_t states, int32_t local_port)
    int nf_take_socket(void* sink, uint16_t type, const uint8_t* payload, size_t size)

cdef extern from "nf_proc_net.h" nogil:
    int nf_read_proc_net(nf_sockets* sockets, nf_transport transport, uint8_t family, uint32_t states,
                         int32_t local_port, const uint8_t* text, size_t size)

cdef extern from "nf_inodes.h" nogil:
    ctypedef struct nf_inodes:
        size_t count

    int64_t nf_inodes_slot(const nf_inodes* set, uint64_t inode)

cdef extern from "nf_owners.h" nogil:
    ctypedef struct nf_owner:
        uint32_t slot
        int32_t pid

    ctypedef struct nf_walker:
        nf_heap_bytes pairs

    ctypedef struct nf_owner_walk:
        nf_inodes wanted
        int walkers
        int error
        nf_walker* walker

    int nf_owners_begin(nf_owner_walk* walk, const uint64_t* inodes, size_t count, c_bool any, int walkers)
    void nf_owners_end(nf_owner_walk* walk)
    c_bool nf_owners_run(nf_owner_walk* walk, int64_t until)
