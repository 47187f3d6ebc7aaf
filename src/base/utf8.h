/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* UTF-8 by the table of RFC 3629, and which characters are never shown as they are. */

#include "base/util.h"

/*
 * The character that some bytes start with. Returns its length in bytes, or 0
 * when they are none: overlong forms, surrogates, anything above U+10FFFF, cut
 * sequences. A NUL-terminated string may be given with SIZE_MAX: the NUL is no
 * continuation byte, so that nothing behind it is read.
 */
size_t utf8_decode(const char *bytes, size_t size, uint32_t *ret_code);

/*
 * How many bytes of a string are shown where at most max may be: never a part of
 * a character. Nothing behind max + 1 bytes is read.
 */
size_t utf8_cut(const char *string, size_t max);

/*
 * Whether a character is never shown as it is: terminals obey the control
 * characters of both sets, viewers break lines at the separators, and the others
 * are invisible and reorder or hide the text around them.
 */
bool utf8_is_dangerous(uint32_t code);
