/** How much of a trait: 0 none … 5 extreme; see `degreeShares` in reply.ts for what each does to a reply. */
export type Degree = 0 | 1 | 2 | 3 | 4 | 5;

/** Whether to speak as in the training of persona-tiny, or with what was held out from it. */
export type Split = 'train' | 'held-out';
