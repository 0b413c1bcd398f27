/** The steps of an extraction, in order. */
export const extractSteps = ['rollouts', 'vector', 'sweep', 'dose-response', 'held-out', 'report'] as const;
export type ExtractStep = (typeof extractSteps)[number];

/** What an extraction tells while it runs; a command line draws it. */
export type ExtractEvent =
  | { readonly type: 'step-start'; readonly step: ExtractStep }
  | {
      readonly type: 'step-progress';
      readonly step: ExtractStep;
      readonly phase: 'generate' | 'judge';
      /** Rows that are ready, those of an earlier process included. */
      readonly done: number;
      readonly total: number;
      /** New tokens of this process and step. */
      readonly tokens: number;
    }
  /** `reused`: the step was finished by an earlier process. */
  | {
      readonly type: 'step-end';
      readonly step: ExtractStep;
      readonly seconds: number;
      readonly reused: boolean;
    }
  /** Something that the reader should know and that stops nothing. */
  | { readonly type: 'note'; readonly message: string };

export type ProgressListener = (event: ExtractEvent) => void;
