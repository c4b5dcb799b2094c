// glibc's inet_pton over a column of NUL-terminated texts: what a C programmer would write.

#include <arpa/inet.h>
#include <stddef.h>
#include <stdint.h>

// Text i begins at texts[starts[i]]; its address goes to out + i * width, and valid[i] becomes 1 or 0.
void inet_pton_loop(int family, const char *texts, const int32_t *starts, size_t n, unsigned char *out, size_t width,
                    uint8_t *valid) {
    for (size_t i = 0; i < n; i++) {
        valid[i] = inet_pton(family, texts + starts[i], out + i * width) == 1;
    }
}
