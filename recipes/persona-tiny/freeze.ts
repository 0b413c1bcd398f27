/**
 * Records what may not change once an effect of a persona has been measured: `tsx recipes/persona-tiny/freeze.ts`. A
 * test compares the files with the record.
 */

import { writeFile } from 'node:fs/promises';
import { frozenFile, frozenNow } from './frozen.ts';

await writeFile(frozenFile, `${JSON.stringify(frozenNow(), null, 2)}\n`);
console.log(`frozen: ${frozenFile}`);
