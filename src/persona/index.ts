export { type ExtractResult, extract } from './extract.ts';
export type { DoseOptions, ExtractOptions, SweepOptions } from './extract-options.ts';
export { type ExtractEvent, type ExtractStep, type ProgressListener, extractSteps } from './progress.ts';
export {
  type ContrastivePair,
  type Lexicon,
  type Trait,
  type TraitFile,
  loadTrait,
  parseTrait,
  resolveTrait,
} from './trait.ts';
export type {
  JudgeCost,
  JudgeItem,
  JudgeItems,
  JudgeLoad,
  JudgeOptions,
  JudgeProvider,
  JudgeSource,
  Judgement,
  Scores,
} from './judge.ts';
export { type GivenRollout, type GivenRollouts, readGivenRollouts } from './given-rollouts.ts';
export { lexicalJudge } from './lexical-judge.ts';
export { type OpenJudgeOptions, openJudge } from './judges/open-judge.ts';
export {
  type FilterCounts,
  type FilterMode,
  type FilterResult,
  type FilterRule,
  type PoleCounts,
  type ScoredPair,
  filterPairs,
} from './filter.ts';
export type { Pole } from './poles.ts';
export { differenceOfMeans } from './extract-vector.ts';
export { type DirectionKind, directionKinds } from './directions.ts';
export { PersonaVector, type VectorMetadata } from './vector.ts';
export { type Finding, describeFinding } from './finding.ts';
export { MIN_PAIRS } from './vector-step.ts';
export type { Cell, Directions, DoseResponse, Sweep } from '../store/result-schema.ts';
export type { Manifest } from '../store/manifest.ts';
