/*
 * Stands in for libavfilter: calls an effect from a library of that name and of version VERSION,
 * which pads rows as that does on a processor of alignment ALIGNMENT.
 */

#include <stddef.h>

typedef void *(*make)(unsigned int, unsigned int);

unsigned int avfilter_version(void)
{
    return VERSION;
}

size_t av_cpu_max_align(void)
{
    return ALIGNMENT;
}

void *construct_here(make construct, unsigned int width, unsigned int height)
{
    void *volatile made = construct(width, height); /* no tail call: the caller must be us */
    return made;
}
