/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Letters and digits of ASCII. isalpha(3), tolower(3) and strcasecmp(3) depend on the
 * locale: in a Turkish one "INFO" may not be "info".
 */

#include <stdbool.h>
#include <stddef.h>

static inline bool ascii_is_digit(char c) {
        return c >= '0' && c <= '9';
}

static inline bool ascii_is_lower(char c) {
        return c >= 'a' && c <= 'z';
}

static inline bool ascii_is_upper(char c) {
        return c >= 'A' && c <= 'Z';
}

static inline bool ascii_is_alphanumeric(char c) {
        return ascii_is_digit(c) || ascii_is_lower(c) || ascii_is_upper(c);
}

static inline char ascii_to_lower(char c) {
        return ascii_is_upper(c) ? (char) (c - 'A' + 'a') : c;
}

/* Whether the first size bytes are the same but for case; SIZE_MAX: all up to the NUL. */
static inline bool ascii_equal_any_case(const char *a, const char *b, size_t size) {
        for (size_t i = 0; i < size; i++) {
                if (ascii_to_lower(a[i]) != ascii_to_lower(b[i]))
                        return false;
                if (!a[i])
                        break;
        }
        return true;
}
