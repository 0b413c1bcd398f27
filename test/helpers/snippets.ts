import { readProjectFile } from './source.ts';

/** A fenced block of a page. */
export interface CodeBlock {
  readonly page: string;
  /** 1-based line of the block's first line of text. */
  readonly line: number;
  readonly language: string;
  readonly text: string;
}

/** A block of commands, and what the page says they print. */
export interface CommandBlock extends CodeBlock {
  /** The ```text block that follows with nothing but blank lines in between; null where there is none. */
  readonly output: string | null;
  /** Why the tests leave it out, as an HTML comment right before it says; null where they run it. */
  readonly leftOut: string | null;
}

/** All fenced blocks of a Markdown page, in order. */
export function codeBlocks(page: string, markdown: string = readProjectFile(page)): CodeBlock[] {
  const blocks: CodeBlock[] = [];
  let open: { line: number; language: string; lines: string[] } | null = null;
  markdown.split('\n').forEach((text, index) => {
    if (open === null) {
      const fence = /^```(\w*)/.exec(text);
      if (fence !== null) open = { line: index + 2, language: fence[1] ?? '', lines: [] };
    } else if (text.startsWith('```')) {
      const { line, language, lines } = open;
      blocks.push({ page, line, language, text: lines.join('\n') });
      open = null;
    } else {
      open.lines.push(text);
    }
  });
  return blocks;
}

/** The blocks marked `sh`, each with the output that the page shows right after it. */
export function commandBlocks(page: string, markdown: string = readProjectFile(page)): CommandBlock[] {
  const blocks = codeBlocks(page, markdown);
  const lines = markdown.split('\n');
  return blocks.flatMap((block, i) => {
    if (block.language !== 'sh') return [];
    const next = blocks[i + 1];
    const end = block.line - 1 + block.text.split('\n').length;
    const between = next === undefined ? [''] : lines.slice(end + 1, next.line - 2);
    const shown = next?.language === 'text' && between.every((line) => line.trim() === '');
    const comment = /^<!-- The tests leave this out, (?<reason>.+?)\.? -->$/.exec(
      lines[block.line - 3] ?? '',
    );
    const leftOut = comment?.groups?.['reason'] ?? null;
    return [{ ...block, output: shown ? next.text : null, leftOut }];
  });
}

/**
 * What stays of an output when its numbers may differ: numbers become `#`, runs of spaces one space. Two machines round
 * differently, and no page should have to be edited for that.
 */
export function skeleton(output: string): string {
  return output
    .replace(/\b[0-9a-f]{16,}\b/g, '#')
    .replace(/[-+−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?/g, '#')
    .split('\n')
    .map((line) => line.replace(/[ \t]+/g, ' ').trim())
    .join('\n')
    .trim();
}

/** Whether a real output has the skeleton that a page shows; `…` stands for anything, over several lines too. */
export function matchesShown(real: string, shown: string): boolean {
  const parts = skeleton(shown)
    .split('…')
    .map((part) => part.trim().replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('[^]*')}$`).test(skeleton(real));
}
