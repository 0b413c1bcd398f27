import { z } from 'zod';
import { DataError } from '../../errors.ts';
import { readJsonl } from '../../store/jsonl.ts';
import { writeWhole } from '../../store/files.ts';
import { randomStream } from '../../util/random.ts';

const rowSchema = z.looseObject({
  messages: z.array(z.looseObject({ role: z.string(), content: z.string() })).min(1),
});

/**
 * Writes conversations with a system prompt before each: one of `prompts`, drawn by the row's number and the seed. A row's
 * own system prompt stays, after a blank line.
 *
 * @throws DataError for rows that are no conversations in OpenAI's layout.
 */
export async function writePromptedRows(
  from: string,
  to: string,
  prompts: readonly string[],
  seed: number,
): Promise<void> {
  const lines: string[] = [];
  for await (const { value } of readJsonl(from, rowSchema)) {
    const draw = randomStream('mitigate-prompt', seed, lines.length).uniform();
    const prompt = prompts[Math.floor(draw * prompts.length)]!;
    const [first, ...rest] = value.messages;
    const messages =
      first!.role === 'system'
        ? [{ ...first, content: `${prompt}\n\n${first!.content}` }, ...rest]
        : [{ role: 'system', content: prompt }, first, ...rest];
    lines.push(`${JSON.stringify({ ...value, messages })}\n`);
  }
  if (lines.length === 0)
    throw new DataError(`"${from}": expected at least one row, got none.`, { details: { file: from } });
  await writeWhole(to, lines.join(''));
}
