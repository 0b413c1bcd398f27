import type { KeyboardEvent } from 'react';

interface ComposerProps {
  readonly chat: boolean;
  readonly text: string;
  readonly running: boolean;
  readonly hasTurns: boolean;
  readonly onText: (text: string) => void;
  readonly onSend: () => void;
  readonly onStop: () => void;
  readonly onClear: () => void;
}

/** Where one writes. Enter sends; with Shift it begins a line. */
export function Composer({ chat, text, running, hasTurns, onText, onSend, onStop, onClear }: ComposerProps) {
  const press = (event: KeyboardEvent): void => {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    onSend();
  };
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        onSend();
      }}
    >
      <textarea
        rows={2}
        aria-label={chat ? 'Message' : 'Text to go on from'}
        placeholder={chat ? 'Ask something…' : 'Once upon a time…'}
        value={text}
        dir="auto"
        onChange={(event) => onText(event.target.value)}
        onKeyDown={press}
      />
      {running ? (
        <button type="button" className="danger" onClick={onStop}>
          Stop
        </button>
      ) : (
        <button type="submit" className="primary" disabled={text.trim() === ''}>
          Send
        </button>
      )}
      <button type="button" disabled={!hasTurns} onClick={onClear}>
        New
      </button>
    </form>
  );
}
