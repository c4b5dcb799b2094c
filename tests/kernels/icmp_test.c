/* icmp_test.c - echo messages: checksums against a slow sum, templates stamped and read back, on buffers that end at a
 * page that cannot be touched; SipHash against the vectors of its authors.
 */
#define _GNU_SOURCE
#include "nf_icmp.h"

#include "kit.h"
#include "nf_siphash.h"

enum { LARGEST = NF_ICMP_HEADER + NF_ICMP_PAYLOAD_MAX };

/* RFC 1071, a word at a time, carries at once. */
static uint16_t slow_checksum(const uint8_t *data, size_t size)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < size; i += 2) {
        sum += (uint32_t)data[i] << 8 | (i + 1 < size ? data[i + 1] : 0);
        if (sum > 0xffff)
            sum -= 0xffff;
    }
    return (uint16_t)(0xffff - sum);
}

static void test_checksum(void)
{
    for (size_t size = 0; size < 300; size++) {
        uint8_t *data = guarded(size);
        for (size_t i = 0; i < size; i++)
            data[i] = size % 3 ? (uint8_t)draw() : 0xff;
        check(nf_checksum_fold(nf_checksum_sum(data, size)) == slow_checksum(data, size), "checksum");
    }
    uint8_t *data = guarded(LARGEST);
    memset(data, 0xff, LARGEST);
    check(nf_checksum_fold(nf_checksum_sum(data, LARGEST)) == slow_checksum(data, LARGEST), "checksum of the largest");
}

static void test_stamp(size_t payload)
{
    size_t size = NF_ICMP_HEADER + payload;
    uint8_t *message = guarded(size);
    uint16_t id = (uint16_t)draw();
    uint64_t sum = nf_echo_template(message, payload, NF_ECHO_REQUEST, id);
    for (int i = 0; i < 20; i++) {
        uint16_t sequence = (uint16_t)draw();
        uint64_t cookie = (uint64_t)draw() << 32 | draw();
        nf_echo echo;
        nf_echo_stamp(message, payload, sum, sequence, cookie);
        check(slow_checksum(message, size) == 0, "the checksum of a stamped message");
        check(nf_echo_read(message, size, NF_ECHO_REQUEST, &echo), "a stamped message");
        check(echo.id == id && echo.sequence == sequence && echo.size == size, "what a stamped message says");
        check(echo.has_cookie == (payload >= NF_ICMP_COOKIE), "whether there is a cookie");
        check(echo.cookie == (echo.has_cookie ? cookie : 0), "the cookie");
        check(nf_echo_intact(message, size), "an intact message");
        check(!nf_echo_read(message, size, NF_ECHO_REPLY, &echo), "another type");
        size_t first = echo.has_cookie ? NF_ICMP_HEADER + NF_ICMP_COOKIE : NF_ICMP_HEADER;
        if (size > first) {
            size_t at = first + draw() % (size - first);
            message[at] ^= 1;
            check(!nf_echo_intact(message, size), "a changed message");
            message[at] ^= 1;
        }
    }
    /* Some hosts answer with less: what came is judged. */
    for (size_t less = NF_ICMP_HEADER; less <= size && less < 64; less++) {
        nf_echo echo;
        uint8_t whole[64];
        memcpy(whole, message, less);
        uint8_t *cut = guarded(less);
        memmove(cut, whole, less);
        check(nf_echo_read(cut, less, NF_ECHO_REQUEST, &echo) && echo.size == less, "a cut message");
        /* Its cookie may be cut in two, and is no cookie then; nor is it the pattern. */
        check(nf_echo_intact(cut, less) || payload >= NF_ICMP_COOKIE, "a cut message is intact");
        nf_echo_template(message = guarded(size), payload, NF_ECHO_REQUEST, id);
    }
}

static void test_short(void)
{
    for (size_t size = 0; size < NF_ICMP_HEADER; size++) {
        nf_echo echo;
        uint8_t *message = guarded(size);
        memset(message, 0, size);
        check(!nf_echo_read(message, size, NF_ECHO_REPLY, &echo), "a message without a whole header");
    }
    uint8_t *message = guarded(NF_ICMP_HEADER);
    nf_echo echo;
    memset(message, 0, NF_ICMP_HEADER);
    check(nf_echo_read(message, NF_ICMP_HEADER, NF_ECHO_REPLY, &echo), "a bare header");
    message[1] = 1;
    check(!nf_echo_read(message, NF_ICMP_HEADER, NF_ECHO_REPLY, &echo), "a code that echo messages do not have");
}

/* Headers of every length that the four bits can say, in packets of every size around them. */
static void test_ip4(void)
{
    for (size_t words = 0; words < 16; words++)
        for (size_t size = 0; size < 80; size++) {
            uint8_t *packet = guarded(size), ttl = 0;
            memset(packet, 0, size);
            if (size > 0)
                packet[0] = (uint8_t)(0x40 | words);
            if (size > 9) {
                packet[8] = 77;
                packet[9] = 1;
            }
            size_t left = 0, header = 4 * words;
            const uint8_t *message = nf_icmp_in_ip4(packet, size, &left, &ttl);
            bool fine = size >= 20 && header >= 20 && header <= size;
            check((message != NULL) == fine, "an IPv4 header");
            check(!fine || (message == packet + header && left == size - header && ttl == 77), "what it holds");
        }
    uint8_t udp[28] = {0x45, [9] = 17}, six[28] = {0x65, [9] = 1}, ttl;
    size_t left;
    check(!nf_icmp_in_ip4(udp, sizeof udp, &left, &ttl), "another protocol");
    check(!nf_icmp_in_ip4(six, sizeof six, &left, &ttl), "another version");
}

/* From the reference implementation's table for the key 00 01 ... 0f: the message 00 01 ... 07. */
static void test_siphash(void)
{
    const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    check(nf_siphash(key, 0x0706050403020100) == 0x93f5f5799a932462, "SipHash");
}

int main(void)
{
    test_checksum();
    for (size_t payload = 0; payload < 70; payload++)
        test_stamp(payload);
    test_stamp(1472);
    test_stamp(NF_ICMP_PAYLOAD_MAX - 1);
    test_stamp(NF_ICMP_PAYLOAD_MAX);
    test_short();
    test_ip4();
    test_siphash();
    return 0;
}
