/*
 * The stride of the host's frames.
 *
 * Frei0r wants rows without padding. Old versions of libavfilter pad them without saying so; the
 * stride then depends on the version and on the processor.
 */

#ifndef CRSR_ROWS_H
#define CRSR_ROWS_H

#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Versions (major and minor) of libavfilter in FFmpeg 4.4, in 6.0, and in the first release
 * without padding. */
enum { PADS_SINCE = 7 << 8 | 110, PADS_PERHAPS = 9 << 8, PADS_UNTIL = 9 << 8 | 11 };

/* Rows are padded to a multiple of at most this many pixels. */
enum { LARGEST_STEP = 16 };

/* A stride is accepted if its rows differ by less than this share of those of any other stride. */
#define CLEARLY 0.98

enum { MOST_GUESSES = 4 };

struct rows {
    size_t width, height;
    size_t out;  /* stride in pixels of the frames that the effect writes */
    size_t in;   /* stride of the frames that it reads, as far as known */
    int settled; /* `in` is certain */
    int hidden;  /* rows are padded, but the stride cannot be found out */
    int guesses; /* number of possible values of `in` */
    size_t guess[MOST_GUESSES];
    double difference[MOST_GUESSES]; /* difference of neighbouring rows so far */
};

static size_t padded_to(size_t width, size_t step)
{
    return (width + step - 1) / step * step;
}

static void add_guess(struct rows *r, size_t stride)
{
    for (int i = 0; i < r->guesses; i++)
        if (r->guess[i] == stride)
            return;
    r->guess[r->guesses++] = stride;
}

/* Return whether the file name of a path begins with a name. */
static int file_name_begins(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    return strncmp(slash ? slash + 1 : path, name, strlen(name)) == 0;
}

/* Return the stride in pixels of frames from the library at `path`, or 0 if it is unknown. */
static size_t stride_of_library(const char *path, size_t width)
{
    size_t stride = 0;
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
        stride = width;
    } else if (major_minor >= PADS_SINCE && major_minor < PADS_PERHAPS && alignment) {
        size_t bytes = alignment();
        if (bytes >= 4 && bytes <= LARGEST_STEP * 4 && (bytes & (bytes - 1)) == 0)
            stride = padded_to(width, bytes / 4);
    }
    dlclose(library);
    return stride;
}

/* Find the stride by the caller of the effect: any address within its code. */
static void find_stride_by_caller(struct rows *r, void *caller, unsigned int width,
                                  unsigned int height)
{
    Dl_info from;
    *r = (struct rows){.width = width, .height = height, .in = width, .out = width, .settled = 1};
    if (width % LARGEST_STEP == 0 || !dladdr(caller, &from) || !from.dli_fname)
        return;
    if (file_name_begins(from.dli_fname, "libavfilter"))
        r->out = stride_of_library(from.dli_fname, width);
    else if (file_name_begins(from.dli_fname, "ffmpeg") ||
             file_name_begins(from.dli_fname, "ffplay"))
        r->out = 0; /* The libraries are part of the program. */
    if (r->out == width)
        return;
    /* A frame may come from a decoder or from a filter. */
    r->settled = 0;
    if (r->out)
        add_guess(r, r->out);
    add_guess(r, width);
    add_guess(r, padded_to(width, LARGEST_STEP));
    if (!r->out)
        add_guess(r, padded_to(width, LARGEST_STEP / 2));
    r->in = r->guess[0];
    if (!r->out)
        r->out = width;
}

/* Return the mean difference of neighbouring rows at a stride, within the unpadded size. */
static double row_difference(const struct rows *r, const uint32_t *in, size_t stride)
{
    const uint8_t *bytes = (const uint8_t *)in;
    size_t pixels = r->width * r->height, count = 0;
    uint64_t sum = 0;
    for (size_t y = 0; (y + 1) * stride + r->width <= pixels; y++) {
        const uint8_t *row = bytes + y * stride * 4 + 1, *next = row + stride * 4; /* green */
        for (size_t x = 0; x < r->width; x++)
            sum += (uint64_t)abs(row[4 * x] - next[4 * x]);
        count += r->width;
    }
    return count ? (double)sum / (double)count : 0;
}

/* Find the stride by the content of a frame, until it is certain. */
static void find_stride_by_content(struct rows *r, const uint32_t *in)
{
    int best = 0, second = -1;
    if (r->settled)
        return;
    for (int i = 0; i < r->guesses; i++)
        r->difference[i] += row_difference(r, in, r->guess[i]);
    for (int i = 1; i < r->guesses; i++)
        if (r->difference[i] < r->difference[best])
            best = i;
    for (int i = 0; i < r->guesses; i++)
        if (i != best && (second < 0 || r->difference[i] < r->difference[second]))
            second = i;
    if (second < 0 || r->difference[best] >= CLEARLY * r->difference[second])
        return;
    r->settled = 1;
    r->in = r->guess[best];
    /* If the stride of written frames is unknown, it is that of the read ones. */
    r->hidden = r->guess[0] == r->width && r->in != r->width;
    if (r->hidden)
        r->in = r->width;
}

/* Return a row of a frame. Until the stride is certain, stay within the unpadded size. */
static const uint32_t *row_of(const struct rows *r, const uint32_t *in, size_t y)
{
    if (!r->settled && r->in > r->width) {
        size_t last = (r->width * r->height - r->width) / r->in;
        y = y < last ? y : last;
    }
    return in + y * r->in;
}

/* Copy a frame of the host into memory without padding. */
static void copy_in(const struct rows *r, const uint32_t *in, uint32_t *tight)
{
    for (size_t y = 0; y < r->height; y++)
        memcpy(tight + y * r->width, row_of(r, in, y), r->width * 4);
}

/* Copy a frame without padding to the host. */
static void copy_out(const struct rows *r, const uint32_t *tight, uint32_t *out)
{
    for (size_t y = 0; y < r->height; y++)
        memcpy(out + y * r->out, tight + y * r->width, r->width * 4);
}

/* Copy a frame unchanged. */
static void copy_unchanged(const struct rows *r, const uint32_t *in, uint32_t *out)
{
    if (in == out && r->in == r->out)
        return;
    for (size_t y = 0; y < r->height; y++)
        memmove(out + y * r->out, row_of(r, in, y), r->width * 4);
}

#endif
