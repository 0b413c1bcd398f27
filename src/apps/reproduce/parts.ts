/** An experiment of the reproduction. */
export interface PartPlan {
  readonly name: PartName;
  /** As a heading. */
  readonly title: string;
  /** What of the paper it stands for. */
  readonly stands: string;
  /** Parts whose results it works on. */
  readonly needs: readonly PartName[];
  /** Whether models are trained in it. */
  readonly trains: boolean;
}

/** In the order in which they run. */
export const partNames = [
  'extraction',
  'poolings',
  'steering',
  'monitoring',
  'finetuning',
  'mitigation',
  'screening',
] as const;
export type PartName = (typeof partNames)[number];

export const partPlans: readonly PartPlan[] = [
  {
    name: 'extraction',
    title: 'Vectors, layers, and steering by them',
    stands: 'Sections 2 and 3.2, Figure 3, Appendix B.4',
    needs: [],
    trains: false,
  },
  { name: 'poolings', title: 'Which tokens', stands: 'Figure 11', needs: ['extraction'], trains: false },
  {
    name: 'steering',
    title: 'Steering away, caps, conversations',
    stands: 'Section 3.2, and later work',
    needs: ['extraction'],
    trains: false,
  },
  {
    name: 'monitoring',
    title: 'What the prompt foretells',
    stands: 'Section 3.3, Table 2',
    needs: ['extraction'],
    trains: false,
  },
  {
    name: 'finetuning',
    title: 'Fine-tuning and the shift',
    stands: 'Section 4, Figures 6 and 20',
    needs: ['extraction'],
    trains: true,
  },
  {
    name: 'mitigation',
    title: 'Keeping a trait out',
    stands: 'Section 5, Figures 7, 26 and 27',
    needs: ['extraction', 'finetuning'],
    trains: true,
  },
  {
    name: 'screening',
    title: 'Flagging training data',
    stands: 'Section 6, Figures 8, 9, 17, 21 and 23',
    needs: ['extraction', 'finetuning'],
    trains: true,
  },
];

export function partPlan(name: PartName): PartPlan {
  return partPlans.find((plan) => plan.name === name)!;
}

/** The parts that are asked for and what they build on, in the order in which they run. */
export function withNeeds(asked: readonly PartName[]): PartName[] {
  const wanted = new Set<PartName>();
  const add = (name: PartName): void => {
    for (const need of partPlan(name).needs) add(need);
    wanted.add(name);
  };
  for (const name of asked) add(name);
  return partNames.filter((name) => wanted.has(name));
}

/** Whether any of the parts, with what they build on, trains models. */
export function trainsModels(asked: readonly PartName[]): boolean {
  return withNeeds(asked).some((name) => partPlan(name).trains);
}

/** What to choose where nothing can be trained: the flag, with the parts that train nothing. */
export const untrainedParts: string = `--only ${partPlans
  .filter(({ trains }) => !trains)
  .map(({ name }) => name)
  .join(',')}`;
