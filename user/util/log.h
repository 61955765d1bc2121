/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages for the person who runs Sonde, on standard error. Stages (decode, conn, proto, session, model, export,
 * target, source) do not call this: they return a negative errno or count; cli, keeper and worker say what happened.
 */
#ifndef SONDE_UTIL_LOG_H
#define SONDE_UTIL_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Messages above this level are not printed. Default LOG_INFO. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* Prints "error: ...", "warning: ...", "..." or "debug: ..." and a line end. One write per call, so lines never mix. */
void log_msg(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_msg(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_msg(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_msg(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_DEBUG, __VA_ARGS__)

#endif
