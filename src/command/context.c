/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A command runs on the main thread, and waits and asks as the worker of the
 * service does: in the waiter's slices, which a stop ends. The first SIGINT or
 * SIGTERM is such a stop; everything unwinds, the progress line goes, and the
 * exit code tells the signal. Its handler is gone then, so that the second one
 * ends the process wherever it is.
 */

#include <signal.h>
#include <stdarg.h>

#include "command/context.h"
#include "report/log.h"

static const int stop_signals[] = { SIGINT, SIGTERM };

/* For the handler, which is given nothing else. */
static struct {
        struct waiter *waiter;
        volatile sig_atomic_t signal;
} stop;

static void on_signal(int number) {
        stop.signal = number;
        waiter_stop(stop.waiter);
}

/* SIGPIPE is ignored while the command works: a peer that goes away is an error of a write. */
void command_catch_signals(struct waiter *waiter) {
        const struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };

        stop.waiter = waiter;
        for (size_t i = 0; i < ELEMENTSOF(stop_signals); i++) {
                struct sigaction before;

                /* Ignored by who started us, such as nohup(1) or a shell for its "&": so it stays. */
                if (sigaction(stop_signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
                        (void) sigaction(stop_signals[i], &action, NULL);
        }
        (void) signal(SIGPIPE, SIG_IGN);
}

/* While the result is printed each ends the process: a reader that has seen enough is no error. */
void command_release_signals(void) {
        for (size_t i = 0; i < ELEMENTSOF(stop_signals); i++) {
                struct sigaction before;

                if (sigaction(stop_signals[i], NULL, &before) == 0 && before.sa_handler == on_signal)
                        (void) signal(stop_signals[i], SIG_DFL);
        }
        (void) signal(SIGPIPE, SIG_DFL);
}

int command_interrupted(void) {
        return stop.signal > 0 ? 128 + stop.signal : 0;
}

void command_error(const char *format, ...) {
        _cleanup_text_ struct text harmless = TEXT_INIT;
        _cleanup_(freep) char *sentence = NULL;
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = vasprintf(&sentence, format, arguments);
        va_end(arguments);
        if (r < 0)
                sentence = NULL;        /* undefined after a failure */
        else
                text_add_styled(&harmless, false, STYLE_NONE, sentence);
        if (text_error(&harmless) < 0 || !harmless.data)
                log_event(LEVEL_ERROR, EVENT_NONE, "Out of memory");
        else
                log_event(LEVEL_ERROR, EVENT_NONE, harmless.data);
}

int command_state_paths(const struct command_context *context, struct service_state_paths *paths) {
        const struct configuration *configuration = context->configuration;
        const char *given = NULL;

        if (configuration_origin(configuration, "state-file") != ORIGIN_DEFAULT)
                given = configuration->settings.state_file ?: "";
        return service_state_paths(paths, given, context->environment);
}
