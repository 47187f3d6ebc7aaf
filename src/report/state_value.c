/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Values of a state file, read with distrust
 *
 * What can be written in many ways is taken in one only: the way in which the
 * state file itself is written. So 1.0 is no count and 24:00:00 no time of day,
 * and no reader of the document has to think of what else JSON allows. Nothing
 * is allocated that outlives a call.
 */

#include <string.h>
#include <time.h>

#include "base/text.h"
#include "report/state_value.h"

#define TIME_LAYOUT "0000-00-00T00:00:00.000Z"

bool state_value_collect(struct json_slice object, struct state_member *members, size_t n_members) {
        struct json_slice quoted, value;
        size_t position = 0, n_found = 0;

        if (json_type_of(object) != '{')
                return false;

        while (json_slice_next(object, &position, &quoted, &value)) {
                char key[32];

                if (!json_slice_string(quoted, key, sizeof(key)))
                        continue;

                for (size_t i = 0; i < n_members; i++)
                        if (strcmp(members[i].key, key) == 0) {
                                if (members[i].value.data)
                                        return false;
                                members[i].value = value;
                                n_found++;
                        }
        }

        return n_found == n_members;
}

bool state_value_string(struct json_slice value, char *buffer, size_t max) {
        return json_slice_string(value, buffer, max + 1) && json_is_clean_name(buffer, max);
}

bool state_value_optional_string(struct json_slice value, char *buffer, size_t max) {
        buffer[0] = '\0';
        return json_type_of(value) == 'n' || state_value_string(value, buffer, max);
}

bool state_value_number(struct json_slice value, unsigned max, unsigned *ret_number) {
        unsigned number = 0;

        for (size_t i = 0; i < value.size; i++) {
                if (value.data[i] < '0' || value.data[i] > '9')
                        return false;
                number = number * 10 + (unsigned) (value.data[i] - '0');
                if (number > max)
                        return false;
        }

        *ret_number = number;
        return true;
}

bool state_value_time(struct json_slice value, usec_t *ret_realtime) {
        char string[sizeof(TIME_LAYOUT)];
        _cleanup_text_ struct text again = TEXT_INIT;
        struct tm tm = {};
        unsigned msec;

        if (json_type_of(value) == 'n') {
                *ret_realtime = 0;
                return true;
        }

        if (!json_slice_string(value, string, sizeof(string)) ||
            sscanf(string, "%4d-%2d-%2dT%2d:%2d:%2d.%3uZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &msec) != 7)
                return false;

        tm.tm_year -= 1900;
        tm.tm_mon -= 1;

        time_t seconds = timegm(&tm);
        if (seconds <= 0)
                return false;

        /* What does not come out as it went in was no such time: 30 February, spaces, signs. */
        usec_t realtime = (usec_t) seconds * USEC_PER_SEC + msec * USEC_PER_MSEC;
        text_add_time(&again, realtime);
        if (text_error(&again) < 0 || strcmp(again.data, string) != 0)
                return false;

        *ret_realtime = realtime;
        return true;
}
