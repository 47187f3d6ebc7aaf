/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The watch for a file: its coming is noticed however its folders come to be, and what is no news
 * wakes nobody. Events of inotify(7) are there when the call that causes them returns, so
 * no test here waits for anything.
 */

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/file_watch.h"
#include "suite.h"

#define GOOD "{\"schema\": 1}"

static char folder[32];
static char path[256];

static void setup(void) {
        strcpy(folder, "/tmp/test-watch-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/state.json", folder);
}

/* Removes what a test may have left, from the deepest on. */
static void teardown(void) {
        static const char *const left[] = {
                "a/b/c/state.json", "a/b/c", "a/b", "a", "moved/b/c/state.json", "moved/b/c", "moved/b",
                "moved", "other.json", "state.json", "",
        };
        char name[300];

        for (size_t i = 0; i < ELEMENTSOF(left); i++) {
                snprintf(name, sizeof name, "%s/%s", folder, left[i]);
                if (unlink(name) < 0)
                        (void) rmdir(name);
        }
        ck_assert_int_lt(access(folder, F_OK), 0);
}

static void write_file(const char *name, const char *text, mode_t mode) {
        FILE *file = fopen(name, "we");

        ck_assert_ptr_nonnull(file);
        ck_assert_int_ge(fputs(text, file), 0);
        ck_assert_int_eq(fchmod(fileno(file), mode), 0);
        ck_assert_int_eq(fclose(file), 0);
}

static bool is_awake(const struct file_watch *watch) {
        return poll(&(struct pollfd) { .fd = file_watch_fd(watch), .events = POLLIN }, 1, 0) == 1;
}

static void set_deep_path(void) {
        snprintf(path, sizeof path, "%s/a/b/c/state.json", folder);
}

static void make_folders(const char *top) {
        char name[300];

        snprintf(name, sizeof name, "%s/%s", folder, top);
        ck_assert_int_eq(mkdir(name, 0700), 0);
        snprintf(name, sizeof name, "%s/%s/b", folder, top);
        ck_assert_int_eq(mkdir(name, 0700), 0);
        snprintf(name, sizeof name, "%s/%s/b/c", folder, top);
        ck_assert_int_eq(mkdir(name, 0700), 0);
}

/* Folders and file at one blow, before any event is read. */
START_TEST(test_watch_parents) {
        _cleanup_(file_watch_freep) struct file_watch *watch = NULL;

        set_deep_path();
        ck_assert_int_eq(file_watch_new(path, &watch), 0);
        ck_assert(!is_awake(watch));

        make_folders("a");
        ck_assert_int_eq(file_replace(path, GOOD, strlen(GOOD), 0600), 0);
        ck_assert(is_awake(watch));
        ck_assert(file_watch_drain(watch));
        ck_assert(!file_watch_drain(watch));
        ck_assert(!is_awake(watch));
}
END_TEST

/* Folder by folder, each event read before the next. */
START_TEST(test_watch_steps) {
        static const char *const levels[] = { "a", "a/b", "a/b/c" };
        _cleanup_(file_watch_freep) struct file_watch *watch = NULL;
        char name[300];

        set_deep_path();
        ck_assert_int_eq(file_watch_new(path, &watch), 0);
        for (size_t i = 0; i < ELEMENTSOF(levels); i++) {
                snprintf(name, sizeof name, "%s/%s", folder, levels[i]);
                ck_assert_int_eq(mkdir(name, 0700), 0);
                ck_assert(is_awake(watch));
                ck_assert(!file_watch_drain(watch));
        }
        write_file(path, GOOD, 0600);
        ck_assert(is_awake(watch));
        ck_assert(file_watch_drain(watch));
}
END_TEST

/* What is there at the start is known; what goes is no news; what comes back is. */
START_TEST(test_watch_file) {
        _cleanup_(file_watch_freep) struct file_watch *watch = NULL;
        char other[256];
        int fd;

        write_file(path, GOOD, 0600);
        ck_assert_int_eq(file_watch_new(path, &watch), 0);
        ck_assert(!file_watch_drain(watch));

        ck_assert_int_eq(unlink(path), 0);
        ck_assert(!file_watch_drain(watch));
        ck_assert_int_eq(file_replace(path, GOOD, strlen(GOOD), 0600), 0);
        ck_assert(file_watch_drain(watch));
        ck_assert_int_eq(file_replace(path, GOOD, strlen(GOOD), 0600), 0);
        ck_assert(file_watch_drain(watch));

        /* Another file of the folder wakes, and is found to be nothing. */
        snprintf(other, sizeof other, "%s/other.json", folder);
        write_file(other, GOOD, 0600);
        ck_assert(is_awake(watch));
        ck_assert(!file_watch_drain(watch));

        /* In place: truncated is nothing yet, written is. */
        fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        ck_assert(!file_watch_drain(watch));
        ck_assert_int_eq(write(fd, GOOD, strlen(GOOD)), (ssize_t) strlen(GOOD));
        ck_assert_int_eq(close(fd), 0);
        ck_assert(is_awake(watch));
        ck_assert(file_watch_drain(watch));
}
END_TEST

/* The way moved aside and built again; the old one is of no interest any more. */
START_TEST(test_watch_moved) {
        _cleanup_(file_watch_freep) struct file_watch *watch = NULL;
        char old[256], moved[256], file[300];

        set_deep_path();
        make_folders("a");
        ck_assert_int_eq(file_watch_new(path, &watch), 0);

        snprintf(old, sizeof old, "%s/a", folder);
        snprintf(moved, sizeof moved, "%s/moved", folder);
        snprintf(file, sizeof file, "%s/moved/b/c/state.json", folder);
        ck_assert_int_eq(rename(old, moved), 0);
        ck_assert(is_awake(watch));
        ck_assert(!file_watch_drain(watch));
        write_file(file, GOOD, 0600);
        ck_assert(!file_watch_drain(watch));
        ck_assert(!is_awake(watch));

        make_folders("a");
        ck_assert(!file_watch_drain(watch));
        write_file(path, GOOD, 0600);
        ck_assert(is_awake(watch));
        ck_assert(file_watch_drain(watch));
}
END_TEST

/* Once the file's folder is watched, what happens in those above wakes nobody. */
START_TEST(test_watch_quiet) {
        _cleanup_(file_watch_freep) struct file_watch *watch = NULL;
        char other[256];

        set_deep_path();
        make_folders("a");
        ck_assert_int_eq(file_watch_new(path, &watch), 0);
        snprintf(other, sizeof other, "%s/other.json", folder);
        write_file(other, GOOD, 0600);
        ck_assert(!is_awake(watch));
}
END_TEST

START_TEST(test_watch_overflow) {
        _cleanup_(file_watch_freep) struct file_watch *watch = NULL;
        char other[256];
        bool changed = false;

        ck_assert_int_eq(file_watch_new(path, &watch), 0);
        snprintf(other, sizeof other, "%s/other.json", folder);
        for (unsigned i = 0; i < 20000; i++) {
                write_file(other, "x", 0600);
                ck_assert_int_eq(unlink(other), 0);
        }
        write_file(path, GOOD, 0600);
        for (unsigned i = 0; i < 1000 && is_awake(watch); i++)
                changed = file_watch_drain(watch) || changed;
        ck_assert(changed);
        ck_assert(!is_awake(watch));
}
END_TEST

START_TEST(test_watch_relative) {
        _cleanup_(file_watch_freep) struct file_watch *watch = NULL;

        ck_assert_int_eq(chdir(folder), 0);
        ck_assert_int_eq(file_watch_new("state.json", &watch), 0);
        write_file("state.json", GOOD, 0600);
        ck_assert(file_watch_drain(watch));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("file watch");
        TCase *tcase = tcase_create("file watch");

        tcase_set_timeout(tcase, 60);
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, test_watch_parents);
        tcase_add_test(tcase, test_watch_steps);
        tcase_add_test(tcase, test_watch_file);
        tcase_add_test(tcase, test_watch_moved);
        tcase_add_test(tcase, test_watch_quiet);
        tcase_add_test(tcase, test_watch_overflow);
        tcase_add_test(tcase, test_watch_relative);
        suite_add_tcase(suite, tcase);

        return suite_run(suite);
}
