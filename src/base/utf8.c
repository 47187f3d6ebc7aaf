/* SPDX-License-Identifier: Apache-2.0 */

/*
 * UTF-8, read with distrust. mbrtowc(3) would depend on the locale, and json-c's
 * own check takes overlong forms and surrogates.
 */

#include "base/utf8.h"

#include <string.h>

size_t utf8_decode(const char *bytes, size_t size, uint32_t *ret_code) {
        const unsigned char *s = (const unsigned char *) bytes;
        size_t length;
        uint32_t code, least;

        if (size == 0)
                return 0;

        if (s[0] < 0x80) {
                *ret_code = s[0];
                return 1;
        }

        if (s[0] >= 0xC2 && s[0] <= 0xDF) {
                length = 2;
                code = s[0] & 0x1F;
                least = 0x80;
        } else if (s[0] >= 0xE0 && s[0] <= 0xEF) {
                length = 3;
                code = s[0] & 0x0F;
                least = 0x800;
        } else if (s[0] >= 0xF0 && s[0] <= 0xF4) {
                length = 4;
                code = s[0] & 0x07;
                least = 0x10000;
        } else
                return 0;

        for (size_t i = 1; i < length; i++) {
                if (i == size || (s[i] & 0xC0) != 0x80)
                        return 0;
                code = code << 6 | (s[i] & 0x3F);
        }

        if (code < least || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
                return 0;

        *ret_code = code;
        return length;
}

size_t utf8_cut(const char *string, size_t max) {
        size_t size = strnlen(string, max);

        /* Back to the first byte of the character that the limit falls into: at most three. */
        for (unsigned i = 0; i < 3 && size > 0; i++, size--)
                if (((unsigned char) string[size] & 0xC0) != 0x80)
                        break;

        return size;
}

bool utf8_is_dangerous(uint32_t code) {
        static const struct {
                uint32_t first, last;
        } ranges[] = {
                { 0x0000,  0x001F  },   /* C0 */
                { 0x007F,  0x009F  },   /* DEL, C1 */
                { 0x061C,  0x061C  },   /* Arabic letter mark */
                { 0x200E,  0x200F  },   /* left-to-right and right-to-left mark */
                { 0x2028,  0x202E  },   /* line and paragraph separator, bidirectional overrides */
                { 0x2066,  0x206F  },   /* bidirectional isolates, deprecated format characters */
                { 0xFEFF,  0xFEFF  },   /* byte order mark */
                { 0xFFF9,  0xFFFB  },   /* interlinear annotation */
                { 0xE0000, 0xE007F },   /* tags */
        };

        for (size_t i = 0; i < ELEMENTSOF(ranges); i++)
                if (code >= ranges[i].first && code <= ranges[i].last)
                        return true;

        return false;
}
