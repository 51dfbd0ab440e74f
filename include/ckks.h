/** @file ckks.h
 * libckks: arithmetic on encrypted vectors of complex numbers, with bootstrapping.
 *
 * RNS-CKKS at 128 bits of security.  A plaintext is a vector of N/2 complex slots.  A fresh
 * ciphertext has levels, a product costs one, a bootstrap gives them back; the level fixes the
 * scale, so that no two scales can be mixed.
 *
 *     const struct ckks_params *p;
 *     struct ckks *cx;
 *     if (ckks_params_get(&p, "n15", 0) || ckks_open_on(&cx, p, CKKS_CPU, 0))
 *         fprintf(stderr, "%s\n", ckks_error());
 *
 * Statuses.  Functions return CKKS_OK or what failed (status.h); the library neither prints nor
 * ends the process.  It calls no user code but what is handed to it.
 *
 * Threads.  A context is one thread's at a time, with all ciphertexts, evaluation keys, caches and
 * bootstraps made with it: calls on one context must not overlap, whichever thread makes them.
 * Inside a call the library uses the threads of the context itself.  Different contexts are
 * independent of each other.  Parameter sets, secret keys and public keys do not change once they
 * are made: any number of threads may use them at once.  A struct ckks_rng is one thread's at a
 * time.  ckks_error() is of the calling thread.  After fork() the child may not use contexts of
 * its parent.
 *
 * Secrets.  Secret keys and random numbers lie in guarded memory and are wiped at their end; what
 * ckks_decrypt() returns is the caller's to keep private (cipher.h). */
#ifndef CKKS_H
#define CKKS_H

#include "ckks/arithmetic.h"
#include "ckks/bootstrap.h"
#include "ckks/cipher.h"
#include "ckks/context.h"
#include "ckks/keys.h"
#include "ckks/params.h"
#include "ckks/seal.h"
#include "ckks/status.h"
#include "ckks/transform.h"

#endif
