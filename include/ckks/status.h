/** @file status.h
 * Statuses, messages and the version; how functions are declared. */
#ifndef CKKS_STATUS_H
#define CKKS_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/** A function of the library. */
#define CKKS_API __attribute__((visibility("default")))
/** A function whose status must be looked at: a compiler warns where it is dropped. */
#define CKKS_CHECKED CKKS_API __attribute__((warn_unused_result))

/** What a function returns.  On a failure outputs stay as they were, and ckks_error() says in one
 * line what was wrong and how to mend it. */
enum ckks_status {
    CKKS_OK = 0,
    CKKS_INTERNAL =
        1,           /**< misuse: levels, contexts or sizes that do not fit, an empty ciphertext */
    CKKS_USAGE = 2,  /**< no such parameter set, device or value of an option */
    CKKS_KEY = 5,    /**< key, parameter or ciphertext: missing, damaged, insecure, of others */
    CKKS_IO = 6,     /**< the system refused a file */
    CKKS_MEMORY = 7, /**< not enough memory, on the host or the device */
    CKKS_RANGE = 8   /**< a number outside the range for which the result is right */
};

/** The message of the last failure of this thread, one line without its end; "" when none. */
CKKS_API const char *ckks_error(void);
/** The version of the library that runs, as "0.1.0". */
CKKS_API const char *ckks_version(void);

#ifdef __cplusplus
}
#endif
#endif
