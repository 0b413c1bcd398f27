import type { Capabilities, VectorFacts } from '../../../src/server/client.ts';

/** All that decides a reply, as it is kept in the page's address. */
export interface Settings {
  readonly model: string;
  readonly system: string;
  /** Coefficients by vector; what is 0 is left out. */
  readonly steer: Readonly<Record<string, number>>;
  /** Null: each vector's recommended one. */
  readonly layer: number | null;
  /** Empty: what the model recommends. */
  readonly positions: string;
  readonly temperature: number;
  readonly maxTokens: number;
  /** Null: another one every time. */
  readonly seed: number | null;
  /** The vector that colours tokens; null: the first. */
  readonly shown: string | null;
  /** What is about to be said. */
  readonly prompt: string;
}

export type Model = Capabilities['models'][number];

/** Most vectors that a request can watch. */
const mostWatched = 16;

/** What a conversation begins with where the address says nothing else. */
export function defaultSettings(models: readonly Model[]): Settings {
  return {
    model: (models.find(({ chat }) => chat) ?? models[0])?.id ?? '',
    system: '',
    steer: {},
    layer: null,
    positions: '',
    temperature: 0.7,
    maxTokens: 96,
    seed: null,
    shown: null,
    prompt: '',
  };
}

/** Settings as an address's part behind the #, which no server is sent; what is as usual is left out. */
export function toFragment(settings: Settings, usual: Settings): string {
  const query = new URLSearchParams();
  for (const name of ['model', 'system', 'positions', 'prompt'] as const)
    if (settings[name] !== usual[name]) query.set(name, settings[name]);
  for (const name of ['temperature', 'maxTokens', 'seed', 'layer', 'shown'] as const)
    if (settings[name] !== usual[name]) query.set(name, String(settings[name]));
  for (const [vector, coef] of Object.entries(settings.steer))
    if (coef !== 0) query.append('steer', `${vector}:${coef}`);
  return query.toString();
}

/** The inverse of `toFragment`; what cannot be is as usual. */
export function fromFragment(fragment: string, usual: Settings): Settings {
  const query = new URLSearchParams(fragment.replace(/^#/, ''));
  const within = (name: string, least: number, most: number): number | null => {
    const text = query.get(name);
    const value = Number(text);
    return text === null || text === '' || !(value >= least && value <= most) ? null : value;
  };
  const whole = (name: string, least: number): number | null => {
    const value = within(name, least, 2 ** 31 - 1);
    return Number.isInteger(value) ? value : null;
  };
  return {
    model: query.get('model') ?? usual.model,
    system: query.get('system') ?? usual.system,
    steer: Object.fromEntries(query.getAll('steer').flatMap(readCoefficient)),
    layer: whole('layer', 1),
    positions: query.get('positions') ?? usual.positions,
    temperature: within('temperature', 0, 2) ?? usual.temperature,
    maxTokens: whole('maxTokens', 1) ?? usual.maxTokens,
    seed: whole('seed', 0),
    shown: query.get('shown'),
    prompt: query.get('prompt') ?? usual.prompt,
  };
}

function readCoefficient(text: string): [string, number][] {
  const at = text.lastIndexOf(':');
  const coef = Number(text.slice(at + 1));
  return at > 0 && Number.isFinite(coef) && coef !== 0 ? [[text.slice(0, at), coef]] : [];
}

/** The vectors that are of a model's shape. */
export function fitting(vectors: readonly VectorFacts[], model: Model): VectorFacts[] {
  return vectors.filter(({ layers, width }) => layers === model.layers && width === model.width);
}

/** Whether a vector can be used with these settings: one that recommends no layer needs to be told one. */
export function isUsable({ recommended_layer }: VectorFacts, { layer }: Settings): boolean {
  return layer !== null || recommended_layer !== null;
}

/** The names of the vectors whose projections are asked for. */
export function watchedNames(vectors: readonly VectorFacts[], settings: Settings): string[] {
  return vectors
    .filter((vector) => isUsable(vector, settings))
    .map(({ name }) => name)
    .slice(0, mostWatched);
}

/** The entries of `steer` that act. */
export function activeSteering(
  vectors: readonly VectorFacts[],
  settings: Settings,
): Readonly<Record<string, number>> {
  const usable = vectors.filter((vector) => isUsable(vector, settings)).map(({ name }) => name);
  return Object.fromEntries(
    Object.entries(settings.steer).filter(([name, coef]) => coef !== 0 && usable.includes(name)),
  );
}
