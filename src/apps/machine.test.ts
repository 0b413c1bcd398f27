import { describe, expect, it } from 'vitest';
import { describeMachine, parseCoreQuota, parseFeatures } from './machine.ts';

describe('parseFeatures', () => {
  it.each<[string, string, string[]]>([
    [
      'a server of 2023',
      'flags\t\t: fpu avx2 avx512f avx512_vnni avx512_bf16 amx_tile',
      ['avx2', 'avx512', 'vnni', 'bf16', 'amx'],
    ],
    ['a laptop without AVX-512', 'flags : avx avx2 avx_vnni', ['avx2', 'vnni']],
    ['an old one', 'flags : fpu sse4_2 avx', []],
    [
      'an ARM server',
      'Features\t: fp asimd asimddp sve i8mm bf16',
      ['bf16', 'neon', 'dotprod', 'i8mm', 'sve'],
    ],
    ['only the first core', 'flags : avx2\nflags : avx512f', ['avx2']],
    ['whole words alone', 'flags : xavx2 avx2x', []],
  ])('reads %s', (_, line, expected) => {
    expect(parseFeatures(`processor : 0\nmodel name : flags\n${line}\n`)).toEqual(expected);
  });

  it.each([null, '', 'model name : x'])('knows that %j says nothing', (text) => {
    expect(parseFeatures(text)).toBeNull();
  });
});

describe('parseCoreQuota', () => {
  it.each<[string | null, number | null]>([
    ['200000 100000\n', 2],
    ['50000 100000', 0.5],
    ['max 100000', null],
    ['1 0', null],
    ['', null],
    [null, null],
  ])('%j is %s', (text, expected) => {
    expect(parseCoreQuota(text)).toBe(expected);
  });
});

it('describes this machine', async () => {
  const machine = await describeMachine();
  expect(machine.platform).toBe(`${process.platform} ${process.arch}`);
  expect(machine.cores).toBeGreaterThanOrEqual(1);
  expect(machine.memory.available).toBeGreaterThan(0);
  expect(machine.memory.available).toBeLessThanOrEqual(machine.memory.total);
});
