import os from 'node:os';
import { z } from 'zod';
import { threadCount } from '../util/threads.ts';

/** On what a run was made: two of them agree bit for bit only where processor and threads do. */
export const machineNoteSchema = z.object({
  node: z.string(),
  platform: z.string(),
  processor: z.string(),
  /** That a session may use where no option says another number. */
  threads: z.int(),
});

/** This machine, as a manifest keeps it. */
export function machineNote(): z.infer<typeof machineNoteSchema> {
  return {
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    processor: os.cpus()[0]?.model.trim() ?? 'unknown',
    threads: threadCount(),
  };
}
