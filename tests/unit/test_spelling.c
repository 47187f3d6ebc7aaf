/* SPDX-License-Identifier: Apache-2.0 */

/* base/spelling.h: what is near to what, and that nothing from outside is too long for it. */

#include "base/spelling.h"
#include "suite.h"

#include <check.h>
#include <string.h>

#define TEN "0123456789"
#define FORTY TEN TEN TEN TEN
#define CANDIDATES_MAX 4

static const struct {
        const char *name;
        const char *candidates[CANDIDATES_MAX];
        enum spelling_manner manner;
        const char *nearest;
        unsigned distance;      /* where there is one */
} cases[] = {
        /* one letter changed, put in, left out; neighbours exchanged */
        { "lost", { "run", "list" }, SPELLING_NEAR, "list", 1 },
        { "liist", { "run", "list" }, SPELLING_NEAR, "list", 1 },
        { "lst", { "run", "list" }, SPELLING_NEAR, "list", 1 },
        { "lsit", { "run", "list" }, SPELLING_NEAR, "list", 1 },
        { "ilst", { "list" }, SPELLING_NEAR, "list", 1 },
        { "lits", { "list" }, SPELLING_NEAR, "list", 1 },
        { "list", { "list" }, SPELLING_TWO, "list", 0 },

        /* an exchange with a letter between is none: no substring is edited twice */
        { "ca", { "abc" }, SPELLING_NEAR, NULL, 0 },
        { "cax", { "abcx" }, SPELLING_TWO, NULL, 0 },
        { "tsil", { "list" }, SPELLING_TWO, NULL, 0 },

        /* a third of the letters and one: 4 letters 2, 6 letters 3, 9 letters 4 */
        { "abcd", { "abxy" }, SPELLING_NEAR, "abxy", 2 },
        { "abcd", { "axyz" }, SPELLING_NEAR, NULL, 0 },
        { "abcdef", { "abcxyz" }, SPELLING_NEAR, "abcxyz", 3 },
        { "abcdef", { "abwxyz" }, SPELLING_NEAR, NULL, 0 },
        { "abcdefghi", { "abcdewxyz" }, SPELLING_NEAR, "abcdewxyz", 4 },
        { "abcdefghi", { "abcdvwxyz" }, SPELLING_NEAR, NULL, 0 },

        /* or two, whatever the length */
        { "abcdefghi", { "abcdefgyz" }, SPELLING_TWO, "abcdefgyz", 2 },
        { "abcdefghi", { "abcdefxyz" }, SPELLING_TWO, NULL, 0 },
        { "a", { "b" }, SPELLING_TWO, "b", 1 },
        { "abcdefghi", { "abcdefg" }, SPELLING_TWO, "abcdefg", 2 },
        { "abcdefghi", { "abcdef" }, SPELLING_TWO, NULL, 0 },
        { "abcdef", { "abcdefxy" }, SPELLING_TWO, "abcdefxy", 2 },
        { "abcdef", { "abcdefxyz" }, SPELLING_TWO, NULL, 0 },

        /* the nearest wins, of equals the first */
        { "fetsh", { "fets", "fetch", "fetish" }, SPELLING_NEAR, "fets", 1 },
        { "fetsh", { "fitshx", "fetch", "fetish" }, SPELLING_NEAR, "fetch", 1 },
        { "fetsh", { "fetish", "fetch" }, SPELLING_NEAR, "fetish", 1 },

        /* what begins with the name, however long; for somebody else's variable that is no reason */
        { "work", { "word", "workload-polling-interval" }, SPELLING_NEAR, "workload-polling-interval", 0 },
        { "git", { "gitlab", "github", "gi" }, SPELLING_NEAR, "gitlab", 0 },
        { "git", { "github" }, SPELLING_TWO, NULL, 0 },
        { TEN, { TEN FORTY FORTY FORTY }, SPELLING_NEAR, TEN FORTY FORTY FORTY, 0 },

        /* limits: 48 bytes, and candidates of any length */
        { "", { "", "a" }, SPELLING_NEAR, NULL, 0 },
        { "", { "", "a" }, SPELLING_TWO, NULL, 0 },
        { FORTY "01234567", { FORTY "0123456x" }, SPELLING_NEAR, FORTY "0123456x", 1 },
        { FORTY "012345678", { FORTY "01234567x" }, SPELLING_NEAR, NULL, 0 },
        { FORTY "012345678", { FORTY "012345678" }, SPELLING_NEAR, NULL, 0 },
        { FORTY "01234567", { "x" FORTY "0123456" TEN "012345x" }, SPELLING_NEAR,
          "x" FORTY "0123456" TEN "012345x", 17 },
        { FORTY "01234567", { "x" FORTY "0123456" TEN "0123456x" }, SPELLING_NEAR, NULL, 0 },
        { FORTY, { "x" FORTY FORTY }, SPELLING_NEAR, NULL, 0 },
        { TEN, { "x" FORTY FORTY }, SPELLING_TWO, NULL, 0 },
        { TEN, { "", TEN }, SPELLING_NEAR, TEN, 0 },
        { "a", { "" }, SPELLING_NEAR, "", 1 },

        /* bytes that are no ASCII are letters like others */
        { "f\xC3\xA4tch", { "fetch" }, SPELLING_NEAR, "fetch", 2 },
        { "\xFF\xFE\x01", { "\xFE\xFF\x01" }, SPELLING_NEAR, "\xFE\xFF\x01", 1 },
};

START_TEST(nearest) {
        struct spelling spelling =
                spelling_of(cases[_i].name, strlen(cases[_i].name), cases[_i].manner);

        for (size_t i = 0; i < CANDIDATES_MAX && cases[_i].candidates[i]; i++)
                spelling_consider(&spelling, cases[_i].candidates[i]);

        if (!cases[_i].nearest) {
                ck_assert_msg(!spelling.nearest, "%s: %s", cases[_i].name, spelling.nearest);
                return;
        }
        ck_assert_msg(spelling.nearest, "%s: none", cases[_i].name);
        ck_assert_str_eq(spelling.nearest, cases[_i].nearest);
        ck_assert_uint_eq(spelling.distance, cases[_i].distance);
}
END_TEST

/* The name need not end where it ends: "--prot=1" is looked at up to its '='. */
START_TEST(name_is_a_part) {
        struct spelling spelling = spelling_of("prot=1", 4, SPELLING_NEAR);

        spelling_consider(&spelling, "port");
        ck_assert_str_eq(spelling.nearest, "port");
        ck_assert_uint_eq(spelling.distance, 1);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("spelling");
        TCase *tcase = tcase_create("spelling");

        tcase_add_loop_test(tcase, nearest, 0, ELEMENTSOF(cases));
        tcase_add_test(tcase, name_is_a_part);
        tcase_set_timeout(tcase, 60);
        suite_add_tcase(suite, tcase);
        return suite_run(suite);
}
