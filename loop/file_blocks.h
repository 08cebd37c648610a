/* What a loop keeps for file operations that are started: see file_job.c. */
#ifndef CEDE_LOOP_FILE_BLOCKS_H
#define CEDE_LOOP_FILE_BLOCKS_H

struct cede__file_blocks {
	struct cede__file_block *free; /* the first */
	unsigned free_count;
};

/** Frees them, after the last operation has returned. */
void cede__file_blocks_deinit(struct cede__file_blocks *blocks);

#endif
