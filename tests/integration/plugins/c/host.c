/*
 * A small host of frei0r effects, for tests: loads one as FFmpeg and MLT do, and runs raw frames
 * through it.
 *
 * host EFFECT.so WIDTH HEIGHT IN OUT [NAME=VALUE ...]
 *
 * IN and OUT are files of RGBA frames. Options beside the effect's own parameters:
 * -threads=N   N instances in N threads that take frames in turn, as MLT with real_time=-N
 * -slices=N    one instance, called by N threads at once with a band each, as MLT with threads=N
 * -pause=MS    between frames
 * -each=FILE   wait for a line on stdin before each frame, and write one to stdout after it
 * -in=N -out=N pixels from one row to the next in what the effect reads, and writes
 * -by=FILE     the library that constructs the effect, in place of this program
 * -metadata=1  only construct and destruct, as MLT does to read what parameters there are
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <frei0r.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 16 };

static f0r_instance_t (*construct)(unsigned int, unsigned int);
static void (*destruct)(f0r_instance_t);
static void (*set)(f0r_instance_t, f0r_param_t, int);
static void (*get)(f0r_instance_t, f0r_param_t, int);
static void (*update)(f0r_instance_t, double, const uint32_t *, uint32_t *);
static void (*about)(f0r_plugin_info_t *);
static void (*about_parameter)(f0r_param_info_t *, int);

static unsigned int width, height, frames;
static uint32_t *in, *out;
static char **settings;
static int many, pause_ms, in_step, in_apart, out_apart;
static void *(*construct_by)(f0r_instance_t (*)(unsigned int, unsigned int), unsigned int,
                             unsigned int);

static void *need(void *library, const char *name)
{
    void *found = dlsym(library, name);
    if (!found) {
        fprintf(stderr, "no %s\n", name);
        exit(2);
    }
    return found;
}

/* Set all parameters by name, with texts that are gone afterwards, as MLT does for every frame. */
static void apply(f0r_instance_t instance)
{
    f0r_plugin_info_t info;
    about(&info);
    for (int i = 0; i < info.num_params; i++) {
        f0r_param_info_t parameter;
        about_parameter(&parameter, i);
        size_t length = strlen(parameter.name);
        for (int k = 0; k < many; k++) {
            if (strncmp(settings[k], parameter.name, length) != 0 || settings[k][length] != '=')
                continue;
            const char *value = settings[k] + length + 1;
            if (parameter.type == F0R_PARAM_STRING) {
                char *text = strdup(value), *back = NULL;
                set(instance, &text, i);
                memset(text, '#', strlen(text));
                free(text);
                get(instance, &back, i);
                if (!back || strcmp(back, value) != 0) {
                    fprintf(stderr, "%s was not kept\n", parameter.name);
                    exit(3);
                }
            } else {
                double number = atof(value);
                set(instance, &number, i);
            }
        }
    }
}

static void nap(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
}

/* A frame through the effect, in memory that ends where its last row does. */
static void update_padded(f0r_instance_t instance, double time, const uint32_t *from, uint32_t *to)
{
    size_t a = in_apart ? (size_t)in_apart : width, b = out_apart ? (size_t)out_apart : width;
    uint32_t *before = calloc((height - 1) * a + width, 4);
    uint32_t *after = calloc((height - 1) * b + width, 4);
    if (!before || !after)
        exit(2);
    for (size_t y = 0; y < height; y++)
        memcpy(before + y * a, from + y * width, width * 4);
    update(instance, time, before, after);
    for (size_t y = 0; y < height; y++)
        memcpy(to + y * width, after + y * b, width * 4);
    free(before);
    free(after);
}

struct worker {
    int number, count;
};

static void *take_turns(void *given)
{
    struct worker *worker = given;
    size_t size = (size_t)width * height;
    f0r_instance_t instance =
        construct_by ? construct_by(construct, width, height) : construct(width, height);
    for (unsigned int i = (unsigned int)worker->number; i < frames; i += (unsigned int)worker->count) {
        char line[16];
        if (in_step && !fgets(line, sizeof line, stdin))
            break;
        apply(instance);
        if (construct_by)
            update_padded(instance, i / 25.0, in + i * size, out + i * size);
        else
            update(instance, i / 25.0, in + i * size, out + i * size);
        if (in_step) {
            printf("done\n");
            fflush(stdout);
        }
        if (pause_ms)
            nap(pause_ms);
    }
    destruct(instance);
    return NULL;
}

struct slice {
    f0r_instance_t instance;
    unsigned int frame;
    size_t first, size;
    pthread_barrier_t *together;
};

static void *run_slice(void *given)
{
    struct slice *slice = given;
    size_t at = slice->frame * (size_t)width * height + slice->first;
    pthread_barrier_wait(slice->together);
    update(slice->instance, slice->frame / 25.0, in + at, out + at);
    return NULL;
}

static void run_slices(int count)
{
    unsigned int rows = height / (unsigned int)count;
    f0r_instance_t instance = construct(width, rows);
    apply(instance);
    for (unsigned int i = 0; i < frames; i++) {
        pthread_t threads[MOST];
        struct slice slices[MOST];
        pthread_barrier_t together;
        pthread_barrier_init(&together, NULL, (unsigned int)count);
        for (int k = 0; k < count; k++) {
            size_t size = (size_t)rows * width;
            slices[k] = (struct slice){instance, i, (size_t)k * size, size, &together};
            pthread_create(&threads[k], NULL, run_slice, &slices[k]);
        }
        for (int k = 0; k < count; k++)
            pthread_join(threads[k], NULL);
        pthread_barrier_destroy(&together);
    }
    destruct(instance);
}

static int open_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    int threads = 1, slices = 0, metadata = 0;
    if (argc < 6)
        return 2;
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    int (*init)(void) = (int (*)(void))need(library, "f0r_init");
    void (*deinit)(void) = (void (*)(void))need(library, "f0r_deinit");
    construct = (f0r_instance_t(*)(unsigned int, unsigned int))need(library, "f0r_construct");
    destruct = (void (*)(f0r_instance_t))need(library, "f0r_destruct");
    set = (void (*)(f0r_instance_t, f0r_param_t, int))need(library, "f0r_set_param_value");
    get = (void (*)(f0r_instance_t, f0r_param_t, int))need(library, "f0r_get_param_value");
    update = (void (*)(f0r_instance_t, double, const uint32_t *, uint32_t *))need(library,
                                                                                 "f0r_update");
    about = (void (*)(f0r_plugin_info_t *))need(library, "f0r_get_plugin_info");
    about_parameter = (void (*)(f0r_param_info_t *, int))need(library, "f0r_get_param_info");
    width = (unsigned int)atoi(argv[2]);
    height = (unsigned int)atoi(argv[3]);
    settings = argv + 6;
    many = argc - 6;
    for (int k = 0; k < many; k++) {
        sscanf(settings[k], "-threads=%d", &threads);
        sscanf(settings[k], "-slices=%d", &slices);
        sscanf(settings[k], "-pause=%d", &pause_ms);
        sscanf(settings[k], "-each=%d", &in_step);
        sscanf(settings[k], "-metadata=%d", &metadata);
        sscanf(settings[k], "-in=%d", &in_apart);
        sscanf(settings[k], "-out=%d", &out_apart);
        if (strncmp(settings[k], "-by=", 4) == 0) {
            void *by = dlopen(settings[k] + 4, RTLD_NOW | RTLD_LOCAL);
            if (!by)
                return 2;
            *(void **)&construct_by = need(by, "construct_here");
        }
    }
    if (!init() || threads < 1 || threads > MOST || slices > MOST)
        return 2;
    int before = open_descriptors();
    if (metadata) {
        f0r_plugin_info_t info;
        about(&info);
        printf("%s %d\n", info.name, info.color_model);
        f0r_instance_t instance = construct(720, 576);
        for (int i = 0; i < info.num_params; i++) {
            f0r_param_info_t parameter;
            union {
                double number;
                char *text;
            } value;
            about_parameter(&parameter, i);
            get(instance, &value, i);
            if (parameter.type == F0R_PARAM_STRING)
                printf("%s \"%s\"\n", parameter.name, value.text);
            else
                printf("%s %g\n", parameter.name, value.number);
        }
        destruct(instance);
    } else {
        FILE *file = fopen(argv[4], "rb");
        if (!file)
            return 2;
        fseek(file, 0, SEEK_END);
        size_t bytes = (size_t)ftell(file), frame = (size_t)width * height * 4;
        rewind(file);
        frames = (unsigned int)(bytes / frame);
        in = malloc(bytes);
        out = calloc(1, bytes);
        if (!in || !out || fread(in, 1, bytes, file) != bytes)
            return 2;
        fclose(file);
        if (slices) {
            run_slices(slices);
        } else {
            pthread_t running[MOST];
            struct worker workers[MOST];
            for (int k = 0; k < threads; k++) {
                workers[k] = (struct worker){k, threads};
                pthread_create(&running[k], NULL, take_turns, &workers[k]);
            }
            for (int k = 0; k < threads; k++)
                pthread_join(running[k], NULL);
        }
        file = fopen(argv[5], "wb");
        if (!file || fwrite(out, 1, bytes, file) != bytes || fclose(file) != 0)
            return 2;
        free(in);
        free(out);
    }
    deinit();
    if (open_descriptors() != before) {
        fprintf(stderr, "descriptors were left open\n");
        return 4;
    }
    dlclose(library);
    return 0;
}
