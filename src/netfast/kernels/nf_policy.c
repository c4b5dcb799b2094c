/* nf_policy.c - the strict end of the text scan: one place in the text, yes or no. */
#include "nf_policy.h"

#include "nf_text.h"

enum { ZONE_MAX = 15, NAME_MAX = 64 };

static inline uint8_t at(const uint8_t *text, size_t size, size_t i) { return i < size ? text[i] : 0; }

/* An address may end at `end`: no word goes on there, nor a dotted name (a loose one may be followed by letters). */
static bool may_end(const uint8_t *text, size_t size, size_t end, bool loose)
{
    uint8_t c = at(text, size, end);
    if (c == '.')
        c = at(text, size, end + 1);
    return !nf_is_word(c) || (loose && nf_is_letter(c));
}

/* ---- IPv4 ------------------------------------------------------------------------------------------------------ */

static bool may_start_ip4(const uint8_t *text, size_t start, bool loose)
{
    if (start == 0)
        return true;
    uint8_t c = text[start - 1];
    return c != '.' && (!nf_is_word(c) || (loose && nf_is_letter(c)));
}

/* Chrome/126.0.0.0 and "Firefox/2.0.0.4", but not NameNode/10.0.0.1:8020, localhost/127.0.0.1 or web-1/10.0.0.1:
 * a name of 1-64 letters with a capital, that begins the text or stands behind white space, a quote, "(", ";", ",". */
bool nf_is_version(const uint8_t *text, size_t size, size_t start, size_t end)
{
    if (start == 0 || text[start - 1] != '/')
        return false;
    if (at(text, size, end) == ':' && nf_is_digit(at(text, size, end + 1)))
        return false;
    size_t name_end = start - 1, name = name_end;
    bool capital = false;
    while (name > 0 && name_end - name <= NAME_MAX && nf_is_letter(text[name - 1]))
        capital |= text[--name] < 'a';
    if (name == name_end || name_end - name > NAME_MAX || !capital)
        return false;
    return name == 0 || nf_is_space(text[name - 1]) || memchr("\"'(;,", text[name - 1], 5) != NULL;
}

/* The end of the dotted quad at `start`, or 0. */
static size_t quad_end(const uint8_t *text, size_t size, size_t start, uint32_t *value)
{
    size_t i = start;
    *value = 0;
    for (int k = 0; k < 4; k++) {
        if (k > 0 && at(text, size, i++) != '.')
            return 0;
        size_t first = i;
        uint32_t octet = 0;
        while (i - first < 3 && nf_is_digit(at(text, size, i)))
            octet = octet * 10 + (text[i++] - '0');
        if (i == first || octet > 255 || (text[first] == '0' && i - first > 1))
            return 0;
        *value = *value << 8 | octet;
    }
    return i;
}

bool nf_match_ip4(const uint8_t *text, size_t size, size_t start, bool loose, nf_match *match)
{
    if (!may_start_ip4(text, start, loose))
        return false;
    size_t end = quad_end(text, size, start, &match->v4);
    if (end == 0 || !may_end(text, size, end, loose) || (!loose && nf_is_version(text, size, start, end)))
        return false;
    match->size = end - start;
    match->plain = match->size;
    match->version = 4;
    return true;
}

/* ---- IPv6 ------------------------------------------------------------------------------------------------------ */

/* A colon in front continues a chain if one to four hexadecimal digits, or another colon, stand before it:
 * "1::2::3" and nine groups hold no address, "IPv6:2001:db8::1" and "node:2001:db8::1" hold one. */
static bool continues_chain(const uint8_t *text, size_t colon)
{
    size_t digits = 0, i = colon;
    bool hex = true;
    while (i > 0 && digits <= 4 && nf_is_word(text[i - 1])) {
        hex &= nf_is_hex(text[--i]);
        digits++;
    }
    if (digits == 0)
        return colon > 0 && text[colon - 1] == ':';
    return digits <= 4 && hex;
}

static bool may_start_ip6(const uint8_t *text, size_t start)
{
    if (start == 0)
        return true;
    uint8_t c = text[start - 1];
    if (c == ':')
        return !continues_chain(text, start - 1);
    return c != '.' && !nf_is_word(c);
}

static bool may_end_ip6(const uint8_t *text, size_t size, size_t end)
{
    uint8_t next = at(text, size, end + 1);
    if (at(text, size, end) == ':' && (nf_is_hex(next) || next == ':'))
        return false;
    return may_end(text, size, end, false);
}

/* The furthest place where an address that starts at `start` is complete and may end; 0 if there is none. */
static size_t longest_ip6(const uint8_t *text, size_t size, size_t start)
{
    size_t i = start, best = 0;
    int groups = 0;
    bool gap = false;
    uint32_t quad;
    if (at(text, size, i) == ':') {
        if (at(text, size, i + 1) != ':')
            return 0;
        gap = true;
        i += 2;
        best = may_end_ip6(text, size, i) ? i : 0;
    }
    for (;;) {
        size_t first = i;
        while (i - first < 5 && nf_is_hex(at(text, size, i)))
            i++;
        if (i == first || i - first > 4)
            return best;
        if (at(text, size, i) == '.' && (gap ? groups < 6 : groups == 6)) {
            size_t end = quad_end(text, size, first, &quad);
            if (end && may_end_ip6(text, size, end))
                best = end;
        }
        groups++;
        if (gap ? groups == 8 : groups > 8)
            return best;
        if ((gap || groups == 8) && may_end_ip6(text, size, i))
            best = i;
        if (groups == 8 || at(text, size, i) != ':')
            return best;
        i++;
        if (at(text, size, i) == ':') {
            if (gap)
                return best;
            gap = true;
            i++;
            if (may_end_ip6(text, size, i))
                best = i;
        }
    }
}

static bool bare_gap_counts(const uint8_t *text, size_t size, size_t start)
{
    uint8_t next = at(text, size, start + 2);
    if (next == '/')
        return nf_is_digit(at(text, size, start + 3));
    return next == ']' && start > 0 && text[start - 1] == '[';
}

static inline bool is_zone(uint8_t c) { return nf_is_word(c) || c == '.' || c == '-'; }

/* The size of "%zone" at `percent`, 0 if it is none: 1-15 characters, the last neither "." nor "-". */
static size_t zone_size(const uint8_t *text, size_t size, size_t percent)
{
    if (at(text, size, percent) != '%')
        return 0;
    size_t zone = percent + 1, end = zone;
    while (end - zone < ZONE_MAX && is_zone(at(text, size, end)))
        end++;
    while (end > zone && (text[end - 1] == '.' || text[end - 1] == '-'))
        end--;
    return end > zone && may_end(text, size, end, false) ? end - percent : 0;
}

bool nf_match_ip6(const uint8_t *text, size_t size, size_t start, nf_match *match)
{
    if (!may_start_ip6(text, start))
        return false;
    size_t end = longest_ip6(text, size, start);
    if (end == 0 || (end - start == 2 && !bare_gap_counts(text, size, start)))
        return false;
    match->plain = end - start;
    match->size = match->plain + zone_size(text, size, end);
    match->version = 6;
    match->v4 = 0;
    return true;
}
