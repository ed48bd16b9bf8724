/*
 * How the rows of a frame lie in the host's memory.
 *
 * Frei0r wants them one right after the other. Old versions of libavfilter pad them, and tell
 * nobody: it then depends on the version, and on the processor, how far apart they are.
 */

#ifndef CRSR_ROWS_H
#define CRSR_ROWS_H

#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Major and minor versions of libavfilter: of FFmpeg 4.4, 6.0, and the first without padding. */
enum { PADS_SINCE = 7 << 8 | 110, PADS_PERHAPS = 9 << 8, PADS_UNTIL = 9 << 8 | 11 };

/* Rows are no further padded than to so many pixels. */
enum { LARGEST_STEP = 16 };

/* One way to look at a frame is clearly the right one if no other is within so much of it. */
#define CLEARLY 0.98

enum { MOST_GUESSES = 4 };

struct rows {
    size_t width, height;
    size_t out;  /* pixels from one row to the next in the frames that we write */
    size_t in;   /* and in those that we read, as far as it is known */
    int settled; /* `in` is certain */
    int hidden;  /* it cannot be known how the host has them, but not one after the other */
    int guesses; /* for `in` */
    size_t guess[MOST_GUESSES];
    double unlike[MOST_GUESSES]; /* how unlike each other neighbouring rows have been */
};

static size_t padded_to(size_t width, size_t step)
{
    return (width + step - 1) / step * step;
}

static void guess_also(struct rows *r, size_t apart)
{
    for (int i = 0; i < r->guesses; i++)
        if (r->guess[i] == apart)
            return;
    r->guess[r->guesses++] = apart;
}

/* Whether a path's last part begins with a name. */
static int is_called(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    return strncmp(slash ? slash + 1 : path, name, strlen(name)) == 0;
}

/*
 * How far apart the rows are, in pixels, that the library at `path` makes; 0: it does not say.
 */
static size_t made_by(const char *path, size_t width)
{
    size_t apart = 0;
    void *library = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
    if (!library)
        return 0;
    unsigned int (*version)(void), major_minor = 0;
    size_t (*alignment)(void);
    *(void **)&version = dlsym(library, "avfilter_version");
    *(void **)&alignment = dlsym(library, "av_cpu_max_align");
    if (version)
        major_minor = version() >> 8;
    if (major_minor >= PADS_UNTIL) {
        apart = width;
    } else if (major_minor >= PADS_SINCE && major_minor < PADS_PERHAPS && alignment) {
        size_t bytes = alignment();
        if (bytes >= 4 && bytes <= LARGEST_STEP * 4 && (bytes & (bytes - 1)) == 0)
            apart = padded_to(width, bytes / 4);
    }
    dlclose(library);
    return apart;
}

/* Learn it from who calls us: any address within that code. */
static void learn_rows(struct rows *r, void *caller, unsigned int width, unsigned int height)
{
    Dl_info from;
    *r = (struct rows){.width = width, .height = height, .in = width, .out = width, .settled = 1};
    if (width % LARGEST_STEP == 0 || !dladdr(caller, &from) || !from.dli_fname)
        return;
    if (is_called(from.dli_fname, "libavfilter"))
        r->out = made_by(from.dli_fname, width);
    else if (is_called(from.dli_fname, "ffmpeg") || is_called(from.dli_fname, "ffplay"))
        r->out = 0; /* all in one program */
    if (r->out == width)
        return;
    /* A frame may be as its decoder made it, or as a filter did. */
    r->settled = 0;
    if (r->out)
        guess_also(r, r->out);
    guess_also(r, width);
    guess_also(r, padded_to(width, LARGEST_STEP));
    if (!r->out)
        guess_also(r, padded_to(width, LARGEST_STEP / 2));
    r->in = r->guess[0];
    if (!r->out)
        r->out = width;
}

/* How unlike each other neighbouring rows are, if they are so far apart; within tight rows only. */
static double unlikeness(const struct rows *r, const uint32_t *in, size_t apart)
{
    const uint8_t *bytes = (const uint8_t *)in;
    size_t pixels = r->width * r->height, count = 0;
    uint64_t sum = 0;
    for (size_t y = 0; (y + 1) * apart + r->width <= pixels; y++) {
        const uint8_t *row = bytes + y * apart * 4 + 1, *next = row + apart * 4; /* green */
        for (size_t x = 0; x < r->width; x++)
            sum += (uint64_t)abs(row[4 * x] - next[4 * x]);
        count += r->width;
    }
    return count ? (double)sum / (double)count : 0;
}

/* Look at a frame for how its rows lie, until that is certain. */
static void look_at_rows(struct rows *r, const uint32_t *in)
{
    int best = 0, second = -1;
    if (r->settled)
        return;
    for (int i = 0; i < r->guesses; i++)
        r->unlike[i] += unlikeness(r, in, r->guess[i]);
    for (int i = 1; i < r->guesses; i++)
        if (r->unlike[i] < r->unlike[best])
            best = i;
    for (int i = 0; i < r->guesses; i++)
        if (i != best && (second < 0 || r->unlike[i] < r->unlike[second]))
            second = i;
    if (second < 0 || r->unlike[best] >= CLEARLY * r->unlike[second])
        return;
    r->settled = 1;
    r->in = r->guess[best];
    /* Where the frames that we write are not known, they are like those that we read. */
    r->hidden = r->guess[0] == r->width && r->in != r->width;
    if (r->hidden)
        r->in = r->width;
}

/* A row of a frame; as long as it is not certain where it is, one that is there in any case. */
static const uint32_t *row_of(const struct rows *r, const uint32_t *in, size_t y)
{
    if (!r->settled && r->in > r->width) {
        size_t last = (r->width * r->height - r->width) / r->in;
        y = y < last ? y : last;
    }
    return in + y * r->in;
}

/* A frame of the host's, into memory with one row after the other. */
static void gather(const struct rows *r, const uint32_t *in, uint32_t *tight)
{
    for (size_t y = 0; y < r->height; y++)
        memcpy(tight + y * r->width, row_of(r, in, y), r->width * 4);
}

/* And back. */
static void scatter(const struct rows *r, const uint32_t *tight, uint32_t *out)
{
    for (size_t y = 0; y < r->height; y++)
        memcpy(out + y * r->out, tight + y * r->width, r->width * 4);
}

/* A frame as it is. */
static void pass(const struct rows *r, const uint32_t *in, uint32_t *out)
{
    if (in == out && r->in == r->out)
        return;
    for (size_t y = 0; y < r->height; y++)
        memmove(out + y * r->out, row_of(r, in, y), r->width * 4);
}

#endif
