import os from 'node:os';

/**
 * Bytes that new work can have: what the system has free or can free, within the limit of a container. Systems other than
 * Linux count only what is idle at the moment, so there a quarter of all memory is taken to be within reach.
 */
export function availableMemory(): number {
  const available = process.availableMemory();
  return process.platform === 'linux' ? available : Math.max(available, os.totalmem() / 4);
}
