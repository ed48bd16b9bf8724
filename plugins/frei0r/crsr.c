/*
 * crsr: enhance the faces in a picture, for FFmpeg, GStreamer, MLT and other hosts of frei0r
 * effects.
 *
 * The effect only transfers frames to the enhancement server and back, through shared memory. If
 * that fails, the frame passes unchanged, and a line on stderr says why.
 *
 * Build: cc -std=c11 -O2 -fPIC -shared -pthread -o crsr.so crsr.c -ldl
 *        (with -DCRSR_COMMAND='"/path/to/crsr-video"' if it is not in the PATH of all users)
 *
 * Environment: CRSR_SERVER      shell command that starts the server; empty: start none
 *              CRSR_SOCKET      absolute path of the server's socket
 *              CRSR_TIMEOUT_MS  longest wait for a frame, the first one included
 *              CRSR_ORDERED     1: frames come in order, each once; 0: in any order
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <frei0r.h>

#include "link.h"
#include "rows.h"

enum { STRENGTH, MIN_FACE, MODEL, COMPARE, DEBUG, TRACKS, PERSONS, HEAD, PARAMETERS };

/* The value 1 of min_face is this many pixels. */
#define LARGEST_MIN_FACE 256.0

/* A frame this many times wider than high is a band of one, from a host that works in slices. */
enum { BAND = 3 };

/* Time limits of the first frame, for which models are loaded, and of later ones. */
enum { FIRST_MS = 20000, LATER_MS = 2000, PATIENT_FIRST_MS = 120000, PATIENT_LATER_MS = 60000 };

/* Pause after a failure, which doubles with every failure in a row up to a limit. */
enum { FIRST_PAUSE_MS = 500, LONGEST_PAUSE_MS = 30000, LONGEST_LATE_PAUSE_MS = 120000 };

/* Lines of the same kind are written at most once in this time. */
enum { QUIET_MS = 5000 };

static const f0r_param_info_t parameters[PARAMETERS] = {
    {"strength", F0R_PARAM_DOUBLE, "Strength of the enhancement"},
    {"min_face", F0R_PARAM_DOUBLE,
     "Faces narrower than this are left alone; 1 is 256 pixels, the default is 16 pixels"},
    {"model", F0R_PARAM_STRING, "fast, or a .safetensors file"},
    {"compare", F0R_PARAM_BOOL, "Left half before, right half after"},
    {"debug", F0R_PARAM_BOOL, "Draw boxes, track IDs and landmarks of the faces"},
    {"tracks", F0R_PARAM_STRING, "A file that 'crsr-video tracks' wrote for this video"},
    {"persons", F0R_PARAM_STRING, "Track IDs to enhance, as in the tracks file: 1,4 or 2:off"},
    {"head", F0R_PARAM_BOOL, "Enhance the whole head, with hair, ears and neck"},
};

struct effect {
    unsigned int width, height;
    struct rows rows;
    atomic_int inside; /* threads in f0r_update; several of them bring slices of one frame */
    atomic_int sliced;
    pthread_mutex_t lock; /* for everything below */
    double strength, min_face;
    int compare, debug, head;
    char *texts[PARAMETERS]; /* values of the string parameters, owned by the effect */
    int begun;               /* the first frame has come */
    int by_gstreamer;        /* GStreamer has constructed the effect */
    int ordered, patient;
    int failures; /* in a row */
    int64_t again; /* when to try again, after failures */
    int refused;   /* the last failure was about the parameters */
    int warm;      /* the server has enhanced a frame for this effect */
    uint8_t *shared;
    size_t sent_size; /* of the settings that the server has; 0 if none */
    uint8_t sent_settings[HEADER_SIZE + MAX_PAYLOAD];
    char notice[256]; /* the last notice of the server */
    struct link link;
};

/* Kinds of lines on stderr; too many of one kind are not written. */
enum about {
    ABOUT_FAILURE,
    ABOUT_REFUSAL,
    ABOUT_NOTICE,
    ABOUT_RECOVERY,
    ABOUT_SLICES,
    ABOUT_ROWS,
    ABOUTS
};

static void write_line(enum about about, const char *text)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static int64_t last[ABOUTS];
    static int written[ABOUTS];
    int64_t now = now_ms();
    pthread_mutex_lock(&lock);
    int quiet = written[about] && now - last[about] < QUIET_MS;
    if (!quiet) {
        written[about] = 1;
        last[about] = now;
        fprintf(stderr, "crsr: %s\n", text);
    }
    pthread_mutex_unlock(&lock);
}

int f0r_init(void)
{
    return 1;
}

void f0r_deinit(void)
{
}

void f0r_get_plugin_info(f0r_plugin_info_t *info)
{
    info->name = "crsr";
    info->author = "The crsr-video authors";
    info->plugin_type = F0R_PLUGIN_TYPE_FILTER;
    info->color_model = F0R_COLOR_MODEL_RGBA8888;
    info->frei0r_version = FREI0R_MAJOR_VERSION;
    info->major_version = 1;
    info->minor_version = 0;
    info->num_params = PARAMETERS;
    info->explanation = "Enhances faces that are small, soft, noisy or badly compressed";
}

void f0r_get_param_info(f0r_param_info_t *info, int index)
{
    if (index >= 0 && index < PARAMETERS)
        *info = parameters[index];
}

/* Return whether an address is within GStreamer's plugin for frei0r effects. */
static int is_in_gstreamer(void *address)
{
    Dl_info from;
    return dladdr(address, &from) && from.dli_fname &&
           file_name_begins(from.dli_fname, "libgstfrei0r");
}

f0r_instance_t f0r_construct(unsigned int width, unsigned int height)
{
    struct effect *effect = calloc(1, sizeof *effect);
    if (!effect)
        return NULL;
    effect->width = width;
    effect->height = height;
    find_stride_by_caller(&effect->rows, __builtin_return_address(0), width, height);
    effect->by_gstreamer = is_in_gstreamer(__builtin_return_address(0));
    effect->strength = 1.0;
    effect->min_face = 16.0 / LARGEST_MIN_FACE;
    effect->texts[MODEL] = strdup("fast");
    effect->texts[TRACKS] = strdup("");
    effect->texts[PERSONS] = strdup("");
    effect->link.socket = -1;
    if (!effect->texts[MODEL] || !effect->texts[TRACKS] || !effect->texts[PERSONS] ||
        pthread_mutex_init(&effect->lock, NULL) != 0) {
        for (int i = 0; i < PARAMETERS; i++)
            free(effect->texts[i]);
        free(effect);
        return NULL;
    }
    return effect;
}

/* Disconnect and release the shared memory, because a late server may still write there. */
static void release_server(struct effect *effect)
{
    disconnect(&effect->link);
    if (effect->shared)
        munmap(effect->shared, (size_t)effect->width * effect->height * 4);
    effect->shared = NULL;
    effect->sent_size = 0;
    effect->warm = 0;
}

void f0r_destruct(f0r_instance_t instance)
{
    struct effect *effect = instance;
    if (!effect)
        return;
    release_server(effect);
    for (int i = 0; i < PARAMETERS; i++)
        free(effect->texts[i]);
    pthread_mutex_destroy(&effect->lock);
    free(effect);
}

static double clamped_share(double value, double otherwise)
{
    if (isnan(value))
        return otherwise;
    return value < 0 ? 0 : value > 1 ? 1 : value;
}

void f0r_set_param_value(f0r_instance_t instance, f0r_param_t value, int index)
{
    struct effect *effect = instance;
    if (!effect || !value)
        return;
    pthread_mutex_lock(&effect->lock);
    switch (index) {
    case STRENGTH: effect->strength = clamped_share(*(double *)value, 1.0); break;
    case MIN_FACE:
        effect->min_face = clamped_share(*(double *)value, 16.0 / LARGEST_MIN_FACE);
        break;
    case COMPARE: effect->compare = *(double *)value >= 0.5; break;
    case DEBUG: effect->debug = *(double *)value >= 0.5; break;
    case HEAD: effect->head = *(double *)value >= 0.5; break;
    case MODEL:
    case TRACKS:
    case PERSONS: {
        /* Copy the text, because the host may free it after this call. */
        const char *given = *(char **)value;
        if (strcmp(given ? given : "", effect->texts[index]) == 0)
            break;
        char *copy = strdup(given ? given : "");
        if (copy) {
            if (effect->refused)
                effect->again = 0; /* The new text may be accepted, so try at once. */
            free(effect->texts[index]);
            effect->texts[index] = copy;
        }
        break;
    }
    default: break;
    }
    pthread_mutex_unlock(&effect->lock);
}

void f0r_get_param_value(f0r_instance_t instance, f0r_param_t value, int index)
{
    struct effect *effect = instance;
    if (!effect || !value)
        return;
    pthread_mutex_lock(&effect->lock);
    switch (index) {
    case STRENGTH: *(double *)value = effect->strength; break;
    case MIN_FACE: *(double *)value = effect->min_face; break;
    case COMPARE: *(double *)value = effect->compare; break;
    case DEBUG: *(double *)value = effect->debug; break;
    case HEAD: *(double *)value = effect->head; break;
    case MODEL:
    case TRACKS:
    case PERSONS: *(char **)value = effect->texts[index]; break; /* The effect keeps it. */
    default: break;
    }
    pthread_mutex_unlock(&effect->lock);
}

/* Get the name of the host program. */
static void host_name(char *name, size_t room)
{
#ifdef __APPLE__
    const char *base = getprogname();
#else
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
#endif
    size_t kept = strnlen(base, room - 1);
    memcpy(name, base, kept);
    name[kept] = '\0';
    if (!is_sendable(name))
        name[0] = '\0';
}

/*
 * Find out how the host uses the effect. FFmpeg and GStreamer send frames in order, each once, so
 * faces can be tracked. An editor seeks, repeats frames, and uses several instances in turn, so
 * every frame is processed on its own. Programs that only render rather wait than leave out a
 * frame.
 */
static void detect_host(struct effect *effect)
{
    char name[256];
    const char *told = getenv("CRSR_ORDERED");
    host_name(name, sizeof name);
    effect->ordered = effect->by_gstreamer || strncmp(name, "ffmpeg", 6) == 0 ||
                      strncmp(name, "ffplay", 6) == 0;
    effect->patient = effect->ordered || strncmp(name, "melt", 4) == 0;
    if (told && *told)
        effect->ordered = told[0] == '1';
    effect->begun = 1;
}

/* Return the deadline of a wait that begins now. */
static int64_t deadline(const struct effect *effect, int first)
{
    const char *given = getenv("CRSR_TIMEOUT_MS");
    long ms = given ? strtol(given, NULL, 10) : 0;
    if (ms <= 0 || ms > 3600000) {
        if (effect->patient)
            ms = first ? PATIENT_FIRST_MS : PATIENT_LATER_MS;
        else
            ms = first ? FIRST_MS : LATER_MS;
    }
    return now_ms() + ms;
}

/* Say hello to the server. */
static enum outcome send_hello(struct effect *effect, int64_t until)
{
    struct link *link = &effect->link;
    char name[256], version[64];
    host_name(name, sizeof name);
    begin_message(&link->out);
    put_text(&link->out, name);
    enum outcome outcome = exchange(link, HELLO, WELCOME, -1, until);
    if (outcome != FINE)
        return outcome;
    struct reader r = reader_of(&link->in);
    get_text(&r, version, sizeof version);
    return is_complete(&r) ? FINE : report(link, GARBAGE, "the answer of the server is invalid");
}

static void show_notice(struct effect *effect, const char *text)
{
    if (*text && strcmp(text, effect->notice) != 0)
        write_line(ABOUT_NOTICE, text);
    snprintf(effect->notice, sizeof effect->notice, "%s", text);
}

/* Send the settings to the server, if they have changed. */
static enum outcome send_settings(struct effect *effect, int64_t until)
{
    struct link *link = &effect->link;
    struct writer *w = &link->out;
    char folder[PATH_MAX] = "", tracks[PATH_MAX + MAX_TEXT + 2] = "", text[256];
    const char *given = effect->texts[TRACKS];
    if (strlen(given) <= MAX_TEXT) {
        /* The server runs in another folder, so it needs the absolute path. */
        int relative = *given && *given != '/' && getcwd(folder, sizeof folder);
        snprintf(tracks, sizeof tracks, "%s%s%s", relative ? folder : "", relative ? "/" : "",
                 given);
    }
    if (strlen(given) > MAX_TEXT || !is_sendable(tracks) || !is_sendable(effect->texts[MODEL]) ||
        !is_sendable(effect->texts[PERSONS]))
        return report(link, REFUSED, "a parameter is too long, or not one line of UTF-8 text");
    begin_message(w);
    put_real(w, effect->strength);
    put_real(w, effect->min_face * LARGEST_MIN_FACE);
    put_number(w, (effect->compare ? FLAG_COMPARE : 0) | (effect->debug ? FLAG_DEBUG : 0) |
                      (effect->ordered ? FLAG_ORDERED : 0) | (effect->head ? FLAG_HEAD : 0), 4);
    put_text(w, effect->texts[MODEL]);
    put_text(w, tracks);
    put_text(w, effect->texts[PERSONS]);
    if (w->size == effect->sent_size &&
        memcmp(w->data + HEADER_SIZE, effect->sent_settings + HEADER_SIZE,
               w->size - HEADER_SIZE) == 0)
        return FINE;
    effect->sent_size = 0;
    enum outcome outcome = exchange(link, SETTINGS, OKAY, -1, until);
    if (outcome != FINE)
        return outcome;
    memcpy(effect->sent_settings, w->data, w->size);
    effect->sent_size = w->size;
    struct reader r = reader_of(&link->in);
    get_text(&r, text, sizeof text);
    if (!is_complete(&r))
        return report(link, GARBAGE, "the answer of the server is invalid");
    show_notice(effect, text);
    return FINE;
}

/* Create memory that cannot shrink while the server uses it. Returns its descriptor, or -1. */
static int create_memory(size_t size)
{
#if defined(MFD_ALLOW_SEALING) && !defined(CRSR_POSIX_MEMORY)
    int memory = memfd_create("crsr", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int is_ready = memory >= 0 && ftruncate(memory, (off_t)size) == 0 &&
                   fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0;
#else
    /* On macOS, the size of shared memory can be set only once. */
    static atomic_uint count;
    char name[32];
    snprintf(name, sizeof name, "/crsr-%ld-%u", (long)getpid(), atomic_fetch_add(&count, 1));
    int memory = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (memory >= 0)
        shm_unlink(name);
    int is_ready = memory >= 0 && ftruncate(memory, (off_t)size) == 0;
#endif
    if (is_ready)
        return memory;
    int why = errno;
    if (memory >= 0)
        close(memory);
    errno = why;
    return -1;
}

/* Create memory for one frame, and share it with the server. */
static enum outcome share_memory(struct effect *effect, int64_t until)
{
    struct link *link = &effect->link;
    size_t size = (size_t)effect->width * effect->height * 4;
    int memory = create_memory(size);
    void *mapped = MAP_FAILED;
    if (memory >= 0)
        mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (mapped == MAP_FAILED) {
        report(link, ABSENT, "cannot create shared memory: %s", strerror(errno));
        if (memory >= 0)
            close(memory);
        return ABSENT;
    }
    begin_message(&link->out);
    put_number(&link->out, effect->width, 4);
    put_number(&link->out, effect->height, 4);
    enum outcome outcome = exchange(link, BUFFER, OKAY, memory, until);
    close(memory);
    if (outcome == FINE)
        effect->shared = mapped;
    else
        munmap(mapped, size);
    return outcome;
}

/* Enhance one frame by the server. Nothing is written to `out` unless that succeeds. */
static enum outcome enhance_frame(struct effect *effect, double time, const uint32_t *in,
                                  uint32_t *out)
{
    struct link *link = &effect->link;
    int64_t until = deadline(effect, !effect->warm);
    char text[256];
    enum outcome outcome = FINE;
    /* A server may be about to exit; another one is started then. */
    for (int attempt = 0; attempt < 2 && link->socket < 0; attempt++) {
        outcome = find_or_start_server(link, until);
        if (outcome == FINE)
            outcome = send_hello(effect, until);
        if (outcome == GONE && attempt == 0)
            disconnect(link);
    }
    if (outcome == FINE)
        outcome = send_settings(effect, deadline(effect, 1));
    if (outcome == FINE && !effect->shared)
        outcome = share_memory(effect, until);
    if (outcome != FINE)
        return outcome;
    copy_in(&effect->rows, in, (uint32_t *)effect->shared);
    begin_message(&link->out);
    put_real(&link->out, time);
    outcome = exchange(link, ENHANCE, DONE, -1, effect->warm ? until : deadline(effect, 1));
    if (outcome != FINE)
        return outcome;
    struct reader r = reader_of(&link->in);
    uint32_t changed = get_number(&r, 4);
    get_number(&r, 4); /* faces seen */
    get_number(&r, 4); /* faces enhanced */
    get_text(&r, text, sizeof text);
    if (!is_complete(&r) || changed > 1)
        return report(link, GARBAGE, "the answer of the server is invalid");
    if (changed)
        copy_out(&effect->rows, (const uint32_t *)effect->shared, out);
    else
        copy_unchanged(&effect->rows, in, out);
    effect->warm = 1;
    show_notice(effect, text);
    return FINE;
}

/* Report a failure, and decide when to try again. */
static void handle_failure(struct effect *effect, enum outcome outcome, int64_t lost)
{
    char line[700];
    enum about about = outcome == REFUSED ? ABOUT_REFUSAL : ABOUT_FAILURE;
    snprintf(line, sizeof line, "%s; frames pass unchanged", effect->link.message);
    write_line(about, line);
    if (outcome == REFUSED && effect->link.code == CODE_FAILED && effect->sent_size)
        return; /* Only this frame has failed. */
    int64_t pause = FIRST_PAUSE_MS;
    for (int i = 1; i < effect->failures && pause < LONGEST_PAUSE_MS; i++)
        pause *= 2;
    pause = pause < LONGEST_PAUSE_MS ? pause : LONGEST_PAUSE_MS;
    if (outcome == LATE && pause < 4 * lost)
        /* Spend more time on passing frames than on waiting in vain. */
        pause = 4 * lost < LONGEST_LATE_PAUSE_MS ? 4 * lost : LONGEST_LATE_PAUSE_MS;
    if (outcome == GONE && effect->patient && effect->failures == 0)
        pause = 0; /* The server has died, and the next frame starts another one. */
    effect->failures += effect->failures < 1000;
    effect->refused = outcome == REFUSED;
    effect->again = now_ms() + pause;
    release_server(effect);
}

static int has_valid_size(const struct effect *effect)
{
    return effect->width >= 1 && effect->height >= 1 && effect->width <= MAX_SIDE &&
           effect->height <= MAX_SIDE && (uint64_t)effect->width * effect->height <= MAX_PIXELS;
}

static int is_band(const struct effect *effect)
{
    return effect->width > BAND * (uint64_t)effect->height;
}

void f0r_update(f0r_instance_t instance, double time, const uint32_t *in, uint32_t *out)
{
    struct effect *effect = instance;
    int enhanced = 0;
    if (atomic_fetch_add(&effect->inside, 1) > 0)
        atomic_store(&effect->sliced, 1);
    find_stride_by_content(&effect->rows, in); /* Such hosts never call twice at a time. */
    if (!has_valid_size(effect)) {
        write_line(ABOUT_SLICES, "frames of this size are not enhanced");
    } else if (is_band(effect)) {
        write_line(ABOUT_SLICES, "the host works in slices (set threads to 1), or the picture is "
                                 "much wider than high; frames pass unchanged");
    } else if (effect->rows.hidden) {
        write_line(ABOUT_ROWS, "the row padding of this ffmpeg is unknown: use the command that "
                         "'crsr-video ffmpeg-args' prints; frames pass unchanged");
    } else {
        pthread_mutex_lock(&effect->lock);
        if (!effect->begun)
            detect_host(effect);
        int64_t begun = now_ms();
        if (!atomic_load(&effect->sliced) && (!effect->failures || begun >= effect->again)) {
            enum outcome outcome = enhance_frame(effect, time, in, out);
            enhanced = outcome == FINE;
            if (outcome != FINE) {
                handle_failure(effect, outcome, now_ms() - begun);
            } else if (effect->failures) {
                effect->failures = 0;
                write_line(ABOUT_RECOVERY, "faces are enhanced again");
            }
        }
        pthread_mutex_unlock(&effect->lock);
        if (atomic_load(&effect->sliced)) {
            enhanced = 0;
            write_line(ABOUT_SLICES,
                       "the host works in slices: set threads to 1; frames pass unchanged");
        }
    }
    if (!enhanced)
        copy_unchanged(&effect->rows, in, out);
    atomic_fetch_sub(&effect->inside, 1);
}
