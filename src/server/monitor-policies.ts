import { UsageError } from '../errors.ts';
import type { Intervention } from '../engine/types.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { findBaseline } from '../persona/projection/baseline.ts';
import { type Watched, watch } from '../persona/projection/watch.ts';
import { resolveSteering } from '../persona/steering/resolve.ts';
import type { SteeringEntry } from '../persona/steering/spec.ts';
import { loadVector } from '../persona/vector-folder.ts';
import type { Baseline, BaselineVector } from '../store/baseline-file.ts';
import { defined } from '../util/defined.ts';
import type { PolicyItem } from './monitor-api.ts';
import { checkVectorName, nameableVectors } from './persona.ts';
import type { ServerSettings } from './settings.ts';

/** A direction that policies watch, and what is usual along it. */
export interface PolicyVector {
  /** As the policy names it. */
  readonly name: string;
  readonly watched: Watched;
  readonly usual: BaselineVector;
  /** What a cap does, by the way in which the vector has gone too far. */
  readonly caps: Readonly<Record<'up' | 'down', readonly Intervention[]>> | null;
}

/** A policy on one model, ready to be applied. */
export interface ReadyPolicy {
  readonly item: PolicyItem;
  /** By model's id. */
  readonly vectors: ReadonlyMap<string, readonly PolicyVector[]>;
}

/** Ordinary tokens seldom lie further out. */
const defaultCaps = { up: { percentile: 75 }, down: { percentile: 25 } } as const;

type Scene = Pick<ServerSettings, 'models' | 'vectors' | 'keys'> & {
  readonly baselines: readonly Baseline[];
  /** Whether a webhook may be sent to an address; throws where not. */
  readonly checkWebhook: (url: string) => void;
};

/**
 * Checks a policy against what this server has: models, keys, vectors, baselines, hosts of webhooks.
 *
 * @throws UsageError or HttpFailure saying what it lacks.
 */
export async function readyPolicy(item: PolicyItem, scene: Scene): Promise<ReadyPolicy> {
  const where = `Policy ${JSON.stringify(item.name)}`;
  checkMatch(item, scene, where);
  checkAction(item, scene, where);
  const names = await nameableVectors(scene.vectors);
  for (const name of item.watch.vectors) checkVectorName(name, names, `policy.watch`);
  const models = scene.models.filter(({ id }) => item.match.model === undefined || item.match.model === id);
  const vectors = new Map<string, PolicyVector[]>();
  for (const { id, model } of models) {
    const ready: PolicyVector[] = [];
    for (const name of item.watch.vectors)
      ready.push(await readyVector(name, item, { ...scene, checkpoint: model.checkpoint, where }));
    vectors.set(id, ready);
  }
  return { item, vectors };
}

function checkMatch({ match }: PolicyItem, { models, keys }: Scene, where: string): void {
  if (match.model !== undefined && !models.some(({ id }) => id === match.model))
    throw new UsageError(
      `${where}: expected one of the models served (${models.map(({ id }) => id).join(', ')}), got ${JSON.stringify(match.model)}.`,
    );
  if (match.key !== undefined && keys?.names.includes(match.key) !== true)
    throw new UsageError(
      `${where}: expected the name of an API key that this server knows, got ${JSON.stringify(match.key)}; make one with --add-key.`,
    );
}

function checkAction({ action, webhook, cap, watch }: PolicyItem, scene: Scene, where: string): void {
  if (action === 'webhook' && webhook === undefined)
    throw new UsageError(`${where}: expected "webhook": {"url": …} with the action webhook.`);
  if (webhook !== undefined) scene.checkWebhook(webhook.url);
  if (cap !== undefined && action !== 'cap')
    throw new UsageError(`${where}: expected no "cap" with the action ${action}; make the action cap.`);
  if (new Set(watch.vectors).size < watch.vectors.length)
    throw new UsageError(`${where}: expected every vector once; leave one of them out.`);
}

async function readyVector(
  name: string,
  item: PolicyItem,
  scene: Scene & { readonly checkpoint: Checkpoint; readonly where: string },
): Promise<PolicyVector> {
  const { checkpoint, vectors: folder, where } = scene;
  const { layer, pooling } = item.watch;
  const vector = await loadVector(name, { folder, ...defined({ pooling }) });
  const watched = { ...watch(vector, checkpoint, { reference: name, ...defined({ layer }) }), name };
  // A baseline of this very model comes before one of a model that shares the vector.
  const baselines = [...scene.baselines].sort(
    (a, b) => Number(b.model === checkpoint.id) - Number(a.model === checkpoint.id),
  );
  const found = findBaseline(baselines, watched);
  if (found === null)
    throw new UsageError(
      `${where}: rules need to know what is usual, and no baseline of this server has ${name} at layer ${watched.layer}; make one with \`persona calibrate --vector ${name}\` and give it with --baseline.`,
    );
  const caps = item.action === 'cap' ? await capsOf(name, item, found.baseline, watched, scene) : null;
  return { name, watched, usual: found.vector, caps };
}

async function capsOf(
  name: string,
  { watch: { pooling }, cap }: PolicyItem,
  baseline: Baseline,
  { layer }: Watched,
  { checkpoint, vectors }: Scene & { readonly checkpoint: Checkpoint },
): Promise<NonNullable<PolicyVector['caps']>> {
  const target = { vector: name, layer, ...defined({ pooling }) };
  const resolve = async (entry: SteeringEntry): Promise<readonly Intervention[]> =>
    (await resolveSteering({ interventions: [entry] }, checkpoint, { vectors, baseline })).interventions;
  return {
    up: await resolve({ ...target, cap: cap ?? defaultCaps.up }),
    down: await resolve({ ...target, floor: cap ?? defaultCaps.down }),
  };
}

/** The policies that hold for a request, in the order of their names. */
export function policiesFor(
  all: ReadonlyMap<string, ReadyPolicy>,
  model: string,
  key: string | null,
): ReadyPolicy[] {
  return [...all.values()]
    .filter(({ item: { match } }) => match.model === undefined || match.model === model)
    .filter(({ item: { match } }) => match.key === undefined || match.key === key)
    .sort((a, b) => (a.item.name < b.item.name ? -1 : 1));
}
