/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Text for eyes
 *
 * Names, descriptions and errors come from outside, and a terminal obeys what it
 * is sent. So there is one way to it, character_at(), which says of each
 * character how many columns it takes and whether it may be shown as it is; what
 * may not becomes U+FFFD, one column wide, in measuring and in writing alike.
 * Two functions that disagreed would be a table that is not aligned.
 *
 * The columns are the C library's (wcwidth(3)), in a locale of our own: what the
 * user's is does not change what a terminal does with UTF-8. It is taken up and
 * put back around each question, so that nothing else in the process sees it.
 *
 * Used by the main thread of a command only, like all of command/.
 */

#include "command/terminal.h"

#include <locale.h>
#include <string.h>
#include <sys/ioctl.h>
#include <wchar.h>

#include "base/utf8.h"
#include "report/log.h"

/* What a terminal that does not tell its width is taken for: a serial line, `script`. */
#define WIDTH_UNKNOWN 80

#define REPLACEMENT "\xEF\xBF\xBD"      /* U+FFFD */
#define ELLIPSIS "…"

struct terminal terminal_of(int fd) {
        struct terminal terminal = { .fd = fd, .is_terminal = isatty(fd) };

        if (terminal.is_terminal) {
                const char *term = getenv("TERM");

                terminal.dumb = !term || strcmp(term, "dumb") == 0;
                terminal.colour = log_wants_colour(fd);
                terminal.width = WIDTH_UNKNOWN;
                terminal_update_width(&terminal);
        }

        return terminal;
}

void terminal_update_width(struct terminal *terminal) {
        struct winsize size;

        if (ioctl(terminal->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
                terminal->width = size.ws_col;
}

static const char *sequence_of(enum style style) {
        switch (style) {
        case STYLE_NONE:
                return "";
        case STYLE_BOLD:
                return "\033[1m";
        case STYLE_DIM:
                return "\033[2m";
        case STYLE_GOOD:
                return "\033[32m";
        case STYLE_WARNING:
                return "\033[33m";
        case STYLE_BAD:
                return "\033[31m";
        }

        return "";
}

void text_begin_style(struct text *text, bool colour, enum style style) {
        if (colour)
                text_add(text, sequence_of(style));
}

void text_end_style(struct text *text, bool colour, enum style style) {
        if (colour && style != STYLE_NONE)
                text_add(text, "\033[0m");
}

/* Opened once, kept for good. NULL where the system has no such locale: a bare container. */
static locale_t utf8_locale(void) {
        static locale_t locale;
        static bool asked;

        if (!asked)
                locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t) 0);
        asked = true;
        return locale;
}

static size_t width_of(uint32_t code) {
        locale_t locale = utf8_locale(), before;
        int width;

        if (!locale)
                return 1;

        before = uselocale(locale);
        width = wcwidth((wchar_t) code);
        (void) uselocale(before);

        /* Younger than this C library, as most such are wide: a terminal that knows it must not overflow. */
        return width < 0 ? 2 : (size_t) width;
}

/* The character that a string, which is not empty, begins with. Returns how many bytes stand for it. */
static size_t character_at(const char *string, size_t *ret_width, bool *ret_harmless) {
        uint32_t code;
        size_t length;

        *ret_width = 1;
        *ret_harmless = true;
        if (*string >= ' ' && *string <= '~')
                return 1;

        length = utf8_decode(string, SIZE_MAX, &code);
        *ret_harmless = length > 0 && !utf8_is_dangerous(code);
        if (*ret_harmless)
                *ret_width = width_of(code);
        return length > 0 ? length : 1;
}

/* Appends so many bytes of a string, which end with a whole character. */
static void add_harmless(struct text *text, const char *string, size_t size) {
        const char *end = string + size, *pending = string;

        while (string < end) {
                size_t width, length;
                bool harmless;

                length = character_at(string, &width, &harmless);
                if (!harmless) {
                        text_add_bytes(text, pending, (size_t) (string - pending));
                        text_add(text, REPLACEMENT);
                        pending = string + length;
                }
                string += length;
        }
        text_add_bytes(text, pending, (size_t) (end - pending));
}

void text_add_styled(struct text *text, bool colour, enum style style, const char *string) {
        text_begin_style(text, colour, style);
        add_harmless(text, string, strlen(string));
        text_end_style(text, colour, style);
}

size_t display_width(const char *string) {
        size_t sum = 0;

        while (*string) {
                size_t width;
                bool harmless;

                string += character_at(string, &width, &harmless);
                sum += width;
        }

        return sum;
}

size_t text_add_cut(struct text *text, const char *string, size_t columns) {
        size_t sum = 0, size = 0, cut_size = 0, cut_width = 0;

        while (string[size] && sum <= columns) {
                size_t width;
                bool harmless;

                size += character_at(string + size, &width, &harmless);
                sum += width;
                /* With a column left for the ellipsis; combining characters add none, and stay with their base. */
                if (sum < columns) {
                        cut_size = size;
                        cut_width = sum;
                }
        }

        if (sum <= columns) {
                add_harmless(text, string, size);
                return sum;
        }
        if (columns == 0)
                return 0;

        add_harmless(text, string, cut_size);
        text_add(text, ELLIPSIS);
        return cut_width + 1;
}

/* Of the word that a string begins with; of a longer one than most, something more than that. */
static size_t word_width(const char *string, size_t most) {
        size_t sum = 0;

        while (*string && *string != ' ' && sum <= most) {
                size_t width;
                bool harmless;

                string += character_at(string, &width, &harmless);
                sum += width;
        }

        return sum;
}

const char *text_add_wrapped(struct text *text, const char *string, size_t columns) {
        size_t sum = 0, size = 0, end = 0, blank = 0;

        while (string[size] && sum <= columns) {
                size_t width;
                bool harmless;

                if (string[size] == ' ')
                        blank = size;
                size += character_at(string + size, &width, &harmless);
                sum += width;
                if (sum <= columns)
                        end = size;
        }

        if (sum > columns) {
                /* Nothing but blanks could be left of the line. */
                if (*string == ' ')
                        return text_add_wrapped(text, string + strspn(string, " "), columns);
                if (blank > 0 && word_width(string + blank + 1, columns) <= columns)
                        end = blank;
                while (end > 0 && string[end - 1] == ' ')
                        end--;
        }
        add_harmless(text, string, end);
        return string + end + strspn(string + end, " ");
}

enum style style_of_status(const char *status) {
        static const struct {
                const char *status;
                enum style style;
        } styles[] = {
                { "running",         STYLE_GOOD    },
                { "starting",        STYLE_WARNING },
                { "stopping",        STYLE_WARNING },
                { "removing",        STYLE_WARNING },
                { "auth_retrying",   STYLE_WARNING },
                { "policy_stopped",  STYLE_WARNING },
                { "unknown",         STYLE_WARNING },
                { "error",           STYLE_BAD     },
                { "unhealthy",       STYLE_BAD     },
                { "unauthenticated", STYLE_BAD     },
                { "stopped",         STYLE_DIM     },
        };

        for (size_t i = 0; i < ELEMENTSOF(styles); i++)
                if (strcmp(styles[i].status, status) == 0)
                        return styles[i].style;

        return STYLE_NONE;
}
