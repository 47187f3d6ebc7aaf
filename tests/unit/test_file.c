/* SPDX-License-Identifier: Apache-2.0 */

/* base/file.h: files that are replaced whole, and read with distrust. */

#include "base/file.h"
#include "suite.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char folder[64], path[128], fresh[160];

/* In place of libc's, to see when it is called: with what in the new file and in the old one. */
static int sync_errno;
static unsigned n_syncs;
static off_t size_synced, size_before;

int fdatasync(int fd) {
        struct stat st;

        n_syncs++;
        ck_assert_int_eq(fstat(fd, &st), 0);
        size_synced = st.st_size;
        size_before = stat(path, &st) == 0 ? st.st_size : -1;
        errno = sync_errno;
        return sync_errno ? -1 : 0;
}

static void setup(void) {
        strcpy(folder, "/tmp/test-file-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(folder));
        snprintf(path, sizeof(path), "%s/file", folder);
        snprintf(fresh, sizeof(fresh), "%s.new", path);
        sync_errno = 0;
        n_syncs = 0;
}

/* Removes the folder with all that is in it; returns how many entries there were. */
static unsigned empty_folder(void) {
        _cleanup_(closedirp) DIR *dir = opendir(folder);
        unsigned n = 0;

        ck_assert_ptr_nonnull(dir);
        for (struct dirent *entry; (entry = readdir(dir));) {
                if (entry->d_name[0] == '.' && strspn(entry->d_name, ".") == strlen(entry->d_name))
                        continue;
                if (unlinkat(dirfd(dir), entry->d_name, 0) < 0)
                        ck_assert_int_eq(unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR), 0);
                n++;
        }
        return n;
}

static void teardown(void) {
        (void) empty_folder();
        ck_assert_int_eq(rmdir(folder), 0);
}

static void put(const char *data, size_t size) {
        ck_assert_int_eq(file_replace(path, data, size, 0644), 0);
}

START_TEST(replace_and_read) {
        char *data;
        size_t size;

        put("one", 3);
        put("t\0wo", 4);
        ck_assert_int_eq(file_read(path, 100, &data, &size), 0);
        ck_assert_uint_eq(size, 4);
        ck_assert_mem_eq(data, "t\0wo", 5);     /* with the NUL behind */
        free(data);

        ck_assert_uint_eq(empty_folder(), 1);   /* nothing but the file is left */
}
END_TEST

START_TEST(mode_whatever_the_umask) {
        static const mode_t modes[] = { 0644, 0600, 0640 };

        for (size_t i = 0; i < ELEMENTSOF(modes); i++) {
                struct stat st;
                mode_t before = umask(0077);

                ck_assert_int_eq(file_replace(path, "x", 1, modes[i]), 0);
                umask(before);
                ck_assert_int_eq(stat(path, &st), 0);
                ck_assert_uint_eq(st.st_mode & 07777, modes[i]);
        }
}
END_TEST

/* A symlink is replaced, not followed: what it points to stays as it is. */
START_TEST(replaces_a_symlink) {
        char target[128];
        struct stat st;

        snprintf(target, sizeof(target), "%s/target", folder);
        ck_assert_int_eq(file_replace(target, "precious", 8, 0644), 0);
        ck_assert_int_eq(symlink(target, path), 0);
        put("x", 1);
        ck_assert_int_eq(lstat(path, &st), 0);
        ck_assert(S_ISREG(st.st_mode));
        ck_assert_int_eq(stat(target, &st), 0);
        ck_assert_int_eq(st.st_size, 8);
}
END_TEST

START_TEST(failures_leave_nothing) {
        char missing[160];

        snprintf(missing, sizeof(missing), "%s/missing/file", folder);
        ck_assert_int_eq(file_replace(missing, "x", 1, 0644), -ENOENT);

        /* rename(2) onto a folder fails after the content was written */
        ck_assert_int_eq(mkdir(path, 0700), 0);
        ck_assert_int_eq(file_replace(path, "x", 1, 0644), -EISDIR);
        ck_assert_uint_eq(empty_folder(), 1);
}
END_TEST

/* What a killed writer left is taken away; what somebody prepared under that name is not written to. */
START_TEST(leftovers) {
        char target[128];
        struct stat st;

        ck_assert_int_eq(file_replace(fresh, "longer than what is written", 27, 0600), 0);
        put("one", 3);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_int_eq(st.st_size, 3);
        ck_assert_uint_eq(empty_folder(), 1);

        snprintf(target, sizeof(target), "%s/target", folder);
        ck_assert_int_eq(file_replace(target, "precious", 8, 0644), 0);
        ck_assert_int_eq(symlink(target, fresh), 0);
        put("one", 3);
        ck_assert_int_eq(lstat(path, &st), 0);
        ck_assert(S_ISREG(st.st_mode));
        ck_assert_int_eq(stat(target, &st), 0);
        ck_assert_int_eq(st.st_size, 8);
        ck_assert_uint_eq(empty_folder(), 2);

        ck_assert_int_eq(mkdir(fresh, 0700), 0);
        ck_assert_int_eq(file_replace(path, "x", 1, 0644), -EISDIR);
        ck_assert_uint_eq(empty_folder(), 1);
}
END_TEST

static int write_twice(int fd, const void *user) {
        const char *piece = user;
        int r = file_write(fd, piece, strlen(piece));

        return r < 0 ? r : file_write(fd, piece, strlen(piece));
}

static int write_and_fail(int fd, const void *user) {
        const char *piece = user;
        int r = file_write(fd, piece, strlen(piece));

        return r < 0 ? r : -EFBIG;
}

START_TEST(by_pieces) {
        struct stat st;

        ck_assert_int_eq(file_replace_by(path, 0644, FILE_VOLATILE, write_twice, "piece"), 0);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_int_eq(st.st_size, 10);

        /* The old one stays, and nothing else is left. */
        ck_assert_int_eq(file_replace_by(path, 0644, FILE_VOLATILE, write_and_fail, "x"), -EFBIG);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_int_eq(st.st_size, 10);
        ck_assert_uint_eq(empty_folder(), 1);
}
END_TEST

/* All of the new one is on the disk while the old one is still in its place. */
START_TEST(durable) {
        struct stat st;

        put("one", 3);
        ck_assert_uint_eq(n_syncs, 0);
        ck_assert_int_eq(file_replace_by(path, 0644, FILE_DURABLE, write_twice, "piece"), 0);
        ck_assert_uint_eq(n_syncs, 1);
        ck_assert_int_eq(size_synced, 10);
        ck_assert_int_eq(size_before, 3);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_int_eq(st.st_size, 10);

        sync_errno = EIO;
        ck_assert_int_eq(file_replace_by(path, 0644, FILE_DURABLE, write_twice, "x"), -EIO);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_int_eq(st.st_size, 10);
        ck_assert_uint_eq(empty_folder(), 1);
}
END_TEST

/* A reader beside a writer sees one of the two contents, whole, at all times. */
START_TEST(never_half) {
        enum { SIZE = 200000 };
        char *contents = malloc(SIZE);

        ck_assert_ptr_nonnull(contents);
        memset(contents, 'a', SIZE);
        put(contents, SIZE);

        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                for (unsigned i = 0; i < 300; i++) {
                        memset(contents, i % 2 ? 'a' : 'b', SIZE);
                        if (file_replace(path, contents, SIZE, 0644) < 0)
                                _exit(1);
                }
                _exit(0);
        }

        int status = 0;
        while (waitpid(pid, &status, WNOHANG) == 0) {
                char *data;
                size_t size;

                ck_assert_int_eq(file_read(path, SIZE, &data, &size), 0);
                ck_assert_uint_eq(size, SIZE);
                for (size_t i = 1; i < size; i++)
                        if (data[i] != data[0])
                                ck_abort_msg("half of one content, half of the other");
                free(data);
        }
        ck_assert_int_eq(status, 0);
        free(contents);
}
END_TEST

START_TEST(limits) {
        static const struct {
                size_t size, max;
                int expected;
        } rows[] = {
                { 0, 0, 0 },
                { 0, 100, 0 },
                { 1, 0, -EFBIG },
                { 100, 100, 0 },
                { 101, 100, -EFBIG },
                { 4096, 4096, 0 },
                { 70000, 1 << 20, 0 },
        };
        static char zeros[70000];

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                char *data = NULL;
                size_t size = 7;

                put(zeros, rows[i].size);
                ck_assert_int_eq(file_read(path, rows[i].max, &data, &size), rows[i].expected);
                if (rows[i].expected == 0)
                        ck_assert_uint_eq(size, rows[i].size);
                else
                        ck_assert(!data && size == 7);  /* untouched */
                free(data);
        }
}
END_TEST

/* Files of proc(5) say that they are empty: what counts is what is read. */
START_TEST(size_that_is_not_told) {
        char *data;
        size_t size;

        ck_assert_int_eq(file_read("/proc/self/status", 1 << 20, &data, &size), 0);
        ck_assert_uint_gt(size, 100);
        ck_assert_uint_eq(strlen(data), size);
        free(data);

        ck_assert_int_eq(file_read("/proc/self/status", 100, &data, &size), -EFBIG);
        ck_assert_int_eq(file_read("/proc/self/maps", 16 << 20, &data, &size), 0);
        ck_assert_uint_eq(strlen(data), size);
        free(data);
}
END_TEST

START_TEST(other_kinds) {
        char *data;
        size_t size;

        ck_assert_int_eq(file_read(path, 100, &data, &size), -ENOENT);
        ck_assert_int_eq(file_read(folder, 100, &data, &size), -EINVAL);
        ck_assert_int_eq(file_read("/dev/zero", 100, &data, &size), -EINVAL);

        /* nobody writes to it: a blocking open would end by the time-out of the test */
        ck_assert_int_eq(mkfifo(path, 0600), 0);
        ck_assert_int_eq(file_read(path, 100, &data, &size), -EINVAL);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("file");
        TCase *tcase = tcase_create("file");

        tcase_set_timeout(tcase, 60);
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, replace_and_read);
        tcase_add_test(tcase, mode_whatever_the_umask);
        tcase_add_test(tcase, replaces_a_symlink);
        tcase_add_test(tcase, failures_leave_nothing);
        tcase_add_test(tcase, leftovers);
        tcase_add_test(tcase, by_pieces);
        tcase_add_test(tcase, durable);
        tcase_add_test(tcase, never_half);
        tcase_add_test(tcase, limits);
        tcase_add_test(tcase, size_that_is_not_told);
        tcase_add_test(tcase, other_kinds);
        suite_add_tcase(suite, tcase);

        return suite_run(suite);
}
