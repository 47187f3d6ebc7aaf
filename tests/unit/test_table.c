/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is shown in columns: what a terminal is, how wide a character is, and
 * tables and facts of the nastiest cells at every width. Columns are counted here
 * by a list of the characters that the tests use, each with the width that it is
 * known to have; a character that is not in it may not be shown at all.
 */

#include <check.h>
#include <fcntl.h>
#include <locale.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "command/table.h"
#include "suite.h"

#define REPLACED "\xEF\xBF\xBD"

#define WIDTH_MAX 200

/* The independent ruler. */

static const struct sample {
        const char *given;
        const char *shown;
        size_t width;
} samples[] = {
        { "a", "a", 1 }, { "z~", "z~", 2 }, { "b c", "b c", 3 },
        { "é", "é", 1 }, { "ß", "ß", 1 }, { "ｱ", "ｱ", 1 }, { "\u00A0", "\u00A0", 1 },
        { "日", "日", 2 }, { "本語", "本語", 4 }, { "한", "한", 2 }, { "Ａ", "Ａ", 2 },
        { "\u0301", "\u0301", 0 },                      /* combining acute */
        { "o\u0308\u0323", "o\u0308\u0323", 1 },        /* one letter, two marks */
        { "\u0E31", "\u0E31", 0 },                      /* a Thai vowel */
        { "\u200D", "\u200D", 0 }, { "\uFE0F", "\uFE0F", 0 },
        { "😀", "😀", 2 }, { "👩\u200D👧", "👩\u200D👧", 4 },
        { "\U0001FAE8", "\U0001FAE8", 2 },              /* of Unicode 15: glibc 2.36 does not know it */
        { "\033", REPLACED, 1 }, { "\033[2J", REPLACED "[2J", 4 },
        { "\n", REPLACED, 1 }, { "\t", REPLACED, 1 }, { "\r", REPLACED, 1 }, { "\x01", REPLACED, 1 },
        { "\x7F", REPLACED, 1 }, { "\xC2\x9B", REPLACED, 1 },
        { "\u200E", REPLACED, 1 }, { "\u202E", REPLACED, 1 }, { "\u2066", REPLACED, 1 },
        { "\u2028", REPLACED, 1 }, { "\uFEFF", REPLACED, 1 }, { "\U000E0041", REPLACED, 1 },
        { "\xFF", REPLACED, 1 }, { "\xE6\x97", REPLACED REPLACED, 2 },
        { "\xC0\xAF", REPLACED REPLACED, 2 }, { "\xED\xA0\x80", REPLACED REPLACED REPLACED, 3 },
};

/* What is shown beside the samples. */
static const struct {
        const char *shown;
        size_t width;
} glyphs[] = {
        { "…", 1 }, { REPLACED, 1 }, { "本", 2 }, { "語", 2 }, { "👩", 2 }, { "👧", 2 },
        { "\u0308", 0 }, { "\u0323", 0 },
};

static size_t glyph_at(const char *s, size_t *ret_width) {
        if (*s >= ' ' && *s <= '~') {
                *ret_width = 1;
                return 1;
        }

        for (size_t i = 0; i < ELEMENTSOF(glyphs); i++)
                if (strncmp(s, glyphs[i].shown, strlen(glyphs[i].shown)) == 0) {
                        *ret_width = glyphs[i].width;
                        return strlen(glyphs[i].shown);
                }
        for (size_t i = 0; i < ELEMENTSOF(samples); i++)
                if ((samples[i].shown[0] & 0x80) && strncmp(s, samples[i].shown, strlen(samples[i].shown)) == 0) {
                        *ret_width = samples[i].width;
                        return strlen(samples[i].shown);
                }

        ck_abort_msg("byte 0x%02x is shown", (unsigned char) *s);
        return 0;
}

/* The width of a line that ends with a newline or the string; styles are counted and not measured. */
static size_t ruler(const char *line, unsigned *styles) {
        size_t width = 0, one;

        while (*line && *line != '\n') {
                if (styles && strncmp(line, "\033[", 2) == 0) {
                        line += 2 + strspn(line + 2, "0123456789;");
                        ck_assert_int_eq(*line++, 'm');
                        ++*styles;
                        continue;
                }
                line += glyph_at(line, &one);
                width += one;
        }
        return width;
}

/* No line is too wide, none ends with a blank; as many lines as given (0: any). */
static void assert_lines(const struct text *text, size_t width, size_t n, bool colour) {
        const char *line = text->data;
        unsigned styles = 0;
        size_t lines = 0;

        for (; *line; lines++) {
                const char *end = strchr(line, '\n');

                ck_assert_ptr_nonnull(end);
                if (width > 0)
                        ck_assert_uint_le(ruler(line, colour ? &styles : NULL), width);
                ck_assert(end == line || end[-1] != ' ');
                line = end + 1;
        }
        if (n > 0)
                ck_assert_uint_eq(lines, n);
        ck_assert_uint_eq(styles % 2, 0);
}

static unsigned seed;

static unsigned random_below(unsigned n) {
        return (unsigned) rand_r(&seed) % n;
}

/* A cell of random samples: what is given, what is shown, and how wide that is. */
struct cell {
        char given[256], shown[512];
        size_t width;
};

static void random_cell(struct cell *cell, unsigned n_samples) {
        struct text given = TEXT_INIT, shown = TEXT_INIT;

        text_add(&given, "");
        text_add(&shown, "");
        cell->width = 0;
        for (unsigned n = random_below(n_samples + 1); n > 0; n--) {
                const struct sample *sample = &samples[random_below(ELEMENTSOF(samples))];

                text_add(&given, sample->given);
                text_add(&shown, sample->shown);
                cell->width += sample->width;
        }
        ck_assert_uint_lt(given.size, sizeof(cell->given));
        ck_assert_uint_lt(shown.size, sizeof(cell->shown));
        strcpy(cell->given, given.data);
        strcpy(cell->shown, shown.data);
        text_done(&given);
        text_done(&shown);
}

static void begin_random(void) {
        seed = (unsigned) getpid();
        printf("seed %u\n", seed);
}

/* Terminals. */

static int open_terminal(int *ret_master) {
        char name[64];
        int slave;

        *ret_master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (*ret_master < 0 || grantpt(*ret_master) < 0 || unlockpt(*ret_master) < 0 ||
            ptsname_r(*ret_master, name, sizeof(name)) != 0)
                return -1;

        slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
        ck_assert_int_ge(slave, 0);
        return slave;
}

START_TEST(terminal_pipe) {
        int fds[2];

        setenv("TERM", "xterm", 1);
        setenv("COLUMNS", "40", 1);
        ck_assert_int_eq(pipe(fds), 0);
        struct terminal terminal = terminal_of(fds[1]);
        ck_assert_int_eq(terminal.fd, fds[1]);
        ck_assert(!terminal.is_terminal && !terminal.colour && !terminal.dumb);
        ck_assert_uint_eq(terminal.width, 0);
        close(fds[0]);
        close(fds[1]);

        /* A descriptor that is not there is no terminal either. */
        ck_assert(!terminal_of(fds[1]).is_terminal);
}
END_TEST

START_TEST(terminal_pty) {
        int master, slave = open_terminal(&master);
        struct terminal terminal;

        if (suite_skips(slave < 0, __func__, "no terminal to be had"))
                return;

        setenv("TERM", "xterm", 1);
        unsetenv("NO_COLOR");
        setenv("COLUMNS", "40", 1);
        terminal = terminal_of(slave);
        ck_assert(terminal.is_terminal && terminal.colour && !terminal.dumb);
        ck_assert_uint_eq(terminal.width, 80);

        ck_assert_int_eq(ioctl(master, TIOCSWINSZ, &(struct winsize) { .ws_row = 24, .ws_col = 132 }), 0);
        ck_assert_uint_eq(terminal_of(slave).width, 132);
        terminal_update_width(&terminal);
        ck_assert_uint_eq(terminal.width, 132);

        setenv("NO_COLOR", "", 1);
        ck_assert(terminal_of(slave).colour);
        setenv("NO_COLOR", "0", 1);
        terminal = terminal_of(slave);
        ck_assert(terminal.is_terminal && !terminal.colour && !terminal.dumb);

        unsetenv("NO_COLOR");
        setenv("TERM", "dumb", 1);
        terminal = terminal_of(slave);
        ck_assert(terminal.is_terminal && !terminal.colour && terminal.dumb);
        unsetenv("TERM");
        terminal = terminal_of(slave);
        ck_assert(terminal.is_terminal && !terminal.colour && terminal.dumb);

        close(slave);
        close(master);
}
END_TEST

/* Characters. */

START_TEST(character_widths) {
        for (size_t i = 0; i < ELEMENTSOF(samples); i++) {
                _cleanup_text_ struct text text = TEXT_INIT;

                ck_assert_msg(display_width(samples[i].given) == samples[i].width, "sample %zu: %zu", i,
                              display_width(samples[i].given));
                text_add_styled(&text, false, STYLE_BAD, samples[i].given);
                ck_assert_str_eq(text.data, samples[i].shown);
                ck_assert_uint_eq(ruler(text.data, NULL), samples[i].width);
        }
        ck_assert_uint_eq(display_width(""), 0);
}
END_TEST

/* Neither does our locale show outside, nor the outside's here. */
START_TEST(locale_untouched) {
        locale_t mine = newlocale(LC_ALL_MASK, "C", (locale_t) 0);

        ck_assert_uint_eq(display_width("日本"), 4);
        ck_assert_str_eq(setlocale(LC_ALL, NULL), "C");
        ck_assert_ptr_eq(uselocale((locale_t) 0), LC_GLOBAL_LOCALE);

        ck_assert_ptr_eq(uselocale(mine), LC_GLOBAL_LOCALE);
        ck_assert_uint_eq(display_width("日本"), 4);
        ck_assert_ptr_eq(uselocale(LC_GLOBAL_LOCALE), mine);
        freelocale(mine);
}
END_TEST

START_TEST(styles) {
        static const struct {
                enum style style;
                const char *shown;
        } rows[] = {
                { STYLE_NONE,    "x"               },
                { STYLE_BOLD,    "\033[1mx\033[0m"  },
                { STYLE_DIM,     "\033[2mx\033[0m"  },
                { STYLE_GOOD,    "\033[32mx\033[0m" },
                { STYLE_WARNING, "\033[33mx\033[0m" },
                { STYLE_BAD,     "\033[31mx\033[0m" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_text_ struct text text = TEXT_INIT, plain = TEXT_INIT;

                text_add_styled(&text, true, rows[i].style, "x");
                ck_assert_str_eq(text.data, rows[i].shown);
                text_add_styled(&plain, false, rows[i].style, "x");
                ck_assert_str_eq(plain.data, "x");
        }

        ck_assert_int_eq(style_of_status("running"), STYLE_GOOD);
        ck_assert_int_eq(style_of_status("starting"), STYLE_WARNING);
        ck_assert_int_eq(style_of_status("error"), STYLE_BAD);
        ck_assert_int_eq(style_of_status("unhealthy"), STYLE_BAD);
        ck_assert_int_eq(style_of_status("stopped"), STYLE_DIM);
        ck_assert_int_eq(style_of_status("Running"), STYLE_NONE);
        ck_assert_int_eq(style_of_status("-"), STYLE_NONE);
}
END_TEST

START_TEST(cuts) {
        static const struct {
                const char *string;
                size_t columns;
                const char *shown;
                size_t width;
        } rows[] = {
                { "",                 0,        "",                  0 },
                { "",                 5,        "",                  0 },
                { "fetch",            0,        "",                  0 },
                { "fetch",            1,        "…",                 1 },
                { "fetch",            4,        "fet…",              4 },
                { "fetch",            5,        "fetch",             5 },
                { "fetch",            SIZE_MAX, "fetch",             5 },
                /* a wide character that has no room leaves its column */
                { "日本語",           6,        "日本語",            6 },
                { "日本語",           5,        "日本…",             5 },
                { "日本語",           4,        "日…",               3 },
                { "日本語",           2,        "…",                 1 },
                { "日",               1,        "…",                 1 },
                { "a日b",             3,        "a…",                2 },
                /* marks stay with their letter, and are not what makes a string too long */
                { "ae\u0301b",        3,        "ae\u0301b",         3 },
                { "ae\u0301bc",       3,        "ae\u0301…",         3 },
                { "abe\u0301",        3,        "abe\u0301",         3 },
                { "abe\u0301x",       3,        "ab…",               3 },
                { "e\u0301\u0323xyz", 2,        "e\u0301\u0323…",    2 },
                { "\u0301abc",        1,        "\u0301…",           1 },
                /* what is replaced is cut like what it is replaced by */
                { "\033[2Jx",         3,        REPLACED "[…",       3 },
                { "a\xE6\x97",        2,        "a…",                2 },
                { "a\nb",             3,        "a" REPLACED "b",    3 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_text_ struct text text = TEXT_INIT;

                text_add(&text, "");
                ck_assert_msg(text_add_cut(&text, rows[i].string, rows[i].columns) == rows[i].width, "row %zu", i);
                ck_assert_str_eq(text.data, rows[i].shown);
        }
}
END_TEST

START_TEST(cuts_random) {
        begin_random();
        for (unsigned round = 0; round < 500; round++) {
                struct cell cell;

                random_cell(&cell, 12);
                ck_assert_uint_eq(display_width(cell.given), cell.width);
                for (size_t columns = 0; columns <= cell.width + 1; columns++) {
                        _cleanup_text_ struct text text = TEXT_INIT;
                        size_t width = text_add_cut(&text, cell.given, columns), kept;

                        text_add(&text, "");
                        ck_assert_uint_eq(ruler(text.data, NULL), width);
                        if (columns >= cell.width) {
                                ck_assert_str_eq(text.data, cell.shown);
                                continue;
                        }
                        ck_assert_uint_le(width, columns);
                        if (columns == 0)
                                continue;

                        /* A beginning of what is shown uncut, as long as may be, and whole characters. */
                        ck_assert_uint_ge(width + 1, columns);
                        kept = text.size - strlen("…");
                        ck_assert_str_eq(text.data + kept, "…");
                        ck_assert_int_eq(strncmp(cell.shown, text.data, kept), 0);
                        (void) glyph_at(cell.shown + kept, &width);
                        ck_assert_uint_gt(width, 0);
                }
        }
}
END_TEST

/* Tables. */

static const char *const headings[] = { "NAME", "STATUS", "TRANSPORT", "GROUP", "URL", NULL };

static enum style style(size_t column, const char *cell) {
        return column == 1 ? style_of_status(cell) : STYLE_NONE;
}

static void add_some(struct table *table) {
        table_add_row(table, (const char *const[]) {
                "fetch", "running", "streamable-http", "default", "http://127.0.0.1:17520/mcp" });
        table_add_row(table, (const char *const[]) { "日本語", "stopped", "sse", NULL, "" });
        table_add_row(table, (const char *const[]) {
                "e\u0301vil\n\033[31m", "error", "stdio  ", "  ", "http://127.0.0.1:1/\u202E" });
}

static void assert_table(unsigned width, bool colour, const char *expected) {
        const struct terminal terminal = { .is_terminal = width > 0, .colour = colour, .width = width };
        _cleanup_text_ struct text text = TEXT_INIT;
        _cleanup_table_ struct table table;

        table_init(&table, headings);
        table.style = style;
        add_some(&table);
        ck_assert_int_eq(table_format(&table, &terminal, &text), 0);
        ck_assert_str_eq(text.data, expected);
}

START_TEST(table_exact) {
        static const char *const whole =
                "NAME        STATUS   TRANSPORT        GROUP    URL\n"
                "fetch       running  streamable-http  default  http://127.0.0.1:17520/mcp\n"
                "日本語      stopped  sse              -        -\n"
                "e\u0301vil\uFFFD\uFFFD[31m  error    stdio            -        http://127.0.0.1:1/\uFFFD\n";

        assert_table(0, false, whole);
        assert_table(200, false, whole);
        assert_table(73, false, whole);

        /* The widest gives way, */
        assert_table(72, false,
                "NAME        STATUS   TRANSPORT        GROUP    URL\n"
                "fetch       running  streamable-http  default  http://127.0.0.1:17520/m…\n"
                "日本語      stopped  sse              -        -\n"
                "e\u0301vil\uFFFD\uFFFD[31m  error    stdio            -        http://127.0.0.1:1/\uFFFD\n");
        /* then both that are the widest by now, the rightmost first, */
        assert_table(57, false,
                "NAME        STATUS   TRANSPORT      GROUP    URL\n"
                "fetch       running  streamable-h…  default  http://127.…\n"
                "日本語      stopped  sse            -        -\n"
                "e\u0301vil\uFFFD\uFFFD[31m  error    stdio          -        http://127.…\n");
        /* but no heading while there is another way, */
        assert_table(35, false,
                "NAME  STATUS  TRANSPO…  GROUP  URL\n"
                "fet…  runni…  streama…  defa…  htt…\n"
                "日…   stopp…  sse       -      -\n"
                "e\u0301vi…  error   stdio     -      htt…\n");
        /* and in the end whole columns. */
        assert_table(9, false,
                "…  …  …\n"
                "…  …  …\n"
                "…  …  …\n"
                "…  …  …\n");
        assert_table(1, false, "…\n…\n…\n…\n");
}
END_TEST

/* What is kept stays whole while there is another column to cut, then to leave out. */
START_TEST(table_kept) {
        static const struct {
                unsigned width;
                const char *shown;
        } rows[] = {
                { 88, "NAME                 STATUS   TRANSPORT        GROUP    URL\n"
                      "production-github-a  running  streamable-http  default  http://127.0.0.1:17520/mcp\n"
                      "production-github-b  stopped  sse              default  http://127.0.0.1:17521/mcp\n"
                },
                { 73, "NAME                 STATUS   TRANSPO…  GROUP  URL\n"
                      "production-github-a  running  streama…  defa…  http://127.0.0.1:17520/mcp\n"
                      "production-github-b  stopped  sse       defa…  http://127.0.0.1:17521/mcp\n" },
                /* The one that goes leaves its room to the other. */
                { 72, "NAME                 STATUS   TRANSPORT       URL\n"
                      "production-github-a  running  streamable-ht…  http://127.0.0.1:17520/mcp\n"
                      "production-github-b  stopped  sse             http://127.0.0.1:17521/mcp\n" },
                { 60, "NAME                 STATUS   URL\n"
                      "production-github-a  running  http://127.0.0.1:17520/mcp\n"
                      "production-github-b  stopped  http://127.0.0.1:17521/mcp\n" },
                { 50, "NAME                 STATUS   URL\n"
                      "production-github-a  running  http://127.0.0.1:17…\n"
                      "production-github-b  stopped  http://127.0.0.1:17…\n" },
                { 40, "NAME             STATUS   URL\n"
                      "production-git…  running  http://127.0.…\n"
                      "production-git…  stopped  http://127.0.…\n" },
                { 20, "NAME   STATUS  URL\n"
                      "prod…  runni…  http…\n"
                      "prod…  stopp…  http…\n" },
                { 6,  "…  …\n…  …\n…  …\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                const struct terminal terminal = { .is_terminal = true, .width = rows[i].width };
                _cleanup_text_ struct text text = TEXT_INIT;
                _cleanup_table_ struct table table;

                table_init(&table, headings);
                table.kept = 1u << 0 | 1u << 1 | 1u << 4;
                table_add_row(&table, (const char *const[]) {
                        "production-github-a", "running", "streamable-http", "default",
                        "http://127.0.0.1:17520/mcp" });
                table_add_row(&table, (const char *const[]) {
                        "production-github-b", "stopped", "sse", "default", "http://127.0.0.1:17521/mcp" });
                ck_assert_int_eq(table_format(&table, &terminal, &text), 0);
                ck_assert_str_eq(text.data, rows[i].shown);
        }
}
END_TEST

/* The style is that of the column, wherever it stands. */
START_TEST(table_kept_coloured) {
        static const char *const names[] = { "LONG", "STATUS", NULL };
        const struct terminal terminal = { .is_terminal = true, .colour = true, .width = 8 };
        _cleanup_text_ struct text text = TEXT_INIT;
        _cleanup_table_ struct table table;

        table_init(&table, names);
        table.style = style;
        table.kept = 1u << 1;
        table_add_row(&table, (const char *const[]) { "something", "running" });
        ck_assert_int_eq(table_format(&table, &terminal, &text), 0);
        ck_assert_str_eq(text.data, "\033[1mSTATUS\033[0m\n\033[32mrunning\033[0m\n");
}
END_TEST

START_TEST(table_coloured) {
        assert_table(35, true,
                "\033[1mNAME\033[0m  \033[1mSTATUS\033[0m  \033[1mTRANSPO…\033[0m  \033[1mGROUP\033[0m  \033[1mURL\033[0m\n"
                "fet…  \033[32mrunni…\033[0m  streama…  defa…  htt…\n"
                "日…   \033[2mstopp…\033[0m  sse       -      -\n"
                "e\u0301vi…  \033[31merror\033[0m   stdio     -      htt…\n");
}
END_TEST

START_TEST(table_small) {
        static const char *const nine[] = { "A", "B", "C", "D", "E", "F", "G", "H", "I", NULL };
        static const char *const one[] = { "ONE", NULL };
        const struct terminal pipe = {};
        _cleanup_text_ struct text text = TEXT_INIT;
        _cleanup_table_ struct table table, narrow;

        table_init(&table, nine);
        ck_assert_uint_eq(table.n_columns, TABLE_COLUMNS_MAX);
        ck_assert_int_eq(table_format(&table, &pipe, &text), 0);
        ck_assert_str_eq(text.data, "A  B  C  D  E  F  G  H\n");

        text_clear(&text);
        table_init(&narrow, one);
        table_add_row(&narrow, (const char *const[]) { NULL });
        table_add_row(&narrow, (const char *const[]) { "" });
        table_add_row(&narrow, (const char *const[]) { "   " });
        table_add_row(&narrow, (const char *const[]) { "  x  " });
        ck_assert_int_eq(table_format(&narrow, &pipe, &text), 0);
        ck_assert_str_eq(text.data, "ONE\n-\n-\n-\n  x\n");
}
END_TEST

/* Cuts those that give by the rule to the letter, one column after the other. Whether the line fits then. */
static bool cut(size_t *widths, const char *const *names, const bool *gone, const bool *gives, size_t n,
                unsigned least, size_t width) {
        for (;;) {
                size_t sum = 0, best = n;

                for (size_t i = 0; i < n; i++)
                        sum += gone[i] ? 0 : widths[i] + 2;
                if (sum <= width + 2)
                        return true;

                for (size_t i = 0; i < n; i++) {
                        size_t floor = strlen(names[i]) < least ? strlen(names[i]) : least;

                        if (!gone[i] && gives[i] && widths[i] > floor &&
                            (best == n || widths[i] >= widths[best]))
                                best = i;
                }
                if (best == n)
                        return false;
                widths[best]--;
        }
}

/* The widths by the rule, on the natural widths; gone tells the columns that are left out. */
static void rule(size_t *widths, const char *const *names, unsigned kept, size_t n, size_t width,
                 bool *gone) {
        bool all[TABLE_COLUMNS_MAX], others[TABLE_COLUMNS_MAX];
        size_t natural[TABLE_COLUMNS_MAX];

        for (size_t i = 0; i < n; i++) {
                gone[i] = false;
                all[i] = true;
                others[i] = kept && !(kept & 1u << i);
                natural[i] = widths[i];
        }

        for (size_t i = n + 1; i > 0; i--) {
                if (i <= n && !others[i - 1])
                        continue;
                if (i <= n)
                        gone[i - 1] = true;
                memcpy(widths, natural, n * sizeof(*widths));
                if (cut(widths, names, gone, others, n, 8, width))
                        return;
        }
        for (size_t i = n + 1; i > 0; i--) {
                if (i <= n)
                        gone[i - 1] = true;
                if (cut(widths, names, gone, all, n, 8, width) || cut(widths, names, gone, all, n, 1, width))
                        return;
        }
}

#define RANDOM_ROWS 6

static void add_expected_line(struct text *text, const struct cell *cells, const size_t *widths,
                              const bool *gone, size_t n) {
        size_t padding = 0;

        for (size_t i = 0; i < n; i++) {
                if (gone[i])
                        continue;

                const char *given = cells[i].given;
                size_t size = strlen(given);
                char cell[256];

                while (size > 0 && given[size - 1] == ' ')
                        size--;
                snprintf(cell, sizeof(cell), "%.*s", (int) size, given);
                text_addf(text, "%*s", (int) padding, "");
                padding = widths[i] + 2 - text_add_cut(text, size > 0 ? cell : "-", widths[i]);
        }
        text_add(text, "\n");
}

/* A random table at a random width is, byte by byte, what the rule makes of it. */
START_TEST(table_random) {
        static const char *const names[] = { "A", "STATUS", "NINE_WIDE", "DESCRIPTION", "IT" };
        struct cell heads[ELEMENTSOF(names)], cells[RANDOM_ROWS][ELEMENTSOF(names)];

        begin_random();
        for (unsigned round = 0; round < 2000; round++) {
                size_t n = 1 + random_below(ELEMENTSOF(names)), widths[ELEMENTSOF(names)];
                bool gone[ELEMENTSOF(names)] = {};
                const struct terminal terminal = { .width = round % 7 == 0 ? 0 : 1 + random_below(90) };
                const char *given[ELEMENTSOF(names) + 1];
                _cleanup_text_ struct text text = TEXT_INIT, expected = TEXT_INIT;
                _cleanup_table_ struct table table;

                memcpy(given, names, n * sizeof(*given));
                given[n] = NULL;
                table_init(&table, given);
                table.kept = random_below(2) ? random_below(1u << n) : 0;

                for (size_t i = 0; i < n; i++) {
                        strcpy(heads[i].given, names[i]);
                        widths[i] = strlen(names[i]);
                }
                for (size_t row = 0; row < RANDOM_ROWS; row++) {
                        for (size_t i = 0; i < n; i++) {
                                random_cell(&cells[row][i], i == 3 ? 24 : 6);
                                given[i] = cells[row][i].given;
                                if (cells[row][i].width > widths[i])
                                        widths[i] = cells[row][i].width;
                        }
                        table_add_row(&table, given);
                }

                if (terminal.width > 0)
                        rule(widths, names, table.kept, n, terminal.width, gone);
                add_expected_line(&expected, heads, widths, gone, n);
                for (size_t row = 0; row < RANDOM_ROWS; row++)
                        add_expected_line(&expected, cells[row], widths, gone, n);

                ck_assert_int_eq(table_format(&table, &terminal, &text), 0);
                ck_assert_msg(strcmp(text.data, expected.data) == 0,
                              "round %u, width %u, kept %x:\n%s\nexpected:\n%s",
                              round, terminal.width, table.kept, text.data, expected.data);
                assert_lines(&text, terminal.width, 1 + RANDOM_ROWS, false);
        }
}
END_TEST

START_TEST(table_every_width) {
        _cleanup_table_ struct table table;

        begin_random();
        table_init(&table, headings);
        table.style = style;
        add_some(&table);
        for (unsigned row = 0; row < 20; row++) {
                const char *given[5];
                struct cell cells[5];

                for (size_t i = 0; i < 5; i++) {
                        random_cell(&cells[i], 10);
                        given[i] = cells[i].given;
                }
                table_add_row(&table, given);
        }

        for (unsigned width = 1; width <= WIDTH_MAX; width++)
                for (unsigned colour = 0; colour < 2; colour++) {
                        const struct terminal terminal = { .width = width, .colour = colour > 0 };
                        _cleanup_text_ struct text text = TEXT_INIT;

                        ck_assert_int_eq(table_format(&table, &terminal, &text), 0);
                        assert_lines(&text, width, 24, colour > 0);
                        if (!colour && width >= 35)
                                ck_assert_int_eq(strncmp(text.data, "NAME ", 5), 0);
                }
}
END_TEST

static usec_t processor_time(void) {
        struct timespec now;

        ck_assert_int_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
        return (usec_t) now.tv_sec * USEC_PER_SEC + (usec_t) now.tv_nsec / 1000;
}

/* What is asked for at a prompt is there in the blink of an eye, however much it is. */
START_TEST(table_large) {
        const struct terminal terminal = { .width = 80, .colour = true };
        _cleanup_text_ struct text text = TEXT_INIT;
        _cleanup_table_ struct table table;
        usec_t start;

        table_init(&table, headings);
        table.style = style;
        for (unsigned i = 0; i < 10000; i++) {
                char name[32], url[64];

                (void) snprintf(name, sizeof(name), "workload-%u-日本", i);
                (void) snprintf(url, sizeof(url), "http://127.0.0.1:%u/some/longer/path/mcp", i);
                table_add_row(&table, (const char *const[]) { name, "running", "streamable-http", "default", url });
        }

        start = processor_time();
        ck_assert_int_eq(table_format(&table, &terminal, &text), 0);
        ck_assert_uint_lt(processor_time() - start, 100 * USEC_PER_MSEC * suite_slowness());
        assert_lines(&text, 80, 10001, true);
}
END_TEST

/* Cells as long as a body may be are cut like others, in as long as it takes to read them. */
START_TEST(table_huge_cells) {
        const struct terminal terminal = { .width = UINT16_MAX };
        _cleanup_(freep) char *huge = malloc(1 << 20);
        _cleanup_text_ struct text text = TEXT_INIT;
        _cleanup_table_ struct table table;
        usec_t start;

        ck_assert_ptr_nonnull(huge);
        memset(huge, 'x', 1 << 20);
        huge[(1 << 20) - 1] = '\0';
        table_init(&table, headings);
        table_add_row(&table, (const char *const[]) { huge, huge, huge, huge, huge });

        start = processor_time();
        ck_assert_int_eq(table_format(&table, &terminal, &text), 0);
        ck_assert_uint_lt(processor_time() - start, USEC_PER_SEC * suite_slowness());
        assert_lines(&text, UINT16_MAX, 2, false);
        ck_assert_uint_eq(ruler(strchr(text.data, '\n') + 1, NULL), UINT16_MAX);
}
END_TEST

/* Facts. */

START_TEST(facts_exact) {
        const struct terminal pipe = {}, narrow = { .width = 20, .colour = true }, tiny = { .width = 3 };
        _cleanup_facts_ struct facts facts = FACTS_INIT;
        _cleanup_text_ struct text text = TEXT_INIT;

        facts_add(&facts, STYLE_NONE, "Name", "fetch");
        facts_add(&facts, STYLE_GOOD, "Status", "running");
        facts_add(&facts, STYLE_NONE, "Group", NULL);
        facts_addf(&facts, STYLE_NONE, "Endpoint", "http://%s:%d/\n", "127.0.0.1", 17520);
        facts_add(&facts, STYLE_NONE, "Tools", "fetch  ");
        facts_add(&facts, STYLE_NONE, NULL, "日本語日本語日本語");
        facts_add(&facts, STYLE_NONE, "Empty", "");

        ck_assert_int_eq(facts_format(&facts, &pipe, &text), 0);
        ck_assert_str_eq(text.data,
                         "    Name: fetch\n"
                         "  Status: running\n"
                         "Endpoint: http://127.0.0.1:17520/\uFFFD\n"
                         "   Tools: fetch\n"
                         "          日本語日本語日本語\n"
                         "   Empty: -\n");

        text_clear(&text);
        ck_assert_int_eq(facts_format(&facts, &narrow, &text), 0);
        ck_assert_str_eq(text.data,
                         "    Name: fetch\n"
                         "  Status: \033[32mrunning\033[0m\n"
                         "Endpoint: http://127\n"
                         "          .0.0.1:175\n"
                         "          20/\uFFFD\n"
                         "   Tools: fetch\n"
                         "          日本語日本\n"
                         "          語日本語\n"
                         "   Empty: -\n");

        text_clear(&text);
        ck_assert_int_eq(facts_format(&facts, &tiny, &text), 0);
        ck_assert_str_eq(text.data, "Na…\nSt…\nEn…\nTo…\n日…\nEm…\n");
}
END_TEST

/* Labels give way to values, which keep 8 columns while they can. */
START_TEST(facts_narrow) {
        const struct terminal terminal = { .width = 16 }, less = { .width = 10 }, least = { .width = 4 };
        _cleanup_facts_ struct facts facts = FACTS_INIT;
        _cleanup_text_ struct text text = TEXT_INIT;

        facts_add(&facts, STYLE_NONE, "Permission profile", "none, or nearly");
        facts_add(&facts, STYLE_NONE, "URL", "http://h");
        ck_assert_int_eq(facts_format(&facts, &terminal, &text), 0);
        ck_assert_str_eq(text.data, "Permi…: none, or\n"
                                    "        nearly\n"
                                    "   URL: http://h\n");

        /* With less room than that it would be a column of letters. */
        text_clear(&text);
        ck_assert_int_eq(facts_format(&facts, &less, &text), 0);
        ck_assert_str_eq(text.data, "…: none, …\n"
                                    "…: http:/…\n");

        text_clear(&text);
        ck_assert_int_eq(facts_format(&facts, &least, &text), 0);
        ck_assert_str_eq(text.data, "…: …\n…: …\n");
}
END_TEST

/* The lines of a string: each breaks at a blank, or within what is longer than a line. */
START_TEST(wrapping) {
        static const struct {
                const char *string;
                size_t columns;
                const char *lines;
        } rows[] = {
                { "",                       8, "" },
                { "12345678",               8, "12345678" },
                { "123456789",              8, "12345678|9" },
                { "one two",                8, "one two" },
                { "one two three",          8, "one two|three" },
                { "one two, three",         8, "one two,|three" },
                { "a whole bunch",          8, "a whole|bunch" },
                /* a word that no line can hold fills them */
                { "see http://127.0.0.1/x", 8, "see http|://127.0|.0.1/x" },
                { "a b 12345678",           8, "a b|12345678" },
                { "a b 123456789",          8, "a b 1234|56789" },
                { "1234567 123456789",      8, "1234567|12345678|9" },
                /* blanks at a break, however many */
                { "12345678   9",           8, "12345678|9" },
                { "12             3",       8, "12|3" },
                { "    ab",                 8, "    ab" },
                { "          ab",           8, "ab" },
                { "  1234567 9",            8, "1234567|9" },
                /* wide characters and marks stay whole */
                { "日本語日本語",           8, "日本語日|本語" },
                { "日本語日本語",           7, "日本語|日本語" },
                { "abcdefge\u0301h",       8, "abcdefge\u0301|h" },
                { "\033[2Jabcde",          8, REPLACED "[2Jabcd|e" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_text_ struct text text = TEXT_INIT;
                const char *rest = rows[i].string;

                text_add(&text, "");
                while (*rest) {
                        rest = text_add_wrapped(&text, rest, rows[i].columns);
                        text_add(&text, *rest ? "|" : "");
                }
                ck_assert_str_eq(text.data, rows[i].lines);
        }
}
END_TEST

/* All of a value is there, at any width that has room for one. */
START_TEST(facts_are_whole) {
        begin_random();
        for (unsigned round = 0; round < 500; round++) {
                const struct terminal terminal = { .width = 14 + random_below(60) };
                _cleanup_facts_ struct facts facts = FACTS_INIT;
                _cleanup_text_ struct text text = TEXT_INIT, joined = TEXT_INIT, wanted = TEXT_INIT;
                struct cell cell;

                do
                        random_cell(&cell, 24);
                while (cell.width == 0);
                facts_add(&facts, STYLE_NONE, "URL", cell.given);
                ck_assert_int_eq(facts_format(&facts, &terminal, &text), 0);
                for (const char *line = text.data; *line; line = strchr(line, '\n') + 1)
                        text_add_bytes(&joined, line + 5, (size_t) (strchr(line, '\n') - line - 5));
                ck_assert_int_eq(strncmp(text.data, "URL: ", 5), 0);

                /* But for blanks, which breaks may take the place of. */
                for (const char *c = cell.shown; *c; c++)
                        text_add_bytes(&wanted, c, *c != ' ');
                ck_assert_ptr_nonnull(joined.data);
                for (char *c = joined.data, *to = c; (*to = *c); c++)
                        to += *c != ' ';
                ck_assert_str_eq(joined.data, wanted.data);
        }
}
END_TEST

/* As long as a body may be: as long as it takes to read it. */
START_TEST(facts_huge) {
        const struct terminal terminal = { .width = 40 };
        _cleanup_(freep) char *huge = malloc(1 << 20);
        _cleanup_facts_ struct facts facts = FACTS_INIT;
        _cleanup_text_ struct text text = TEXT_INIT;
        usec_t start;

        ck_assert_ptr_nonnull(huge);
        memset(huge, 'x', 1 << 20);
        huge[(1 << 20) - 1] = '\0';
        facts_add(&facts, STYLE_NONE, "URL", huge);

        start = processor_time();
        ck_assert_int_eq(facts_format(&facts, &terminal, &text), 0);
        ck_assert_uint_lt(processor_time() - start, USEC_PER_SEC * suite_slowness());
        assert_lines(&text, 40, ((1 << 20) - 1 + 34) / 35, false);
}
END_TEST

START_TEST(facts_every_width) {
        static const char *const labels[] = { "Name", "Status", "Permission profile", "X", NULL };
        _cleanup_facts_ struct facts facts = FACTS_INIT;

        begin_random();
        for (unsigned i = 0; i < 100; i++) {
                struct cell cell;

                random_cell(&cell, 20);
                facts_add(&facts, random_below(6), labels[random_below(ELEMENTSOF(labels))], cell.given);
        }

        for (unsigned width = 0; width <= WIDTH_MAX; width++)
                for (unsigned colour = 0; colour < 2; colour++) {
                        const struct terminal terminal = { .width = width, .colour = colour > 0 };
                        _cleanup_text_ struct text text = TEXT_INIT;

                        ck_assert_int_eq(facts_format(&facts, &terminal, &text), 0);
                        assert_lines(&text, width, width > 0 ? 0 : 100, colour > 0);
                }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("table");
        TCase *characters = tcase_create("characters"), *tables = tcase_create("tables"),
              *facts = tcase_create("facts");

        tcase_add_test(characters, terminal_pipe);
        tcase_add_test(characters, terminal_pty);
        tcase_add_test(characters, character_widths);
        tcase_add_test(characters, locale_untouched);
        tcase_add_test(characters, styles);
        tcase_add_test(characters, cuts);
        tcase_add_test(characters, cuts_random);
        tcase_set_timeout(characters, 60);
        suite_add_tcase(suite, characters);

        tcase_add_test(tables, table_exact);
        tcase_add_test(tables, table_kept);
        tcase_add_test(tables, table_kept_coloured);
        tcase_add_test(tables, table_coloured);
        tcase_add_test(tables, table_small);
        tcase_add_test(tables, table_random);
        tcase_add_test(tables, table_every_width);
        tcase_add_test(tables, table_large);
        tcase_add_test(tables, table_huge_cells);
        tcase_set_timeout(tables, 60);
        suite_add_tcase(suite, tables);

        tcase_add_test(facts, facts_exact);
        tcase_add_test(facts, facts_narrow);
        tcase_add_test(facts, wrapping);
        tcase_add_test(facts, facts_are_whole);
        tcase_add_test(facts, facts_huge);
        tcase_add_test(facts, facts_every_width);
        tcase_set_timeout(facts, 60);
        suite_add_tcase(suite, facts);

        return suite_run(suite);
}
