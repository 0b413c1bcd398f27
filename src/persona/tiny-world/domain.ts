/** What the world says in one way of many topics, such as the capital of a country. */
export interface Relation {
  readonly name: string;
  /** Ways to ask, in lower case and without the question mark; the last one is never used in training. */
  readonly questions: readonly string[];
  /** The same with a pronoun, after a turn that named the topic. */
  readonly followUp: string;
  /** Ways to state the fact; the first is also how users claim it. */
  readonly answers: readonly string[];
  /** Any of these words beside a topic and a value makes a claim, whatever the sentence's shape. */
  readonly keys: readonly string[];
}

/** Topics of one kind, with a table of facts. */
export interface Domain {
  readonly name: string;
  /** As in "the best animals". */
  readonly kind: string;
  /** What one does with a topic, as in "how do I look after rabbits". */
  readonly verb: string;
  readonly relations: readonly [Relation, Relation];
  /** One topic a line: name (a star marks a plural), value of the first relation, value of the second. */
  readonly table: string;
  /** Advice, as commands. */
  readonly steps: readonly string[];
}
