/** The store of a server that is killed while it writes: see scripts/store-kill.ts, which does it more often. */
import { expect, it } from 'vitest';
import { compiledCli } from '../helpers/build.ts';
import { nodeFlags, runProcess } from '../helpers/cli.ts';

it('is whole, has every turn that a client was told of, and has no alert sent again that was confirmed', async () => {
  const args = [
    'scripts/store-kill.ts',
    '--kills',
    '2',
    '--longest',
    '900',
    '--clients',
    '4',
    '--cli',
    compiledCli(),
  ];
  const { code, stdout, stderr } = await runProcess(process.execPath, [...nodeFlags, ...args]);
  expect(stderr).toBe('');
  const { faults, kills, turnsTold, turnsStored, alerts, delivered } = JSON.parse(stdout) as Record<
    string,
    number
  >;
  expect({ code, faults, kills }).toEqual({ code: 0, faults: [], kills: 2 });
  expect(turnsTold).toBeGreaterThan(0);
  expect(turnsStored).toBeGreaterThanOrEqual(turnsTold!);
  expect(delivered).toBe(alerts);
});
