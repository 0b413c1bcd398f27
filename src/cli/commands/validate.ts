import { join } from 'node:path';
import { Command, Option } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { UsageError } from '../../errors.ts';
import type { ProtocolName } from '../../apps/validate-run.ts';
import { SHIPPED_MODEL, shippedModelFolder } from '../../store/shipped-model.ts';
import { blockOption, dtypeOption } from '../arguments.ts';
import type { CommandContext } from '../context.ts';
import { type ExtractFlags, addOptions, steeringFlags, toExtractOptions } from '../extract-flags.ts';
import { showExtraction } from '../extract-progress.ts';
import { judgeFlags, openFlaggedJudge } from '../judge-flags.ts';
import { createProgress, noteBeside } from '../progress.ts';
import { print, printJson } from '../terminal.ts';

type ValidateFlags = ExtractFlags & {
  readonly model?: string;
  readonly protocol: ProtocolName | 'both';
  readonly json?: true;
};

/** `persona validate`: whether a run's vector steers, by one protocol or by both. */
export function validateCommand({ signal }: CommandContext): CommandUnknownOpts {
  const command = new Command('validate')
    .description("measure whether a run's vector steers, by the paper's protocol and at boundaries")
    .argument('<run>', 'folder of a finished run')
    .option('--model <model>', 'the model of the run (default: as the run names it)')
    .addOption(
      new Option(
        '--protocol <name>',
        "response: the mean of a reply, added at all of it, the paper's; boundary: at the beginnings of sentences; what the run itself measured is not run again",
      )
        .choices(['response', 'boundary', 'both'] as const)
        .default('both' as const),
    );
  addOptions(command, [
    ...steeringFlags().filter(({ long }) => long !== '--positions'),
    ...judgeFlags(),
    dtypeOption,
    blockOption,
  ]);
  return command.option('--json', 'print the result as JSON').action(async (run) => {
    const flags = command.opts() as unknown as ValidateFlags;
    const { readRun, writeReport } = await import('../../apps/run-report.ts');
    const before = await readRun(run);
    const missing = (
      flags.protocol === 'both' ? (['response', 'boundary'] as const) : [flags.protocol]
    ).filter((name) => before.validation.positions !== name || before.validation.sweep === null);
    if (missing.length > 0) await measure(run, missing, flags, signal);
    const after = await readRun(run);
    const report = await writeReport(after);
    const { describeRun, runSummary } = await import('../run-result.ts');
    if (flags.json === true) printJson(runSummary(after, report));
    else print(describeRun(after, report));
  });
}

async function measure(
  run: string,
  names: readonly ProtocolName[],
  flags: ValidateFlags,
  signal: AbortSignal,
): Promise<void> {
  const [{ loadModel }, { validateRun }, { parseTrait }, { readJsonObject }, { runFiles }] =
    await Promise.all([
      import('../../engine/load.ts'),
      import('../../apps/validate-run.ts'),
      import('../../persona/trait.ts'),
      import('../../model/json-text.ts'),
      import('../../store/run-folder.ts'),
    ]);
  const progress = createProgress({ unit: 'rollouts' });
  const onNote = (line: string): void => noteBeside(progress, line);
  const { dtype, block: blockSize } = flags;
  const load = { onNotice: onNote, ...(dtype && { dtype }), ...(blockSize && { blockSize }) };
  const model = await loadModel(await modelOf(run, flags), load);
  const judges = await openFlaggedJudge(flags, { loaded: model, dtype, blockSize, onNote });
  try {
    const trait = parseTrait(await readJsonObject(join(run, runFiles.trait), 4 * 1024 * 1024), '');
    const judge = judges.forTrait(trait);
    const { strengthUnit, sweep, doseResponse, heldOut, coherenceFloor } = toExtractOptions(flags);
    const given = { strengthUnit, sweep, doseResponse, heldOut, coherenceFloor };
    const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    for (const protocol of names) {
      await validateRun({
        run,
        model,
        judge,
        protocol,
        signal,
        onProgress: showExtraction(progress),
        ...known,
      });
    }
  } finally {
    progress.end();
    await judges.close();
    await model.close();
  }
}

/** The model that the run names; one that ships is known by its name alone. */
async function modelOf(run: string, { model }: ValidateFlags): Promise<string> {
  if (model !== undefined) return model;
  const [{ readJsonObject }, { runFiles }] = await Promise.all([
    import('../../model/json-text.ts'),
    import('../../store/run-folder.ts'),
  ]);
  const recipe = await readJsonObject(join(run, runFiles.recipe), 4 * 1024 * 1024);
  const id = (recipe['model'] as { readonly id?: unknown } | undefined)?.id;
  if (id === SHIPPED_MODEL) return shippedModelFolder();
  if (typeof id === 'string') return id;
  throw new UsageError(`Expected the run "${run}" to name its model, got none; give --model.`);
}
