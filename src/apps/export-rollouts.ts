import { join } from 'node:path';
import { UsageError } from '../errors.ts';
import { encodeRawPrompt } from '../model/chat.ts';
import { type Checkpoint, loadCheckpoint } from '../model/checkpoint.ts';
import { readJsonObject } from '../model/json-text.ts';
import type { TextTokenizer } from '../model/tokenizer.ts';
import { type Pole, poles } from '../persona/poles.ts';
import { encodePrompt, requireTokenizer } from '../persona/prompt.ts';
import { type Trait, parseTrait } from '../persona/trait.ts';
import { writeWhole } from '../store/files.ts';
import { readJsonl } from '../store/jsonl.ts';
import { type RolloutCsvRow, formatRolloutCsv, rolloutCsvName } from '../store/rollout-csv.ts';
import { type ScoredRollout, scoredRolloutSchema } from '../store/rollout-schema.ts';
import { runFiles } from '../store/run-folder.ts';

export interface ExportRolloutsOptions {
  /** Folder of a run whose rollouts are finished. */
  readonly run: string;
  /** Folder for the two files; default: the run's. */
  readonly out?: string;
  /** The run's model, whose prompts are spelled out; not needed where the rollouts were given with their prompts. */
  readonly model?: string;
}

/**
 * Writes a run's judged rollouts as the authors' two files, `{trait}_pos_instruct.csv` and `{trait}_neg_instruct.csv`, and
 * returns their paths. Rollouts that were given in that layout come back as they were.
 *
 * @throws UsageError where the model is needed and not given; StoreError or DataError for what is no finished run.
 */
export async function exportRollouts(options: ExportRolloutsOptions): Promise<string[]> {
  const { run, out = run } = options;
  const trait = parseTrait(await readJsonObject(join(run, runFiles.trait), MAX_TRAIT_BYTES), '');
  const rows: ScoredRollout[] = [];
  for await (const { value } of readJsonl(join(run, runFiles.rollouts), scoredRolloutSchema))
    rows.push(value);
  const checkpoint = options.model === undefined ? null : await loadCheckpoint(options.model);
  return Promise.all(
    poles.map(async (pole) => {
      const mine = inTheirOrder(rows.filter(({ ids }) => ids['pole'] === pole));
      const path = join(out, rolloutCsvName(trait.name, pole));
      const records = mine.map((row) => toCsvRow(row, pole, trait, checkpoint));
      await writeWhole(path, formatRolloutCsv(records, trait.name));
      return path;
    }),
  );
}

const MAX_TRAIT_BYTES = 4 * 1024 * 1024;

/** By question, then instruction, then sample; given rows stay as they were. */
function inTheirOrder(rows: readonly ScoredRollout[]): readonly ScoredRollout[] {
  if (rows.some(({ given }) => given !== undefined)) return rows;
  const places = ['question', 'instruction', 'sample'];
  return [...rows].sort((a, b) =>
    places.reduce((order, name) => order || Number(a.ids[name]) - Number(b.ids[name]), 0),
  );
}

function toCsvRow(
  { ids, system, question, text, given, scores }: ScoredRollout,
  pole: Pole,
  trait: Trait,
  checkpoint: Checkpoint | null,
): RolloutCsvRow {
  const { trait: score, coherence } = scores;
  if (given !== undefined) {
    const { prompt, answer, question_id: questionId } = given;
    return { question, prompt, answer, questionId, trait: score, coherence };
  }
  if (checkpoint === null) {
    throw new UsageError(
      'Expected the model of the run, whose prompts are to be spelled out, got none; give it with --model.',
    );
  }
  const { ids: tokens } = encodePrompt(checkpoint, trait, { system, question });
  const prompt = spell(requireTokenizer(checkpoint), tokens);
  const questionId = `${trait.name}_${ids['question']}_${pole}_${ids['instruction']}`;
  return { question, prompt, answer: text, questionId, trait: score, coherence };
}

/** The text of a prompt that is read back as the same tokens: without BOS where the tokenizer adds it itself. */
function spell(tokenizer: TextTokenizer, ids: readonly number[]): string {
  const spellings = [tokenizer.decode(ids.slice(1)), tokenizer.decode(ids)];
  const exact = spellings.find((text) => encodeRawPrompt(tokenizer, text).join() === ids.join());
  return exact ?? spellings[1]!;
}
