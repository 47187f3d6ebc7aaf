/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The calls to the system that can fail, in front of libc's: see inject.h. Each
 * names the errors that it can plausibly fail with, as its manual page has them,
 * for what it is called upon: a regular file is out of space, a stream is reset, an
 * eventfd is neither. Errors that only a wrong argument brings are left out, and
 * with them the calls that have no others. ONE_BYTE is no error: less than was
 * asked for, which reads and writes may always do.
 *
 * Names that end in 64 are those of callers compiled with 64-bit file offsets,
 * which on 64-bit machines are the same functions.
 */

#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "inject.h"

#define ONE_BYTE (-1)

#define ERRORS(...) ((const int[]) { __VA_ARGS__ __VA_OPT__(,) 0 })
#define NEW_DESCRIPTOR EMFILE, ENFILE, ENOMEM

/* Who asks: for use in the functions that others call, not in what these call themselves. */
#define CALLER __builtin_return_address(0)

/* True with errno set when the call is to fail. */
static bool fails(const char *function, const void *caller, const int *errors) {
        int error = inject_call(function, caller, errors);

        if (error)
                errno = error;
        return error;
}

/* A function whose parameters are passed on as they are: `call` is how. */
#define FAILING(type, function, parameters, call, ...)                                                  \
        type function parameters {                                                                      \
                if (fails(#function, CALLER, ERRORS(__VA_ARGS__)))                                              \
                        return -1;                                                                      \
                return INJECT_NEXT(function) call;                                                             \
        }

/* ---- what a descriptor is ---- */

enum kind {
        KIND_FILE,
        KIND_STREAM,            /* a connected socket, a pipe */
        KIND_DATAGRAM,
        KIND_EVENTS,            /* eventfd, timerfd, inotify, signalfd: they neither fail nor are interrupted */
};

static enum kind kind_of(int fd) {
        socklen_t size = sizeof(int);
        struct stat st;
        int type;

        if (INJECT_NEXT(fstat)(fd, &st) < 0 || (st.st_mode & S_IFMT) == 0)
                return KIND_EVENTS;
        if (!S_ISSOCK(st.st_mode))
                return S_ISFIFO(st.st_mode) ? KIND_STREAM : KIND_FILE;
        if (INJECT_NEXT(getsockopt)(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_DGRAM)
                return KIND_DATAGRAM;
        return KIND_STREAM;
}

static bool blocks(int fd) {
        return !(INJECT_NEXT(fcntl)(fd, F_GETFL) & O_NONBLOCK);
}

static const int *read_errors(int fd) {
        static const int file[] = { EIO, EINTR, ONE_BYTE, 0 };
        static const int stream[] = { ECONNRESET, ETIMEDOUT, ENOMEM, EINTR, ONE_BYTE, 0 };
        static const int stream_at_once[] = { EAGAIN, ECONNRESET, ETIMEDOUT, ENOMEM, ONE_BYTE, 0 };
        static const int none[] = { 0 };

        switch (kind_of(fd)) {
        case KIND_FILE:
                return file;
        case KIND_STREAM:
                return blocks(fd) ? stream : stream_at_once;
        case KIND_DATAGRAM:
        case KIND_EVENTS:
                break;
        }
        return none;
}

static const int *write_errors(int fd) {
        static const int file[] = { ENOSPC, EDQUOT, EIO, EINTR, ONE_BYTE, 0 };
        static const int stream[] = { EPIPE, ECONNRESET, ENOBUFS, EINTR, ONE_BYTE, 0 };
        static const int stream_at_once[] = { EAGAIN, EPIPE, ECONNRESET, ENOBUFS, ONE_BYTE, 0 };
        static const int datagram[] = { ECONNREFUSED, ENOBUFS, ENOMEM, EAGAIN, EINTR, 0 };
        static const int none[] = { 0 };

        switch (kind_of(fd)) {
        case KIND_FILE:
                return file;
        case KIND_STREAM:
                return blocks(fd) ? stream : stream_at_once;
        case KIND_DATAGRAM:
                return datagram;
        case KIND_EVENTS:
                break;
        }
        return none;
}

/* ---- reading and writing ---- */

/* How many bytes of size to go for; -1 with errno set: none, it fails. */
static ssize_t allowed(const char *function, const void *caller, const int *errors, size_t size) {
        int error = inject_call(function, caller, errors);

        if (error == ONE_BYTE)
                return size > 0;
        if (error)
                errno = error;
        return error ? -1 : (ssize_t) size;
}

ssize_t read(int fd, void *buffer, size_t size) {
        ssize_t n = allowed("read", CALLER, read_errors(fd), size);

        return n < 0 ? -1 : INJECT_NEXT(read)(fd, buffer, (size_t) n);
}

ssize_t recv(int fd, void *buffer, size_t size, int flags) {
        ssize_t n = allowed("recv", CALLER, read_errors(fd), size);

        return n < 0 ? -1 : INJECT_NEXT(recv)(fd, buffer, (size_t) n, flags);
}

ssize_t write(int fd, const void *data, size_t size) {
        ssize_t n = allowed("write", CALLER, write_errors(fd), size);

        return n < 0 ? -1 : INJECT_NEXT(write)(fd, data, (size_t) n);
}

ssize_t send(int fd, const void *data, size_t size, int flags) {
        ssize_t n = allowed("send", CALLER, write_errors(fd), size);

        return n < 0 ? -1 : INJECT_NEXT(send)(fd, data, (size_t) n, flags);
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *address,
               socklen_t address_size) {
        ssize_t n = allowed("sendto", CALLER, write_errors(fd), size);

        return n < 0 ? -1 : INJECT_NEXT(sendto)(fd, data, (size_t) n, flags, address, address_size);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
        if (fails("sendmsg", CALLER, kind_of(fd) == KIND_DATAGRAM ? write_errors(fd) : ERRORS(EPIPE)))
                return -1;
        return INJECT_NEXT(sendmsg)(fd, message, flags);
}

/* It is gone whatever close(2) says. */
int close(int fd) {
        int error = kind_of(fd) == KIND_FILE ? inject_call("close", CALLER, ERRORS(EIO, ENOSPC, EINTR)) : 0;
        int r = INJECT_NEXT(close)(fd);

        if (error == 0)
                return r;
        errno = error;
        return -1;
}

/* ---- files ---- */

#define OPEN(function)                                                                                  \
        int function(const char *path, int flags, ...) {                                                \
                va_list arguments;                                                                      \
                mode_t mode;                                                                            \
                                                                                                        \
                va_start(arguments, flags);                                                             \
                mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;                   \
                va_end(arguments);                                                                      \
                if (fails(#function, CALLER, flags & O_CREAT ? ERRORS(NEW_DESCRIPTOR, EACCES, EIO, ENOSPC, EROFS) \
                                                     : ERRORS(NEW_DESCRIPTOR, EACCES, EIO)))            \
                        return -1;                                                                      \
                return INJECT_NEXT(function)(path, flags, mode);                                               \
        }

OPEN(open)
OPEN(open64)

#define FOPEN(function)                                                                                 \
        FILE *function(const char *path, const char *mode) {                                            \
                if (fails(#function, CALLER, ERRORS(NEW_DESCRIPTOR, EACCES)))                                   \
                        return NULL;                                                                    \
                return INJECT_NEXT(function)(path, mode);                                                      \
        }

FOPEN(fopen)
FOPEN(fopen64)

DIR *opendir(const char *path) {
        return fails("opendir", CALLER, ERRORS(NEW_DESCRIPTOR, EACCES)) ? NULL : INJECT_NEXT(opendir)(path);
}

char *getcwd(char *buffer, size_t size) {
        return fails("getcwd", CALLER, ERRORS(ENOENT, EACCES)) ? NULL : INJECT_NEXT(getcwd)(buffer, size);
}

FAILING(int, rename, (const char *from, const char *to), (from, to), ENOSPC, EACCES, EIO, EROFS)
FAILING(int, unlink, (const char *path), (path), EACCES, EIO, EROFS)
FAILING(int, mkdir, (const char *path, mode_t mode), (path, mode), ENOSPC, EACCES, EROFS, EIO)
FAILING(int, chmod, (const char *path, mode_t mode), (path, mode), EPERM, EROFS, EIO)
FAILING(int, fchmod, (int fd, mode_t mode), (fd, mode), EPERM, EROFS, EIO)
FAILING(int, ftruncate, (int fd, off_t size), (fd, size), EIO, EINTR)
FAILING(int, ftruncate64, (int fd, off64_t size), (fd, size), EIO, EINTR)
FAILING(int, fdatasync, (int fd), (fd), EIO, ENOSPC, EDQUOT, EINTR)
FAILING(int, futimens, (int fd, const struct timespec times[2]), (fd, times), EACCES, EROFS)
FAILING(int, access, (const char *path, int mode), (path, mode), EACCES, EIO, ENOMEM)
FAILING(int, fstat, (int fd, struct stat *st), (fd, st), EIO, ENOMEM)
FAILING(int, fstat64, (int fd, struct stat64 *st), (fd, st), EIO, ENOMEM)
FAILING(int, stat, (const char *path, struct stat *st), (path, st), EACCES, EIO, ENOMEM)
FAILING(int, stat64, (const char *path, struct stat64 *st), (path, st), EACCES, EIO, ENOMEM)
FAILING(int, lstat, (const char *path, struct stat *st), (path, st), EACCES, EIO, ENOMEM)
FAILING(int, lstat64, (const char *path, struct stat64 *st), (path, st), EACCES, EIO, ENOMEM)

/* Locks can fail in many ways; the rest only by a filter of system calls, or for want of descriptors. */
static const int *fcntl_errors(int command) {
        static const int lock[] = { EAGAIN, ENOLCK, EIO, EINTR, 0 };
        static const int duplicate[] = { EMFILE, 0 };
        static const int other[] = { EPERM, 0 };

        switch (command) {
        case F_SETLK:
        case F_OFD_SETLK:
        case F_OFD_GETLK:
                return lock;
        case F_DUPFD:
        case F_DUPFD_CLOEXEC:
                return duplicate;
        default:
                return other;
        }
}

#define FCNTL(function)                                                                                 \
        int function(int fd, int command, ...) {                                                        \
                va_list arguments;                                                                      \
                void *argument;                                                                         \
                                                                                                        \
                va_start(arguments, command);                                                           \
                argument = va_arg(arguments, void *);                                                   \
                va_end(arguments);                                                                      \
                if (fails(#function, CALLER, fcntl_errors(command)))                                            \
                        return -1;                                                                      \
                return INJECT_NEXT(function)(fd, command, argument);                                           \
        }

FCNTL(fcntl)
FCNTL(fcntl64)

/* ---- sockets ---- */

FAILING(int, socket, (int domain, int type, int protocol), (domain, type, protocol), NEW_DESCRIPTOR, ENOBUFS,
        EAFNOSUPPORT, EACCES)
FAILING(int, socketpair, (int domain, int type, int protocol, int fds[2]), (domain, type, protocol, fds),
        NEW_DESCRIPTOR, EAFNOSUPPORT)
FAILING(int, connect, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size), ECONNREFUSED,
        ENETUNREACH, EADDRNOTAVAIL, ETIMEDOUT, EACCES, EAGAIN)
FAILING(int, getsockname, (int fd, struct sockaddr *address, socklen_t *size), (fd, address, size), ENOBUFS)
FAILING(int, getpeername, (int fd, struct sockaddr *address, socklen_t *size), (fd, address, size), ENOBUFS, ENOTCONN)
FAILING(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *size), (fd, level, name, value, size),
        ENOMEM)
FAILING(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t size),
        (fd, level, name, value, size), ENOMEM, ENOBUFS)

/* No errno but a code of its own, and EAI_SYSTEM beside an errno. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret_info) {
        static const int errors[] = { ENOMEM, EAGAIN, EMFILE, 0 };

        switch (inject_call("getaddrinfo", CALLER, errors)) {
        case ENOMEM:
                return EAI_MEMORY;
        case EAGAIN:
                return EAI_AGAIN;
        case EMFILE:
                errno = EMFILE;
                return EAI_SYSTEM;
        default:
                return INJECT_NEXT(getaddrinfo)(node, service, hints, ret_info);
        }
}

/* ---- events, waits, clocks, threads, chance ---- */

FAILING(int, eventfd, (unsigned value, int flags), (value, flags), NEW_DESCRIPTOR)
FAILING(int, timerfd_create, (clockid_t clock, int flags), (clock, flags), NEW_DESCRIPTOR, EPERM)
FAILING(int, timerfd_settime, (int fd, int flags, const struct itimerspec *new, struct itimerspec *old),
        (fd, flags, new, old), EPERM)
FAILING(int, signalfd, (int fd, const sigset_t *mask, int flags), (fd, mask, flags), NEW_DESCRIPTOR)
FAILING(int, epoll_create1, (int flags), (flags), NEW_DESCRIPTOR)
FAILING(int, epoll_ctl, (int fd, int operation, int target, struct epoll_event *event), (fd, operation, target, event),
        ENOMEM, ENOSPC)
FAILING(int, epoll_wait, (int fd, struct epoll_event *events, int size, int timeout), (fd, events, size, timeout),
        EINTR)
FAILING(int, inotify_init1, (int flags), (flags), NEW_DESCRIPTOR)
FAILING(int, inotify_add_watch, (int fd, const char *path, uint32_t mask), (fd, path, mask), ENOSPC, ENOMEM, EACCES)
FAILING(int, memfd_create, (const char *name, unsigned flags), (name, flags), NEW_DESCRIPTOR)
FAILING(int, pipe2, (int fds[2], int flags), (fds, flags), NEW_DESCRIPTOR)
FAILING(int, poll, (struct pollfd *fds, nfds_t n, int timeout), (fds, n, timeout), EINTR, ENOMEM)
FAILING(int, ppoll, (struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask),
        (fds, n, timeout, mask), EINTR, ENOMEM)
FAILING(ssize_t, getrandom, (void *buffer, size_t size, unsigned flags), (buffer, size, flags), EAGAIN, ENOSYS)

/* By a kernel that does not know the clock, or a filter of system calls. */
int clock_gettime(clockid_t clock, struct timespec *time) {
        if (!inject_is_by_libsystemd(CALLER) && fails("clock_gettime", CALLER, ERRORS(EINVAL, EPERM)))
                return -1;
        return INJECT_NEXT(clock_gettime)(clock, time);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
        int error = inject_call("pthread_create", CALLER, ERRORS(EAGAIN, EPERM));

        return error ?: INJECT_NEXT(pthread_create)(thread, attributes, run, argument);
}
