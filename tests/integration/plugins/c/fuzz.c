/*
 * Random answers of a server: the effect must pass the frame, and not read or write out of bounds.
 *
 * fuzz SEED COUNT
 *
 * In each round the effect reads from a socket the four answers of a valid server, with mutations.
 * Build it with -fsanitize=address,undefined.
 */

#include "../../../../plugins/frei0r/crsr.c"

#include <assert.h>

static uint64_t state;

static uint32_t draw(uint32_t below)
{
    /* xorshift64*, Vigna 2016 */
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)((state * 2685821657736338717ULL) >> 33) % below;
}

/* Write the answers of a valid server to hello, settings, memory and frame. */
static size_t answers(uint8_t *data)
{
    static const uint16_t kinds[] = {WELCOME, OKAY, OKAY, DONE};
    size_t size = 0;
    for (uint32_t i = 0; i < 4; i++) {
        struct writer w;
        begin_message(&w);
        if (draw(8) == 0) {
            put_number(&w, draw(8), 4);
            put_text(&w, "so it is");
            finish_message(&w, REFUSAL, i + 1);
        } else {
            if (kinds[i] == DONE)
                for (int k = 0; k < 3; k++)
                    put_number(&w, 1, 4);
            put_text(&w, draw(2) ? "a notice\tand\x1b[2J more" : "");
            finish_message(&w, kinds[i], i + 1);
        }
        memcpy(data + size, w.data, w.size);
        size += w.size;
    }
    return size;
}

static size_t mutate(uint8_t *data, size_t size)
{
    for (uint32_t many = draw(4); many > 0; many--) {
        uint32_t at = draw((uint32_t)size);
        switch (draw(5)) {
        case 0: data[at] = (uint8_t)draw(256); break;
        case 1: data[at] ^= (uint8_t)(1u << draw(8)); break;
        case 2: return at ? at : 1; /* Truncate. */
        case 3: /* Change a length or a count. */
            at = at / 4 * 4;
            if (at + 4 <= size)
                store(data + at, draw(3) ? draw(40) : 0xFFFFFFFFu - draw(40), 4);
            break;
        default: /* Repeat a part. */
            if (at + 1 < size)
                memmove(data + at, data + draw(at + 1), size - at - 1 < 16 ? size - at - 1 : 16);
        }
    }
    return size;
}

int main(int argc, char **argv)
{
    enum { WIDTH = 8, HEIGHT = 4, PIXELS = WIDTH * HEIGHT };
    static uint8_t data[8192];
    long outcomes[REFUSED + 1] = {0};
    state = argc > 1 ? strtoull(argv[1], NULL, 10) * 2 + 1 : 1;
    long count = argc > 2 ? strtol(argv[2], NULL, 10) : 1000;
    for (long round = 0; round < count; round++) {
        uint32_t in[PIXELS], out[PIXELS];
        for (int i = 0; i < PIXELS; i++)
            in[i] = draw(1u << 31), out[i] = 0;
        size_t size = mutate(data, answers(data));
        int ends[2];
        assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
        assert(write(ends[1], data, size) == (ssize_t)size);
        assert(shutdown(ends[1], SHUT_WR) == 0);
        struct effect *effect = f0r_construct(WIDTH, HEIGHT);
        assert(effect);
        effect->begun = 1;
        effect->link.socket = ends[0];
        enum outcome outcome = send_hello(effect, now_ms() + 1000);
        if (outcome == FINE)
            outcome = enhance_frame(effect, 0.0, in, out);
        outcomes[outcome]++;
        if (outcome == FINE) {
            /* Nothing was written to the shared memory, so the frame is unchanged. */
            assert(memcmp(in, out, sizeof in) == 0);
        } else {
            for (int i = 0; i < PIXELS; i++)
                assert(out[i] == 0); /* No part was written. */
            for (const char *c = effect->link.message; *c; c++)
                assert((uint8_t)*c >= 32 && *c != 127); /* It is one line without escape codes. */
            handle_failure(effect, outcome, 0);
        }
        f0r_destruct(effect);
        close(ends[1]);
    }
    for (int i = 0; i <= REFUSED; i++)
        printf("%ld ", outcomes[i]);
    printf("\n");
    return 0;
}
