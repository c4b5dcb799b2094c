/* nf_icmp.c - ICMP echo messages; nf_icmp.h draws them. */
#include "nf_icmp.h"

enum { TYPE = 0, CODE = 1, CHECKSUM = 2, ID = 4, SEQUENCE = 6, PAYLOAD = NF_ICMP_HEADER };
enum { IP_HEADER_MIN = 20, IP_TTL_AT = 8, IP_PROTOCOL_AT = 9, PROTOCOL_ICMP = 1 };

static uint16_t load_be16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }

static void store_be16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

uint64_t nf_checksum_sum(const uint8_t *data, size_t size)
{
    uint64_t sum = 0;
    size_t i = 0;
    for (; i + 4 <= size; i += 4)   /* 2^32 words of 32 bits fit: folding may wait */
        sum += nf_load_be32(data + i);
    if (i + 2 <= size) {
        sum += load_be16(data + i);
        i += 2;
    }
    if (i < size)
        sum += (uint64_t)data[i] << 8;
    return sum;
}

uint16_t nf_checksum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

uint64_t nf_echo_template(uint8_t *message, size_t payload, uint8_t type, uint16_t id)
{
    memset(message, 0, NF_ICMP_HEADER);
    message[TYPE] = type;
    store_be16(message + ID, id);
    for (size_t i = 0; i < payload; i++)
        message[PAYLOAD + i] = (uint8_t)i;
    if (payload >= NF_ICMP_COOKIE)
        memset(message + PAYLOAD, 0, NF_ICMP_COOKIE);
    return nf_checksum_sum(message, NF_ICMP_HEADER + payload);
}

void nf_echo_stamp(uint8_t *message, size_t payload, uint64_t sum, uint16_t sequence, uint64_t cookie)
{
    store_be16(message + SEQUENCE, sequence);
    sum += sequence;
    if (payload >= NF_ICMP_COOKIE) {
        for (int i = 0; i < NF_ICMP_COOKIE; i++)
            message[PAYLOAD + i] = (uint8_t)(cookie >> (56 - 8 * i));
        sum += (cookie >> 32) + (cookie & 0xffffffff);
    }
    store_be16(message + CHECKSUM, nf_checksum_fold(sum));
}

bool nf_echo_read(const uint8_t *message, size_t size, uint8_t type, nf_echo *echo)
{
    if (size < NF_ICMP_HEADER || message[TYPE] != type || message[CODE] != 0)
        return false;
    echo->id = load_be16(message + ID);
    echo->sequence = load_be16(message + SEQUENCE);
    echo->size = (uint32_t)size;
    echo->has_cookie = size >= NF_ICMP_HEADER + NF_ICMP_COOKIE;
    echo->cookie = 0;
    if (echo->has_cookie)
        echo->cookie = (uint64_t)nf_load_be32(message + PAYLOAD) << 32 | nf_load_be32(message + PAYLOAD + 4);
    return true;
}

bool nf_echo_intact(const uint8_t *message, size_t size)
{
    size_t at = size >= NF_ICMP_HEADER + NF_ICMP_COOKIE ? NF_ICMP_HEADER + NF_ICMP_COOKIE : NF_ICMP_HEADER;
    uint8_t differs = 0;
    for (; at < size; at++)
        differs |= message[at] ^ (uint8_t)(at - PAYLOAD);
    return differs == 0;
}

const uint8_t *nf_icmp_in_ip4(const uint8_t *packet, size_t size, size_t *message_size, uint8_t *ttl)
{
    if (size < IP_HEADER_MIN || packet[0] >> 4 != 4 || packet[IP_PROTOCOL_AT] != PROTOCOL_ICMP)
        return NULL;
    size_t header = (size_t)(packet[0] & 15) * 4;
    if (header < IP_HEADER_MIN || header > size)
        return NULL;
    *message_size = size - header;
    *ttl = packet[IP_TTL_AT];
    return packet + header;
}
