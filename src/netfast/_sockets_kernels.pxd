# C names of the kernels that move datagrams and frames, as the headers in kernels/ declare them.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "<stdbool.h>":
    ctypedef bint c_bool "bool"

cdef extern from "<sys/uio.h>":
    cdef struct iovec:
        void* iov_base
        size_t iov_len

cdef extern from "nf_wait.h" nogil:
    enum: NF_HUNG_UP
    int nf_wait(int fd, c_bool write, int milliseconds)

cdef extern from "nf_datagrams.h" nogil:
    enum: NF_SLOTS_MAX, NF_DATAGRAM_MAX

    ctypedef struct nf_slab:
        pass

    ctypedef struct nf_datagram:
        uint32_t offset
        uint32_t size
        uint32_t slot

    nf_slab* nf_slab_new(uint32_t slots, uint32_t size, c_bool told)
    void nf_slab_free(nf_slab* slab)
    int nf_slab_receive(nf_slab* slab, int fd)
    size_t nf_slab_count(const nf_slab* slab)
    uint64_t nf_slab_bytes(const nf_slab* slab)
    nf_datagram nf_slab_datagram(const nf_slab* slab, size_t i)
    const uint8_t* nf_slab_data(const nf_slab* slab, size_t* size)
    c_bool nf_slab_is_cut(const nf_slab* slab, const nf_datagram* d)
    int64_t nf_slab_stamp(const nf_slab* slab, const nf_datagram* d)
    const void* nf_slab_sender(const nf_slab* slab, const nf_datagram* d, size_t* size)
    uint32_t nf_slab_dropped(const nf_slab* slab)
    int nf_receive_options(int fd, c_bool gro)
    int nf_gets_pieces(int fd)
    int64_t nf_socket_drops(int fd)

    ctypedef struct nf_outgoing:
        const uint8_t* data
        uint32_t size
        uint32_t address

    ctypedef struct nf_addresses:
        const uint8_t* bytes
        const uint32_t* sizes
        size_t stride

    enum: NF_SEND_MORE

    ctypedef struct nf_sender:
        pass

    ctypedef struct nf_progress:
        size_t done
        size_t sent
        c_bool no_gso

    ctypedef c_bool nf_refused(void* to, size_t index, int error) noexcept

    nf_sender* nf_sender_new(uint32_t slots)
    void nf_sender_free(nf_sender* sender)
    int nf_send_datagrams(nf_sender* sender, int fd, const nf_outgoing* datagrams, size_t count,
                          const nf_addresses* addresses, nf_progress* progress, nf_refused* refused, void* to)
    c_bool nf_knows_gso(int fd)

cdef extern from "nf_frames.h" nogil:
    ctypedef struct nf_frame_rule:
        uint8_t prefix
        c_bool little_endian
        uint8_t delimiter_size
        uint8_t* delimiter
        uint64_t max_frame

    ctypedef struct nf_frame:
        size_t offset
        size_t size

    ctypedef struct nf_frame_cursor:
        size_t at
        size_t searched
        uint64_t length
        c_bool too_large

    size_t nf_frames_split(const nf_frame_rule* rule, nf_frame_cursor* cursor, const uint8_t* bytes, size_t size,
                           nf_frame* frames, size_t room)
    void nf_frame_prefix(const nf_frame_rule* rule, uint64_t size, uint8_t* prefix)
    size_t nf_frame_delimiter(const nf_frame_rule* rule, const uint8_t* bytes, size_t start, size_t size)
    c_bool nf_frame_overlaps_delimiter(const nf_frame_rule* rule, const uint8_t* bytes, size_t size)

cdef extern from "nf_stream.h" nogil:
    ctypedef struct nf_sending:
        iovec* buffers
        size_t count
        size_t at
        uint64_t sent

    int nf_send_buffers(nf_sending* s, int fd)
