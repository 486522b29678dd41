/* Keeps the records that tests make, so that all of them can be validated: test `records.schema`. */
#ifndef TESTS_LIB_RECORDS_H
#define TESTS_LIB_RECORDS_H

#include "base/bytes.h"

/* Where $WEIR_RECORDS names a folder, `line` goes into a file there, with the name of the test before a tab:
 * of each shape (the names in it, and what `variant` tells apart) the first ones in a test, so that a test
 * that makes a million keeps a few. What record.h makes comes here by itself (linked by --wrap); output of
 * the program run as a child is handed in by whoever reads it. From any thread. */
void test_keep_record(bytes line, unsigned variant);
/* The same for each whole line of `text` that is a record. */
void test_keep_records(bytes text);
/* From here on the running test makes wrong ones on purpose. */
void test_keep_no_more_records(void);

#endif
