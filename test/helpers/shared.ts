import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe } from 'vitest';

/** Reference data that lies beside a checkout for developers; a bare clone does not have it. */
const folder = fileURLToPath(new URL('../../../shared', import.meta.url));

/** Path of a reference file, such as `sharedPath('golden', 'llama')`. */
export function sharedPath(...parts: readonly string[]): string {
  return [folder, ...parts].join('/');
}

/** Whether the reference data is there. */
export const hasShared: boolean = existsSync(sharedPath('golden', 'README.md'));

/** A group of tests that needs the reference data; without it the group is skipped and its name says why. */
export function describeWithShared(name: string, define: () => void): void {
  const why = hasShared ? '' : ' (skipped: the reference data beside the checkout is absent)';
  describe.skipIf(!hasShared)(`${name}${why}`, define);
}
