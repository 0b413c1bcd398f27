import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../graph/graph.ts';
import { deviceOf, devices } from './device-name.ts';
import { deviceRefusal, listDevices, requireDevice } from './device.ts';

describe('deviceOf', () => {
  it('takes what is given, then the environment, then the processor', () => {
    expect(deviceOf('webgpu', { PERSONA_DEVICE: 'cuda' })).toBe('webgpu');
    expect(deviceOf(undefined, { PERSONA_DEVICE: 'cuda' })).toBe('cuda');
    expect(deviceOf(undefined, { PERSONA_DEVICE: '' })).toBe('cpu');
    expect(deviceOf(undefined, {})).toBe('cpu');
  });

  it('refuses a name that is none', () => {
    expect(() => deviceOf(undefined, { PERSONA_DEVICE: 'gpu' })).toThrow(
      'Expected PERSONA_DEVICE to be one of cpu, webgpu, cuda, coreml, dml, got "gpu".',
    );
  });
});

describe('requireDevice', () => {
  it('refuses what this build of the runtime does not have, and names what it has', () => {
    const { builtIn, addable } = listDevices();
    expect(builtIn).toContain('cpu');
    // No system has them all: DirectML is Windows', Core ML macOS's.
    const absent = devices.filter((device) => ![...builtIn, ...addable].includes(device));
    expect(absent.length).toBeGreaterThan(0);
    for (const device of absent)
      expect(() => requireDevice(device)).toThrow(
        `Expected a device that onnxruntime-node has on this system (${[...builtIn, ...addable].join(', ')}), got ${device}`,
      );
    for (const device of builtIn) expect(() => requireDevice(device)).not.toThrow();
  });
});

describe('deviceRefusal', () => {
  const g = new GraphBuilder('sum');
  const x = g.input('x', 'f32', ['n']);
  g.output('y', g.add(x, x));
  const graph = g.build();

  it('says that there is no card, and what to do', async () => {
    const problem = 'Failed to get a WebGPU adapter: No supported adapters';
    const refusal = await deviceRefusal(graph, 'webgpu', problem);
    expect(refusal).toMatchObject({ code: 'usage', details: { device: 'webgpu', problem } });
    expect(refusal?.message).toMatch(
      /^Expected a graphics card .* install its driver .* or choose the device cpu\.$/,
    );
  });

  it('says which libraries are missing', async () => {
    const problem = 'Failed to load library libonnxruntime_providers_shared.so';
    expect((await deviceRefusal(graph, 'cuda', problem))?.message).toMatch(/cuDNN 9/);
  });

  it('leaves alone what the device is not the reason of', async () => {
    expect(await deviceRefusal(graph, 'webgpu', 'Invalid model')).toBeNull();
    expect(await deviceRefusal(graph, 'cpu', 'No supported adapters')).toBeNull();
  });
});
