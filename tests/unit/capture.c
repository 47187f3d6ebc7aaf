/* SPDX-License-Identifier: Apache-2.0 */

/* The log of a test: see the header. */

#include <check.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "capture.h"
#include "report/log.h"

static int real_stderr = -1;
static char *logged;

void capture_begin(void) {
        _cleanup_(closep) int fd = memfd_create("log", MFD_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        real_stderr = dup(STDERR_FILENO);
        ck_assert_int_ge(real_stderr, 0);
        ck_assert_int_ge(dup2(fd, STDERR_FILENO), 0);
        log_init(LEVEL_INFO, LOG_FORMAT_TEXT);
}

void capture_end(void) {
        (void) dup2(real_stderr, STDERR_FILENO);
        closep(&real_stderr);
        real_stderr = -1;
        free(STEAL(logged));
}

const char *capture_text(void) {
        struct stat st;

        ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
        free(logged);
        logged = calloc(1, (size_t) st.st_size + 1);
        ck_assert_ptr_nonnull(logged);
        ck_assert_int_eq(pread(STDERR_FILENO, logged, (size_t) st.st_size, 0), st.st_size);
        return logged;
}

void capture_forget(void) {
        ck_assert_int_eq(ftruncate(STDERR_FILENO, 0), 0);
        ck_assert_int_eq(lseek(STDERR_FILENO, 0, SEEK_SET), 0);
}

void capture_expect(const char *text) {
        ck_assert_str_eq(capture_text(), text);
        capture_forget();
}

void capture_expect_end(const char *text) {
        const char *all = capture_text();
        size_t size = strlen(all), wanted = strlen(text);

        ck_assert_str_eq(size > wanted ? all + size - wanted : all, text);
        capture_forget();
}

unsigned capture_count(const char *string) {
        unsigned n = 0;

        for (const char *at = capture_text(); (at = strstr(at, string)); at += strlen(string))
                n++;
        return n;
}
