import { createHash } from 'node:crypto';
import type { Generated, Intervention } from '../engine/types.ts';
import type { ChatMessage } from '../model/chat-template.ts';
import { calibrated, findBaseline } from '../persona/projection/baseline.ts';
import type { Watched } from '../persona/projection/watch.ts';
import type { Baseline, BaselineVector } from '../store/baseline-file.ts';
import type { ProjectionRecord, TurnOrigin } from '../store/monitor/append.ts';
import { directionHash } from '../training/directions.ts';
import type { JudgedScore, Memory } from './monitor-judge.ts';
import type { ReadyPolicy } from './monitor-policies.ts';
import { readingsOf } from './persona.ts';

/** Earlier replies by which a conversation is looked for, the latest ones. */
const mostPrefixes = 64;

/** Hashes of a conversation as its messages go on: whoever knows the salt can tell whether two begin alike. */
export class HistoryHash {
  private readonly hash: ReturnType<typeof createHash>;

  constructor(salt: string, { model, key }: Pick<TurnOrigin, 'model' | 'key'>) {
    this.hash = createHash('sha256').update(JSON.stringify([salt, model, key]));
  }

  /** Blanks around a message do not count: clients trim replies. */
  add({ role, content }: ChatMessage): this {
    this.hash.update(JSON.stringify([role, content.trim()]));
    return this;
  }

  /** Of all that was added so far, which more can follow. */
  get value(): string {
    return this.hash.copy().digest('base64url').slice(0, 22);
  }

  with(message: ChatMessage): string {
    return this.hash
      .copy()
      .update(JSON.stringify([message.role, message.content.trim()]))
      .digest('base64url')
      .slice(0, 22);
  }
}

/** The hash of messages, and those of their beginnings that end with a reply, the longest first. */
export function hashMessages(
  salt: string,
  of: Pick<TurnOrigin, 'model' | 'key'>,
  messages: readonly ChatMessage[],
): { readonly hash: HistoryHash; readonly prefixes: readonly string[] } {
  const hash = new HistoryHash(salt, of);
  const prefixes: string[] = [];
  for (const message of messages) {
    hash.add(message);
    if (message.role === 'assistant') prefixes.unshift(hash.value);
  }
  return { hash, prefixes: prefixes.slice(0, mostPrefixes) };
}

/** A direction of a turn, under the name that the store has for it. */
export interface TurnDirection {
  readonly stored: string;
  readonly watched: Watched;
  readonly usual: BaselineVector | null;
}

export interface TurnDirections {
  /** In the order in which they are projected on: those that the client asked for come first. */
  readonly all: readonly TurnDirection[];
  /** Index in `all` by policy and its vector. */
  readonly of: (policy: string, vector: string) => number;
}

/**
 * All directions of a turn. What policies watch keeps its name from turn to turn; a client's vector of the same name at
 * another layer has its layer behind it.
 */
export function turnDirections(
  asked: readonly Watched[],
  policies: readonly ReadyPolicy[],
  model: string,
  baselines: readonly Baseline[],
): TurnDirections {
  const names = new Map<string, string>();
  const nameOf = (watched: Watched): string => {
    const same = names.get(identity(watched));
    if (same !== undefined) return same;
    const { name, layer, pooling } = watched;
    const taken = new Set(names.values());
    const forms = [name, `${name}@${layer}`, `${name}@${layer}.${pooling}`];
    const free = forms.find((form) => !taken.has(form)) ?? `${name}@${layer}.${pooling}#${taken.size}`;
    names.set(identity(watched), free);
    return free;
  };
  const wanted = policies.flatMap(({ item, vectors }) =>
    (vectors.get(model) ?? []).map((one) => ({ ...one, policy: item.name, stored: nameOf(one.watched) })),
  );
  const all: TurnDirection[] = asked.map((watched) => ({
    stored: nameOf(watched),
    watched,
    usual: findBaseline(baselines, watched)?.vector ?? null,
  }));
  const places = new Map<string, number>();
  for (const { policy, name, stored, watched, usual } of wanted) {
    let at = all.findIndex((one) => one.stored === stored);
    if (at < 0) at = all.push({ stored, watched, usual }) - 1;
    places.set(JSON.stringify([policy, name]), at);
  }
  return { all, of: (policy, vector) => places.get(JSON.stringify([policy, vector]))! };
}

function identity({ name, layer, vector }: Watched): string {
  return JSON.stringify([name, layer, directionHash(vector)]);
}

/** What a reply says along every direction. */
export function projectionRecords(
  { projections = new Float32Array() }: Pick<Generated, 'projections'>,
  directions: readonly TurnDirection[],
  keepTokens: boolean,
): (ProjectionRecord & { readonly beforeScore: Score; readonly meanScore: Score })[] {
  return directions.map(({ stored, watched: { layer }, usual }, i) => {
    const { before, mean, tokens } = readingsOf(projections, directions.length, i);
    const score = (value: number | null, place: 'prompt_last' | 'response_mean'): Score =>
      value === null || usual === null ? noScore : calibrated(value, usual.places[place]);
    const [beforeScore, meanScore] = [score(before, 'prompt_last'), score(mean, 'response_mean')];
    const { z, percentile } = meanScore;
    const kept = keepTokens ? { tokens } : {};
    return { vector: stored, layer, before, mean, z, percentile, ...kept, beforeScore, meanScore };
  });
}

interface Score {
  readonly z: number | null;
  readonly percentile: number | null;
}
const noScore: Score = { z: null, percentile: null };

/** Every rule of every policy with the score that it judges. */
export function judgedScores(
  policies: readonly ReadyPolicy[],
  directions: TurnDirections,
  records: ReturnType<typeof projectionRecords>,
): JudgedScore[] {
  return policies.flatMap(({ item }) =>
    item.watch.vectors.flatMap((name) => {
      const record = records[directions.of(item.name, name)]!;
      const { z, percentile } = item.reading === 'before' ? record.beforeScore : record.meanScore;
      const { name: policy, action, webhook } = item;
      const url = webhook?.url ?? null;
      return item.rules.map((rule) => ({ policy, action, url, vector: record.vector, rule, z, percentile }));
    }),
  );
}

/** The policy that refuses what follows a turn; null where none does. */
export function refusingPolicy(policies: readonly ReadyPolicy[], { refused }: Memory): string | null {
  const found = policies.find(({ item }) => item.action === 'refuse' && refused.includes(item.name));
  return found?.item.name ?? null;
}

/** What policies do to the next reply after a turn, with a sentence for each. */
export function capsAfter(
  policies: readonly ReadyPolicy[],
  model: string,
  directions: TurnDirections,
  { capped }: Memory,
): { readonly interventions: readonly Intervention[]; readonly notes: readonly string[] } {
  const found = policies.flatMap(({ item, vectors }) =>
    (vectors.get(model) ?? []).flatMap(({ name, caps }) => {
      const { stored } = directions.all[directions.of(item.name, name)]!;
      return capped
        .filter((one) => caps !== null && one.policy === item.name && one.vector === stored)
        .map(({ direction }) => ({
          edits: caps![direction],
          note: `policy ${item.name} keeps ${name} ${direction === 'up' ? 'below' : 'above'} what is usual`,
        }));
    }),
  );
  return { interventions: found.flatMap(({ edits }) => edits), notes: found.map(({ note }) => note) };
}
