import { useEffect, useRef, useState } from 'react';
import { useSecrets } from '../connection.ts';
import { type ReplyRequest, toCurl, toTypeScript } from './request.ts';

const forms = [
  { name: 'curl', write: toCurl },
  { name: 'TypeScript', write: toTypeScript },
] as const;

interface CopyDialogProps {
  readonly request: ReplyRequest;
  readonly onClose: () => void;
}

/** A reply's request as a command or a program, to be copied. */
export function CopyDialog({ request, onClose }: CopyDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const code = useRef<HTMLPreElement>(null);
  const { apiKey } = useSecrets();
  const [form, setForm] = useState<(typeof forms)[number]>(forms[0]);
  const [copied, setCopied] = useState(false);
  useEffect(() => dialog.current?.showModal(), []);
  const text = form.write(request, location.origin, apiKey !== '');
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
    } catch {
      // Browsers give no clipboard to pages that come without encryption from elsewhere: what is selected can be copied by hand.
      getSelection()?.selectAllChildren(code.current!);
    }
  };
  return (
    <dialog ref={dialog} className="copy" aria-labelledby="copy-title" onClose={onClose}>
      <header className="row">
        <h2 id="copy-title">The request of this reply</h2>
        <fieldset className="choice">
          <legend className="unseen">Written as</legend>
          {forms.map((one) => (
            <label key={one.name} className={one === form ? 'chosen' : ''}>
              <input
                className="unseen"
                type="radio"
                name="form"
                checked={one === form}
                onChange={() => {
                  setForm(one);
                  setCopied(false);
                }}
              />
              {one.name}
            </label>
          ))}
        </fieldset>
      </header>
      <pre ref={code} tabIndex={0}>
        {text}
      </pre>
      {apiKey !== '' && (
        <p className="soft small">The key is left out: it is taken from the variable PERSONA_API_KEY.</p>
      )}
      <div className="row end">
        <button type="button" onClick={() => dialog.current?.close()}>
          Close
        </button>
        <button type="button" className="primary" onClick={() => void copy()}>
          {copied ? 'Copied' : 'Copy'}
        </button>
      </div>
    </dialog>
  );
}
