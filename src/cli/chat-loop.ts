import { createInterface } from 'node:readline/promises';
import { type ChatLine, chatHelp, parseChatLine } from '../apps/chat/commands.ts';
import { type ChatReply, ChatSession } from '../apps/chat/session.ts';
import { loadFromCheckpoint } from '../engine/load.ts';
import { PersonaError } from '../errors.ts';
import { loadCheckpoint } from '../model/checkpoint.ts';
import { type Watched, watchVectors } from '../persona/projection/watch.ts';
import { readSteering } from '../persona/steering/spec.ts';
import { vectorNames } from '../persona/vector-folder.ts';
import { type Baseline, readBaseline } from '../store/baseline-file.ts';
import { writeJson } from '../store/files.ts';
import { defined } from '../util/defined.ts';
import { barLine, sideBySide } from './chat-view.ts';
import { createLiveLine } from './live-line.ts';
import { columns } from './render.ts';
import { note, print, printable } from './terminal.ts';
import type { WatchFlags } from './watch-flags.ts';

export type ChatFlags = WatchFlags & {
  readonly system?: string | undefined;
  readonly steer?: string | undefined;
  readonly baseline?: string | undefined;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly seed: number;
};

/** Talks in the terminal until the input or the user ends. */
export async function chat(modelName: string, flags: ChatFlags, signal: AbortSignal): Promise<void> {
  const opened = await openChat(modelName, flags);
  try {
    await converse(opened, signal);
  } finally {
    await opened.session.settings.model.close();
  }
}

interface OpenChat {
  readonly session: ChatSession;
  readonly watched: readonly Watched[];
  readonly baseline: Baseline | undefined;
}

async function openChat(modelName: string, flags: ChatFlags): Promise<OpenChat> {
  const checkpoint = await loadCheckpoint(modelName, flags.adapter);
  const names = flags.vector ?? (await vectorNames(flags.vectors));
  const { layer, pool: pooling, vectors: folder } = flags;
  // A chat without vectors is a chat; only watching and steering need them.
  const watched =
    names.length === 0 ? [] : await watchVectors(checkpoint, { vectors: names, folder, layer, pooling });
  const baseline = flags.baseline === undefined ? undefined : await readBaseline(flags.baseline);
  const spec = flags.steer === undefined ? null : await readSteering(flags.steer);
  const { dtype, block: blockSize } = flags;
  const model = await loadFromCheckpoint(checkpoint, { ...defined({ dtype, blockSize }), onNotice: note });
  const { maxTokens, temperature, topP, seed } = flags;
  const session = new ChatSession({
    model,
    watched,
    vectors: folder,
    baseline,
    maxTokens,
    temperature,
    topP,
    seed,
  });
  session.system = flags.system ?? null;
  if (spec !== null) for (const line of (await session.steerBy(spec)).notes) note(`note: ${line}`);
  return { session, watched, baseline };
}

/** Reads lines until the input or the user ends; what is wrong with one is told, and the chat goes on. */
async function converse(chat: OpenChat, signal: AbortSignal): Promise<void> {
  const isTerminal = process.stdin.isTTY;
  if (isTerminal) note(`${chat.session.settings.model.checkpoint.id}; /help lists the commands`);
  // Read from at once: lines that come before anybody waits for them are lost.
  const lines = createInterface({
    input: process.stdin,
    ...(isTerminal && { output: process.stdout, prompt: '> ' }),
  });
  const stop = (): void => lines.close();
  signal.addEventListener('abort', stop, { once: true });
  if (isTerminal) lines.prompt();
  for await (const text of lines) {
    if (text.trim() !== '') {
      try {
        const line = parseChatLine(text);
        if (line.kind === 'quit') break;
        await act(line, chat, signal);
      } catch (error) {
        if (!(error instanceof PersonaError) || signal.aborted) throw error;
        note(error.message);
      }
    }
    if (isTerminal) lines.prompt();
  }
  lines.close();
  signal.removeEventListener('abort', stop);
}

async function act(line: ChatLine, chat: OpenChat, signal: AbortSignal): Promise<void> {
  const { session } = chat;
  switch (line.kind) {
    case 'say':
      await say(line.text, chat, signal);
      return;
    case 'steer': {
      const { notes } = await session.steer(line.entry);
      for (const one of notes) note(`note: ${one}`);
      await showSteering(chat);
      return;
    }
    case 'steering':
      await showSteering(chat);
      return;
    case 'off':
      await session.setEntries([]);
      note('steered by nothing');
      return;
    case 'system':
      session.system = line.text;
      note(line.text === null ? 'no system prompt' : 'system prompt set');
      return;
    case 'undo':
      note(session.undo() ? 'taken back' : 'there is nothing to take back');
      return;
    case 'clear':
      session.clear();
      note('begun anew');
      return;
    case 'compare':
      await compare(chat, signal);
      return;
    case 'save': {
      await writeJson(line.file, {
        messages: session.messages,
        steering: { interventions: session.steering },
      });
      note(`saved in ${line.file}`);
      return;
    }
    case 'help':
      print(columns(chatHelp, [0, 1]));
      return;
    case 'quit':
      return;
    default:
      line satisfies never;
  }
}

async function say(text: string, chat: OpenChat, signal: AbortSignal): Promise<void> {
  let begun = false;
  const live = createLiveLine(process.stdout);
  const reply = await chat.session
    .ask(
      text,
      (piece, before, mean) => {
        if (!begun && before.length > 0) print(bars('before', before, chat));
        begun = true;
        live.write(printable(piece));
        if (mean !== null && mean.length > 0) live.show(bars('so far', mean, chat));
      },
      signal,
    )
    .finally(() => live.end());
  print('\n');
  if (reply.mean !== null && chat.watched.length > 0) print(bars('reply', reply.mean, chat));
  if (reply.finishReason === 'length') note('the reply was cut at --max-tokens');
}

async function compare(chat: OpenChat, signal: AbortSignal): Promise<void> {
  const { steered, plain } = await chat.session.compare(signal);
  const width = Math.min(process.stdout.columns ?? 100, 160);
  print(sideBySide(['steered', 'unsteered'], [printable(steered.text), printable(plain.text)], width));
  const show = (name: string, { mean }: ChatReply): void => {
    if (mean !== null && chat.watched.length > 0) print(bars(name, mean, chat));
  };
  show('steered', steered);
  show('unsteered', plain);
}

/** One line a reading: a bar for every watched vector. */
function bars(name: string, values: readonly number[], { watched, baseline }: OpenChat): string {
  return barLine(name, watched, values, {
    baseline,
    place: name === 'before' ? 'prompt_last' : 'response_mean',
  });
}

/** What steers, and what it does by geometry to the other watched traits. */
async function showSteering({ session, watched }: OpenChat): Promise<void> {
  if (session.steering.length === 0) {
    note('steered by nothing');
    return;
  }
  for (const entry of session.steering) note(JSON.stringify(entry));
  const report = session.crossTraits();
  if (report.length === 0 || watched.length < 2) return;
  const rows = report.map(({ steered, coef, trait, cosine, shift }) => [
    steered,
    coef.toFixed(2),
    trait,
    cosine.toFixed(2),
    shift.toFixed(2),
  ]);
  print(columns([['steered by', 'coefficient', 'trait', 'cosine', 'moves its projection'], ...rows], [0, 2]));
}
