import type { ExtractEvent, ExtractStep, ProgressListener } from '../persona/progress.ts';
import type { Progress } from './progress.ts';
import { noteBeside } from './progress.ts';
import { note } from './terminal.ts';

const stepNames: Readonly<Record<ExtractStep, string>> = {
  rollouts: 'both poles',
  vector: 'vector',
  sweep: 'layer × strength sweep',
  'dose-response': 'dose response',
  'held-out': 'held-out projections',
  report: 'report',
};

/** Draws what an extraction tells. While texts are made and judged side by side, one line shows the making. */
export function showExtraction(progress: Progress): ProgressListener {
  let making = false;
  return (event: ExtractEvent): void => {
    switch (event.type) {
      case 'step-start':
        making = false;
        break;
      case 'step-progress': {
        const { step, phase, done, total } = event;
        if (phase === 'generate') making = done < total;
        else if (making) break;
        progress.update(`${stepNames[step]}${phase === 'judge' ? ', judge' : ''}`, done, total);
        break;
      }
      case 'step-end':
        progress.end();
        if (event.reused) note(`${stepNames[event.step]}: already there`);
        break;
      case 'note':
        noteBeside(progress, `note: ${event.message}`);
        break;
      default:
        event satisfies never;
    }
  };
}
