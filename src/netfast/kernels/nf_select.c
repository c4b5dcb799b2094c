/* nf_select.c - lines are looked into only where an address was found. */
#include "nf_select.h"

#include "nf_text.h"

/* ---- fields ----------------------------------------------------------------------------------------------------- */

static inline bool is_blank(uint8_t c) { return c == ' ' || c == '\t'; }

/* As awk splits: runs of blanks separate, blanks in front do not count. */
static bool find_word(size_t field, const uint8_t *line, size_t size, size_t *begin, size_t *end)
{
    size_t i = 0;
    for (;;) {
        while (i < size && is_blank(line[i]))
            i++;
        if (i == size)
            return false;
        *begin = i;
        while (i < size && !is_blank(line[i]))
            i++;
        *end = i;
        if (--field == 0)
            return true;
    }
}

static size_t next_separator(const nf_selection *selection, const uint8_t *line, size_t size, size_t from)
{
    size_t n = selection->separator_size;
    for (size_t i = from; i + n <= size; i++)
        if (line[i] == selection->separator[0] && memcmp(line + i, selection->separator, n) == 0)
            return i;
    return size;
}

bool nf_find_field(const nf_selection *selection, const uint8_t *line, size_t size, size_t *begin, size_t *end)
{
    if (!selection->separator)
        return find_word(selection->field, line, size, begin, end);
    *begin = 0;
    for (size_t field = 1;; field++) {
        *end = next_separator(selection, line, size, *begin);
        if (field == selection->field)
            return true;
        if (*end == size)
            return false;
        *begin = *end + selection->separator_size;
    }
}

/* ---- JSON ------------------------------------------------------------------------------------------------------- */

/* A reader of one line of JSON that goes past what it does not look for.  It trusts nothing: on text that is not JSON
 * it may miss the value, never the end. */
typedef struct {
    const uint8_t *text;
    size_t size, i;
} nf_json;

static void skip_space(nf_json *json)
{
    while (json->i < json->size && nf_is_space(json->text[json->i]))
        json->i++;
}

/* Past one byte, and white space in front of it, if it is there. */
static bool take(nf_json *json, uint8_t c)
{
    skip_space(json);
    if (json->i == json->size || json->text[json->i] != c)
        return false;
    json->i++;
    return true;
}

/* The content of the string that begins here. */
static bool take_string(nf_json *json, size_t *begin, size_t *end)
{
    if (!take(json, '"'))
        return false;
    *begin = json->i;
    for (; json->i < json->size; json->i++) {
        if (json->text[json->i] == '"') {
            *end = json->i++;
            return true;
        }
        if (json->text[json->i] == '\\')
            json->i++;
    }
    json->i = json->size;
    return false;
}

/* Past one value of any kind. */
static bool skip_value(nf_json *json)
{
    size_t begin, end, depth = 0;
    do {
        skip_space(json);
        if (json->i == json->size)
            return false;
        uint8_t c = json->text[json->i];
        if (c == '"') {
            if (!take_string(json, &begin, &end))
                return false;
        } else if (c == '{' || c == '[') {
            depth++;
            json->i++;
        } else if (c == '}' || c == ']') {
            if (depth == 0)
                return false;
            depth--;
            json->i++;
        } else if (c == ',' || c == ':') {
            if (depth == 0)
                return false;
            json->i++;
        } else {
            while (json->i < json->size && !memchr(",:]}[{\" \t\r\n", json->text[json->i], 11))
                json->i++;
        }
    } while (depth > 0);
    return true;
}

/* Names are compared as they are written: one with escapes in it matches only a path with the same. */
static bool enter_object(nf_json *json, const uint8_t *key, size_t key_size)
{
    size_t begin, end;
    if (take(json, '}'))
        return false;
    do {
        if (!take_string(json, &begin, &end) || !take(json, ':'))
            return false;
        if (end - begin == key_size && memcmp(json->text + begin, key, key_size) == 0)
            return true;
    } while (skip_value(json) && take(json, ','));
    return false;
}

static bool enter_list(nf_json *json, const uint8_t *key, size_t key_size)
{
    size_t position = 0;
    for (size_t i = 0; i < key_size; i++) {
        if (!nf_is_digit(key[i]) || position > 1000000)
            return false;
        position = position * 10 + (key[i] - '0');
    }
    skip_space(json);
    if (json->i < json->size && json->text[json->i] == ']')
        return false;
    for (; position > 0; position--)
        if (!skip_value(json) || !take(json, ','))
            return false;
    return true;
}

bool nf_find_key(const nf_selection *selection, const uint8_t *line, size_t size, size_t *begin, size_t *end)
{
    nf_json json = {line, size, 0};
    for (size_t level = 0; level < selection->depth; level++) {
        const uint8_t *key = selection->key[level];
        size_t key_size = selection->key_size[level];
        if (!(take(&json, '{') ? enter_object(&json, key, key_size)
                               : take(&json, '[') && enter_list(&json, key, key_size)))
            return false;
    }
    return take_string(&json, begin, end);
}

/* ---- hits ------------------------------------------------------------------------------------------------------- */

static void move_hit(nf_hits *hits, size_t from, size_t to)
{
    hits->offset[to] = hits->offset[from];
    hits->line[to] = hits->line[from];
    hits->length[to] = hits->length[from];
    hits->version[to] = hits->version[from];
    hits->code[to] = hits->code[from];
    memmove(hits->packed[to], hits->packed[from], 16);
}

/* Notes the part of the line around `at` that counts; nothing (begin = end) if there is none. */
static void find_part(nf_selection *selection, const uint8_t *text, size_t size, int64_t base, size_t at)
{
    size_t line = at, begin, end;
    while (line > 0 && text[line - 1] != '\n')
        line--;
    const uint8_t *newline = memchr(text + at, '\n', size - at);
    size_t line_size = (newline ? (size_t)(newline - text) : size) - line;
    bool found = selection->by == NF_FIELD ? nf_find_field(selection, text + line, line_size, &begin, &end)
                                           : nf_find_key(selection, text + line, line_size, &begin, &end);
    selection->part_begin = found ? base + (int64_t)(line + begin) : 0;
    selection->part_end = found ? base + (int64_t)(line + end) : 0;
}

/* Whether a hit counts.  A line is looked into once, whatever the number of its hits and of calls. */
static bool counts(nf_selection *selection, const uint8_t *text, size_t size, int64_t base, const nf_hits *hits,
                   size_t i)
{
    if (selection->by == NF_FIRST)
        return hits->line[i] != selection->last_line;
    if (hits->line[i] != selection->part_line) {
        selection->part_line = hits->line[i];
        find_part(selection, text, size, base, (size_t)(hits->offset[i] - base));
    }
    return hits->offset[i] >= selection->part_begin && hits->offset[i] + hits->length[i] <= selection->part_end;
}

void nf_select(nf_selection *selection, const uint8_t *text, size_t size, int64_t base, nf_hits *hits, size_t first)
{
    size_t kept = first;
    for (size_t i = first; selection->by != NF_ALL && i < hits->n; i++) {
        if (!counts(selection, text, size, base, hits, i))
            continue;
        selection->lines += hits->line[i] != selection->last_line;
        selection->last_line = hits->line[i];
        move_hit(hits, i, kept++);
    }
    if (selection->by != NF_ALL)
        hits->n = kept;
}
