import { join } from 'node:path';
import { Command } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { CommandContext } from '../context.ts';
import { type ExtractFlags, addOptions, rolloutFlags, vectorFlags } from '../extract-flags.ts';
import { modelArgument } from '../arguments.ts';
import { print, printJson } from '../terminal.ts';
import { readVector } from './vector.ts';

type VerifyFlags = Omit<ExtractFlags, 'sweep' | 'doseResponse'> & {
  readonly against: string;
  readonly trait: string;
  readonly out?: string;
  readonly from?: 'persona' | 'axis';
  readonly directionZero?: 'move' | 'drop';
  readonly json?: true;
};

/** `persona vector verify`: a vector extracted now beside a published one. */
export function verifyCommand({ signal }: CommandContext): CommandUnknownOpts {
  const command = new Command('verify')
    .description('extract a vector now and compare it with a published one, layer by layer')
    .addArgument(modelArgument)
    .requiredOption('--against <file>', 'the published vector: a vector file, a .pt or a control vector')
    .requiredOption('--trait <trait>', 'a trait that ships with the package, or a trait file')
    .option('--out <dir>', 'run folder of the extraction (default: runs/verify-<trait>)')
    .option('--trait-set <name>', 'set of shipped traits that the trait is looked for in')
    .option('--from <layout>', 'how a .pt counts rows: persona or axis')
    .option('--direction-zero <what>', "a control vector's direction.0: move or drop");
  addOptions(command, [...rolloutFlags(), ...vectorFlags()]);
  return command.option('--json', 'print the result as JSON').action(async (model) => {
    const flags = command.opts() as unknown as VerifyFlags;
    const { from, directionZero } = flags;
    // Before any weight is loaded: a file that cannot be read is told at once.
    const published = await readVector(flags.against, { from, directionZero });
    const [{ runExtraction }, { runFolderName }] = await Promise.all([
      import('./extract.ts'),
      import('../../apps/extract-all.ts'),
    ]);
    const out = flags.out ?? join('runs', `verify-${runFolderName(flags.trait)}`);
    const result = await runExtraction(
      model,
      flags.trait,
      { ...flags, out, sweep: false, doseResponse: false, measure: true },
      signal,
    );
    const pooling =
      flags.pool ?? (published.metadata.pooling === 'unknown' ? undefined : published.metadata.pooling);
    const fresh = await readVector(result.folder, { pool: pooling });
    const [{ compareVectors }, { describeComparison }] = await Promise.all([
      import('../../apps/compare-vectors.ts'),
      import('../vector-result.ts'),
    ]);
    const compared = compareVectors(fresh, published);
    if (flags.json === true)
      printJson({ folder: result.folder, pooling: fresh.metadata.pooling, ...compared });
    else print(describeComparison(compared, ['fresh', 'published']));
  });
}
