/* The frame of a file of Microsoft SEAL 4: sealfile.c describes the format. */
#ifndef THOR_CKKS_SEALFILE_H
#define THOR_CKKS_SEALFILE_H

#include "ckks/ckks.h"
#include "ckks/file.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SEAL_BLOCK = 1024 }; /* residues that are read or written at a time */

enum seal_kind { SEAL_CIPHER, SEAL_PLAIN, SEAL_SECRET, SEAL_PUBLIC };

struct seal_object {
    enum seal_kind kind;
    const struct ckks_params *params;
    struct kbasis basis; /* of its rows: of the level, of keys seal_key_basis() */
    int polys, level;    /* level -1: of keys */
    double scale;
};

/* THOR_USAGE unless the bases of all levels begin at the same prime. */
int seal_check_set(const struct ckks_params *p);
/* The mains of all levels, then SEAL's special prime, our first one. */
struct kbasis seal_key_basis(const struct ckks_params *p);
/* An object of these parameters, at a level unless it is a key. */
struct seal_object seal_object(enum seal_kind kind, const struct ckks_params *p, int level);

/* All of the file before the rows; then the rows, polynomial by polynomial, canonical residues in
 * the order of the kernels.  They pass through the caller's block: in guarded memory where they are
 * of a secret. */
int seal_write_head(struct ckks_file_out *f, const struct seal_object *o);
int seal_write_rows(struct ckks_file_out *f, const struct seal_object *o, const uint32_t *rows,
                    uint64_t block[SEAL_BLOCK]);
/* The same read: *o is known when the head has been believed, sizes are then those of the file.
 * Messages have no name of the file: seal_name_file(). */
int seal_read_head(struct seal_object *o, struct ckks_file_in *f, enum seal_kind kind,
                   const struct ckks_params *p);
int seal_read_rows(uint32_t *rows, struct ckks_file_in *f, const struct seal_object *o,
                   uint64_t block[SEAL_BLOCK]);
/* st, with the file's name before the message where it lacks one */
int seal_name_file(int st, const char *path);

#ifdef __cplusplus
}
#endif
#endif
