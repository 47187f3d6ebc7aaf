/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Runs a fuzz target over the files of folders, once each: what is kept of the
 * fuzzing as a test that needs neither clang nor time. Names each file before it
 * is run, so that the last one is the one that failed.
 */

#include <sys/stat.h>

#include "base/file.h"
#include "fuzz.h"

/* Of libFuzzer; a target may have it too. */
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static int run(const char *path) {
        _cleanup_(freep) char *data = NULL;
        _cleanup_(freep) uint8_t *exact = NULL;
        size_t size;

        puts(path);
        (void) fflush(stdout);
        if (file_read(path, (size_t) 16 << 20, &data, &size) < 0)
                return EXIT_FAILURE;

        /* Without the NUL that file_read() adds: nothing stands behind the input. */
        exact = malloc(size ?: 1);
        if (!exact)
                return EXIT_FAILURE;
        memcpy(exact, data, size);
        (void) LLVMFuzzerTestOneInput(exact, size);
        return EXIT_SUCCESS;
}

static int run_folder(const char *path, unsigned *n) {
        _cleanup_(closedirp) DIR *folder = opendir(path);
        const struct dirent *entry;
        int result = folder ? EXIT_SUCCESS : EXIT_FAILURE;

        while (folder && (entry = readdir(folder))) {
                _cleanup_text_ struct text name = TEXT_INIT;

                if (entry->d_name[0] == '.')
                        continue;
                text_addf(&name, "%s/%s", path, entry->d_name);
                if (text_error(&name) < 0 || run(name.data) != EXIT_SUCCESS)
                        result = EXIT_FAILURE;
                ++*n;
        }
        return result;
}

int main(int argc, char **argv) {
        int result = EXIT_SUCCESS;
        unsigned n = 0;

        if (LLVMFuzzerInitialize)
                (void) LLVMFuzzerInitialize(&argc, &argv);

        for (int i = 1; i < argc; i++)
                if (run_folder(argv[i], &n) != EXIT_SUCCESS)
                        result = EXIT_FAILURE;

        printf("%u inputs\n", n);
        return n > 0 ? result : EXIT_FAILURE;
}
