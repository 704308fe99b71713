/* Stands between a program and the C library: fails system calls on files below a directory while a
 * file says so, and writes down what was done.
 *
 *   FAULT_DIRECTORY  the directory; what is elsewhere is left alone
 *   FAULT_SWITCH     a file with words such as `sync=5`: `sync`, `write` and `open` (for writing)
 *                    fail with this errno; `clock=-3600` steps the wall clock by so many seconds
 *   FAULT_LOG        gets a line for each open, close, sync and failure: `what descriptor path`
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int is_ours(const char *path) {
    const char *directory = getenv("FAULT_DIRECTORY");
    return directory && path && strncmp(path, directory, strlen(directory)) == 0;
}

static int path_of(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, size - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_ours(path);
}

/* The errno with which `what` fails at present; 0 if it does not. */
static int fault(const char *what) {
    char text[256];
    const char *file = getenv("FAULT_SWITCH");
    if (!file) return 0;
    int fd = syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return 0;
    ssize_t length = syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    if (length <= 0) return 0;
    text[length] = 0;
    const char *found = strstr(text, what);
    return found && found[strlen(what)] == '=' ? atoi(found + strlen(what) + 1) : 0;
}

static void note(const char *what, int fd, const char *path) {
    char line[4352];
    const char *file = getenv("FAULT_LOG");
    if (!file) return;
    int log = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (log < 0) return;
    int length = snprintf(line, sizeof line, "%s %d %s\n", what, fd, path);
    (void)!syscall(SYS_write, log, line, (size_t)length);
    syscall(SYS_close, log);
}

/* Whether the call on `fd` is to fail; then errno says how. */
static int fails(const char *what, const char *failed, int fd) {
    char path[4096];
    int before = errno;
    if (path_of(fd, path, sizeof path)) {
        int error = fault(what);
        if (error) {
            note(failed, fd, path);
            errno = error;
            return 1;
        }
    }
    errno = before;
    return 0;
}

static int synced(long number, int fd) {
    char path[4096];
    if (fails("sync", "sync-failed", fd)) return -1;
    int result = syscall(number, fd);
    int error = errno;
    if (path_of(fd, path, sizeof path)) note(result == 0 ? "sync" : "sync-failed", fd, path);
    errno = error;
    return result;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    int before = errno;
    if (result == 0 && clock == CLOCK_REALTIME) now->tv_sec += fault("clock");
    errno = before;
    return result;
}

int fsync(int fd) { return synced(SYS_fsync, fd); }

int fdatasync(int fd) { return synced(SYS_fdatasync, fd); }

ssize_t write(int fd, const void *bytes, size_t size) {
    if (fails("write", "write-failed", fd)) return -1;
    return syscall(SYS_write, fd, bytes, size);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset) {
    if (fails("write", "write-failed", fd)) return -1;
    return syscall(SYS_pwrite64, fd, bytes, size, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) {
    return pwrite64(fd, bytes, size, offset);
}

int ftruncate64(int fd, off64_t size) {
    if (fails("write", "write-failed", fd)) return -1;
    return syscall(SYS_ftruncate, fd, size);
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int opened(int directory, const char *path, int flags, mode_t mode) {
    int writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT);
    if (writes && is_ours(path)) {
        int error = fault("open");
        if (error) {
            note("open-failed", -1, path);
            errno = error;
            return -1;
        }
    }
    int fd = syscall(SYS_openat, directory, path, flags, mode);
    int error = errno;
    if (fd >= 0 && is_ours(path)) note("open", fd, path);
    errno = error;
    return fd;
}

#define MODE(flags)                                                                                \
    mode_t mode = 0;                                                                               \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                         \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode = va_arg(arguments, mode_t);                                                          \
        va_end(arguments);                                                                         \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return opened(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags)
    return opened(AT_FDCWD, path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...) {
    MODE(flags)
    return opened(directory, path, flags, mode);
}

int openat64(int directory, const char *path, int flags, ...) {
    MODE(flags)
    return opened(directory, path, flags, mode);
}

int close(int fd) {
    char path[4096];
    int before = errno;
    if (path_of(fd, path, sizeof path)) note("close", fd, path);
    errno = before;
    return syscall(SYS_close, fd);
}
