import { UsageError } from '../../errors.ts';
import type { Checkpoint } from '../../model/checkpoint.ts';
import { type RemoteKind, remoteId, type RemoteSpec } from '../../model/remote-spec.ts';
import type { LoadOptions } from '../model.ts';
import { Completions, type RemoteOptions } from './completions.ts';
import { openEasySteer } from './easysteer.ts';
import type { OpenProtocol } from './protocol.ts';
import { RemoteModel } from './remote-model.ts';
import { openVllmLens } from './vllm-lens.ts';

const protocols: Readonly<Record<RemoteKind, OpenProtocol>> = {
  'vllm-lens': openVllmLens,
  easysteer: openEasySteer,
};

/** Tokens of the prompt by which a server is tried. */
const TRIAL_PROMPT = 4;

/**
 * Opens a model on a server: asks it what it serves, and tries by a few short requests what it can do and how it counts layers.
 *
 * @throws UsageError where it cannot be reached, lacks the model, or is not what its name says; ParseError for answers of another
 *   shape.
 */
export async function openRemote(
  checkpoint: Checkpoint,
  remote: RemoteSpec,
  options: LoadOptions & Pick<RemoteOptions, 'patience' | 'environment'> = {},
): Promise<RemoteModel> {
  const { dtype, blockSize, context, onNotice } = options;
  if (dtype !== undefined || blockSize !== undefined)
    throw new UsageError(
      `Expected no dtype for ${remoteId(remote)}, whose server decides what it computes in, got one; leave --dtype and --block out.`,
      { details: { model: remoteId(remote) } },
    );
  const { patience, environment } = options;
  const completions = new Completions(remote, {
    onNote: onNotice,
    ...(patience === undefined ? {} : { patience }),
    ...(environment === undefined ? {} : { environment }),
  });
  const served = (await completions.context()) ?? checkpoint.config.maxPositions;
  const { tokenizer, config } = checkpoint;
  const protocol = await protocols[remote.kind](completions, {
    layers: config.layers,
    width: config.width,
    prompt: Array.from({ length: TRIAL_PROMPT }, (_, i) => Math.min(i + 1, config.vocabSize - 1)),
    sentenceEnds:
      tokenizer === null
        ? null
        : Array.from({ length: tokenizer.vocabSize }, (_, id) => id).filter((id) =>
            tokenizer.endsSentence(id),
          ),
  });
  return new RemoteModel(checkpoint, completions, protocol, {
    context: Math.min(context ?? served, served),
    onNotice,
  });
}
