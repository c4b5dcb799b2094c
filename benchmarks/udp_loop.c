/* udp_loop.c - what C does with datagrams: the loops that netfast is measured against. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { BATCH = 64, SIZE = 2048, CONTROL = 128 };

/* Takes `count` datagrams that are there, 64 a call, with who sent them and when: what DatagramBatch.recv asks for. */
uint64_t udp_drain(int fd, uint64_t count)
{
    static struct mmsghdr headers[BATCH];
    static struct iovec vectors[BATCH];
    static struct sockaddr_storage senders[BATCH];
    static uint8_t controls[BATCH][CONTROL], data[BATCH][SIZE];
    uint64_t bytes = 0;
    while (count > 0) {
        for (int i = 0; i < BATCH; i++) {
            vectors[i] = (struct iovec){data[i], SIZE};
            headers[i].msg_hdr = (struct msghdr){
                .msg_name = &senders[i], .msg_namelen = sizeof senders[i], .msg_iov = &vectors[i], .msg_iovlen = 1,
                .msg_control = controls[i], .msg_controllen = CONTROL,
            };
        }
        int n = recvmmsg(fd, headers, BATCH, MSG_DONTWAIT, NULL);
        if (n <= 0)
            break;
        for (int i = 0; i < n; i++)
            bytes += headers[i].msg_len;
        count -= (uint64_t)n < count ? (uint64_t)n : count;
    }
    return bytes;
}

/* Sends a datagram and waits for one, so many times, on a connected socket; 0 if all went well. */
int udp_ping(int fd, uint64_t count, size_t size)
{
    uint8_t data[SIZE] = {0};
    for (; count > 0; count--)
        if (send(fd, data, size, 0) < 0 || recv(fd, data, sizeof data, 0) < 0)
            return 1;
    return 0;
}

/* Sends back what comes, until a datagram of no bytes comes. */
void udp_echo(int fd)
{
    struct sockaddr_storage from;
    uint8_t data[SIZE];
    for (;;) {
        socklen_t size = sizeof from;
        ssize_t n = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&from, &size);
        if (n <= 0)
            return;
        sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, size);
    }
}
