import { cp, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, relative } from 'node:path';
import { UsageError } from '../../errors.ts';
import { type FinetuningResult, finetuningExperiment } from '../../persona/experiments/finetuning.ts';
import { writeFinetuningReport } from '../../persona/experiments/finetuning-report.ts';
import { gridSets } from '../../persona/experiments/finetuning-grid.ts';
import type { JudgeSource } from '../../persona/judge.ts';
import type { Trait } from '../../persona/trait.ts';
import { armPaths } from '../../store/arm-files.ts';
import { isThere, storeFailure } from '../../store/files.ts';
import { reproductionPaths } from '../../store/reproduction-folder.ts';
import { defined } from '../../util/defined.ts';
import { runFolderName } from '../extract-all.ts';
import { type MitigateConfig, type Treatment, parseMitigateConfig } from '../mitigate/config.ts';
import { type MitigateResult, mitigate } from '../mitigate/mitigate.ts';
import { type ScreeningExperimentResult, screeningExperiment } from '../screen/experiment.ts';
import {
  type PartResult,
  type ReproduceScene,
  eachTrait,
  requireData,
  traitsOf,
  vectorFile,
  withJudges,
} from './scene.ts';

/** One model a data set, every trait's score and shift. */
export async function runFinetuning(scene: ReproduceScene): Promise<PartResult<FinetuningResult>> {
  requireData(scene);
  const { settings, out, signal, onProgress } = scene;
  const { samples, capability } = settings.finetuning;
  const folder = reproductionPaths.part(out, 'finetuning');
  const common = await gridOptions(scene);
  const data = await withJudges(scene, (judges) =>
    finetuningExperiment({
      ...common,
      judges,
      out: folder,
      samples,
      ...defined({ capability: capability ?? undefined, signal }),
      onProgress,
    }),
  );
  await writeFinetuningReport(folder, data);
  return { data, failures: [] };
}

/** What the grid and whatever is trained beside it have in common. */
async function gridOptions(scene: ReproduceScene) {
  const { model, settings, data, train, layer, seed } = scene;
  const { families, rows } = settings.finetuning;
  const names = await traitsWithVector(scene);
  return {
    model,
    traits: names,
    vectors: Object.fromEntries(names.map((name) => [name, vectorFile(scene, name)])),
    rows,
    layer,
    train,
    seed,
    ...defined({
      data: data ?? undefined,
      families: families ?? undefined,
      maxTokens: settings.max_tokens ?? undefined,
    }),
  };
}

/** Names of the grid's traits; one whose extraction failed is left out, which the extraction tells. */
async function traitsWithVector(scene: ReproduceScene): Promise<string[]> {
  const names: string[] = [];
  for (const { name } of traitsOf(scene, 'finetuning'))
    if (await isThere(vectorFile(scene, name))) names.push(name);
  if (names.length > 0) return names;
  throw new UsageError('The extraction gave no vector, which this builds on.');
}

/** Treatments of the trait's severe data set, each trained once. */
export function runMitigation(scene: ReproduceScene): Promise<PartResult<MitigateResult[]>> {
  requireData(scene);
  return withJudges(scene, (judges) =>
    eachTrait(traitsOf(scene, 'mitigation'), async (trait) => {
      const { signal, onNote, onProgress } = scene;
      const config = await mitigationOf(scene, trait, judges);
      await reusePlain(scene, trait.name, config);
      const result = await mitigate({
        config,
        judges,
        ...defined({ signal }),
        onNotice: onNote,
        onProgress: (step, done, total) => onProgress(`${trait.name}, ${step}`, done, total),
      });
      // The results travel; where they were made does not matter.
      return { ...result, report: relative(scene.out, result.report) };
    }),
  );
}

async function mitigationOf(
  scene: ReproduceScene,
  { name }: Trait,
  judges: JudgeSource,
): Promise<MitigateConfig> {
  const { model, settings, out, train, layer, seed } = scene;
  const { mitigation, finetuning } = settings;
  const set = await severeSet(scene, name);
  return parseMitigateConfig(
    {
      model,
      training_file: set,
      output_dir: reproductionPaths.trait(out, 'mitigation', runFolderName(name)),
      trait: name,
      vector: vectorFile(scene, name),
      layer,
      train,
      treatments: treatmentsOf(mitigation),
      measure: mitigation.other_samples === 0 ? [name] : await traitsWithVector(scene),
      samples: mitigation.samples,
      other_samples: Math.max(1, mitigation.other_samples),
      capability: capabilityOf(scene),
      judge: judges.name,
      seed,
      ...(settings.max_tokens === null ? {} : { max_tokens: settings.max_tokens }),
    },
    `the mitigation of ${name} (${finetuning.rows} rows)`,
  );
}

/** The paper's, in the order of its sections. */
function treatmentsOf(mitigation: ReproduceScene['settings']['mitigation']): Treatment[] {
  const { treatments: chosen, post_hoc, preventative, preventative_all, penalty } = mitigation;
  const all: Treatment[] = [
    { kind: 'post_hoc', layers: 'one', coefs: [...post_hoc] },
    { kind: 'preventative', layers: 'one', coefs: [...preventative] },
    { kind: 'preventative', layers: 'all', coefs: [...preventative_all] },
    { kind: 'caft', layers: 'one' },
    { kind: 'caft', layers: 'all' },
    { kind: 'penalty', layers: 'one', weights: [...penalty] },
    { kind: 'preventative_prompting' },
    { kind: 'negative_prompt' },
  ];
  const wanted = all.filter(({ kind }) => chosen === null || (chosen as readonly string[]).includes(kind));
  return [{ kind: 'none' }, ...wanted];
}

function capabilityOf({
  questions,
  isTinyWorld,
  settings,
}: ReproduceScene): false | { readonly data?: string; readonly limit?: number } {
  const limit = settings.mitigation.capability;
  if (limit === 0 || (questions === null && !isTinyWorld)) return false;
  return defined({ data: questions ?? undefined, limit: limit ?? undefined });
}

async function severeSet({ out, data, settings, seed }: ReproduceScene, trait: string): Promise<string> {
  const { rows } = settings.finetuning;
  const place = { data, out: reproductionPaths.part(out, 'finetuning'), rows, seed: seed + 1 };
  const sets = await gridSets({ ...place, families: null, variants: null });
  const found = sets.find(({ family, variant }) => family === trait && variant === 'misaligned_2');
  if (found !== undefined) return found.file;
  throw new UsageError(
    `Expected a data set ${trait}/misaligned_2.jsonl to train on, got none; the data have ${[...new Set(sets.map(({ family }) => family))].join(', ')}.`,
  );
}

/** The grid's model of the same data set, trained in the same way, is the plain one. */
async function reusePlain({ out }: ReproduceScene, trait: string, config: MitigateConfig): Promise<void> {
  const from = armPaths.training(reproductionPaths.part(out, 'finetuning'), `${trait}-misaligned_2`);
  const to = armPaths.training(config.output_dir, 'plain');
  if ((await isThere(to)) || !(await isThere(armPaths.adapter(from)))) return;
  const half = `${to}.tmp`;
  try {
    await rm(half, { recursive: true, force: true });
    await mkdir(dirname(to), { recursive: true });
    await cp(from, half, { recursive: true });
    await rename(half, to);
  } catch (error) {
    throw storeFailure(to, error);
  }
}

/** Screening of the grid's data sets, and models that are trained on what it ranks. */
export async function runScreening(
  scene: ReproduceScene,
  result: FinetuningResult,
): Promise<PartResult<ScreeningExperimentResult>> {
  requireData(scene);
  const { settings, out, signal, onProgress } = scene;
  const { samples, subset } = settings.screening;
  const common = await gridOptions(scene);
  const data = await withJudges(scene, (judges) =>
    screeningExperiment({
      ...common,
      judges,
      traits: traitsOf(scene, 'screening').map(({ name }) => name),
      out: reproductionPaths.part(out, 'screening'),
      grid: { folder: reproductionPaths.part(out, 'finetuning'), result },
      samples,
      ...defined({ subset: subset ?? undefined, signal }),
      onProgress,
    }),
  );
  return { data, failures: [] };
}
