/* icmp.c - messages as they may come: IPv4 packets and echo messages of any content, read within their bytes. */
#include "fuzz.h"
#include "nf_icmp.h"

static void check_message(const uint8_t *message, size_t size, uint8_t type)
{
    nf_echo echo;
    const bool read = nf_echo_read(message, size, type, &echo);
    CHECK(read == (size >= NF_ICMP_HEADER && message[0] == type && message[1] == 0));
    if (!read)
        return;
    CHECK(echo.size == size && echo.has_cookie == (size >= NF_ICMP_HEADER + NF_ICMP_COOKIE));
    CHECK(echo.id == (message[4] << 8 | message[5]) && echo.sequence == (message[6] << 8 | message[7]));
    nf_echo_intact(message, size);
    /* Its checksum, put right, sums to nothing. */
    uint8_t *again = copy_of(message, size);
    again[2] = again[3] = 0;
    const uint16_t checksum = nf_checksum_fold(nf_checksum_sum(again, size));
    again[2] = (uint8_t)(checksum >> 8);
    again[3] = (uint8_t)checksum;
    CHECK(nf_checksum_fold(nf_checksum_sum(again, size)) == 0);
    free(again);
}

static void check_stamp(fuzz_input input)
{
    const size_t payload = take_byte(&input) + 256 * take_below(&input, 3);
    const uint64_t cookie = (uint64_t)take_byte(&input) << 56 | take_byte(&input);
    const uint16_t sequence = (uint16_t)(take_byte(&input) << 8 | take_byte(&input));
    uint8_t *message = exactly(NF_ICMP_HEADER + payload);
    const uint64_t sum = nf_echo_template(message, payload, NF_ECHO_REQUEST6, sequence);
    nf_echo_stamp(message, payload, sum, sequence, cookie);
    CHECK(nf_checksum_fold(nf_checksum_sum(message, NF_ICMP_HEADER + payload)) == 0);
    CHECK(nf_echo_intact(message, NF_ICMP_HEADER + payload));
    free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *packet = copy_of(data, size), ttl;
    size_t left;
    const uint8_t *message = nf_icmp_in_ip4(packet, size, &left, &ttl);
    CHECK(!message || (message >= packet + 20 && message + left == packet + size && ttl == packet[8]));
    if (message)
        check_message(message, left, NF_ECHO_REPLY);
    check_message(packet, size, NF_ECHO_REPLY6);
    check_message(packet, size, NF_ECHO_REPLY);
    free(packet);
    check_stamp((fuzz_input){data, size});
    return 0;
}
