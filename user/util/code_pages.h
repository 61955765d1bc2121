/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for code. Starting a process, and loading and starting some thirty libraries, touches megabytes of code and
 * constants that are never needed again; they count as the process's resident memory all the same.
 */
#ifndef SONDE_UTIL_CODE_PAGES_H
#define SONDE_UTIL_CODE_PAGES_H

/*
 * Gives back what is mapped of the program and its libraries and cannot be written. It is as it is in the files: pages
 * that are needed come again from the page cache. Any thread, at any time.
 */
void code_pages_give_back(void);

#endif
