import {
  type CSSProperties,
  type KeyboardEvent,
  memo,
  type PointerEvent,
  useLayoutEffect,
  useRef,
  useState,
} from 'react';
import { number, visible } from '../text.ts';

/** A token with its projections by vector; null while they have not come. */
export interface Token {
  readonly text: string;
  readonly values: Readonly<Record<string, number>> | null;
}

interface TokenTextProps {
  readonly label: string;
  readonly tokens: readonly Token[];
  /** The vector that colours; null for none. */
  readonly vector: string | null;
  /** The projection of the full colour. */
  readonly scale: number;
  /** The token that is pointed at, here or elsewhere on the page. */
  readonly active: number | null;
  /** Whether its projections are told here. */
  readonly tells: boolean;
  readonly onActive: (index: number | null) => void;
}

/** A text coloured token by token. Pointing at a token, or walking along them by arrow keys, tells its projections. */
export function TokenText({ label, tokens, vector, scale, active, tells, onActive }: TokenTextProps) {
  const box = useRef<HTMLDivElement>(null);
  // What a reader of screens is told: only where the keys are used, or every movement of a mouse would speak.
  const [spoken, setSpoken] = useState('');
  const point = (event: PointerEvent): void => {
    const index = (event.target as HTMLElement).dataset['i'];
    if (index !== undefined) onActive(Number(index));
  };
  const press = (event: KeyboardEvent): void => {
    const next = step(tokens.length, active, event.key);
    if (next === undefined) return;
    event.preventDefault();
    onActive(next);
    setSpoken(next === null ? '' : describe(tokens[next]!));
  };
  const leave = (): void => {
    onActive(null);
    setSpoken('');
  };
  const shown = !tells || active === null ? undefined : tokens[active];
  useOutline(box, active);
  return (
    <div className="token-box" ref={box}>
      <div
        className="tokens"
        role="group"
        tabIndex={0}
        aria-label={label}
        dir="auto"
        onPointerOver={point}
        onPointerLeave={leave}
        onBlur={leave}
        onKeyDown={press}
      >
        <Spans tokens={tokens} vector={vector} scale={scale} />
      </div>
      {shown && <Tip box={box} index={active!} token={shown} vector={vector} />}
      <span className="unseen" aria-live="polite">
        {spoken}
      </span>
    </div>
  );
}

type Box = { readonly current: HTMLDivElement | null };

function tokenAt(box: Box, index: number): HTMLElement | null {
  return box.current!.querySelector<HTMLElement>(`[data-i="${index}"]`);
}

/** By hand: drawing hundreds of tokens again for every movement of a pointer would be felt. */
function useOutline(box: Box, active: number | null): void {
  useLayoutEffect(() => {
    const target = active === null ? null : tokenAt(box, active);
    target?.classList.add('active');
    return () => target?.classList.remove('active');
  });
}

const Spans = memo(function Spans({
  tokens,
  vector,
  scale,
}: Pick<TokenTextProps, 'tokens' | 'vector' | 'scale'>) {
  return tokens.map(({ text, values }, i) => {
    const value = vector === null ? undefined : values?.[vector];
    if (value === undefined)
      return (
        <span key={i} data-i={i}>
          {visible(text)}
        </span>
      );
    const depth = Math.min(1, Math.abs(value) / scale);
    const style = { '--depth': depth.toFixed(3) } as CSSProperties;
    return (
      <span key={i} data-i={i} className={value >= 0 ? 'up' : 'down'} style={style}>
        {visible(text)}
      </span>
    );
  });
});

interface TipProps {
  readonly box: Box;
  readonly index: number;
  readonly token: Token;
  readonly vector: string | null;
}

/** The projections of one token, beside it. */
function Tip({ box, index, token, vector }: TipProps) {
  const tip = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const target = tokenAt(box, index);
    if (target === null || tip.current === null) return;
    const room = box.current!.clientWidth - tip.current.offsetWidth;
    tip.current.style.left = `${Math.max(0, Math.min(room, target.offsetLeft))}px`;
    tip.current.style.top = `${target.offsetTop + target.offsetHeight + 4}px`;
  });
  return (
    <div className="tip" ref={tip} role="tooltip">
      <div className="tip-head">
        token {index + 1} <code>{quoted(token.text)}</code>
      </div>
      {Object.entries(token.values ?? {}).map(([name, value]) => (
        <div key={name} className={name === vector ? 'tip-row chosen' : 'tip-row'}>
          <bdi>{visible(name)}</bdi>
          <span>{number(value, { sign: true })}</span>
        </div>
      ))}
      {token.values === null && <div className="soft">not read</div>}
    </div>
  );
}

function quoted(text: string): string {
  return `“${visible(text).replaceAll('\n', '↵')}”`;
}

function describe({ text, values }: Token): string {
  const said = Object.entries(values ?? {}).map(([name, value]) => `${visible(name)} ${number(value)}`);
  return `${quoted(text)}: ${said.length === 0 ? 'not read' : said.join(', ')}`;
}

function step(length: number, from: number | null, key: string): number | null | undefined {
  if (key === 'Escape') return null;
  if (length === 0) return undefined;
  if (key === 'ArrowRight') return from === null ? 0 : Math.min(length - 1, from + 1);
  if (key === 'ArrowLeft') return from === null ? length - 1 : Math.max(0, from - 1);
  if (key === 'Home') return 0;
  return key === 'End' ? length - 1 : undefined;
}

/**
 * The projection of the full colour: what nine in ten of the tokens stay below, so that one that stands out does not leave the
 * others pale.
 */
export function colourScale(texts: readonly (readonly Token[])[], vector: string | null): number {
  if (vector === null) return 1;
  const sizes = texts
    .flatMap((tokens) => tokens.map(({ values }) => Math.abs(values?.[vector] ?? 0)))
    .filter((size) => size > 0)
    .sort((a, b) => a - b);
  return sizes[Math.floor(sizes.length * 0.9)] ?? sizes.at(-1) ?? 1;
}

/** What the colours of tokens mean. */
export function Legend({ vector, scale }: { readonly vector: string; readonly scale: number }) {
  return (
    <div className="heat-legend">
      <span>≤ {number(-scale)}</span>
      <span className="ramp" aria-hidden="true" />
      <span>≥ {number(scale, { sign: true })}</span>
      <span className="unseen">colours of projections on {visible(vector)}</span>
    </div>
  );
}
