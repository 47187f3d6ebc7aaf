/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One line for a search that found nothing
 *
 * Candidates end in any order, and may be a hundred thousand; so this keeps only what the line can
 * be made of: whether anything refused, which ports were open, and the words of the candidate that
 * is first in order among those that did not just refuse.
 *
 * A first candidate that was named, by a setting, by the discovery file or by what worked last, is
 * where ToolHive is expected, so even a stranger's answer there is the news: somebody has taken its
 * port. In the range a stranger is just one more open port, and their number says more. A first
 * one that fails in another way (by its silence, say) is told of in either case.
 *
 * "Connection refused" is what an operator should read when ToolHive is simply not running. A host
 * that has no IPv6 (or only IPv6) is no reason to say otherwise.
 */

#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "source/tally.h"

/* The whole order of a search in one number: by step, then by rank, which stays under 2^24. */
static size_t position(enum step_kind kind, size_t rank) {
        return ((size_t) kind << 24) + rank;
}

void failure_from_errno(struct failure *failure, int error) {
        snprintf(failure->words, sizeof failure->words, "%s", errno_words(error));
        switch (error) {
        case ECONNREFUSED:
                failure->kind = FAILURE_REFUSED;
                break;
        case EAFNOSUPPORT:
        case EADDRNOTAVAIL:
        case ENETUNREACH:
                failure->kind = FAILURE_NO_ROUTE;
                break;
        default:
                failure->kind = FAILURE_CONNECTION;
                break;
        }
}

void failure_from_timeout(struct failure *failure, usec_t age) {
        const usec_t tenth = USEC_PER_SEC / 10;
        _cleanup_text_ struct text words = TEXT_INIT;

        text_add(&words, "Timed out after ");
        text_add_seconds(&words, usec_max(age / tenth, 1) * tenth);
        text_add(&words, " s");

        failure->kind = FAILURE_CONNECTION;
        snprintf(failure->words, sizeof failure->words, "%s",
                 text_error(&words) < 0 ? "Timed out" : words.data);
}

void tally_asked(struct tally *tally, enum step_kind kind, size_t rank) {
        size_t at = position(kind, rank);

        if (!tally->asked || at < tally->first)
                tally->first = at;
        tally->asked = true;
}

void tally_open(struct tally *tally, uint16_t port) {
        uint8_t bit = (uint8_t) (1u << (port % 8));

        if (!(tally->open[port / 8] & bit))
                tally->n_open++;
        tally->open[port / 8] |= bit;
}

void tally_failed(struct tally *tally, enum step_kind kind, size_t rank,
                  const struct failure *failure) {
        size_t at = position(kind, rank);

        switch (failure->kind) {
        case FAILURE_REFUSED:
                tally->refused = true;
                break;
        case FAILURE_NO_ROUTE:
                tally->no_route = *failure;
                break;
        case FAILURE_CONNECTION:
        case FAILURE_STRANGER:
                if (!tally->told.words[0] || at < tally->told_by) {
                        tally->told = *failure;
                        tally->told_by = at;
                }
                break;
        }
}

/* Whether the first candidate in order has words of its own that are worth more than a number. */
static bool first_speaks(const struct tally *tally) {
        if (tally->told_by != tally->first)
                return false;
        return tally->told.kind == FAILURE_CONNECTION || tally->first < position(STEP_RANGE, 0);
}

void tally_words(const struct tally *tally, usec_t elapsed, char error[static ERROR_MAX]) {
        struct failure late;

        if (tally->told.words[0] && (first_speaks(tally) || tally->n_open == 0))
                snprintf(error, ERROR_MAX, "%s", tally->told.words);
        else if (tally->n_open > 0)
                snprintf(error, ERROR_MAX, "No ToolHive among %zu open ports", tally->n_open);
        else if (tally->refused)
                snprintf(error, ERROR_MAX, "Connection refused");
        else if (tally->no_route.words[0])
                snprintf(error, ERROR_MAX, "%s", tally->no_route.words);
        else {
                failure_from_timeout(&late, elapsed);
                snprintf(error, ERROR_MAX, "%s", late.words);
        }
}
