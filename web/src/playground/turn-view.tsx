import { memo, useState } from 'react';
import { ErrorNote, Name } from '../parts/notes.tsx';
import { TokenText } from '../parts/token-text.tsx';
import { count, number, visible } from '../text.ts';
import { CopyDialog } from './copy-dialog.tsx';
import type { Reply } from './reply.ts';
import type { Turn } from './use-conversation.ts';

interface TurnViewProps {
  readonly turn: Turn;
  readonly shown: string | null;
  readonly scale: number;
  readonly cursor: Pointed | null;
  readonly onCursor: (at: Pointed | null) => void;
}

/** A token that is pointed at, by its place in both replies; `side` is the one that is pointed into. */
export interface Pointed {
  readonly token: number;
  readonly side: string | null;
}

/** What was said, and below it the reply unsteered and steered. */
export const TurnView = memo(function TurnView({ turn, ...rest }: TurnViewProps) {
  const steering = Object.entries(turn.steer);
  return (
    <article className="turn" aria-label="Turn">
      <p className="said" dir="auto">
        <span className="unseen">You: </span>
        {visible(turn.user)}
      </p>
      <div className={turn.steered === null ? 'replies single' : 'replies'}>
        <ReplyView name="Unsteered" reply={turn.plain} seed={turn.seed} steering={[]} {...rest} />
        {turn.steered && (
          <ReplyView name="Steered" reply={turn.steered} seed={turn.seed} steering={steering} {...rest} />
        )}
      </div>
    </article>
  );
}, sameView);

/** The handlers are new every time, and do the same. */
function sameView(a: TurnViewProps, b: TurnViewProps): boolean {
  return a.turn === b.turn && a.shown === b.shown && a.scale === b.scale && a.cursor === b.cursor;
}

interface ReplyViewProps extends Omit<TurnViewProps, 'turn'> {
  readonly name: string;
  readonly reply: Reply;
  readonly seed: number;
  readonly steering: readonly (readonly [vector: string, coef: number])[];
}

function ReplyView({ name, reply, seed, steering, shown, scale, cursor, onCursor }: ReplyViewProps) {
  const [copying, setCopying] = useState(false);
  const { state, tokens, error, notes } = reply;
  const busy = state === 'waiting' || state === 'streaming';
  return (
    <section
      className={steering.length > 0 ? 'reply steered' : 'reply'}
      aria-label={name}
      aria-busy={busy}
      data-state={state}
    >
      <header>
        <h2>{name}</h2>
        {steering.map(([vector, coef]) => (
          <span key={vector} className="soft small">
            <Name>{vector}</Name> {number(coef, { sign: true })}
          </span>
        ))}
      </header>
      {tokens.length > 0 && (
        <TokenText
          label={`${name} reply; arrow keys tell the projections of its tokens`}
          tokens={tokens}
          vector={shown}
          scale={scale}
          active={cursor !== null && cursor.token < tokens.length ? cursor.token : null}
          tells={cursor?.side === name}
          onActive={(token) => onCursor(token === null ? null : { token, side: name })}
        />
      )}
      {state === 'waiting' && <p className="soft">…</p>}
      {state === 'done' && tokens.length === 0 && <p className="soft">The reply has no token.</p>}
      {state === 'failed' && <ErrorNote error={error} />}
      {notes.map((note) => (
        <p key={note} className="soft small">
          {visible(note)}
        </p>
      ))}
      {!busy && (
        <footer>
          <Summary reply={reply} shown={shown} seed={seed} />
          <button type="button" className="plain" onClick={() => setCopying(true)}>
            Copy request
          </button>
        </footer>
      )}
      {copying && <CopyDialog request={reply.request} onClose={() => setCopying(false)} />}
    </section>
  );
}

const endings = { stop: 'ended', length: 'cut at the limit' } as const;

function Summary({ reply, shown, seed }: Pick<ReplyViewProps, 'reply' | 'shown' | 'seed'>) {
  const { state, tokens, finish, means } = reply;
  const mean = shown === null ? undefined : means[shown];
  const ending = state === 'stopped' ? 'stopped' : finish === null ? null : endings[finish];
  const parts = [count(tokens.length, 'token'), ...(ending === null ? [] : [ending]), `seed ${seed}`];
  return (
    <span className="soft small">
      {mean !== undefined && mean !== null && shown !== null && (
        <span className="mean">
          mean <b>{number(mean, { sign: true })}</b> ·{' '}
        </span>
      )}
      {parts.join(' · ')}
    </span>
  );
}
