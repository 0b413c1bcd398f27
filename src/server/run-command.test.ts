import { describe, expect, it } from 'vitest';
import { commandsOf, type RunCommand } from './run-command.ts';
import type { RunRequest } from './runs-api.ts';
import type { ServedModel } from './settings.ts';

const model = { id: 'small', model: { precision: 'int8-block32' } } as ServedModel;
const place = {
  models: [model],
  names: new Map([['small', ['owner/small@main']]]),
  folder: 'runs/r1',
  vectors: 'vectors',
  file: 'configs/train.json',
  vectorFiles: ['vectors/evil.safetensors', 'vectors/kind/vector.safetensors'],
};
const argsOf = (request: RunRequest): (readonly string[])[] =>
  commandsOf(request, place).map(({ args }) => args);

describe('the commands of a run', () => {
  it('name the model as the server was given it, in the precision that it is served in', () => {
    expect(argsOf({ kind: 'extract', model: 'small', trait: 'evil', judge: 'openai:judge' })).toEqual([
      ['extract', 'owner/small@main', 'evil', '--out=runs/r1/output', '--judge=openai:judge', '--dtype=int8'],
    ]);
  });

  it('name its adapter too', () => {
    const names = new Map([['small', ['owner/small@main', '--adapter=tuned']]]);
    const request = { kind: 'experiment', name: 'steering', model: 'small', trait: 'evil', vector: 'evil' };
    const [{ args }] = commandsOf(request as RunRequest, { ...place, names }) as [RunCommand];
    expect(args.slice(0, 4)).toEqual(['experiment', 'steering', 'owner/small@main', '--adapter=tuned']);
  });

  it('take a training file, whose output goes into the run', () => {
    expect(argsOf({ kind: 'train', file: 'train.json' })).toEqual([
      ['train', 'configs/train.json', '--output', 'runs/r1/output'],
    ]);
  });

  it('screen a data set along the vectors that are named', () => {
    const request = {
      kind: 'screen',
      model: 'small',
      data: 'rows.jsonl',
      vectors: ['evil', 'kind'],
    } as const;
    const along = ['--vector=vectors/evil.safetensors', '--vector=vectors/kind/vector.safetensors'];
    const screenPlace = { ...place, file: '/data/rows.jsonl' };
    const [bare] = commandsOf({ ...request, vectors: [...request.vectors] }, screenPlace);
    const common = ['screen', 'owner/small@main', '/data/rows.jsonl', '--out=runs/r1/output', ...along];
    expect(bare!.args).toEqual([...common, '--dtype=int8']);
    const options = { mode: 'full', percentile: 99.5, sample: 200 } as const;
    const [full] = commandsOf({ ...request, vectors: [...request.vectors], ...options }, screenPlace);
    expect(full!.args).toEqual([
      ...common,
      '--dtype=int8',
      '--mode=full',
      '--percentile=99.5',
      '--sample=200',
    ]);
  });

  it('have a trait that is only described written first, and once', () => {
    const description = `$(rm -rf /) --force "quoted"\n'; echo`;
    const trait = { name: 'mean', description };
    const [first, second] = commandsOf(
      { kind: 'extract', model: 'small', trait, judge: 'openai:writer' },
      place,
    );
    expect(first).toEqual({
      args: [
        'trait',
        'new',
        'mean',
        `--description=${description}`,
        '--with=openai:writer',
        '--out=runs/r1/mean.json',
      ],
      makes: 'runs/r1/mean.json',
    });
    expect(second!.args.slice(0, 3)).toEqual(['extract', 'owner/small@main', 'runs/r1/mean.json']);
  });

  it('give a trait and its vector to the experiments of one trait alone', () => {
    const named = { kind: 'experiment', model: 'small', trait: 'evil', vector: 'evil-2' } as const;
    const traitFlags = ['--trait=evil', '--vector=evil-2', '--vectors=vectors'];
    expect(argsOf({ ...named, name: 'steering' })[0]).toEqual([
      'experiment',
      'steering',
      'owner/small@main',
      '--out=runs/r1/output',
      ...traitFlags,
      '--dtype=int8',
    ]);
    expect(argsOf({ ...named, name: 'screening', quick: true })[0]).toEqual([
      'experiment',
      'screening',
      'owner/small@main',
      '--out=runs/r1/output',
      '--quick',
    ]);
    expect(argsOf({ ...named, name: 'reproduce' })[0]!.slice(0, 2)).toEqual([
      'reproduce',
      'owner/small@main',
    ]);
  });
});
