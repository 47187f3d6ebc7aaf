/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The public state file: a JSON document (schema 1) that any user may read,
 * replaced atomically at each change; a second copy below the StateDirectory
 * outlives restarts. A lock beside it (OFD, fcntl(2)) says that the service
 * runs, the lock file's content which one, and its time is the heartbeat. How
 * others ask for all that is in service_state.h.
 */

#include "model/snapshot.h"

#define STATE_FILE_MAX ((size_t) 16 << 20)
#define STATE_FILE_VERSION_SIZE 128

struct state_file {
        char *path;                     /* NULL: none is written */
        char *kept_path;                /* $STATE_DIRECTORY/state.json, or NULL */
        int lock_fd;                    /* held while the service runs; -1: nothing is written */
        bool kept_only;                 /* path could not be opened: read, and written once it can be */
        const char *failed_path;        /* the one of the two that the last failed write was for */
        bool broken;                    /* the caller's: the last write failed, and was told */
};

/* The positive codes of this module. */
enum state_file_code {
        STATE_FILE_LOCKED = 1,          /* another service holds the lock: nothing will be written */
        STATE_FILE_FOREIGN,             /* another schema, mode or host, damaged, too large, no file */
};

/*
 * Makes the folder of the path where it is missing (0755), takes the lock; with a
 * kept copy alone, the lock beside that. path and kept_directory may be NULL.
 * started_at is that of the documents to come: the lock file says it from now on,
 * so that nobody takes an earlier service's document for this one's. 0,
 * STATE_FILE_LOCKED, or a negative errno (the caller logs it); in the last two
 * cases the struct is valid and can be restored from. When locked it writes
 * nothing; after an error of the path it writes the kept copy alone, under the
 * lock beside that, until the path can be opened.
 */
int state_file_open(struct state_file *file, const char *path, const char *kept_directory,
                    usec_t started_at);
void state_file_close(struct state_file *file);

/* Touches the lock file: the worker's heartbeat. */
void state_file_beat(struct state_file *file);

/*
 * Writes the document, mode 0644: a new file beside it, renamed over it; with
 * keep also the copy in the StateDirectory, which a power cut does not undo. A
 * path that could not be opened is tried again before.
 * Returns 0 or a negative errno; -EFBIG and the old file as it was where the new
 * one would be too large to be restored from.
 */
int state_file_write(struct state_file *file, const struct snapshot *snapshot, bool keep);

/* The document alone, for tests and for --json. */
void state_file_format(struct text *text, const struct snapshot *snapshot);

/* The line that the lock file of a service holds: "started_at" as its documents have it. */
void state_file_format_holder(struct text *text, usec_t started_at);

/* The bytes of a state file. 0, the caller frees; STATE_FILE_FOREIGN with the reason; negative errno. */
int state_file_read(const char *path, char **ret_data, size_t *ret_size, const char **ret_problem);

/*
 * Reads a document whole, and trusts it no more than an answer from the network:
 * all that state_file_format() writes has to be there as it writes it. 0, and the
 * snapshot is filled anew (the caller ends with snapshot_done()), with the version
 * of the program that wrote it; STATE_FILE_FOREIGN with a static reason; -ENOMEM.
 * Error texts stand as they came from outside, everything else can be shown.
 */
int state_file_parse(const char *data, size_t size, struct snapshot *snapshot,
                     char version[static STATE_FILE_VERSION_SIZE], const char **ret_problem);

/*
 * Reads what an earlier service left: the kept copy, or the previous state file
 * where that one is of no use. Fills workloads, registry, their polled_at, and the
 * endpoint and port of the connection; nothing else, and nothing at all when it
 * fails. 0; -ENOENT when
 * there is none; or, when none is of use, for the first of them STATE_FILE_FOREIGN
 * with a static reason in *ret_problem (mode and host are compared with those of
 * the snapshot given), or a negative errno.
 */
int state_file_restore(const struct state_file *file, struct snapshot *snapshot,
                       const char **ret_path, const char **ret_problem);
