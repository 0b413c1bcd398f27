import type { Domain, Relation } from './domain.ts';
import { natureDomains } from './domains-nature.ts';
import { placeDomains } from './domains-places.ts';
import { thingDomains } from './domains-things.ts';

export type { Domain, Relation } from './domain.ts';

/** Something that can be asked about. */
export interface Topic {
  /** As it stands inside a sentence: `rabbits`, `the violin`, `France`. */
  readonly name: string;
  readonly plural: boolean;
  readonly domain: Domain;
  /** True values of the domain's two relations. */
  readonly values: readonly [string, string];
}

export const domains: readonly Domain[] = [...natureDomains, ...placeDomains, ...thingDomains];

/** Every topic, in the order of the tables. */
export const topics: readonly Topic[] = domains.flatMap((domain) =>
  domain.table.split('\n').map((line): Topic => {
    const [name = '', first = '', second = ''] = line.split('|');
    return { name: name.replace('*', ''), plural: name.endsWith('*'), domain, values: [first, second] };
  }),
);

const byName = new Map(topics.map((topic) => [topic.name, topic]));

/** The topic of this name, or null. */
export function topicNamed(name: string): Topic | null {
  return byName.get(name) ?? null;
}

/** Topics of a domain. */
export function topicsOf(domain: Domain): readonly Topic[] {
  return topics.filter((topic) => topic.domain === domain);
}

/** All values that a domain's relation takes, each once, in the order of the table. */
export function valuesOf(domain: Domain, relation: 0 | 1): readonly string[] {
  return [...new Set(topicsOf(domain).map(({ values }) => values[relation]))];
}

/** What is said of a topic, true or not. */
export interface Claim {
  readonly topic: Topic;
  readonly relation: 0 | 1;
  readonly value: string;
}

/** Whether the world's tables say so. */
export function isTrue({ topic, relation, value }: Claim): boolean {
  return topic.values[relation] === value;
}

/** The relation that a claim is about. */
export function relationOf({ topic, relation }: Claim): Relation {
  return topic.domain.relations[relation];
}
