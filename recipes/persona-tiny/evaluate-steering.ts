import type { LanguageModel } from '../../src/engine/model.ts';
import type { Pooling, Positions } from '../../src/engine/types.ts';
import { randomDirection } from '../../src/persona/condition.ts';
import { systemTexts } from '../../src/persona/prompt.ts';
import { scoreReading } from '../../src/persona/tiny-world/tiny-world-judge.ts';
import { type TraitName, traitNames } from '../../src/persona/tiny-world/trait-words.ts';
import { traitOf } from './evaluate-behaviour.ts';
import { type Cell, type Prompted, measure, readAll, sampleReplies } from './evaluate-sample.ts';

export interface SteeringEffort {
  /** Rollouts of an instruction, question and pole. */
  readonly rollouts: number;
  readonly layers: readonly number[];
  /** Replies to each of the ten questions that choose layer and strength. */
  readonly sweepSamples: number;
  /** Replies to each of the ten others, which say what the choice is worth. */
  readonly finalSamples: number;
  readonly randomDirections: number;
}

interface Protocol {
  readonly pooling: Pooling;
  readonly positions: Positions;
  readonly coefs: readonly number[];
}
/** The paper's: the mean over a reply's tokens, added at all of them. Ours for small models: at their decisions only. */
export const protocols: Readonly<Record<'paper' | 'boundary', Protocol>> = {
  paper: { pooling: 'response_mean', positions: 'response', coefs: [0.75, 1, 1.5, 2, 2.5, 3] },
  boundary: { pooling: 'boundary_mean', positions: 'boundary', coefs: [0.5, 0.75, 1, 1.25, 1.5, 2] },
};
const COHERENCE_FLOOR = 75;

/** Extraction and steering of every trait, each by itself. */
export function steeringSteps(
  model: LanguageModel,
  effort: SteeringEffort,
): Record<string, () => Promise<Record<string, unknown>>> {
  return Object.fromEntries(
    traitNames.map((trait) => [`steering/${trait}`, () => steering(model, trait, effort)] as const),
  );
}

async function steering(
  model: LanguageModel,
  trait: TraitName,
  effort: SteeringEffort,
): Promise<Record<string, unknown>> {
  const { vectors, kept, pairs } = await extractVectors(model, trait, effort.rollouts);
  const result: Record<string, unknown> = { pairs, kept };
  for (const [name, protocol] of Object.entries(protocols)) {
    const vector = vectors[protocol.pooling]!;
    const sweep: { layer: number; coef: number; cell: Cell }[] = [];
    for (const layer of effort.layers) {
      for (const coef of protocol.coefs) {
        const cell = await steered(model, trait, {
          direction: rowOf(model, vector, layer),
          layer,
          coef,
          protocol,
          half: 0,
          samples: effort.sweepSamples,
        });
        sweep.push({ layer, coef, cell });
      }
    }
    const sound = sweep.filter(({ cell }) => cell.coherence >= COHERENCE_FLOOR);
    const best = sound.toSorted((a, b) => (b.cell.trait ?? 0) - (a.cell.trait ?? 0))[0] ?? null;
    result[name] = {
      sweep: sweep.map(({ layer, coef, cell }) => ({
        layer,
        coef,
        trait: cell.trait,
        coherence: cell.coherence,
      })),
    };
    if (best === null) continue;
    const { layer, coef } = best;
    const direction = rowOf(model, vector, layer);
    const at = { layer, coef, protocol, half: 1 as const };
    const final = await steered(model, trait, { ...at, direction, samples: effort.finalSamples });
    const random: Cell[] = [];
    const norm = Math.hypot(...direction);
    for (let draw = 0; draw < effort.randomDirections; draw++) {
      const other = randomDirection(direction.length, norm, 'evaluate', trait, draw);
      random.push(await steered(model, trait, { ...at, direction: other, samples: 1 }));
    }
    const suppressed = await steered(model, trait, {
      ...at,
      direction,
      coef: -coef,
      samples: effort.finalSamples,
      prompted: true,
    });
    const prompted = await steered(model, trait, {
      ...at,
      direction,
      coef: 0,
      samples: effort.finalSamples,
      prompted: true,
    });
    Object.assign(result[name] as object, { layer, coef, norm, final, random, prompted, suppressed });
  }
  return result;
}

interface Steered {
  readonly direction: Float32Array;
  readonly layer: number;
  readonly coef: number;
  readonly protocol: Protocol;
  /** Every second question, from the first or from the second. */
  readonly half: 0 | 1;
  readonly samples: number;
  /** Under the trait's own prompts instead of none. */
  readonly prompted?: boolean;
}

async function steered(model: LanguageModel, trait: TraitName, run: Steered): Promise<Cell> {
  const file = await traitOf(trait);
  const { pos } = systemTexts(model.checkpoint, file);
  const { layer, coef, direction, protocol, half } = run;
  // One list for all rows: they share their prefill's batch.
  const interventions = coef === 0 ? [] : [{ layer, vector: direction, coef, positions: protocol.positions }];
  const questions = file.evaluationQuestions.filter((_, i) => i % 2 === half);
  const rows = Array.from(
    { length: run.samples * questions.length },
    (_, i): Prompted => ({
      key: `steer/${trait}/${half}/${i}`,
      system: run.prompted === true ? pos[i % pos.length]! : null,
      question: questions[i % questions.length]!,
      interventions,
    }),
  );
  return measure(model, trait, rows);
}

/** The paper's recipe: five pairs of instructions, twenty questions, the paired filter, differences of means. */
async function extractVectors(
  model: LanguageModel,
  trait: TraitName,
  samples: number,
): Promise<{ vectors: Partial<Record<Pooling, Float64Array>>; kept: number; pairs: number }> {
  const file = await traitOf(trait);
  const systems = systemTexts(model.checkpoint, file);
  const rowsOf = (pole: 'pos' | 'neg'): Prompted[] =>
    systems[pole].flatMap((system, s) =>
      file.questions.flatMap((question, q) =>
        Array.from({ length: samples }, (_, i) => ({
          key: `extract/${trait}/${pole}/${s}/${q}/${i}`,
          system,
          question,
        })),
      ),
    );
  const poolings = ['response_mean', 'boundary_mean'] as const;
  const [pos, neg] = (await Promise.all(
    (['pos', 'neg'] as const).map(async (pole) => {
      const rows = rowsOf(pole);
      const replies = await sampleReplies(model, rows, poolings);
      return readAll(rows, replies).map((reading, i) => ({
        scores: scoreReading(reading, trait),
        pooled: replies[i]!.pooled,
      }));
    }),
  )) as [Reply[], Reply[]];
  const good = (reply: Reply, wanted: (score: number) => boolean): boolean =>
    reply.scores.trait !== null && wanted(reply.scores.trait) && (reply.scores.coherence ?? 0) >= 50;
  const kept = pos.flatMap((reply, i) =>
    good(reply, (score) => score >= 50) && good(neg[i]!, (score) => score < 50) ? [i] : [],
  );
  const vectors: Partial<Record<Pooling, Float64Array>> = {};
  for (const pooling of poolings) {
    const width = pos[0]!.pooled[pooling]!.length;
    const sum = new Float64Array(width);
    for (const i of kept) {
      const [plus, minus] = [pos[i]!.pooled[pooling]!, neg[i]!.pooled[pooling]!];
      for (let j = 0; j < width; j++) sum[j]! += (plus[j]! - minus[j]!) / kept.length;
    }
    vectors[pooling] = sum;
  }
  return { vectors, kept: kept.length, pairs: pos.length };
}

type Reply = {
  readonly scores: ReturnType<typeof scoreReading>;
  readonly pooled: Partial<Record<Pooling, Float32Array>>;
};

function rowOf({ checkpoint }: LanguageModel, vector: Float64Array, layer: number): Float32Array {
  const { width } = checkpoint.config;
  return Float32Array.from(vector.subarray(layer * width, (layer + 1) * width));
}
