/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ToolHive's discovery file, as it is read from the disk. Whatever it holds, it
 * leads nowhere but to this machine.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "fuzz.h"
#include "source/discovery_file.h"

static char path[] = "/tmp/fuzz-discovery-XXXXXX";
static int file = -1;

static void end(void) {
        (void) unlink(path);
}

static void write_file(const uint8_t *data, size_t size) {
        if (file < 0) {
                file = mkostemp(path, O_CLOEXEC);
                must(file >= 0 && atexit(end) == 0);
        }
        must(ftruncate(file, 0) == 0);
        must(pwrite(file, data, size, 0) == (ssize_t) size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct discovery discovery, untouched;
        const char *reason = NULL;
        struct endpoint again;
        int r;

        memset(&untouched, 'x', sizeof untouched);
        discovery = untouched;
        write_file(data, size);
        r = discovery_read(path, &discovery, &reason);
        if (r != 0) {
                must(r == DISCOVERY_DISTRUSTED && reason && is_harmless(reason, strlen(reason), ONE_LINE));
                /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): down to the padding */
                must(memcmp(&discovery, &untouched, sizeof untouched) == 0);
                return 0;
        }

        must(size < DISCOVERY_FILE_MAX);
        must(endpoint_is_loopback(&discovery.endpoint));
        must(discovery.endpoint.port > 0 || discovery.endpoint.socket[0] == '/');
        must(endpoint_parse(&again, discovery.endpoint.url) == 0 &&
             endpoint_equal(&again, &discovery.endpoint));
        must(*discovery.nonce && strlen(discovery.nonce) < NONCE_MAX);
        must(is_harmless(discovery.nonce, strlen(discovery.nonce), ONE_LINE));
        return 0;
}
