import { Tensor } from 'onnxruntime-node';
import type { ModelConfig } from '../model/config.ts';
import type { Edit, InterventionPlan } from './interventions.ts';
import { covers, type SentenceEnd, type TokenPlace } from './positions.ts';
import type { EditPart } from './block.ts';
import { type GraphRoom, names } from './transformer.ts';

/**
 * Counts of directions are padded to a multiple of this: the runtime sums differently for the columns that are left
 * over from groups of four, so a row's bits would depend on how many directions its neighbours have.
 */
const countMultiple = 4;

/** The edits of one layer and stage over the rows of a batch, padded to equal counts with neutral ones. */
interface StageFeeds {
  readonly layer: number;
  readonly stage: number;
  /** Most edits that a row has here. */
  readonly count: number;
  /** Index: row. */
  readonly edits: readonly (readonly Edit[])[];
  readonly fixed: Readonly<Record<Exclude<EditPart, 'mask'>, Tensor>>;
  /** Whether any row keeps its residual's length here. */
  readonly keepsNorm: boolean;
}

/**
 * The interventions of a batch as tensors: a plan a row, or one plan that all rows share. What depends on the plans
 * alone is built once; the mask, which depends on the tokens of a step, is built for each.
 */
export class EditFeeds {
  /** Whether the graph needs room for edits that keep the residual's length. */
  readonly keepsNorm: boolean;
  private readonly config: ModelConfig;
  private readonly batch: number;
  private readonly stages: readonly StageFeeds[];

  constructor(config: ModelConfig, plans: readonly InterventionPlan[]) {
    this.config = config;
    this.batch = plans.length;
    this.stages = gatherStages(config, plans);
    this.keepsNorm = this.stages.some((stage) => stage.keepsNorm);
  }

  /**
   * Feeds of every layer and stage that the graph has room for; `places[row][position]` are the step's tokens.
   *
   * @param least Directions that are fed where there are none: 0, or more for a device that cannot multiply nothing.
   */
  feeds(
    room: GraphRoom,
    places: readonly (readonly TokenPlace[])[],
    positions: number,
    endsSentence: SentenceEnd,
    least: number,
  ): Record<string, Tensor> {
    const feeds = {
      ...this.neutralFeeds(room, positions, least),
      ...this.stageFeeds(places, positions, endsSentence),
    };
    if (!room.norms) return feeds;
    for (const stage of this.stages.filter(({ keepsNorm }) => keepsNorm)) {
      feeds[names.keep(stage.layer, stage.stage)] = keepTensor(stage, places, positions, endsSentence);
    }
    return feeds;
  }

  /** Feeds of the layers and stages that have edits, and of no other. */
  stageFeeds(
    places: readonly (readonly TokenPlace[])[],
    positions: number,
    endsSentence: SentenceEnd,
  ): Record<string, Tensor> {
    const feeds: Record<string, Tensor> = {};
    for (const stage of this.stages) {
      const name = (part: EditPart): string => names.edit(stage.layer, stage.stage, part);
      for (const part of ['directions', 'add', 'min', 'max'] as const) feeds[name(part)] = stage.fixed[part];
      feeds[name('mask')] = maskTensor(stage, places, positions, endsSentence);
    }
    return feeds;
  }

  /** No directions anywhere: axes of length 0, which cost nothing and change no bit; or `least` that do nothing. */
  private neutralFeeds(room: GraphRoom, positions: number, least: number): Record<string, Tensor> {
    const feeds: Record<string, Tensor> = {};
    const none = Array.from({ length: this.batch }, () => []);
    const fixed = fixedTensors(this.config, none, least);
    const mask = new Tensor('float32', new Float32Array(this.batch * positions * least), [
      this.batch,
      positions,
      least,
    ]);
    const keep = new Tensor('float32', new Float32Array(this.batch * positions), [this.batch, positions, 1]);
    for (let layer = 1; layer <= this.config.layers; layer++) {
      for (let stage = 0; stage < room.stages; stage++) {
        feeds[names.edit(layer, stage, 'mask')] = mask;
        for (const part of ['directions', 'add', 'min', 'max'] as const)
          feeds[names.edit(layer, stage, part)] = fixed[part];
        if (room.norms) feeds[names.keep(layer, stage)] = keep;
      }
    }
    return feeds;
  }
}

function gatherStages(config: ModelConfig, plans: readonly InterventionPlan[]): StageFeeds[] {
  const stages: StageFeeds[] = [];
  const deepest = Math.max(0, ...plans.map((plan) => plan.stages));
  for (let layer = 1; layer <= config.layers; layer++) {
    for (let stage = 0; stage < deepest; stage++) {
      const edits = plans.map((plan) => plan.layers.get(layer)?.[stage] ?? []);
      const most = Math.max(0, ...edits.map((list) => list.length));
      const count = Math.ceil(most / countMultiple) * countMultiple;
      const keepsNorm = edits.some((list) => list.some((edit) => edit.keepNorm));
      if (count > 0)
        stages.push({ layer, stage, count, edits, fixed: fixedTensors(config, edits, count), keepsNorm });
    }
  }
  return stages;
}

function fixedTensors(
  config: ModelConfig,
  edits: readonly (readonly Edit[])[],
  count: number,
): StageFeeds['fixed'] {
  const batch = edits.length;
  const directions = new Float32Array(batch * count * config.width);
  const add = new Float32Array(batch * count);
  const min = new Float32Array(batch * count).fill(-Infinity);
  const max = new Float32Array(batch * count).fill(Infinity);
  edits.forEach((list, row) => {
    list.forEach((edit, i) => {
      const slot = row * count + i;
      directions.set(edit.direction, slot * config.width);
      add[slot] = edit.add;
      min[slot] = edit.min;
      max[slot] = edit.max;
    });
  });
  const bound = (data: Float32Array): Tensor => new Tensor('float32', data, [batch, 1, count]);
  return {
    directions: new Tensor('float32', directions, [batch, count, config.width]),
    add: bound(add),
    min: bound(min),
    max: bound(max),
  };
}

/** `[batch, position, count]`: 1 where the edit applies to the token, 0 elsewhere and on padding. */
function maskTensor(
  stage: StageFeeds,
  places: readonly (readonly TokenPlace[])[],
  positions: number,
  endsSentence: SentenceEnd,
): Tensor {
  const mask = new Float32Array(places.length * positions * stage.count);
  forEachCovered(stage, places, endsSentence, (row, position, i) => {
    mask[(row * positions + position) * stage.count + i] = 1;
  });
  return new Tensor('float32', mask, [places.length, positions, stage.count]);
}

/** `[batch, position, 1]`: 1 where an edit that keeps the residual's length applies. */
function keepTensor(
  stage: StageFeeds,
  places: readonly (readonly TokenPlace[])[],
  positions: number,
  endsSentence: SentenceEnd,
): Tensor {
  const keep = new Float32Array(places.length * positions);
  forEachCovered(stage, places, endsSentence, (row, position, _, edit) => {
    if (edit.keepNorm) keep[row * positions + position] = 1;
  });
  return new Tensor('float32', keep, [places.length, positions, 1]);
}

function forEachCovered(
  stage: StageFeeds,
  places: readonly (readonly TokenPlace[])[],
  endsSentence: SentenceEnd,
  visit: (row: number, position: number, i: number, edit: Edit) => void,
): void {
  places.forEach((tokens, row) => {
    const list = stage.edits[stage.edits.length === 1 ? 0 : row] as readonly Edit[];
    tokens.forEach((place, position) => {
      list.forEach((edit, i) => {
        const isOpen = edit.gate === null || place.open?.[edit.gate] === true;
        if (isOpen && covers(edit.positions, place, endsSentence)) visit(row, position, i, edit);
      });
    });
  });
}
