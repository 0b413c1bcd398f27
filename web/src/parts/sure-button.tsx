import { useState } from 'react';

interface SureButtonProps {
  readonly name: string;
  /** What it says instead once it was pressed, until it is pressed again or left. */
  readonly question: string;
  readonly disabled: boolean;
  readonly onSure: () => void;
}

/** For what cannot be undone: has to be pressed twice. */
export function SureButton({ name, question, disabled, onSure }: SureButtonProps) {
  const [sure, setSure] = useState(false);
  return (
    <button
      type="button"
      className={sure ? 'danger' : ''}
      disabled={disabled}
      onClick={() => (sure ? onSure() : setSure(true))}
      onBlur={() => setSure(false)}
    >
      {sure ? question : name}
    </button>
  );
}
