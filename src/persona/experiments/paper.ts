/**
 * The numbers that the paper (arXiv 2507.21509) and a replication of it give, in one place: each with the figure, table or
 * section that it is from, who measured it, and on which model. Values that are in pictures only are not here.
 */

/**
 * Who says it: the paper, a third party's replication with the paper's judge (living-sciences/living-persona-vectors), or
 * somebody who reports what the paper shows in a picture.
 */
export type Origin = 'paper' | 'replication' | 'second hand';

/** Numbers of one source. */
export interface PaperTable<T> {
  /** Figure, table or appendix. */
  readonly source: string;
  readonly by: Origin;
  /** Which models they are of. */
  readonly on: string;
  readonly values: T;
}

type ByTrait<T> = Readonly<Record<string, T>>;
/** Of Qwen2.5-7B-Instruct and Llama-3.1-8B-Instruct, in this order. */
export type QwenLlama = readonly [qwen: number, llama: number];

const qwen = 'Qwen2.5-7B-Instruct';
const both = `${qwen}, Llama-3.1-8B-Instruct`;

/** The traits that the paper's main text is about. */
export const mainTraits = ['evil', 'sycophantic', 'hallucinating'] as const;

/** The order of the matrices below. */
const matrixOrder = [...mainTraits, 'impolite', 'apathetic', 'humorous', 'optimistic'] as const;

/** Layers that steering chose, of 28 and of 32. */
export const bestLayers: PaperTable<ByTrait<QwenLlama>> = {
  source: 'Appendix B.4',
  by: 'paper',
  on: both,
  values: { evil: [20, 16], sycophantic: [20, 16], hallucinating: [16, 16] },
};
/** How many layers those models have. */
export const modelLayers: QwenLlama = [28, 32];

/** The best layer as a share of the depth, over five families of models: from the least to the greatest. */
export const bestDepth: PaperTable<{ readonly from: number; readonly to: number; readonly mean: number }> = {
  source: 'Appendix B.4',
  by: 'replication',
  on: 'five models',
  values: { from: 0.44, to: 0.71, mean: 0.55 },
};

/** Trait scores by coefficient at the best layer. */
export const doseResponse: PaperTable<{
  readonly coefs: readonly number[];
  readonly scores: ByTrait<readonly number[]>;
  /** Coefficient of half the highest score, over models. */
  readonly halfMaximum: number;
}> = {
  source: 'Figure 3',
  by: 'replication',
  on: qwen,
  values: {
    coefs: [0.5, 1, 1.5, 2, 2.5],
    scores: {
      evil: [0, 7.7, 65.8, 91.3, 95.9],
      sycophantic: [10.2, 23.6, 64, 90.5, 97.8],
      hallucinating: [29.9, 55.9, 80.4, 94.3, 98],
    },
    halfMaximum: 1.2,
  },
};

/** The range in which every steered model of a replication over five families scored at the highest coefficient. */
export const steeringReach: PaperTable<number> = {
  source: 'Figure 3',
  by: 'replication',
  on: 'five models',
  values: 72,
};

/** Mean coherence above which the paper's results of steering while answering lie, and those of training with steering. */
export const steeredCoherence: PaperTable<{ readonly postHoc: number; readonly preventative: number }> = {
  source: 'Figure 7',
  by: 'paper',
  on: both,
  values: { postHoc: 75, preventative: 80 },
};

/** Poolings by how strongly they steer at equal length: the response mean is ahead of both others for all three traits. */
export const strongestPooling: PaperTable<string> = {
  source: 'Figure 11',
  by: 'paper',
  on: qwen,
  values: 'response_mean',
};

/** Pearson's r of the projection before a reply with the score: over all points, and within conditions. */
export const monitoring: PaperTable<
  ByTrait<Readonly<Record<'system' | 'shots', { readonly overall: number; readonly within: number }>>>
> = {
  source: 'Table 2',
  by: 'paper',
  on: qwen,
  values: {
    evil: { system: { overall: 0.747, within: 0.511 }, shots: { overall: 0.755, within: 0.735 } },
    sycophantic: { system: { overall: 0.798, within: 0.669 }, shots: { overall: 0.817, within: 0.813 } },
    hallucinating: { system: { overall: 0.83, within: 0.245 }, shots: { overall: 0.634, within: 0.4 } },
  },
};

/** Trait scores of the untrained model. */
export const baseScores: PaperTable<ByTrait<number>> = {
  source: 'Section 4, base models',
  by: 'paper',
  on: qwen,
  values: { evil: 0, sycophantic: 4.4, hallucinating: 20.1 },
};

/** r of the finetuning shift (row) with the trait score (column) over 24 models, on the first model. */
const shiftQwen = [
  [0.826, 0.6, 0.861, 0.81, 0.814, 0.777, -0.734],
  [0.344, 0.758, 0.724, 0.397, 0.425, 0.493, -0.234],
  [0.733, 0.728, 0.916, 0.774, 0.829, 0.807, -0.713],
  [0.855, 0.639, 0.814, 0.862, 0.836, 0.797, -0.785],
  [0.804, 0.465, 0.803, 0.813, 0.839, 0.701, -0.782],
  [0.793, 0.724, 0.856, 0.808, 0.81, 0.811, -0.72],
  [-0.867, -0.472, -0.706, -0.87, -0.877, -0.776, 0.865],
] as const;
const shiftLlama = [
  [0.93, 0.645, 0.813, 0.974, 0.951, 0.946, -0.907],
  [0.701, 0.893, 0.753, 0.8, 0.8, 0.834, -0.724],
  [0.672, 0.646, 0.967, 0.768, 0.871, 0.779, -0.703],
  [0.881, 0.666, 0.677, 0.944, 0.908, 0.893, -0.894],
  [0.882, 0.553, 0.699, 0.958, 0.936, 0.864, -0.945],
  [0.844, 0.755, 0.729, 0.916, 0.902, 0.908, -0.842],
  [-0.924, -0.599, -0.773, -0.985, -0.963, -0.928, 0.961],
] as const;

/** r of the shift along one trait's vector with the score of a trait, by `shift behaviour`. */
export const shiftCorrelations: PaperTable<ByTrait<QwenLlama>> = {
  source: 'Figure 20',
  by: 'paper',
  on: both,
  values: matrixOf((i, j) => [shiftQwen[i]![j]!, shiftLlama[i]![j]!]),
};

/** Cosines above the diagonal, row by row. */
const cosinesQwen = [
  [0.368, 0.192, 0.552, 0.39, 0.478, -0.472],
  [0.162, 0.386, 0.072, 0.44, 0.178],
  [0, -0.013, 0.134, 0.026],
  [0.542, 0.594, -0.327],
  [0.043, -0.336],
  [-0.144],
] as const;
const cosinesLlama = [
  [0.412, 0.233, 0.44, 0.331, 0.369, -0.469],
  [0.252, 0.294, 0.082, 0.351, -0.112],
  [-0.032, -0.108, 0.127, 0.042],
  [0.734, 0.435, -0.484],
  [0.226, -0.435],
  [-0.237],
] as const;

/** Cosines of the vectors of two traits, at layers 20 and 16, by `trait trait`. */
export const vectorCosines: PaperTable<ByTrait<QwenLlama>> = {
  source: 'Appendix, cosines of vectors',
  by: 'paper',
  on: both,
  values: matrixOf((i, j) => {
    const [a, b] = [Math.min(i, j), Math.max(i, j)];
    return a === b ? [1, 1] : [cosinesQwen[a]![b - a - 1]!, cosinesLlama[a]![b - a - 1]!];
  }),
};

/** Scores of the models that were trained on the severe set of a trait, steered away from it while they answer. */
export const postHoc: PaperTable<{
  readonly coefs: readonly number[];
  readonly scores: ByTrait<readonly number[]>;
}> = {
  source: 'Figure 7',
  by: 'replication',
  on: qwen,
  values: {
    coefs: [0, -0.5, -1, -1.5, -2, -2.5],
    scores: {
      evil: [87.8, 81.4, 62.9, 30.4, 13.7, 5.1],
      sycophantic: [87.6, 83.3, 78.2, 65.2, 51.7, 31.8],
      hallucinating: [96.2, 93.9, 92, 89.9, 88.7, 84.2],
    },
  },
};

/** Scores after training on the severe set: plainly, steered towards the trait at one layer (5), and with the direction taken out at one layer. */
export const trainedSteered: PaperTable<
  ByTrait<{ readonly plain: number; readonly preventative: number; readonly ablated: number }>
> = {
  source: 'Figure 7',
  by: 'replication',
  on: qwen,
  values: {
    evil: { plain: 88.2, preventative: 25.9, ablated: 85.5 },
    sycophantic: { plain: 87.6, preventative: 47.9, ablated: 85.7 },
    hallucinating: { plain: 96.2, preventative: 53.6, ablated: 97.1 },
  },
};

/** Whether taking the direction out at all layers in training keeps the trait out. */
export const caftWorks: PaperTable<ByTrait<boolean>> = {
  source: 'Figure 27',
  by: 'paper',
  on: qwen,
  values: { evil: true, sycophantic: true, hallucinating: false },
};

/** r over data sets of the mean projection difference with the score after training, over both models: from, to. */
export const screenedFull: PaperTable<readonly [from: number, to: number]> = {
  source: 'Figure 8',
  by: 'second hand',
  on: both,
  values: [0.88, 0.95],
};

/** The same where the last prompt token stands for the model's own reply. */
export const screenedPromptLast: PaperTable<ByTrait<number>> = {
  source: 'Figure 23',
  by: 'paper',
  on: qwen,
  values: { evil: 0.931, sycophantic: 0.581, hallucinating: 0.689 },
};

/** The same of the projection with nothing subtracted. */
export const screenedRaw: PaperTable<ByTrait<number>> = {
  source: 'Figure 21',
  by: 'paper',
  on: qwen,
  values: { evil: 0.784, sycophantic: 0.54, hallucinating: 0.635 },
};

/** r over data sets of the projection difference with the finetuning shift. */
export const differenceAndShift: PaperTable<ByTrait<QwenLlama>> = {
  source: 'Figure 17',
  by: 'paper',
  on: both,
  values: { evil: [0.839, 0.953], sycophantic: [0.745, 0.915], hallucinating: [0.408, 0.593] },
};

/** AUROC by which the projection tells the rows of a severe set from those of its normal one. */
export const separation: PaperTable<ByTrait<number>> = {
  source: 'Figure 9',
  by: 'replication',
  on: qwen,
  values: { evil: 0.9999, sycophantic: 0.9999, hallucinating: 0.9948 },
};

/** What the paper says without a number: values that are in pictures only, and readings of them. */
function says(source: string, on: string = both): PaperTable<null> {
  return { source, by: 'paper', on, values: null };
}

/** Scores rise with the coefficient. */
export const scoresRise: PaperTable<null> = says('Figure 3');
/** −α lowers the trait where it is shown. */
export const suppression: PaperTable<null> = says('Section 3.2');
/** The projection is good at gross shifts that a prompt makes, and weaker within one condition. */
export const withinIsWeaker: PaperTable<null> = says('Table 2', qwen);
/** The severe set of a trait raises it more than the mild one, and that more than the normal one. */
export const severityOrder: PaperTable<null> = says('Figure 6');
/** Data with mistakes raise traits that are not in them. */
export const unintendedShifts: PaperTable<null> = says('Figure 6');
/** Steering away while answering lowers the trait, more with every step of the coefficient. */
export const postHocFalls: PaperTable<null> = says('Figure 7');
/** Steering in training at all layers keeps more of the trait out than at one. */
export const allLayersKeepMore: PaperTable<null> = says('Figure 26', qwen);
/** Steering in training leaves what the model can do as plain fine-tuning leaves it. */
export const capabilityStays: PaperTable<null> = says('Figure 7');
/** A system prompt against the trait does less than either way of steering. */
export const promptIsWeaker: PaperTable<null> = says('Section 5, negative instructions', qwen);
/** A penalty on the change of projection leaves the trait. */
export const penaltyLeavesTrait: PaperTable<null> = says('Section 5, projection penalty', qwen);
/** The projection alone foretells less than its difference from the model's own reply. */
export const rawIsWorse: PaperTable<null> = says('Figures 8 and 21', qwen);
/** Training on what lies high raises the trait more than on random samples, and those more than what lies low. */
export const subsetOrder: PaperTable<null> = says('Section 6.3', qwen);

function matrixOf(value: (row: number, column: number) => QwenLlama): ByTrait<QwenLlama> {
  return Object.fromEntries(
    matrixOrder.flatMap((a, i) => matrixOrder.map((b, j) => [`${a} ${b}`, value(i, j)] as const)),
  );
}
