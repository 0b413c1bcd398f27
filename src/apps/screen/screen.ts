import { loadFromCheckpoint } from '../../engine/load.ts';
import type { LanguageModel } from '../../engine/model.ts';
import { AbortError } from '../../errors.ts';
import { modelNote } from '../../persona/result-manifest.ts';
import { SCHEMA_VERSION } from '../../store/manifest.ts';
import { packageInfo } from '../../store/package-info.ts';
import { type OpenFolder, openFolder } from '../../store/run-folder.ts';
import { type AutoFound, type ScreenManifest, screenManifestSchema } from '../../store/screen-schema.ts';
import { defined } from '../../util/defined.ts';
import { describeAuto } from './auto.ts';
import { type Merged, mergeRows } from './merge.ts';
import { renderScreenReport } from './report.ts';
import type { PartTotals } from './run-parts.ts';
import { tokenColours } from './token-colours.ts';
import { type Plan, type ScreenOptions, planScreening, recipeOf } from './plan.ts';
import { judgeAll, scoreAll, withStage } from './stages.ts';

export type { ScreenOptions } from './plan.ts';

export interface ScreenResult {
  readonly folder: string;
  readonly manifest: ScreenManifest;
}

/** Screens a data set, or goes on with a screening that was stopped; equal options end in equal files. */
export async function screen(options: ScreenOptions): Promise<ScreenResult> {
  const plan = await planScreening(options);
  const folder = await openFolder(options.out, await recipeOf(plan));
  try {
    const done = await folder.readJson('manifest', screenManifestSchema);
    return { folder: folder.path, manifest: done ?? (await run(plan, folder)) };
  } finally {
    await folder.close();
  }
}

async function run(plan: Plan, folder: OpenFolder): Promise<ScreenManifest> {
  const { options, checkpoint } = plan;
  const { dtype, blockSize, onNotice } = options;
  const model = await (options.load?.(checkpoint) ??
    loadFromCheckpoint(checkpoint, defined({ dtype, blockSize, onNotice })));
  try {
    const scored = await withStage(plan, model, (stage) => scoreAll(plan, folder.path, stage));
    const judged = await judgeAll(plan, model, folder.path, scored.rows);
    const merged = await mergeRows({
      folder: folder.path,
      rows: judged.rows,
      watched: plan.watched,
      rule: plan.rule,
      judges: judged.judges,
      flagBy: options.flagBy ?? 'union',
      judgeThreshold: options.judgeThreshold ?? null,
      extremes: options.extremes ?? 500,
      seed: plan.seed,
      isKnown: ({ key }) => plan.known.has(key.slice(0, key.indexOf(':') + 1)),
    });
    const thresholds = merged.traits.map(({ threshold }) => threshold);
    const auto =
      scored.auto === null ? null : await describeAuto(scored.auto, plan.watched, thresholds, scored.cheap());
    const manifest = await manifestOf(plan, model, scored.totals, merged, auto);
    const colours = await tokenColours(model, plan.watched, merged.top, options.signal);
    await folder.writeText('report', renderScreenReport({ manifest, merged, colours }));
    await folder.writeJson('manifest', manifest);
    return manifest;
  } catch (error) {
    if (!(error instanceof AbortError)) throw error;
    throw new AbortError(
      `Stopped; what is finished is kept in "${options.out}", and the same command continues.`,
    );
  } finally {
    await model.close();
  }
}

async function manifestOf(
  { fingerprint, dataset, mode, bad }: Plan,
  model: LanguageModel,
  totals: PartTotals,
  { traits, flagged }: Merged,
  auto: AutoFound | null,
): Promise<ScreenManifest> {
  return {
    schema: SCHEMA_VERSION,
    package: await packageInfo(),
    model: modelNote(model, fingerprint),
    kind: 'screen',
    mode,
    schema_of_rows: dataset.schema,
    files: dataset.files.map(({ name }) => name),
    counts: { ...totals, bad: bad.size, flagged },
    auto,
    traits: [...traits],
  };
}
