/* Memory that is free to take: of the machine, and of the control groups this process is in. */
#ifndef THOR_KERNELS_FREEMEM_H
#define THOR_KERNELS_FREEMEM_H

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes: the least of what the machine has available (/proc/meminfo) and of what the memory limit
 * of its own control group and of every group above leaves, versions 1 and 2, with the file pages
 * of a group counted as free.  At least 1; 0 when nothing is known.  `root` stands before every
 * path: "" but in tests. */
double freemem_bytes(const char *root);

#ifdef __cplusplus
}
#endif
#endif
