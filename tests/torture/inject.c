/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Counting, the plan, and who asks: see the header.
 *
 * Who asks is told by the address that a call returns to. Where that is libc's
 * (strdup, vasprintf, fopen), the caller is the first beyond it on the stack.
 * Unwinding may allocate itself, which is passed through.
 */

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "inject.h"

#define FRAMES 24

struct range {
        uintptr_t begin, end;
};

static struct range json_c, libc, libsystemd;
static struct inject_record own_record;
struct inject_record *inject_record = &own_record;

static struct inject_plan plan;
static atomic_bool armed;
static char lasting[24];                /* the function whose calls fail from now on */
static int lasting_error;
static _Thread_local bool inside;

static bool is_in(const struct range *range, const void *address) {
        return (uintptr_t) address >= range->begin && (uintptr_t) address < range->end;
}

static int find_library(struct dl_phdr_info *info, size_t size, void *user) {
        struct range *range = strstr(info->dlpi_name, "/libjson-c.so")  ? &json_c
                            : strstr(info->dlpi_name, "/libsystemd.so") ? &libsystemd
                            : strstr(info->dlpi_name, "/libc.so")       ? &libc
                                                                        : NULL;

        (void) size, (void) user;
        for (int i = 0; range && i < info->dlpi_phnum; i++) {
                const ElfW(Phdr) *header = &info->dlpi_phdr[i];

                if (header->p_type == PT_LOAD && (header->p_flags & PF_X))
                        *range = (struct range) { info->dlpi_addr + header->p_vaddr,
                                                  info->dlpi_addr + header->p_vaddr + header->p_memsz };
        }
        return 0;
}

static bool is_asked_by_json_c(const void *caller) {
        void *frames[FRAMES];
        bool in_libc = false;
        int n;

        if (!is_in(&libc, caller))
                return is_in(&json_c, caller);

        /* From the frame in libc that asks to the first that is none of libc's. */
        n = backtrace(frames, FRAMES);
        for (int i = 0; i < n; i++) {
                if (is_in(&libc, frames[i]))
                        in_libc = true;
                else if (in_libc)
                        return is_in(&json_c, frames[i]);
        }
        return false;
}

bool inject_is_by_libsystemd(const void *caller) {
        return is_in(&libsystemd, caller);
}

void inject_arm(const struct inject_plan *wanted) {
        if (!libc.end)
                (void) dl_iterate_phdr(find_library, NULL);

        memset(inject_record, 0, sizeof *inject_record);
        plan = *wanted;
        lasting[0] = '\0';
        atomic_store(&armed, true);
}

void inject_disarm(void) {
        atomic_store(&armed, false);
}

static void note_failure(const char *function, int error) {
        if (__atomic_fetch_add(&inject_record->injected, 1, __ATOMIC_RELAXED) > 0)
                return;
        if (error == 0)
                snprintf(inject_record->failed, sizeof inject_record->failed, "%s", function);
        else if (error < 0)
                snprintf(inject_record->failed, sizeof inject_record->failed, "%s: only one byte", function);
        else
                snprintf(inject_record->failed, sizeof inject_record->failed, "%s: %s", function,
                         strerrordesc_np(error));
}

bool inject_memory(const char *function, const void *caller) {
        bool by_json_c, fails;
        uint32_t n;

        if (!atomic_load(&armed) || inside)
                return false;

        inside = true;
        by_json_c = is_asked_by_json_c(caller);
        n = __atomic_add_fetch(by_json_c ? &inject_record->left_out : &inject_record->allocations, 1, __ATOMIC_RELAXED);
        if (!by_json_c)
                inject_note_place(INJECT_MEMORY, n, caller);
        fails = plan.what == (by_json_c ? INJECT_JSON_C : INJECT_MEMORY) && (n == plan.n || (plan.on && n > plan.n));
        if (fails)
                note_failure(function, 0);
        inside = false;
        return fails;
}

/* The number of the function's name in the record. Two threads may enter one name twice, which is harmless. */
static uint8_t name_number(const char *function) {
        for (uint8_t i = 0; i < INJECT_NAMES; i++) {
                if (!inject_record->names[i][0])
                        snprintf(inject_record->names[i], sizeof inject_record->names[i], "%s", function);
                if (strcmp(inject_record->names[i], function) == 0)
                        return i;
        }
        abort();
}

/*
 * An interruption comes once, and what poll(2) finds ready does not stay unready: a caller
 * that tries again at once is right, and would do so for ever. And a clock that went does
 * not stop.
 */
static bool can_last(const char *function, int error) {
        static const char *const transfers[] = { "read", "recv", "write", "send" };

        for (size_t i = 0; i < sizeof transfers / sizeof transfers[0] && error == EAGAIN; i++)
                if (strcmp(function, transfers[i]) == 0)
                        return false;
        return error != EINTR && strcmp(function, "clock_gettime") != 0;
}

static int choose_error(const char *function, const int *errors, uint32_t n, uint8_t n_errors) {
        if (plan.what != INJECT_CALL)
                return 0;
        if (lasting[0])
                return strcmp(function, lasting) == 0 && n_errors > 0 ? lasting_error : 0;
        if (n != plan.n || plan.error >= n_errors)
                return 0;
        if (plan.on) {
                if (!can_last(function, errors[plan.error]))
                        return 0;
                lasting_error = errors[plan.error];
                snprintf(lasting, sizeof lasting, "%s", function);
        }
        return errors[plan.error];
}

int inject_call(const char *function, const void *caller, const int *errors) {
        uint8_t n_errors = 0;
        int error;
        uint32_t n;

        if (!atomic_load(&armed) || inside)
                return 0;

        inside = true;
        while (errors[n_errors])
                n_errors++;
        n = __atomic_add_fetch(&inject_record->calls, 1, __ATOMIC_RELAXED);
        if (n <= INJECT_TRACE) {
                inject_record->trace[n - 1].name = name_number(function);
                inject_record->trace[n - 1].errors = n_errors;
        }
        inject_note_place(INJECT_CALL, n, caller);
        error = choose_error(function, errors, n, n_errors);
        if (error)
                note_failure(function, error);
        inside = false;
        return error;
}

/* ---- from outside ---- */

static void map_record(const char *path) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        void *memory = MAP_FAILED;

        if (fd >= 0 && ftruncate(fd, sizeof *inject_record) == 0)
                memory = mmap(NULL, sizeof *inject_record, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (memory == MAP_FAILED) {
                perror(path);
                abort();
        }
        close(fd);
        inject_record = memory;
}

__attribute__((constructor)) static void begin(void) {
        const char *path = getenv("TORTURE_RECORD"), *text = getenv("TORTURE_PLAN"), *places = getenv("TORTURE_PLACES");
        struct inject_plan from_outside = {};
        char what[8] = "", on[4] = "";

        if (!path || !text)
                return;
        if (sscanf(text, "%7[a-z],%u,%u,%3s", what, &from_outside.n, &from_outside.error, on) < 1)
                abort();
        from_outside.what = strcmp(what, "memory") == 0 ? INJECT_MEMORY
                          : strcmp(what, "call") == 0   ? INJECT_CALL
                                                        : INJECT_NOTHING;
        from_outside.on = on[0];
        map_record(path);
        if (places)
                inject_map_places(places);
        inject_arm(&from_outside);
}
