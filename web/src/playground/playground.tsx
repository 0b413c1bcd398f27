import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useEffect, useMemo, useRef, useState } from 'react';
import type { Capabilities, VectorFacts } from '../../../src/server/client.ts';
import { server } from '../connection.ts';
import { Command } from '../parts/command.tsx';
import { Empty, ErrorNote } from '../parts/notes.tsx';
import { colourScale } from '../parts/token-text.tsx';
import { Composer } from './composer.tsx';
import { Controls } from './controls.tsx';
import { ProjectionPanel } from './projection-panel.tsx';
import { activeSteering, fitting, type Model, type Settings, watchedNames } from './settings.ts';
import { type Pointed, TurnView } from './turn-view.tsx';
import { type Turn, useConversation } from './use-conversation.ts';
import { useSettings } from './use-settings.ts';

/** A chat beside the same chat steered, watched token by token. */
export function Playground({ capabilities }: { readonly capabilities: Capabilities }) {
  const { models } = capabilities;
  if (models.length === 0)
    return (
      <>
        <h1 className="unseen">Playground</h1>
        <Empty title="No model is served">
          <p>Start the server with one:</p>
          <Command>persona serve MODEL</Command>
        </Empty>
      </>
    );
  return <Bench models={models} positions={capabilities.steering.positions} />;
}

interface BenchProps {
  readonly models: readonly Model[];
  readonly positions: readonly string[];
}

function Bench({ models, positions }: BenchProps) {
  const [settings, change] = useSettings(models);
  const model = models.find(({ id }) => id === settings.model) ?? models[0]!;
  const vectors = useQuery({ queryKey: ['vectors'], queryFn: () => server().vectors() });
  const own = useMemo(() => fitting(vectors.data ?? [], model), [vectors.data, model]);
  return (
    <div className="playground">
      <Controls
        models={models}
        model={model}
        vectors={own}
        others={(vectors.data?.length ?? 0) - own.length}
        loading={vectors.isPending}
        positions={positions}
        settings={settings}
        onChange={change}
      />
      <section className="bench" aria-label="Conversation">
        <h1 className="unseen">Playground</h1>
        {vectors.error && <ErrorNote error={vectors.error} onRetry={() => void vectors.refetch()} />}
        <Talk model={model} vectors={own} loading={vectors.isPending} settings={settings} onChange={change} />
      </section>
    </div>
  );
}

interface TalkProps {
  readonly model: Model;
  readonly vectors: readonly VectorFacts[];
  readonly loading: boolean;
  readonly settings: Settings;
  readonly onChange: (some: Partial<Settings>) => void;
}

function Talk({ model, vectors, loading, settings, onChange }: TalkProps) {
  const { turns, running, send, stop, clear } = useConversation();
  const [cursor, setCursor] = useState<Cursor | null>(null);
  const watch = watchedNames(vectors, settings);
  const shown = shownName(watch, settings);
  const scale = useMemo(() => scaleOf(turns, shown), [turns, shown]);
  /** Whether a message waits for the vectors that its address steers by. */
  const [waiting, setWaiting] = useState(false);
  const say = (): void => {
    const text = settings.prompt.trim();
    if (text === '' || running) return;
    setWaiting(loading);
    if (loading) return;
    const steer = activeSteering(vectors, settings);
    send(text, { settings: { ...settings, model: model.id }, chat: model.chat, steer, watch });
    onChange({ prompt: '' });
  };
  useEffect(() => {
    if (waiting && !loading) say();
    // The function is made anew with every drawing.
    // oxlint-disable-next-line react/exhaustive-deps
  }, [waiting, loading]);
  const chosen = cursor?.turn ?? turns.length - 1;
  const point = (turn: number, at: Pointed | null): void => setCursor(at === null ? null : { turn, ...at });
  return (
    <>
      <ProjectionPanel
        turn={turns[chosen] ?? null}
        names={watch}
        shown={shown}
        scale={scale}
        cursor={cursor?.token ?? null}
        onShown={(name) => onChange({ shown: name ?? '' })}
        onCursor={(token) => point(chosen, token === null ? null : { token, side: null })}
      />
      <Following>
        {turns.length === 0 && !loading && <Hint chat={model.chat} hasVectors={watch.length > 0} />}
        {turns.map((turn, i) => (
          <TurnView
            key={i}
            turn={turn}
            shown={shown}
            scale={scale}
            cursor={cursor?.turn === i ? cursor : null}
            onCursor={(at) => point(i, at)}
          />
        ))}
      </Following>
      <Composer
        chat={model.chat}
        text={settings.prompt}
        running={running}
        hasTurns={turns.length > 0}
        onText={(prompt) => onChange({ prompt })}
        onSend={say}
        onStop={stop}
        onClear={clear}
      />
    </>
  );
}

function shownName(watch: readonly string[], { shown }: Settings): string | null {
  return shown === '' ? null : (watch.find((name) => name === shown) ?? watch[0] ?? null);
}

function scaleOf(turns: readonly Turn[], shown: string | null): number {
  const replies = turns.flatMap(({ plain, steered }) => (steered === null ? [plain] : [plain, steered]));
  return colourScale(
    replies.map(({ tokens }) => tokens),
    shown,
  );
}

/** A token that is pointed at, in the same place of both replies of a turn. */
interface Cursor extends Pointed {
  readonly turn: number;
}

/** A list that grows at its end, which stays in sight unless one has scrolled up. */
function Following({ children }: { readonly children: ReactNode }) {
  const list = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const [outer, inner] = [list.current!, content.current!];
    let near = true;
    const scrolled = (): void => {
      near = outer.scrollHeight - outer.scrollTop - outer.clientHeight < 80;
    };
    const observer = new ResizeObserver(() => {
      if (near) outer.scrollTop = outer.scrollHeight;
    });
    observer.observe(inner);
    outer.addEventListener('scroll', scrolled, { passive: true });
    return () => {
      observer.disconnect();
      outer.removeEventListener('scroll', scrolled);
    };
  }, []);
  return (
    <div className="turns" ref={list} tabIndex={0} role="group" aria-label="What was said">
      <div ref={content}>{children}</div>
    </div>
  );
}

interface HintProps {
  readonly chat: boolean;
  readonly hasVectors: boolean;
}

function Hint({ chat, hasVectors }: HintProps) {
  const what = chat ? 'Say something below.' : 'This model goes on with a text: begin one below.';
  if (hasVectors)
    return (
      <Empty title="Nothing said yet">
        <p>{what} Move a slider first, and the same reply comes twice: as the model gives it, and steered.</p>
      </Empty>
    );
  return (
    <Empty title="No vector to steer by">
      <p>{what} To steer and to watch, make a vector of this model in the server’s folder of vectors:</p>
      <Command>persona extract evil --out runs/evil</Command>
    </Empty>
  );
}
