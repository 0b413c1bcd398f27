import { Command, Option } from '@commander-js/extra-typings';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import type { Estimate } from '../../apps/estimate.ts';
import type { RunReport } from '../../apps/run-report.ts';
import type { ProtocolName, ValidateRunOptions } from '../../apps/validate-run.ts';
import { UsageError } from '../../errors.ts';
import { pathKind } from '../../model/read-bytes.ts';
import { SHIPPED_MODEL, shippedModelFolder } from '../../store/shipped-model.ts';
import { defined } from '../../util/defined.ts';
import type { CommandContext } from '../context.ts';
import { type JudgedDryRunFlags, judgedDryRunFlags, printEstimate, toRateOptions } from '../dry-run.ts';
import { type ExtractFlags, addOptions, steeringFlags, toExtractOptions } from '../extract-flags.ts';
import { showExtraction } from '../extract-progress.ts';
import { judgeFlags, withFlaggedJudge } from '../judge-flags.ts';
import { modelFlags, toModelOptions } from '../model-flags.ts';
import { note, print, printJson } from '../terminal.ts';

type ValidateFlags = ExtractFlags &
  JudgedDryRunFlags & {
    readonly model?: string;
    readonly protocol: ProtocolName | 'both';
    readonly json?: true;
  };

/** `persona validate`: whether a run's vector steers, by one protocol or by both. */
export function validateCommand({ signal }: CommandContext): CommandUnknownOpts {
  const command = new Command('validate')
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
    ...modelFlags,
    ...judgedDryRunFlags,
  ]);
  return command.option('--json', 'print the result as JSON').action(async (run) => {
    const flags = command.opts() as unknown as ValidateFlags;
    const { readRun, writeReport } = await import('../../apps/run-report.ts');
    const before = await readRun(run);
    const missing = missingProtocols(before, flags.protocol);
    if (flags.dryRun === true) {
      await estimateThem(before, missing, flags);
      return;
    }
    if (missing.length > 0) await measure(before, missing, flags, signal);
    else note('The run has measured that itself; nothing was run again.');
    const after = await readRun(run);
    const report = await writeReport(after);
    const { describeRun, runSummary } = await import('../run-result.ts');
    if (flags.json === true) printJson(runSummary(after, report));
    else print(describeRun(after, report));
  });
}

/** The protocols asked for, but for one that the run's own sweep has measured. */
function missingProtocols({ validation }: RunReport, asked: ValidateFlags['protocol']): ProtocolName[] {
  const names: ProtocolName[] = asked === 'both' ? ['response', 'boundary'] : [asked];
  const own = `${validation.pooling} ${validation.positions}`;
  return names.filter((name) => validation.sweep === null || own !== `${name}_mean ${name}`);
}

async function estimateThem(
  run: RunReport,
  names: readonly ProtocolName[],
  flags: ValidateFlags,
): Promise<void> {
  if (names.length === 0) {
    note('The run has measured that itself; nothing would be run.');
    return;
  }
  const [{ estimateExtract }, { joinEstimates }, { readPrices }, { validationOptions }] = await Promise.all([
    import('../../apps/estimate-extract.ts'),
    import('../../apps/estimate.ts'),
    import('../../apps/judge-prices.ts'),
    import('../../apps/validate-run.ts'),
  ]);
  const { dtype, block: blockSize } = flags;
  const prices = flags.prices === undefined ? undefined : await readPrices(flags.prices);
  const options = {
    ...toRateOptions(flags),
    ...toModelOptions(flags),
    ...defined({ prices }),
    measureOnly: true,
  };
  const model = await modelOf(run, flags);
  const estimates = await withFlaggedJudge(flags, { dtype, blockSize, onNote: note }, async (judges) => {
    const found: [string, Estimate][] = [];
    for (const protocol of names) {
      const given = { run: run.folder, protocol, ...measurementFlags(flags) };
      const extract = { ...(await validationOptions(given)), judge: judges.forTrait(run.trait) };
      found.push([protocol, await estimateExtract({ ...options, model, extract })]);
    }
    return found;
  });
  printEstimate(joinEstimates(estimates), flags.json === true);
}

/** What of the flags says how a vector is measured. */
function measurementFlags(
  flags: ValidateFlags,
): Pick<ValidateRunOptions, 'strengthUnit' | 'sweep' | 'doseResponse' | 'heldOut' | 'coherenceFloor'> {
  const { strengthUnit, sweep, doseResponse, heldOut, coherenceFloor } = toExtractOptions(flags);
  return defined({ strengthUnit, sweep, doseResponse, heldOut, coherenceFloor });
}

async function measure(
  { folder: run, trait, model: made }: RunReport,
  names: readonly ProtocolName[],
  flags: ValidateFlags,
  signal: AbortSignal,
): Promise<void> {
  const [{ validateRun }, { withExtractScene }] = await Promise.all([
    import('../../apps/validate-run.ts'),
    import('../extract-scene.ts'),
  ]);
  const modelName = await modelOf({ folder: run, model: made }, flags);
  await withExtractScene(modelName, flags, run, async ({ model, judges, progress }) => {
    const judge = judges.forTrait(trait);
    const onProgress = showExtraction(progress);
    const given = { run, model, judge, signal, onProgress, ...measurementFlags(flags) };
    for (const protocol of names) await validateRun({ ...given, protocol });
  });
}

/** The model that the run names; one that ships is known by its name alone. */
async function modelOf(
  { folder, model: made }: Pick<RunReport, 'folder' | 'model'>,
  { model, adapter }: ValidateFlags,
): Promise<string> {
  if (made.adapter !== undefined && adapter === undefined)
    throw new UsageError(
      `Expected --adapter, got none: the run "${folder}" was made with the adapter "${made.adapter.name}"; name its folder.`,
    );
  if (model !== undefined) return model;
  const named = made.adapter === undefined ? made.id : made.id.slice(0, -`+${made.adapter.name}`.length);
  if (named === SHIPPED_MODEL) return shippedModelFolder();
  if (named.includes('/') || (await pathKind(named)) === 'folder') return named;
  throw new UsageError(
    `Expected --model, got none: the run "${folder}" was made with the folder "${named}", and does not say where that is.`,
  );
}
