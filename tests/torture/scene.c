/* SPDX-License-Identifier: Apache-2.0 */

/* The folder and the streams of an operation's process: see torture.h. */

#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/mman.h>

#include "torture.h"

static char folder[64];

static int remove_one(const char *path, const struct stat *st _unused_, int type _unused_, struct FTW *where) {
        return where->level > 0 ? remove(path) : 0;
}

static void remove_folder(void) {
        torture_clear();
        (void) rmdir(folder);
}

static void make_folder(void) {
        /* In memory where that is to be had: thousands of files are to be made and to be synced. */
        strcpy(folder, access("/dev/shm", W_OK) == 0 ? "/dev/shm/torture-XXXXXX" : "/tmp/torture-XXXXXX");
        if (!mkdtemp(folder) || atexit(remove_folder) != 0) {
                perror(folder);
                exit(EXIT_FAILURE);
        }
}

const char *torture_path(const char *name) {
        static char paths[4][128];
        static unsigned next;
        char *path = paths[next++ % ELEMENTSOF(paths)];

        if (!folder[0])
                make_folder();
        snprintf(path, sizeof paths[0], "%s%s%s", folder, *name ? "/" : "", name);
        return path;
}

void torture_clear(void) {
        if (folder[0])
                (void) nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Of the two streams: where it went before, and where it goes; -1: nowhere else. */
static int before[3] = { -1, -1, -1 }, memory[3] = { -1, -1, -1 };
static char taken[3][1 << 16];

void torture_take(int stream) {
        fflush(stdout);
        before[stream] = fcntl(stream, F_DUPFD_CLOEXEC, 3);
        memory[stream] = memfd_create("stream", MFD_CLOEXEC);
        if (before[stream] < 0 || memory[stream] < 0 || dup2(memory[stream], stream) < 0)
                abort();
}

const char *torture_taken(int stream) {
        ssize_t n;

        fflush(stdout);
        n = pread(memory[stream], taken[stream], sizeof taken[stream] - 1, 0);
        taken[stream][n > 0 ? n : 0] = '\0';
        (void) dup2(before[stream], stream);
        close(before[stream]);
        close(memory[stream]);
        before[stream] = memory[stream] = -1;
        return taken[stream];
}
