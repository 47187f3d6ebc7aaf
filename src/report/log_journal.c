/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The log's way to the journal
 *
 * A line becomes one datagram of fields: MESSAGE as the text format has it
 * without the level, which PRIORITY says; MESSAGE_ID for an event; and each pair
 * as a field of its own, so that `journalctl TOOLHIVE_NEW_PORT=50002` works.
 *
 * What can go wrong is the way there. While journald restarts, systemd holds its
 * socket: datagrams queue, and when the queue is full sd_journal_sendv() waits,
 * so a restart loses nothing. A socket that nobody holds any more refuses, which
 * is told as an error. But a socket that is not there at all is told as success
 * (ENOENT gives 0: libraries log to wherever a journal may be), hence the look
 * at the socket after each line. When both happen at once, in the microseconds
 * between the two calls, the line is written twice rather than lost.
 *
 * Any thread may call these; they keep nothing.
 */

/* The place in the source would be this file for every line. */
#define SD_JOURNAL_SUPPRESS_LOCATION

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "report/log_journal.h"
#include "report/log_line.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* A journald that is busy or stopped delays the end of a process by no more than this. */
#define SETTLE_MSEC 250

/* Far more than any line of this program has; pairs beyond are in MESSAGE only. */
#define PAIRS_MAX 32

/* The fields of one entry, back to back in a buffer: they have no addresses while it grows. */
struct entry {
        struct text buffer;
        size_t start;                   /* of the field under construction */
        struct iovec fields[3 + PAIRS_MAX];
        size_t n_fields;
};

bool log_journal_is_stderr(void) {
        const char *stream = getenv("JOURNAL_STREAM");
        char own[64];
        struct stat st;

        if (!stream || fstat(STDERR_FILENO, &st) < 0)
                return false;

        (void) snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
        return strcmp(stream, own) == 0;
}

static int priority_of(enum log_level level) {
        switch (level) {
        case LEVEL_DEBUG:
                return 7;
        case LEVEL_INFO:
                return 6;
        case LEVEL_WARNING:
                return 4;
        case LEVEL_ERROR:
                return 3;
        case LEVEL_CRITICAL:
                return 2;
        }

        return 6;
}

static void entry_end_field(struct entry *entry) {
        entry->fields[entry->n_fields++].iov_len = entry->buffer.size - entry->start;
        entry->start = entry->buffer.size;
}

static void entry_add_pair(struct entry *entry, const struct log_field *field) {
        struct text *buffer = &entry->buffer;

        text_add(buffer, "TOOLHIVE_");
        for (const char *c = field->key; *c; c++)
                text_add_bytes(buffer, &(char) { (char) toupper((unsigned char) *c) }, 1);
        text_add(buffer, "=");

        switch (field->type) {
        case LOG_FIELD_STRING:
                if (field->string)
                        text_add_bytes(buffer, field->string, log_value_size(field->string));
                else
                        text_add(buffer, "null");
                break;
        case LOG_FIELD_INT:
                text_addf(buffer, "%" PRId64, field->integer);
                break;
        case LOG_FIELD_SECONDS:
                text_add_seconds(buffer, field->usec);
                break;
        case LOG_FIELD_END:
                break;
        }
        entry_end_field(entry);
}

/* An entry is framed by lengths: a newline in a value starts no other field. */
static int entry_send(struct entry *entry) {
        char *base = entry->buffer.data;

        for (size_t i = 0; i < entry->n_fields; i++) {
                entry->fields[i].iov_base = base;
                base += entry->fields[i].iov_len;
        }

        return sd_journal_sendv(entry->fields, (int) entry->n_fields);
}

int log_journal_send(enum log_level level, enum event event, const char *message,
                     const struct log_field *fields) {
        struct entry entry = {};
        const char *id = event_message_id(event);
        int r;

        text_add(&entry.buffer, "MESSAGE=");
        log_add_message(&entry.buffer, message, fields);
        entry_end_field(&entry);

        text_addf(&entry.buffer, "PRIORITY=%d", priority_of(level));
        entry_end_field(&entry);

        if (id) {
                text_addf(&entry.buffer, "MESSAGE_ID=%s", id);
                entry_end_field(&entry);
        }

        for (size_t i = 0; i < PAIRS_MAX && fields[i].type != LOG_FIELD_END; i++)
                entry_add_pair(&entry, &fields[i]);

        r = text_error(&entry.buffer);
        if (r == 0)
                r = entry_send(&entry);
        if (r == 0 && access(JOURNAL_SOCKET, F_OK) < 0)
                r = -errno;

        text_done(&entry.buffer);
        return r;
}

/*
 * Looked at every millisecond, since no event tells of a queue that has become empty. An
 * empty datagram is dropped by journald without a word.
 */
void log_journal_settle(void) {
        const struct sockaddr_un journal = { .sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), unread;

        if (fd < 0)
                return;
        if (sendto(fd, "", 0, MSG_NOSIGNAL, (const struct sockaddr *) &journal, sizeof journal) == 0)
                for (int i = 0; i < SETTLE_MSEC && ioctl(fd, SIOCOUTQ, &unread) == 0 && unread > 0; i++)
                        (void) poll(NULL, 0, 1);
        close(fd);
}
