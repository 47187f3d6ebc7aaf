/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The discovery file: where it is looked for, and when it is believed.
 */

#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "source/discovery_file.h"
#include "suite.h"

#define GOOD "{\"url\":\"http://127.0.0.1:50004\",\"pid\":19147,\"nonce\":\"00ff\",\"started_at\":\"x\"}"

static char folder[32];
static char path[256];

static void setup(void) {
        strcpy(folder, "/tmp/test-discovery-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/server.json", folder);
}

/* Removes what a test may have left. */
static void teardown(void) {
        char other[256];

        snprintf(other, sizeof other, "%s/other.json", folder);
        (void) unlink(other);
        if (unlink(path) < 0)
                (void) rmdir(path);
        ck_assert_int_eq(rmdir(folder), 0);
}

static void write_file(const char *name, const char *text, mode_t mode) {
        FILE *file = fopen(name, "we");

        ck_assert_ptr_nonnull(file);
        ck_assert_int_ge(fputs(text, file), 0);
        ck_assert_int_eq(fchmod(fileno(file), mode), 0);
        ck_assert_int_eq(fclose(file), 0);
}

/* ---- the path ---- */

static const struct {
        const char *setting, *host, *state_home, *home, *path;
} paths[] = {
        { "auto", "localhost", "/s", "/h", "/s/toolhive/server/server.json" },
        { "auto", "LocalHost", "", "/h", "/h/.local/state/toolhive/server/server.json" },
        { "auto", "127.0.0.1", NULL, "/h", "/h/.local/state/toolhive/server/server.json" },
        { "auto", "::1", "relative", "/h", "/h/.local/state/toolhive/server/server.json" },
        { "auto", "[::1]", NULL, NULL, NULL },
        { "auto", "localhost", NULL, "", NULL },
        { "auto", "10.0.0.1", "/s", "/h", NULL },
        { "auto", "toolhive.example", "/s", "/h", NULL },
        { "/given", "toolhive.example", "/s", "/h", "/given" },
        { "/given", "localhost", NULL, NULL, "/given" },
        { NULL, "localhost", "/s", "/h", NULL },
};

static void set_variable(const char *name, const char *value) {
        ck_assert_int_eq(value ? setenv(name, value, 1) : unsetenv(name), 0);
}

START_TEST(test_path) {
        struct settings settings = {
                .toolhive_host = (char *) paths[_i].host,
                .discovery_file = (char *) paths[_i].setting,
        };
        _cleanup_(freep) char *found = NULL;

        set_variable("XDG_STATE_HOME", paths[_i].state_home);
        set_variable("HOME", paths[_i].home);
        ck_assert_int_eq(discovery_path(&settings, &found), 0);
        ck_assert_pstr_eq(found, paths[_i].path);
}
END_TEST

/* ---- trust ---- */

static const struct {
        const char *text, *reason;
} contents[] = {
        { "", "it holds no JSON object" },
        { "{\"url\":\"http://127.0.0.1:50004\",\"nonce\":\"00", "it holds no JSON object" },
        { "[\"http://127.0.0.1:50004\"]", "it holds no JSON object" },
        { "{\"nonce\":\"00ff\"}", "it names no address" },
        { "{\"url\":50004,\"nonce\":\"00ff\"}", "it names no address" },
        { "{\"url\":\"127.0.0.1:50004\",\"nonce\":\"00ff\"}", "it names no address" },
        { "{\"url\":\"http://127.0.0.1:50004/x\",\"nonce\":\"00ff\"}", "it names no address" },
        { "{\"url\":\"http://10.0.0.1:50004\",\"nonce\":\"00ff\"}", "it names another machine" },
        { "{\"url\":\"http://toolhive.example:50004\",\"nonce\":\"00ff\"}", "it names another machine" },
        { "{\"url\":\"http://127.0.0.1@10.0.0.1:80\",\"nonce\":\"00ff\"}", "it names no address" },
        { "{\"url\":\"http://127.0.0.1:50004\"}", "it holds no nonce" },
        { "{\"url\":\"http://127.0.0.1:50004\",\"nonce\":\"\"}", "it holds no nonce" },
        { "{\"url\":\"http://127.0.0.1:50004\",\"nonce\":7}", "it holds no nonce" },
        { "{\"url\":\"http://127.0.0.1:50004\",\"nonce\":\"a\\r\\nb\"}", "it holds no nonce" },
        { "{\"url\":\"http://127.0.0.1:1\",\"url\":\"http://127.0.0.1:2\",\"nonce\":\"00ff\"}",
          "it holds no proper JSON object" },
};

START_TEST(test_contents) {
        struct discovery discovery = {};
        const char *reason = NULL;

        write_file(path, contents[_i].text, 0600);
        ck_assert_int_eq(discovery_read(path, &discovery, &reason), DISCOVERY_DISTRUSTED);
        ck_assert_str_eq(reason, contents[_i].reason);
        ck_assert(!endpoint_is_set(&discovery.endpoint));
}
END_TEST

START_TEST(test_good) {
        struct discovery discovery;
        const char *reason;

        ck_assert_int_eq(discovery_read(path, &discovery, &reason), -ENOENT);

        write_file(path, GOOD, 0600);
        ck_assert_int_eq(discovery_read(path, &discovery, &reason), 0);
        ck_assert_str_eq(discovery.endpoint.url, "http://127.0.0.1:50004");
        ck_assert_str_eq(discovery.nonce, "00ff");

        write_file(path, "{\"url\":\"unix:///run/thv.sock\",\"nonce\":\"00ff\"}", 0644);
        ck_assert_int_eq(discovery_read(path, &discovery, &reason), 0);
        ck_assert_str_eq(discovery.endpoint.socket, "/run/thv.sock");
}
END_TEST

START_TEST(test_modes) {
        struct discovery discovery;
        const char *reason = NULL;

        write_file(path, GOOD, 0620);
        ck_assert_int_eq(discovery_read(path, &discovery, &reason), DISCOVERY_DISTRUSTED);
        ck_assert_str_eq(reason, "others may write it");
        write_file(path, GOOD, 0602);
        ck_assert_int_eq(discovery_read(path, &discovery, &reason), DISCOVERY_DISTRUSTED);
        ck_assert_str_eq(reason, "others may write it");
}
END_TEST

START_TEST(test_owner) {
        struct discovery discovery;
        const char *reason = NULL;

        if (suite_skips(geteuid() != 0, __func__, "only root can give a file away, or read one as somebody else"))
                return;
        write_file(path, GOOD, 0644);
        ck_assert_int_eq(chmod(folder, 0755), 0);
        ck_assert_int_eq(chown(path, 12345, 0), 0);
        ck_assert_int_eq(discovery_read(path, &discovery, &reason), DISCOVERY_DISTRUSTED);
        ck_assert_str_eq(reason, "it belongs to another user");

        ck_assert_int_eq(chown(path, 0, 0), 0);
        ck_assert_int_eq(seteuid(12345), 0);
        ck_assert_int_eq(discovery_read(path, &discovery, &reason), 0);
        ck_assert_int_eq(seteuid(0), 0);
        ck_assert_int_eq(chown(path, 12345, 0), 0);
        ck_assert_int_eq(seteuid(12345), 0);
        ck_assert_int_eq(discovery_read(path, &discovery, &reason), 0);
        ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

START_TEST(test_kinds) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct discovery discovery;
        const char *reason = NULL;
        char other[256];
        int fd;

        snprintf(other, sizeof other, "%s/other.json", folder);
        write_file(other, GOOD, 0600);
        ck_assert_int_eq(symlink(other, path), 0);
        ck_assert_int_eq(discovery_read(path, &discovery, &reason), DISCOVERY_DISTRUSTED);
        ck_assert_str_eq(reason, "it is a symbolic link");
        ck_assert_int_eq(unlink(path), 0);

        ck_assert_int_eq(mkfifo(path, 0600), 0);
        ck_assert_int_eq(discovery_read(path, &discovery, &reason), DISCOVERY_DISTRUSTED);
        ck_assert_str_eq(reason, "it is no regular file");
        ck_assert_int_eq(unlink(path), 0);

        ck_assert_int_eq(mkdir(path, 0700), 0);
        ck_assert_int_eq(discovery_read(path, &discovery, &reason), DISCOVERY_DISTRUSTED);
        ck_assert_str_eq(reason, "it is no regular file");
        ck_assert_int_eq(rmdir(path), 0);

        snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *) &address, sizeof address), 0);
        ck_assert_int_eq(discovery_read(path, &discovery, &reason), DISCOVERY_DISTRUSTED);
        ck_assert_str_eq(reason, "it is no regular file");
        close(fd);
}
END_TEST

START_TEST(test_sizes) {
        struct discovery discovery;
        const char *reason = NULL;
        static char text[DISCOVERY_FILE_MAX + 1];

        memset(text, ' ', DISCOVERY_FILE_MAX);
        memcpy(text, GOOD, strlen(GOOD));
        write_file(path, text, 0600);
        ck_assert_int_eq(discovery_read(path, &discovery, &reason), DISCOVERY_DISTRUSTED);
        ck_assert_str_eq(reason, "it is too large");

        text[DISCOVERY_FILE_MAX - 1] = '\0';
        write_file(path, text, 0600);
        ck_assert_int_eq(discovery_read(path, &discovery, &reason), 0);

        memset(text, 'n', 1000);
        memcpy(text, "{\"url\":\"unix:///s\",\"nonce\":\"", 28);
        strcpy(text + 28 + NONCE_MAX - 1, "\"}");
        write_file(path, text, 0600);
        ck_assert_int_eq(discovery_read(path, &discovery, &reason), 0);
        ck_assert_uint_eq(strlen(discovery.nonce), NONCE_MAX - 1);
        strcpy(text + 28 + NONCE_MAX - 1, "n\"}");
        write_file(path, text, 0600);
        ck_assert_int_eq(discovery_read(path, &discovery, &reason), DISCOVERY_DISTRUSTED);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("discovery file");
        TCase *tcase = tcase_create("discovery file");

        tcase_set_timeout(tcase, 60);
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_loop_test(tcase, test_path, 0, ELEMENTSOF(paths));
        tcase_add_loop_test(tcase, test_contents, 0, ELEMENTSOF(contents));
        tcase_add_test(tcase, test_good);
        tcase_add_test(tcase, test_modes);
        tcase_add_test(tcase, test_owner);
        tcase_add_test(tcase, test_kinds);
        tcase_add_test(tcase, test_sizes);
        suite_add_tcase(suite, tcase);

        return suite_run(suite);
}
