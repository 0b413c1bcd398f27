import type { LanguageModel } from '../engine/model.ts';
import { AbortError, DataError } from '../errors.ts';
import type { Checkpoint } from '../model/checkpoint.ts';
import { projectRows, type ProjectedRow } from '../persona/projection/project.ts';
import { encodeConversationRow, type ProjectionRow } from '../persona/projection/rows.ts';
import type { Watched } from '../persona/projection/watch.ts';
import { readTranscripts, type Transcript } from './transcripts.ts';

/** Tokens that are read ahead and run in common batches. */
const chunkTokens = 32_768;

export interface ProjectTranscriptsOptions {
  readonly model: LanguageModel;
  readonly watched: readonly Watched[];
  readonly input: string;
  /** Whether a conversation is to be passed over, being done already. */
  readonly isDone?: ((line: number) => boolean) | undefined;
  /** Takes what is wrong with a conversation, which is then left out; by default the first fault is thrown. */
  readonly onBad?: ((error: DataError) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ProjectedTranscript {
  readonly transcript: Transcript;
  readonly row: ProjectionRow;
  readonly projected: ProjectedRow;
}

/**
 * Projects the conversations of a file, each run once for all of its turns; in chunks, in the order of the file.
 *
 * @throws DataError naming the line of one that cannot be run.
 */
export async function* projectTranscripts(
  options: ProjectTranscriptsOptions,
): AsyncGenerator<ProjectedTranscript[]> {
  const { model, watched, signal } = options;
  for await (const chunk of encodedChunks({ ...options, checkpoint: model.checkpoint })) {
    const rows = chunk.map(({ row }) => row);
    const results: ProjectedTranscript[] = [];
    for await (const projected of projectRows(model, watched, rows, { signal }))
      results[projected.index] = { ...chunk[projected.index]!, projected };
    yield results;
    if (signal?.aborted === true) throw new AbortError('Stopped; the same command continues from here.');
  }
}

/** A conversation as tokens. */
export type EncodedTranscript = Omit<ProjectedTranscript, 'projected'>;

type EncodeTranscriptsOptions = Pick<ProjectTranscriptsOptions, 'input' | 'isDone' | 'onBad'> & {
  readonly checkpoint: Checkpoint;
};

/** The conversations of a file as tokens, in its order; errors as `projectTranscripts`. */
export async function* encodeTranscripts({
  checkpoint,
  input,
  isDone,
  onBad,
}: EncodeTranscriptsOptions): AsyncGenerator<EncodedTranscript> {
  for await (const transcript of readTranscripts(input, { onBad })) {
    if (isDone?.(transcript.line) === true) continue;
    const row = encodeOr(transcript, checkpoint, onBad);
    if (row !== null) yield { transcript, row };
  }
}

async function* encodedChunks(options: EncodeTranscriptsOptions): AsyncGenerator<EncodedTranscript[]> {
  let chunk: EncodedTranscript[] = [];
  let tokens = 0;
  for await (const one of encodeTranscripts(options)) {
    chunk.push(one);
    tokens += one.row.ids.length;
    if (tokens < chunkTokens) continue;
    yield chunk;
    [chunk, tokens] = [[], 0];
  }
  if (chunk.length > 0) yield chunk;
}

/** The conversation's tokens; null where a fault of it went to `onBad`. */
function encodeOr(
  { messages, where }: Transcript,
  checkpoint: Checkpoint,
  onBad: ProjectTranscriptsOptions['onBad'],
): ProjectionRow | null {
  try {
    const row = encodeConversationRow(checkpoint, messages);
    const { maxPositions } = checkpoint.config;
    if (row.turns.length === 0)
      throw new DataError('Expected a reply of the assistant, or a message to reply to, got neither.');
    if (row.ids.length > maxPositions)
      throw new DataError(
        `Expected at most ${maxPositions} tokens (the model's context), got ${row.ids.length}; cut the conversation.`,
      );
    return row;
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    const message = `${where}: ${cause.message.slice(0, 1).toLowerCase()}${cause.message.slice(1)}`;
    const error = new DataError(message, { details: { ...cause.details, where }, cause });
    if (onBad === undefined) throw error;
    onBad(error);
    return null;
  }
}
