/** The two poles of a trait, as the authors name them. */
export const poles = ['pos', 'neg'] as const;
export type Pole = (typeof poles)[number];
