/*
 * The messages of the server's protocol (docs/server-protocol.md). Numbers are little-endian, and
 * received messages are checked.
 */

#ifndef CRSR_WIRE_H
#define CRSR_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    PROTOCOL_VERSION = 1,
    HEADER_SIZE = 16,
    MAX_PAYLOAD = 1 << 14,
    MAX_TEXT = 4096,
    MAX_SIDE = 16384,
    MAX_PIXELS = 1 << 26,
};

enum { HELLO = 1, BUFFER = 2, SETTINGS = 3, ENHANCE = 4, WELCOME = 128, OKAY = 129, DONE = 130,
       REFUSAL = 131 };
enum { CODE_VERSION = 2, CODE_SETTINGS = 4, CODE_BUFFER = 5, CODE_FAILED = 6 };
enum { FLAG_COMPARE = 1, FLAG_DEBUG = 2, FLAG_ORDERED = 4, FLAG_HEAD = 8 };

/* A message that is being written, with space for the header at its beginning. */
struct writer {
    size_t size;
    int overflow;
    uint8_t data[HEADER_SIZE + MAX_PAYLOAD];
};

/* A received message. */
struct message {
    uint16_t version, kind;
    uint32_t sequence, length;
    uint8_t payload[MAX_PAYLOAD];
};

/* The rest of a received message; `bad` is set once more was read than it holds. */
struct reader {
    const uint8_t *at;
    size_t left;
    int bad;
};

static void begin_message(struct writer *w)
{
    w->size = HEADER_SIZE;
    w->overflow = 0;
}

static void put_bytes(struct writer *w, const void *bytes, size_t count)
{
    if (count > sizeof w->data - w->size) {
        w->overflow = 1;
        return;
    }
    if (count)
        memcpy(w->data + w->size, bytes, count);
    w->size += count;
}

static void store(uint8_t *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t load(const uint8_t *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static void put_number(struct writer *w, uint64_t value, int bytes)
{
    uint8_t little[8];
    store(little, value, bytes);
    put_bytes(w, little, (size_t)bytes);
}

static void put_real(struct writer *w, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_number(w, bits, 8);
}

static void put_text(struct writer *w, const char *text)
{
    size_t size = strlen(text);
    if (size > MAX_TEXT) {
        w->overflow = 1;
        return;
    }
    put_number(w, size, 2);
    put_bytes(w, text, size);
}

/* Write the header, which completes the message. */
static void finish_message(struct writer *w, uint16_t kind, uint32_t sequence)
{
    memcpy(w->data, "CRSR", 4);
    store(w->data + 4, PROTOCOL_VERSION, 2);
    store(w->data + 6, kind, 2);
    store(w->data + 8, sequence, 4);
    store(w->data + 12, w->size - HEADER_SIZE, 4);
}

/* Parse a header. Returns 0 if it is invalid, or announces too long a message. */
static int parse_header(struct message *m, const uint8_t *header)
{
    m->version = (uint16_t)load(header + 4, 2);
    m->kind = (uint16_t)load(header + 6, 2);
    m->sequence = (uint32_t)load(header + 8, 4);
    m->length = (uint32_t)load(header + 12, 4);
    return memcmp(header, "CRSR", 4) == 0 && m->length <= MAX_PAYLOAD;
}

static struct reader reader_of(const struct message *m)
{
    return (struct reader){m->payload, m->length, 0};
}

static uint32_t get_number(struct reader *r, int bytes)
{
    if (r->bad || r->left < (size_t)bytes) {
        r->bad = 1;
        return 0;
    }
    uint32_t value = (uint32_t)load(r->at, bytes);
    r->at += bytes;
    r->left -= (size_t)bytes;
    return value;
}

/* Copy a text into a buffer, shortened if necessary, with spaces for control characters. */
static void get_text(struct reader *r, char *text, size_t room)
{
    size_t size = get_number(r, 2);
    text[0] = '\0';
    if (r->bad || size > MAX_TEXT || size > r->left) {
        r->bad = 1;
        return;
    }
    size_t kept = size < room - 1 ? size : room - 1;
    for (size_t i = 0; i < kept; i++)
        text[i] = (char)(r->at[i] < 32 || r->at[i] == 127 ? ' ' : r->at[i]);
    text[kept] = '\0';
    r->at += size;
    r->left -= size;
}

/* Return whether the message held exactly what was read. */
static int is_complete(const struct reader *r)
{
    return !r->bad && r->left == 0;
}

/* Return whether the server accepts a text: short UTF-8 without control characters. */
static int is_sendable(const char *text)
{
    const uint8_t *s = (const uint8_t *)text;
    if (strlen(text) > MAX_TEXT)
        return 0;
    while (*s) {
        uint32_t c = *s++, least = 0;
        int more = 0;
        if (c < 32 || c == 127)
            return 0;
        if (c < 128)
            continue;
        if (c >= 0xC2 && c < 0xE0) {
            more = 1, c &= 0x1F, least = 0x80;
        } else if (c >= 0xE0 && c < 0xF0) {
            more = 2, c &= 0x0F, least = 0x800;
        } else if (c >= 0xF0 && c < 0xF5) {
            more = 3, c &= 0x07, least = 0x10000;
        } else {
            return 0;
        }
        for (; more > 0; more--, s++) {
            if ((*s & 0xC0) != 0x80)
                return 0;
            c = c << 6 | (*s & 0x3F);
        }
        if (c < least || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
            return 0;
    }
    return 1;
}

#endif
