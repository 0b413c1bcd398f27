import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { nodeFlags, tsxEnvironment } from './cli.ts';

const child = fileURLToPath(new URL('screen-stub-child.ts', import.meta.url));

/** What a screening on a model without arithmetic tells of itself, memory in bytes. */
export interface StubScreening {
  readonly samples: number;
  /** Held before the first row. */
  readonly before: number;
  /** Held at most. */
  readonly most: number;
}

/** Runs one in a process of its own; `killAt` ends it by SIGKILL when so many samples are done, and then nothing is told. */
export function runStubScreening(
  { data, vector, out }: { readonly data: string; readonly vector: string; readonly out: string },
  killAt = Infinity,
): Promise<StubScreening | null> {
  return new Promise((resolve, reject) => {
    const running = spawn(process.execPath, [...nodeFlags, child, data, vector, out], {
      env: { ...process.env, ...tsxEnvironment },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let last = '';
    running.stdout.setEncoding('utf8').on('data', (text: string) => {
      last = text.trim().split('\n').at(-1)!;
      if (Number(/^screening (\d+)$/.exec(last)?.[1] ?? 0) >= killAt) running.kill('SIGKILL');
    });
    running.on('error', reject);
    running.on('close', (code, signal) => {
      if (code === 0) resolve(JSON.parse(last) as StubScreening);
      else if (signal === 'SIGKILL') resolve(null);
      else reject(new Error(`it ended with ${code}`));
    });
  });
}
