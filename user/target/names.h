/* SPDX-License-Identifier: Apache-2.0 */
/* From paths, modules and other texts of a target to names that can be shown. Answers borrow from the input. Pure. */
#ifndef SONDE_TARGET_NAMES_H
#define SONDE_TARGET_NAMES_H

#include "util/bytes.h"

bool name_ends(struct bytes s, struct bytes suffix);
/* s without suffix at its end, if there is more of it. */
struct bytes name_without(struct bytes s, const char *suffix);
/* words: NULL-terminated. */
bool name_is_one_of(struct bytes s, const char *const *words);

/* Letters, digits and "._-@+" only, 1 to 128 of them. */
bool name_is_plain(struct bytes s);
/* s when it is plain and has a letter. Else empty. */
struct bytes name_checked(struct bytes s);
/* The last part of a path, without " (deleted)". */
struct bytes path_base(struct bytes path);
/* The folder that a path names something in; empty when it names none. */
struct bytes path_folder(struct bytes path);
/* The folder of a path by its name; of a path without one, cwd's. */
struct bytes name_of_folder(struct bytes path, struct bytes cwd);
/*
 * "shop.wsgi:application" is shop. A module that only has the name of its role (wsgi, main, app) is called after the
 * folder it was told to be found in, when that is not empty.
 */
struct bytes name_of_module(struct bytes module, struct bytes folder);
/* "/srv/shop/worker.py" is worker. */
struct bytes name_of_script(struct bytes path);

#endif
