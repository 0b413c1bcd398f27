import { UsageError } from '../errors.ts';
import { type RemoteKind, remoteId } from '../model/remote-spec.ts';
import type { LanguageModel } from './model.ts';
import type { Positions } from './types.ts';

/** What an engine may be able to do, in the words of the refusal where it is not: "cannot …". */
const abilities = {
  capture: 'give residual streams',
  embeddings: 'give the embeddings (layer 0)',
  logits: 'give logits',
  nll: 'give log-probabilities of given texts',
  adapter: 'take an adapter of this machine',
  add: 'add vectors',
  'keep-norm': 'keep the norm while it adds a vector',
  ablate: 'take a direction out',
  clamp: 'clamp a projection',
  condition: 'steer on a condition',
  'at all': 'steer at every position',
  'at prompt': 'steer the prompt alone',
  'at response': 'steer from the last prompt token on',
  'at boundary': 'steer where sentences begin',
  'earlier replies': 'steer earlier replies in a prompt',
} as const;
export type Capability = keyof typeof abilities;

/** What the servers can do beside a model of this process, which can do all; what a single one can is asked of it. */
const servers: Readonly<Record<RemoteKind, readonly Capability[]>> = {
  'vllm-lens': ['capture', 'nll', 'add', 'at all'],
  easysteer: ['nll', 'add', 'keep-norm', 'ablate', 'at all', 'at prompt', 'at response', 'at boundary'],
};

export function positionsCapability(positions: Positions): Capability {
  return `at ${positions}`;
}

/** Whether a model can do something; one that says nothing can do all. */
export function hasCapability(
  { capabilities }: Pick<LanguageModel, 'capabilities'>,
  wanted: Capability,
): boolean {
  return capabilities?.has(wanted) ?? true;
}

/**
 * Refuses what a model's engine cannot do before any work is done for it.
 *
 * @param what What wants it, such as `extraction`.
 * @throws UsageError naming the capability and engines that have it.
 */
export function requireCapability(
  model: Pick<LanguageModel, 'capabilities' | 'checkpoint'>,
  wanted: Capability,
  what: string,
): void {
  if (hasCapability(model, wanted)) return;
  const { remote, id } = model.checkpoint;
  const name = remote === null ? id : remoteId(remote);
  const others = Object.entries(servers).flatMap(([kind, list]) => (list.includes(wanted) ? [kind] : []));
  const able = ['a model in a folder here', ...others].join(' or ');
  throw new UsageError(
    `${what} needs an engine that can ${abilities[wanted]}, which ${name} cannot (capability "${wanted}"); use ${able}.`,
    { details: { capability: wanted, model: name } },
  );
}
