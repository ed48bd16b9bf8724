/*
 * The connection to the server, which is found or started.
 *
 * Nothing here blocks: sockets are non-blocking, and every wait has a deadline.
 */

#ifndef CRSR_LINK_H
#define CRSR_LINK_H

#ifdef __APPLE__
#include <crt_externs.h>
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "wire.h"

#ifndef CRSR_COMMAND
#define CRSR_COMMAND "crsr-video" /* quoted for a shell */
#endif

#ifdef __APPLE__
#define environ (*_NSGetEnviron())
#else
extern char **environ;
#endif

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS has SO_NOSIGPIPE instead. */
#endif

/* The outcome of an attempt. `link.message` explains every outcome but FINE. */
enum outcome { FINE, ABSENT, LATE, GONE, GARBAGE, FOREIGN, REFUSED };

struct link {
    int socket; /* -1 if there is none */
    uint32_t sequence;
    uint32_t code;     /* of the last refusal */
    char message[512]; /* about the last outcome */
    struct writer out;
    struct message in;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void sleep_ms(int64_t ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* Keep a message about an outcome, and return the outcome. */
__attribute__((format(printf, 3, 4))) static enum outcome
report(struct link *l, enum outcome outcome, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(l->message, sizeof l->message, format, values);
    va_end(values);
    return outcome;
}

static void disconnect(struct link *l)
{
    if (l->socket >= 0)
        close(l->socket);
    l->socket = -1;
}

/* Wait for a socket. Returns 0 if the deadline has passed. */
static int wait_for(int descriptor, short events, int64_t deadline)
{
    for (;;) {
        int64_t left = deadline - now_ms();
        if (left < 0)
            left = 0;
        struct pollfd p = {descriptor, events, 0};
        int found = poll(&p, 1, left > 60000 ? 60000 : (int)left);
        if (found > 0)
            return 1;
        if (found < 0 && errno != EINTR)
            return 1; /* The next call on the socket reports the error. */
        if (now_ms() >= deadline)
            return 0;
    }
}

/* Return whether a folder belongs to this user, and no other user has access. */
static int is_private(const char *folder)
{
    struct stat found;
    return lstat(folder, &found) == 0 && S_ISDIR(found.st_mode) && found.st_uid == geteuid() &&
           (found.st_mode & 077) == 0;
}

/* Find the path of the socket, like `socket_path` in crsr_video/server/places.py. */
static enum outcome find_path(struct link *l, char path[sizeof((struct sockaddr_un *)0)->sun_path])
{
    enum { ROOM = sizeof((struct sockaddr_un *)0)->sun_path };
    const char *given = getenv("CRSR_SOCKET"), *runtime = getenv("XDG_RUNTIME_DIR");
    char folder[PATH_MAX];
    int size;
    if (given && *given) {
        if (given[0] != '/')
            return report(l, ABSENT, "CRSR_SOCKET must be an absolute path");
        size = snprintf(path, ROOM, "%s", given);
        return size < ROOM ? FINE : report(l, ABSENT, "CRSR_SOCKET is too long for a socket");
    }
    if (runtime && runtime[0] == '/' && is_private(runtime)) {
        size = snprintf(folder, sizeof folder, "%s/crsr-video", runtime);
    } else {
        const char *temporary = getenv("TMPDIR");
        if (!temporary || temporary[0] != '/')
            temporary = "/tmp";
        size = snprintf(folder, sizeof folder, "%s/crsr-video-%lu", temporary,
                        (unsigned long)geteuid());
    }
    if (size >= (int)sizeof folder || size + 13 > ROOM)
        return report(l, ABSENT, "the name of the runtime folder is too long for a socket");
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return report(l, ABSENT, "%.200s: cannot be created: %s", folder, strerror(errno));
    if (!is_private(folder))
        return report(l, ABSENT, "%.200s: must belong to you, with no access for others (mode 700)",
                      folder);
    memcpy(path, folder, (size_t)size);
    memcpy(path + size, "/server.sock", 13);
    return FINE;
}

/* Return a new socket that never blocks, or -1. */
static int new_socket(void)
{
    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    if (descriptor < 0)
        return -1;
#ifdef SO_NOSIGPIPE
    setsockopt(descriptor, SOL_SOCKET, SO_NOSIGPIPE, &(int){1}, sizeof(int));
#endif
    if (fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 && fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0)
        return descriptor;
    close(descriptor);
    return -1;
}

/* Return whether the process at the other end of a socket belongs to this user. */
static int is_own_peer(int descriptor)
{
#ifdef SO_PEERCRED
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           peer.uid == geteuid();
#else
    uid_t user;
    gid_t group;
    return getpeereid(descriptor, &user, &group) == 0 && user == geteuid();
#endif
}

/* Connect to the server. ABSENT means that no server listens there. */
static enum outcome connect_to_server(struct link *l, const char *path, int64_t deadline)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    disconnect(l);
    l->socket = new_socket();
    if (l->socket < 0)
        return report(l, GONE, "cannot create a socket: %s", strerror(errno));
    while (connect(l->socket, (struct sockaddr *)&address, sizeof address) != 0) {
        int why = errno;
        if ((why == EAGAIN || why == EINTR) && now_ms() < deadline) {
            sleep_ms(20); /* The queue of the server is full. */
            continue;
        }
        disconnect(l);
        struct stat found;
        if (why == ECONNREFUSED && lstat(path, &found) == 0 && !S_ISSOCK(found.st_mode))
            return report(l, FOREIGN, "%s: exists and is not a socket", path);
        if (why == ENOENT || why == ECONNREFUSED)
            return report(l, ABSENT, "there is no server");
        return report(l, why == EAGAIN ? LATE : GONE, "%s: %s", path, strerror(why));
    }
    if (!is_own_peer(l->socket)) {
        disconnect(l);
        return report(l, FOREIGN, "%s: the server belongs to another user", path);
    }
    return FINE;
}

/* Copy the environment, without the variables for the libraries that some editors bring. */
static char **environment(void)
{
    static const char *const own[] = {"LD_LIBRARY_PATH=", "LD_PRELOAD=", "PYTHONHOME=",
                                      "PYTHONPATH="};
    int bundled = getenv("APPIMAGE") || getenv("APPDIR") || getenv("SNAP");
    size_t count = 0, kept = 0;
    while (environ && environ[count])
        count++;
    char **copy = calloc(count + 1, sizeof *copy);
    if (!copy)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        int drop = 0;
        for (size_t j = 0; bundled && j < sizeof own / sizeof *own; j++)
            drop |= strncmp(environ[i], own[j], strlen(own[j])) == 0;
        if (!drop)
            copy[kept++] = environ[i];
    }
    return copy;
}

/* Move a descriptor away from the standard ones. */
static int moved_up(int descriptor)
{
    if (descriptor < 0)
        return descriptor;
    int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, 10);
    close(descriptor);
    return moved;
}

/* Run the server in the new process. Other threads may hold any lock, so only make system calls. */
static void become_server(char *const arguments[], char *const environment[], int null, int log,
                          int alive)
{
    sigset_t none;
    sigemptyset(&none);
    setsid();
    if (fork() != 0)
        _exit(0);
    for (int number = 1; number < 32; number++)
        signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    dup2(null, 0);
    dup2(null, 1);
    dup2(log, 2);
    dup2(alive, 3);
#ifdef SYS_close_range
    if (syscall(SYS_close_range, 4U, ~0U, 0U) != 0)
#endif
        for (int descriptor = 4; descriptor < 4096; descriptor++)
            close(descriptor);
    if (chdir("/") == 0)
        execve("/bin/sh", arguments, environment);
    _exit(127);
}

/*
 * Start a server that is not a child of this process.
 *
 * Returns a descriptor that reaches its end when the server exits, or -1.
 */
static int launch_server(const char *path)
{
    const char *command = getenv("CRSR_SERVER");
    char line[4096], log_path[PATH_MAX];
    int alive[2];
    if (!command)
        command = CRSR_COMMAND;
    if (!*command)
        return -1;
    int size = snprintf(line, sizeof line, "exec %s serve --socket \"$0\"", command);
    if (size >= (int)sizeof line || pipe(alive) != 0)
        return -1;
    fcntl(alive[0], F_SETFD, FD_CLOEXEC);
    char *arguments[] = {"sh", "-c", line, (char *)path, NULL};
    char **variables = environment();
    alive[1] = moved_up(alive[1]);
    int null = moved_up(open("/dev/null", O_RDWR | O_CLOEXEC));
    snprintf(log_path, sizeof log_path, "%s.log", path);
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    struct stat found;
    if (log >= 0 && fstat(log, &found) == 0 && S_ISREG(found.st_mode) && found.st_size > 1 << 20)
        if (ftruncate(log, 0) != 0) {
            /* The log keeps growing. */
        }
    log = moved_up(log);
    pid_t child = -1;
    if (variables && null >= 0 && alive[1] >= 0) {
        child = fork();
        if (child == 0)
            become_server(arguments, variables, null, log >= 0 ? log : null, alive[1]);
    }
    free(variables);
    if (null >= 0)
        close(null);
    if (log >= 0)
        close(log);
    if (alive[1] >= 0)
        close(alive[1]);
    if (child < 0) {
        close(alive[0]);
        return -1;
    }
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    return alive[0];
}

/* Start a server and connect to it. */
static enum outcome start_server(struct link *l, const char *path, int64_t deadline)
{
    const char *command = getenv("CRSR_SERVER");
    int alive = launch_server(path), ended = 0;
    if (alive < 0)
        return report(l, ABSENT, "there is no server, and none was started");
    enum outcome outcome;
    while ((outcome = connect_to_server(l, path, deadline)) == ABSENT && now_ms() < deadline) {
        if (ended) {
            sleep_ms(50);
        } else if (wait_for(alive, POLLIN, now_ms() + 50)) {
            /* It has exited: it cannot run, or another one was faster and will listen soon. */
            ended = 1;
            int64_t soon = now_ms() + 2000;
            deadline = soon < deadline ? soon : deadline;
        }
    }
    close(alive);
    if (outcome == ABSENT && ended) {
        char log[sizeof((struct sockaddr_un *)0)->sun_path + 4];
        snprintf(log, sizeof log, "%s.log", path);
        return report(l, ABSENT, "'%.100s' could not be started: %s %s",
                   command ? command : CRSR_COMMAND, log,
                   access(log, R_OK) == 0 ? "says why" : "cannot be written");
    }
    return outcome == ABSENT ? report(l, LATE, "the server takes too long to start") : outcome;
}

/* Find the server, or start it. Only one thread of this process at a time starts one. */
static enum outcome find_or_start_server(struct link *l, int64_t deadline)
{
    static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    enum outcome outcome = find_path(l, path);
    if (outcome != FINE)
        return outcome;
    int64_t soon = now_ms() + 2000;
    outcome = connect_to_server(l, path, soon < deadline ? soon : deadline);
    if (outcome != ABSENT)
        return outcome;
    while (pthread_mutex_trylock(&starting) != 0) { /* macOS has no lock with a time limit. */
        if (now_ms() > deadline + 1000)
            return report(l, LATE, "the server takes too long to start");
        sleep_ms(20);
    }
    outcome = connect_to_server(l, path, deadline);
    if (outcome == ABSENT)
        outcome = start_server(l, path, deadline);
    pthread_mutex_unlock(&starting);
    return outcome;
}

/* Send the message in `out`, and a descriptor with it if there is one. */
static enum outcome send_all(struct link *l, int descriptor, int64_t deadline)
{
    size_t sent = 0;
    while (sent < l->out.size) {
        struct iovec part = {l->out.data + sent, l->out.size - sent};
        union {
            char room[CMSG_SPACE(sizeof(int))];
            struct cmsghdr aligned;
        } control;
        struct msghdr whole = {.msg_iov = &part, .msg_iovlen = 1};
        if (descriptor >= 0 && sent == 0) {
            memset(&control, 0, sizeof control);
            whole.msg_control = control.room;
            whole.msg_controllen = sizeof control.room;
            struct cmsghdr *head = CMSG_FIRSTHDR(&whole);
            head->cmsg_level = SOL_SOCKET;
            head->cmsg_type = SCM_RIGHTS;
            head->cmsg_len = CMSG_LEN(sizeof(int));
            memcpy(CMSG_DATA(head), &descriptor, sizeof(int));
        }
        ssize_t count = sendmsg(l->socket, &whole, MSG_NOSIGNAL);
        if (count > 0)
            sent += (size_t)count;
        else if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            if (!wait_for(l->socket, POLLOUT, deadline))
                return report(l, LATE, "the server does not accept data");
        } else if (count == 0 || errno != EINTR)
            return report(l, GONE, "the server has gone");
    }
    return FINE;
}

static enum outcome receive(struct link *l, uint8_t *data, size_t size, int64_t deadline)
{
    size_t got = 0;
    while (got < size) {
        ssize_t count = recv(l->socket, data + got, size - got, 0);
        if (count > 0)
            got += (size_t)count;
        else if (count == 0)
            return report(l, GONE, "the server has gone");
        else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!wait_for(l->socket, POLLIN, deadline))
                return report(l, LATE, "the server does not answer in time");
        } else if (errno != EINTR)
            return report(l, GONE, "the server has gone");
    }
    return FINE;
}

/* Read why the server refuses. */
static enum outcome read_refusal(struct link *l)
{
    char message[400];
    struct reader r = reader_of(&l->in);
    uint32_t code = get_number(&r, 4);
    get_text(&r, message, sizeof message);
    if (!is_complete(&r))
        return report(l, GARBAGE, "the answer of the server is invalid");
    l->code = code;
    return report(l, code == CODE_VERSION ? FOREIGN : REFUSED, "%s", message);
}

/*
 * Send the message in `out`, and wait for an answer of the wanted kind.
 *
 * After any outcome but FINE and REFUSED the connection cannot be used again.
 */
static enum outcome exchange(struct link *l, uint16_t kind, uint16_t wanted, int descriptor,
                        int64_t deadline)
{
    uint8_t header[HEADER_SIZE];
    if (l->out.overflow)
        return report(l, GARBAGE, "a parameter is too long");
    l->code = 0;
    finish_message(&l->out, kind, ++l->sequence);
    enum outcome outcome = send_all(l, descriptor, deadline);
    /* A server that refuses may have closed the connection after its answer. */
    if (outcome == FINE || outcome == GONE) {
        outcome = receive(l, header, sizeof header, deadline);
        if (outcome == FINE && !parse_header(&l->in, header))
            return report(l, GARBAGE, "the answer is not from a server of crsr-video");
        if (outcome == FINE && l->in.version != PROTOCOL_VERSION)
            return report(l, FOREIGN,
                          "the server uses version %d of the protocol, the effect version %d",
                          l->in.version, PROTOCOL_VERSION);
        if (outcome == FINE)
            outcome = receive(l, l->in.payload, l->in.length, deadline);
    }
    if (outcome != FINE)
        return outcome;
    if (l->in.kind == REFUSAL)
        return read_refusal(l);
    if (l->in.kind != wanted || l->in.sequence != l->sequence)
        return report(l, GARBAGE, "the answer of the server is invalid");
    return FINE;
}

#endif
